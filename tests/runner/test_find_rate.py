"""--find-max-rate makes whole runs one after another, and says the highest rate that kept every threshold."""

import io
import json
import signal
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from loadgen.config import RunSettings
from loadgen.errors import BrokerUnreachable, LoadgenError
from loadgen.ledger import Outcome, Tally
from loadgen.runner import Ended
from loadgen.runner.console import RunConsole
from loadgen.runner.find_rate import Finder, Relay, Search, TrialConsole, trial_settings
from loadgen.runner.totals import Totals
from loadgen.signals import Stopped
from tests.runner.program import run_here, start, wait_until
from tests.runner.windows import verdict_of
from tests.verifier.runs import verified

START_MS = 1_767_571_200_000
SMALL = ("--users", "300", "--workers", "2", "--find-max-rate", "--start", "2026-01-05")


def run_settings(**given: Any) -> RunSettings:
    """Settings of a search, by their keys."""
    return RunSettings.from_public({"start": START_MS, "find_max_rate": True, "metrics_port": 0, **given})


class Machine:
    """Makes runs up to a capacity, in no time.

    Attributes:
        capacity_per_s: what it achieves at most.
        ends: exit reasons of the runs, where they do not end by their duration.
    """

    def __init__(self, capacity_per_s: float, *ends: str | BaseException) -> None:
        self.capacity_per_s, self.ends = capacity_per_s, iter(ends)

    def run_to_end(self, settings: RunSettings, _console: RunConsole, _show: Any) -> Ended:
        """As loadgen.runner.run_to_end."""
        end = next(self.ends, "duration")
        if isinstance(end, BaseException):
            raise end
        assert isinstance(settings.rate, float)
        achieved = min(settings.rate, self.capacity_per_s)
        tally = Tally()
        tally.by_page[Outcome.DELIVERED, 0] = int(achieved * 10)
        totals = Totals(tallies={"null": tally})
        result = Mock(totals=totals, verdict=verdict_of(totals, 10.0, settings.rate, end))
        return Ended(result, Path(f"{settings.rate:g}.json"), {}, [])


def searched(machine: Machine, settings: RunSettings) -> tuple[Finder, str]:
    """A search on this machine that is over, and what was shown."""
    shown = io.StringIO()
    rate = settings.rate if isinstance(settings.rate, float) else 1000.0
    finder = Finder(settings, machine.run_to_end, RunConsole(None, None, stream=shown), Search(rate))
    finder.run()
    return finder, shown.getvalue() + finder.verdict()


def test_the_search_ends_near_what_the_machine_can_do() -> None:
    finder, shown = searched(Machine(3000.0), run_settings())
    found = finder.as_json()
    assert (finder.exit_code(), found["exit_reason"], found["confirmed"]) == (0, "found", True)
    assert found["max_rate_per_s"] == 2953
    assert found["thresholds"] == ["rate >= 0.99 * target", "p99(schedule_lag) < 200ms"]
    assert [trial["passed"] for trial in found["trials"]] == [True, True, False, True, False, False, True, True]
    assert found["trials"][2]["achieved_per_s"] == 3000
    assert found["trials"][2]["broken"] == ["the generator missed its own target (limited by unknown)"]
    assert "trial  3        4,000/s  achieved       3,000/s" in shown
    assert shown.endswith(": 2,953/s, passed twice; 3,084/s did not")


def test_where_the_lowest_rate_fails_there_is_none() -> None:
    finder, shown = searched(Machine(3000.0), run_settings(rate=5000))
    assert (finder.exit_code(), finder.exit_reason) == (1, "lowest failed")
    assert finder.as_json()["max_rate_per_s"] is None
    assert len(finder.trials) == 1
    assert "begin lower, such as --rate 500/s" in shown


@pytest.mark.parametrize(
    ("ended", "reason", "code"),
    [
        ("interrupted early", "interrupted", 130),
        ("interrupted twice", "interrupted", 130),
        ("terminated early", "terminated", 143),
        ("hung up early", "hung up", 129),
    ],
)
def test_a_signal_in_a_trial_ends_the_search_with_what_is_known(ended: str, reason: str, code: int) -> None:
    machine = Machine(1e5, "duration", "duration", ended)
    finder, shown = searched(machine, run_settings())
    assert (finder.exit_code(), finder.exit_reason, len(finder.trials)) == (code, reason, 2)
    assert f"{reason}; the highest rate so far" in shown
    assert "2,000/s, NOT confirmed" in shown


def test_ctrl_c_between_trials_does_too() -> None:
    finder, shown = searched(Machine(1e5, KeyboardInterrupt()), run_settings())
    assert (finder.exit_code(), finder.trials) == (130, [])
    assert shown == "interrupted before any trial had passed"
    finder, shown = searched(Machine(1e5, Stopped(signal.SIGTERM)), run_settings())
    assert (finder.exit_code(), finder.exit_reason) == (143, "terminated")


