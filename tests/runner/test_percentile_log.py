"""Percentile logs are what HdrHistogram's plotter reads, and say what the sample says."""

import os
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from loadgen.errors import OutputUnwritable
from loadgen.histogram import Sparse
from loadgen.runner.percentile_log import percentile_log, write_percentile_logs
from tests.full_disk import fill_disk
from tests.runner.windows import recorded

LINE = re.compile(r"\s*([\d.]+)\s+([\d.]+)\s+(\d+)(?:\s+([\d.]+))?")
"""As the plotter's script takes a line apart, at white space; what begins with # or a word is no data."""
FOOTER = re.compile(
    r"#\[Mean    = +([\d.]+), StdDeviation   = +([\d.]+)\]\n"
    r"#\[Max     = +([\d.]+), Total count    = +(\d+)\]\n"
    r"#\[Buckets = +36, SubBuckets     = +64\]\n"
)


def rows_of(text: str) -> list[tuple[float, float, int]]:
    """Value (ms), percentile (0..1) and count of each line of data."""
    head, rest = text.split("\n\n", 1)
    assert head.split() == ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"]
    found = []
    for line in rest.splitlines():
        if line.startswith("#"):
            continue
        match = LINE.fullmatch(line)
        assert match, line
        share = float(match[2])
        if match[4] is not None:
            assert float(match[4]) == pytest.approx(1 / (1 - share), rel=1e-3, abs=0.006)
        found.append((float(match[1]), share, int(match[3])))
    return found


def footer_of(text: str) -> list[float]:
    """Mean, standard deviation, maximum (ms) and the number of events."""
    match = FOOTER.search(text)
    assert match
    return [float(found) for found in match.groups()]


def test_every_line_is_the_percentile_of_the_sample() -> None:
    values_s = np.sort(np.random.default_rng(3).lognormal(-5, 1.2, 40_000))
    text = percentile_log(recorded(values_s))
    rows = rows_of(text)
    for value_ms, share, count in rows:
        rank = max(1, int(np.ceil(share * 40_000 - 1e-6)))
        assert value_ms == pytest.approx(values_s[rank - 1] * 1e3, rel=0.01, abs=5e-4)
        assert share * 40_000 <= count + 1e-6
    assert rows == sorted(rows)
    assert rows[-1] == pytest.approx((values_s[-1] * 1e3, 1.0, 40_000), rel=1e-9, abs=5e-4)
    mean, deviation, largest, n_events = footer_of(text)
    assert (mean, deviation) == pytest.approx((values_s.mean() * 1e3, values_s.std() * 1e3), rel=0.01)
    assert (largest, n_events) == pytest.approx((values_s[-1] * 1e3, 40_000), rel=1e-9, abs=5e-4)


def test_there_are_five_lines_for_each_halving_of_the_rest_as_hdrhistogram_writes_them() -> None:
    rows = rows_of(percentile_log(recorded(np.linspace(0.001, 1.0, 1000))))
    shares = [share for _, share, _ in rows]
    assert shares[:12] == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.775])
    assert shares[-2:] == pytest.approx([1 - 2**-9 * 0.6, 1.0])  # one event more is less than one of a thousand
    assert all(after > before for before, after in pairwise(shares))


def test_the_text_is_the_one_of_hdrhistogram() -> None:
    assert percentile_log(recorded([0.002, 0.002, 0.004])) == (
        "       Value     Percentile TotalCount 1/(1-Percentile)\n"
        "\n"
        "       2.008 0.000000000000          2           1.00\n"
        "       2.008 0.100000000000          2           1.11\n"
        "       2.008 0.200000000000          2           1.25\n"
        "       2.008 0.300000000000          2           1.43\n"
        "       2.008 0.400000000000          2           1.67\n"
        "       2.008 0.500000000000          2           2.00\n"
        "       2.008 0.550000000000          2           2.22\n"
        "       2.008 0.600000000000          2           2.50\n"
        "       2.008 0.650000000000          2           2.86\n"
        "       4.000 1.000000000000          3\n"
        "#[Mean    =        2.667, StdDeviation   =        0.947]\n"
        "#[Max     =        4.000, Total count    =            3]\n"
        "#[Buckets =           36, SubBuckets     =           64]\n"
    )


def test_a_log_of_nothing_has_no_line() -> None:
    text = percentile_log(recorded([]))
    assert rows_of(text) == []
    assert footer_of(text) == [0.0, 0.0, 0.0, 0.0]


def test_a_log_is_replaced_whole_or_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logs: dict[str, Sparse] = {"ack": recorded([0.1]), "schedule_lag": recorded([0.2])}
    write_percentile_logs(tmp_path, logs)
    assert sorted(os.listdir(tmp_path)) == ["ack.hgrm", "schedule_lag.hgrm"]
    before = (tmp_path / "ack.hgrm").read_text()
    assert before == percentile_log(logs["ack"])
    fill_disk(monkeypatch)
    with pytest.raises(OutputUnwritable, match=r"ack.hgrm.*No space left on device; the disk is full"):
        write_percentile_logs(tmp_path, {"ack": recorded([0.3])})
    assert sorted(os.listdir(tmp_path)) == ["ack.hgrm", "schedule_lag.hgrm"]
    assert (tmp_path / "ack.hgrm").read_text() == before
    with pytest.raises(OutputUnwritable):
        write_percentile_logs(tmp_path / "ack.hgrm", logs)
