"""The last S seconds are the sum of their parts, however many have come and gone."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.runner.history import LATENCIES, Rolling, Window, merged
from tests.runner.windows import window

lengths_s = st.lists(st.floats(0.75, 3.0), min_size=1, max_size=25)


def parts_of(lengths: list[float]) -> list[Window]:
    """Windows of these lengths, one after another, each with events and latencies of its own."""
    ends_s = [sum(lengths[:n]) for n in range(len(lengths) + 1)]
    return [
        window(
            start_s, end_s, planned=n + 1, delivered=n, scheduled=n + 0.5, in_flight=10 * n, ack=[0.001 * (n + 1)] * n
        )
        for n, (start_s, end_s) in enumerate(pairwise(ends_s))
    ]


@given(lengths_s, st.integers(1, 8))
def test_the_newest_seconds_are_what_merging_them_gives(lengths: list[float], span_s: int) -> None:
    parts, rolling = parts_of(lengths), Rolling(span_s)
    for n, part in enumerate(parts):
        found = rolling.add(part)
        spans = [parts[first : n + 1] for first in range(n, -1, -1)]
        wanted = next((span for span in spans if part.end_s - span[0].start_s >= span_s - 0.25), None)
        assert (found is None) == (wanted is None)
        if found is None or wanted is None:
            continue
        whole = merged(wanted)
        assert (found.start_s, found.end_s, found.planned) == (whole.start_s, whole.end_s, whole.planned)
        assert (found.scheduled, found.offered_s) == pytest.approx((whole.scheduled, whole.offered_s))
        assert found.in_flight == round(sum(one.in_flight for one in wanted) / len(wanted))
        for name in LATENCIES:
            ours, theirs = getattr(found, name), getattr(whole, name)
            assert ours.buckets.tolist() == theirs.buckets.tolist()
            assert ours.counts.tolist() == theirs.counts.tolist()
            assert (ours.max_s, ours.sum_s) == (theirs.max_s, pytest.approx(theirs.sum_s, abs=1e-9))


def test_windows_of_a_second_that_jitter_make_spans_of_whole_seconds() -> None:
    rolling, spans = Rolling(3.0), []
    ends_s = [0.0, 1.002, 2.0, 2.998, 4.003, 5.0]
    for start_s, end_s in pairwise(ends_s):
        spans.append(rolling.add(window(start_s, end_s)))
    assert [span and (span.start_s, span.end_s) for span in spans] == [
        None,
        None,
        (0.0, 2.998),
        (1.002, 4.003),
        (2.0, 5.0),
    ]