def test_an_error_ends_the_search_and_the_first_trials_is_the_runs_own() -> None:
    with pytest.raises(BrokerUnreachable):
        searched(Machine(1e5, BrokerUnreachable("gone")), run_settings())
    finder, shown = searched(Machine(1e5, "duration", LoadgenError("disk full")), run_settings())
    assert (finder.exit_code(), finder.exit_reason, finder.as_json()["max_rate_per_s"]) == (1, "error", 1000)
    assert "error: disk full" in shown
    finder, _ = searched(Machine(1e5, "duration", "error"), run_settings())
    assert (finder.exit_code(), len(finder.trials)) == (1, 2)


def test_a_trial_is_a_run_whose_files_meet_no_others() -> None:
    given = {"manifest": "m/a.json", "folder": "out", "percentile_log": "logs", "duration": 2, "json": True}
    trial = trial_settings(run_settings(**given), 2000.0, 7)
    assert (trial.rate, trial.find_max_rate, trial.json_summary, trial.duration_s) == (2000.0, False, False, 120)
    assert [str(trial.manifest), str(trial.folder), str(trial.percentile_log)] == [
        "m/a-07.json",
        "out/trial-07",
        "logs-07",
    ]
    assert [str(kept) for kept in trial.threshold] == ["rate >= 0.99 * target", "p99(schedule_lag) < 200ms"]
    assert RunSettings.from_public(trial.public_dict()) == trial
    own = trial_settings(run_settings(threshold=["failed == 0"]), 2000.0, 1)
    assert ([str(kept) for kept in own.threshold], own.duration_s) == (["failed == 0"], 10)


def test_a_trial_keeps_to_itself_what_a_run_shows(capsys: pytest.CaptureFixture[str]) -> None:
    console = TrialConsole(run_settings(), "trial")
    console.settings([("a", "b")])
    console.note("error: x")
    console.preparing(0.5, "x")
    console.samples([(1, b"{}")])
    totals = Totals(tallies={"null": Tally()})
    console.progress(totals, 5.0)
    console.closing(totals, verdict_of(totals, 10.0), "m.json")
    assert capsys.readouterr() == ("", "")


def test_one_endpoint_shows_one_trial_after_another() -> None:
    opened: list[Relay] = []

    class Collector:
        def __init__(self, figure: str) -> None:
            self.figure = figure

        def collect(self) -> list[str]:
            return [self.figure]

    def open_endpoint(relay: Relay) -> bool:
        opened.append(relay)
        return True

    relay = Relay(open_endpoint)
    assert list(relay.collect()) == []
    for figure in "ab":
        assert relay.show(Collector(figure))
        assert list(relay.collect()) == [figure]
    assert opened == [relay]


@pytest.mark.slow
def test_real_trials_are_runs_with_manifests_of_their_own_which_can_be_verified(tmp_path: Path) -> None:
    flags = ("--rate", "1500/s", "--duration", "0.2s", "--threshold", "planned <= 500", "--folder", "out")
    code, found, shown = run_here(tmp_path, *SMALL, *flags)
    assert code == 0, shown
    assert found["confirmed"]
    assert 500 / 0.2 / 1.06 < found["max_rate_per_s"] <= 500 / 0.2
    assert len(found["trials"]) == shown.count("\ntrial ")
    assert len({trial["manifest"] for trial in found["trials"]}) == len(found["trials"])
    for number, trial in enumerate(found["trials"], 1):
        assert json.loads((tmp_path / trial["manifest"]).read_text())["settings"]["rate"] == trial["rate_per_s"]
        assert trial["passed"] == (trial["broken"] == []) == (trial["rate_per_s"] * 0.2 <= 500)
        if number in (1, 2):
            report = verified(tmp_path / trial["manifest"], files=[str(tmp_path / "out" / f"trial-{number:02}")])
            assert report.findings.is_proved


def test_a_real_search_that_is_stopped_says_what_is_known(tmp_path: Path) -> None:
    flags = ("--discard", "--duration", "1.5s", "--threshold", "failed == 0")  # kept by a busy machine too
    program = start(tmp_path, *SMALL, *flags)
    runs = tmp_path / "loadgen_runs"
    wait_until(lambda: runs.is_dir() and len(list(runs.glob("2*.json"))) == 2)
    program.signal(signal.SIGINT)
    code, found, shown = program.end()
    assert code == 130, shown
    assert (found["exit_reason"], found["max_rate_per_s"], len(found["trials"])) == ("interrupted", 1000, 1)
