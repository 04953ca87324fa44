"""What a coordinator makes of workers that fail, and of signals: told at once, and judged for no more than was run."""

import io
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from loadgen.errors import LoadgenError, TopicMissing
from loadgen.kafka.options import KafkaSettings
from loadgen.kafka.watch import TopicWatch
from loadgen.runner import exit_code
from loadgen.runner.console import RunConsole
from loadgen.runner.coordinator import Coordinator, Result
from loadgen.runner.messages import SimulationPlan
from loadgen.runner.team import Team
from loadgen.runner.totals import Totals
from loadgen.runner.verdict import verdict_lines
from tests.runner.plans import plan_of


def result_of(
    plan: SimulationPlan,
    watch: Callable[[Coordinator, Totals], None] = lambda *_: None,
    topic_watch: TopicWatch | None = None,
) -> Result:
    """Run it in this process, with real workers; told the totals a few times a second."""
    team = Team(plan)
    console = RunConsole(None, None, True, io.StringIO())
    coordinator = Coordinator(plan, team, console, topic_watches=[topic_watch] if topic_watch else [])
    coordinator.add_watcher(lambda totals, _elapsed_s: watch(coordinator, totals))
    try:
        return coordinator.run()
    finally:
        team.remove_progress()


def plan(tmp_path: Path, **settings: Any) -> SimulationPlan:
    """A plan whose files are in this folder."""
    return plan_of(manifest=str(tmp_path / "m.json"), **settings)


def test_a_damaged_catalogue_ends_the_run_at_once_with_what_a_worker_met(tmp_path: Path) -> None:
    damaged = tmp_path / "catalog.arrow"
    damaged.write_bytes(bytes(1000))
    result = result_of(replace(plan(tmp_path, duration=1.0), catalog_path=damaged))
    assert result.totals.restarts == 0
    assert result.error is not None
    assert "dmesg" not in str(result.error)
    assert (result.verdict.exit_reason, exit_code(result)) == ("error", 1)
    lines = list(verdict_lines(result.totals, result.verdict))
    assert lines[0] == "stopped before its first event: an error"
    assert not any("schedule was kept" in line or "every planned event" in line for line in lines)


def send_once(number: signal.Signals, after: int = 1) -> Callable[[Coordinator, Totals], None]:
    """Sends this process a signal when so many events are planned."""
    sent: list[int] = []

    def watch(_coordinator: Coordinator, totals: Totals) -> None:
        if totals.primary_sink.planned >= after and not sent:
            sent.append(1)
            signal.raise_signal(number)

    return watch


def test_a_signal_that_comes_when_all_is_offered_ends_nothing_early(tmp_path: Path) -> None:
    result = result_of(plan(tmp_path, events=500), send_once(signal.SIGTERM, 500))
    assert (result.verdict.exit_reason, result.verdict.cut_short, exit_code(result)) == ("events", "", 0)


def test_an_abort_of_a_threshold_says_how_far_the_run_came(tmp_path: Path) -> None:
    settings = {"duration": 1.0, "rate": 500.0, "threshold": ["delivered == 0 abort"]}
    result = result_of(plan(tmp_path, **settings), lambda coordinator, _: coordinator.stop("threshold"))
    assert result.verdict.cut_short.endswith("s of 60.0 s: a threshold was broken, and says abort")


def test_a_run_that_is_stopped_before_its_first_event_claims_nothing(tmp_path: Path) -> None:
    stopped = plan(tmp_path, events=500, rate=100.0)
    team = Team(stopped)
    coordinator = Coordinator(stopped, team, RunConsole(None, None, True, io.StringIO()))
    coordinator._on_signal(signal.SIGTERM, None)
    result = coordinator.run()
    team.remove_progress()
    assert (result.verdict.exit_reason, exit_code(result)) == ("terminated early", 143)
    lines = ["stopped before its first event: SIGTERM", "no event was planned until then"]
    assert list(verdict_lines(result.totals, result.verdict)) == lines


def test_the_second_signal_ends_the_run_at_once_and_a_third_does_not_keep_it_from_summing_up(tmp_path: Path) -> None:
    coordinator = Coordinator(plan(tmp_path, events=5), Mock(members=[]), Mock())
    coordinator._on_signal(signal.SIGTERM, None)
    with pytest.raises(KeyboardInterrupt):
        coordinator._on_signal(signal.SIGINT, None)
    coordinator._on_signal(signal.SIGINT, None)


def test_a_signal_during_the_drain_does_not_hide_what_ended_the_run(tmp_path: Path) -> None:
    coordinator = Coordinator(plan(tmp_path, events=5), Mock(members=[]), Mock())
    coordinator._fail(LoadgenError("the disk is full"))
    coordinator._on_signal(signal.SIGTERM, None)
    coordinator._keep_time()
    assert coordinator._reason == "error"


def test_a_topic_that_is_deleted_ends_the_run(tmp_path: Path) -> None:
    topic = TopicWatch(KafkaSettings("b:9092", "t"))

    def watch(_coordinator: Coordinator, totals: Totals) -> None:
        if totals.primary_sink.planned:
            topic.error = topic.error or TopicMissing("deleted")

    result = result_of(plan(tmp_path, duration=1.0, rate=100.0), watch, topic)
    assert (result.error, result.verdict.exit_reason, exit_code(result)) == (topic.error, "error", 1)
    assert result.verdict.cut_short.endswith("s of 60.0 s: an error")
