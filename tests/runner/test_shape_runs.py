"""Runs that follow a shape: their windows, their batches, and the same events as without it."""

from pathlib import Path

import numpy as np
import orjson
import pytest

from loadgen.errors import UsageError
from loadgen.event import N_VIRTUAL_SHARDS
from loadgen.runner.prepare import setting_rows
from loadgen.simulate.catalog_file import load
from loadgen.simulate.feed import LOOK_AHEAD_S, PACED_BATCH, feed_of, paced_schedule
from loadgen.simulate.shard import Shard
from tests.runner.plans import plan_of
from tests.runner.program import lines_in
from tests.verifier.runs import counts_of, ran, verified

PHASES = """
[[phase]]
kind = "hold"
at = 0.2
for = 1
[[phase]]
kind = "hold"
at = 1
for = 1
[[phase]]
kind = "ramp"
to = 0.1
for = 1
"""


def test_the_offered_load_follows_the_shape_and_its_events_are_those_of_any_run(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text(PHASES)
    flags = ("--users", "3000", "--workers", "2", "--rate", "3000/s", "--shape", "x.toml", "--folder", "out")
    manifest = orjson.loads(ran(tmp_path, *flags, "--duration", "3s").read_bytes())
    expected = 600 + 3000 + (3000 + 300) / 2
    assert manifest["summary"]["scheduled"] == pytest.approx(expected, abs=1e-3)
    assert manifest["summary"]["planned"] == pytest.approx(expected, abs=3)
    assert manifest["summary"]["target_per_s"] == pytest.approx(expected / 3, rel=1e-3)
    seconds = [window["planned"] / (window["end_s"] - window["start_s"]) for window in manifest["history"]]
    assert len(seconds) >= 3
    assert seconds[0] < 1500 < seconds[1]
    unpaced = ("--users", "3000", "--workers", "1", "--rate", "max", "--folder", "max", "--events", "20000")
    ran(tmp_path, *unpaced)
    assert set(lines_in(tmp_path / "out")) <= set(lines_in(tmp_path / "max"))


@pytest.mark.slow
def test_a_run_by_the_wall_clock_is_made_again_when_the_file_of_its_shape_is_gone(tmp_path: Path) -> None:
    (tmp_path / "day.csv").write_text("seconds,events_per_s\n0,200\n1,3000\n1.5,100\n3,2000\n")
    flags = ("--shape", "day.csv", "--timestamps", "wall", "--workers", "2", "--impair", "duplicate=0.05,late=0.05")
    manifest = ran(tmp_path, "--users", "2000", "--output", "out.jsonl", "--duration", "2.5s", *flags)
    (tmp_path / "day.csv").unlink()
    lines = (tmp_path / "out.jsonl").read_bytes().splitlines(keepends=True)
    assert len(lines) > 3000
    assert verified(manifest, files=[str(tmp_path / "out.jsonl")]).findings.is_proved
    later = [line.replace(b'{"ts":1', b'{"ts":2') if at % 500 == 7 else line for at, line in enumerate(lines)]
    (tmp_path / "out.jsonl").write_bytes(b"".join(later))
    report = verified(manifest, files=[str(tmp_path / "out.jsonl")])  # makes the times of these slices again
    assert counts_of(report) == {"altered": len([at for at in range(len(lines)) if at % 500 == 7])}
    assert report.shown[0].expected in {line[:-1] for line in lines}


def test_a_batch_is_small_while_the_rate_is_low() -> None:
    settings = {"users": 3000, "rate": 90_000, "shape": "spike", "duration": "100s", "workers": 1}
    plan = plan_of(**settings)
    owned = np.ones(N_VIRTUAL_SHARDS, np.bool_)
    shard = Shard(plan.simulation, load(plan.catalog_path), np.arange(3000), plan.model)
    feed, schedule = feed_of(plan.settings, owned, shard, None), paced_schedule(plan.settings, owned, 0)
    sizes: list[int] = []
    starts_s: list[float] = []
    while not starts_s or starts_s[-1] < 61:
        leaving = feed.next_batch()
        assert leaving is not None
        if len(leaving):
            sizes.append(len(leaving))
            starts_s.append(schedule.due_ns(leaving.emit_ms)[0] / 1e9)
    slow = [size for size, start_s in zip(sizes, starts_s, strict=True) if start_s < 36]
    fast = [size for size, start_s in zip(sizes, starts_s, strict=True) if 42 < start_s < 59]
    assert 0.75 < np.mean(slow) / (9000 * LOOK_AHEAD_S) < 1.25
    assert 0.8 * PACED_BATCH < np.mean(fast) < 1.2 * PACED_BATCH
    assert max(slow) < 1.5 * 9000 * LOOK_AHEAD_S


def test_a_shape_that_ends_in_silence_cannot_be_ended_by_a_number_of_events() -> None:
    falling = {"shape": [{"kind": "ramp", "from": 1, "to": 0, "for": 2}], "rate": 100}
    with pytest.raises(UsageError, match="--events 500 before it ends in silence, got 100; add --duration"):
        plan_of(**falling, events=500)
    for settings in ({"events": 90}, {"events": 500, "duration": "5s"}, {"duration": "5s"}):
        plan = plan_of(**falling, **settings)
        assert ("rate", "100 events/s at most, shape phases") in setting_rows(plan.settings, plan)


@pytest.mark.parametrize(("typed", "shown"), [("20s", "20s"), ("1m30s", "1m30s"), (30, "30m")])
def test_how_long_a_run_goes_on_is_shown_as_it_was_typed(typed: str | int, shown: str) -> None:
    plan = plan_of(duration=typed)
    assert ("for", shown) in setting_rows(plan.settings, plan)
