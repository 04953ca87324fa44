"""The bytes of an event are what orjson gives for the documented record."""

from collections.abc import Callable

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.encode.lines import Encoder
from loadgen.encode.tracks import make_track_parts
from loadgen.event import (
    TRACK_PAGES,
    EventBatch,
    Listeners,
    Page,
)
from loadgen.formats import FORMATS, format_of
from tests.encode.world import (
    ACTIVITY_FIELDS,
    FULL_FIELDS,
    LABELS,
    LISTEN_FIELDS,
    SONG_FIELDS,
    TinyCatalog,
    activity_record,
    full_record,
    listen_record,
    some_events,
    some_listeners,
    user_names,
)

Record = Callable[[EventBatch, Listeners, int], dict[str, object]]
RECORDS: dict[str, Record] = {"activity": activity_record, "listen": listen_record, "full": full_record}


def encoder_of(wire_format: str, listeners: Listeners) -> Encoder:
    parts = make_track_parts(TinyCatalog(), format_of(wire_format))
    return Encoder(format_of(wire_format), parts, LABELS, listeners, user_names)


@pytest.mark.parametrize("wire_format", FORMATS)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), n=st.integers(0, 60))
def test_every_line_is_what_orjson_gives_for_the_record(wire_format: str, seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    listeners = some_listeners(20, rng)
    batch = some_events(n, listeners, rng)
    lines, hashes = encoder_of(wire_format, listeners).encode(batch)
    expected = [orjson.dumps(RECORDS[wire_format](batch, listeners, i)) + b"\n" for i in range(n)]
    assert lines.to_pylist() == expected
    assert len(hashes) == n


@pytest.mark.parametrize("wire_format", FORMATS)
def test_an_event_hashes_the_same_in_any_company(wire_format: str) -> None:
    rng = np.random.default_rng(1)
    listeners = some_listeners(20, rng)
    batch = some_events(500, listeners, rng)
    encoder = encoder_of(wire_format, listeners)
    _, together = encoder.encode(batch)
    order = rng.permutation(500)
    _, shuffled = encoder.encode(batch.take(order))
    assert (together[order] == shuffled).all()


@pytest.mark.parametrize("wire_format", FORMATS)
def test_events_that_differ_in_any_field_have_different_hashes(wire_format: str) -> None:
    rng = np.random.default_rng(2)
    listeners = some_listeners(50, rng)
    batch = some_events(3000, listeners, rng)
    lines, hashes = encoder_of(wire_format, listeners).encode(batch)
    assert len(np.unique(hashes)) == len(set(lines.to_pylist()))


def test_the_fields_are_the_documented_ones_in_their_order() -> None:
    rng = np.random.default_rng(3)
    listeners = some_listeners(5, rng)
    batch = some_events(200, listeners, rng)
    for wire_format in FORMATS:
        lines, _ = encoder_of(wire_format, listeners).encode(batch)
        for page, line in zip(batch.page, lines.to_pylist(), strict=True):
            expected = {
                "activity": (*ACTIVITY_FIELDS, *(SONG_FIELDS if page == Page.NEXT_SONG else ())),
                "full": (*ACTIVITY_FIELDS, *(SONG_FIELDS if page in TRACK_PAGES else ()), *FULL_FIELDS),
                "listen": LISTEN_FIELDS,
            }[wire_format]
            assert tuple(orjson.loads(line)) == expected


def test_full_names_the_track_wherever_listen_does() -> None:
    rng = np.random.default_rng(4)
    listeners = some_listeners(20, rng)
    batch = some_events(500, listeners, rng)
    by_format = {
        wire_format: list(map(orjson.loads, encoder_of(wire_format, listeners).encode(batch)[0].to_pylist()))
        for wire_format in FORMATS
    }
    for full, listen in zip(by_format["full"], by_format["listen"], strict=True):
        found = [full.get(name) for name in ("artist", "song", "length", "genre")]
        assert found == [listen[name] for name in ("artist", "track", "duration", "genre")]
    assert {Page.THUMBS_UP, Page.THUMBS_DOWN, Page.ADD_TO_PLAYLIST} <= set(batch.page)
