"""The preview draws what a run would offer, and sends nothing."""

import io
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from loadgen.config import RunSettings, resolve
from loadgen.runner import main
from loadgen.runner.preview import HEIGHT, WIDTH, as_text, shown_s
from loadgen.simulate.feed import offered
from loadgen.simulate.schedule import RateSchedule
from loadgen.simulate.shapes import Shape
from tests.runner.program import start_program

START_MS = 1_767_571_200_000


def preview(capsys: pytest.CaptureFixture[str], **given: Any) -> list[str]:
    """What a preview with these settings, by their keys, prints."""
    assert main(RunSettings.from_public({"start": START_MS, "preview": True, **given})) == 0
    return capsys.readouterr().out.splitlines()


def heights(lines: list[str]) -> list[int]:
    """The highest dot in each column of characters: 0..HEIGHT, in rows."""
    rows = [line[12:].ljust(WIDTH) for line in lines[1 : HEIGHT + 1]]
    return [
        max((HEIGHT - row for row in range(HEIGHT) if rows[row][column] not in "\u2800 "), default=0)
        for column in range(WIDTH)
    ]


def test_a_ramp_climbs_from_one_corner_to_the_other(capsys: pytest.CaptureFixture[str]) -> None:
    lines = preview(capsys, shape="ramp", rate="20k/s", duration="1m")
    drawn = heights(lines)
    assert drawn[0] == 1
    assert drawn[-1] == HEIGHT
    assert drawn == sorted(drawn)
    assert lines[1].startswith("    20,000 ┤")
    assert lines[-2] == "peak 20,000/s   mean 10,000/s   least 0/s   total 600,000 events"
    assert re.split(r" +", lines[-3].strip()) == ["0s", "15s", "30s", "45s", "60s"]


def test_a_spike_stands_in_the_middle(capsys: pytest.CaptureFixture[str]) -> None:
    drawn = heights(preview(capsys, shape="spike", rate=1000, duration=8))
    assert (drawn[0], drawn[WIDTH // 2], drawn[-1]) == (2, HEIGHT, 2)
    assert 12 <= drawn.count(HEIGHT) <= 16


@pytest.mark.parametrize(
    "run",
    [
        {"rate": 0.001, "duration": "1d"},
        {"shape": "sine", "rate": 1e9, "continuous": True},
        {"shape": "soak", "rate": 123_456.789, "events": 10**15},
        {"shape": [{"kind": "hold", "at": 0, "for": "1d"}, {"kind": "hold", "at": 1, "for": 1}], "rate": 5},
        {"shape": [{"kind": "hold", "at": "3/h", "for": "1d"}], "continuous": True},
        {"shape": {"name": "x" * 100, "phase": [{"kind": "hold", "at": 1, "for": 1}]}, "rate": 5, "events": 9},
    ],
)
def test_every_line_fits_into_eighty_columns(capsys: pytest.CaptureFixture[str], run: dict[str, Any]) -> None:
    lines = preview(capsys, **run)
    assert len(lines) == HEIGHT + 5
    assert max(map(len, lines)) <= 80


def test_with_json_the_points_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = preview(capsys, shape="step", rate=100, duration="10s", json=True)
    found = json.loads(line)
    points = found.pop("points")
    expected = {"shape": "step", "length_s": 10, "peak_per_s": 100, "mean_per_s": 60, "least_per_s": 20, "events": 600}
    assert found == expected
    assert points[0] == {"at_s": 0, "rate_per_s": 20, "events": 0}
    assert points[-1] == {"at_s": 10, "rate_per_s": 100, "events": pytest.approx(600)}


def test_a_terminal_that_knows_only_ascii_gets_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    assert main(RunSettings.from_public({"start": START_MS, "preview": True, "shape": "sine", "rate": 5})) == 0
    lines = written.getvalue().decode("ascii").splitlines()
    assert heights(lines)[WIDTH // 2] == HEIGHT
    assert lines[1].startswith("         5 +")


def test_nothing_is_made_and_nobody_is_asked(tmp_path: Path) -> None:
    flags = ("--shape", "spike", "--rate", "20k/s", "--preview", "--brokers", "127.0.0.1:1", "--create-topic")
    program = start_program(tmp_path, "run", *flags, env={"LOADGEN_CACHE": str(tmp_path / "cache")}, text=True)
    out, err = program.communicate(timeout=90)
    assert program.returncode == 0
    assert err == ""
    assert "total 357,600 events" in out
    assert list(tmp_path.iterdir()) == []


levels = st.sampled_from([0, 1, 0.1, 1000, 1e-9, "20k/s", "1e-9/s", "1G/s", "3/h"]) | st.floats(1e-9, 1000)
times = st.sampled_from([0.001, 30, "40%", "0.001%", "36500d"]) | st.floats(0.001, 1e5)
phases = st.one_of(
    st.fixed_dictionaries({"kind": st.just("hold"), "at": levels, "for": times}),
    st.fixed_dictionaries({"kind": st.just("ramp"), "to": levels, "for": times}, optional={"from": levels}),
    st.fixed_dictionaries({"kind": st.just("steps"), "to": levels, "for": times, "steps": st.integers(1, 50)}),
    st.fixed_dictionaries({"kind": st.just("sine"), "to": levels, "for": times}, optional={"every": times}),
)
ends = st.sampled_from([{}, {"events": "1"}, {"events": "1e15"}, {"continuous": True}, {"duration_min": "0.001"}])


@given(st.lists(phases, min_size=1, max_size=4), st.booleans(), st.sampled_from([1e-6, 7.0, 1e9]), ends)
@settings(max_examples=200)
def test_every_shape_that_is_accepted_can_be_drawn_and_followed(
    listed: list[dict[str, Any]], repeats: bool, rate: float, end: dict[str, Any]
) -> None:
    assume(any(phase.get(key) for phase in listed for key in ("at", "from", "to")))
    flags = {"shape": {"phase": listed, "repeat": repeats}, "rate": rate, "preview": True, **end}
    run = resolve(RunSettings, flags, {}).settings
    shape = offered(run)
    assert isinstance(shape, Shape)
    assert max(map(len, as_text(run, shape, shown_s(run, shape)))) <= 80
    due_ns = RateSchedule(0, shape.part(3, 7)).due_ns(np.zeros(50, np.int64))
    assert due_ns[0] >= 0
    assert (np.diff(due_ns) >= 0).all()
