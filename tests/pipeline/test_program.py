"""`loadgen pipeline` as a person starts it: its parts killed, its parent killed, stopped, started again."""

import signal
import time
from pathlib import Path

import pytest

from tests.pipeline.program import PARTS, assert_proved, is_gone, open_files, pipeline
from tests.runner.program import wait_until


def test_ctrl_c_ends_all_three_and_not_an_event_is_lost_or_repeated(tmp_path: Path) -> None:
    with pipeline(tmp_path) as running:
        running.wait_for_events()
        wait_until(lambda: bool(running.health()))
        family = running.family()
        code, summary, said = running.end()
    assert code == 130, said
    assert_proved(summary, said)
    assert summary["expected"] == summary["found"] == summary["delivered"] == running.n_stored()
    assert summary["restarts"] == {"producer": 0, "consumer": 0, "dashboard": 0}
    assert "proved: every delivered event is there once" in said
    assert all(map(is_gone, family))
    assert open_files(tmp_path) == []


@pytest.mark.slow
def test_kill_9_of_the_parent_leaves_nothing_running(tmp_path: Path) -> None:
    with pipeline(tmp_path) as running:
        running.wait_for_events()
        family = running.family()
        assert len(family) >= 5, "producer with fork server and worker, consumer, dashboard"
        running.child("consume").send_signal(signal.SIGSTOP)  # type: ignore[union-attr]
        running.process.kill()
        wait_until(lambda: all(map(is_gone, family)), 15.0)


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("command", PARTS)
def test_a_part_that_is_killed_is_started_again_and_all_is_well(tmp_path: Path, command: str) -> None:
    with pipeline(tmp_path) as running:
        running.wait_for_events()
        wait_until(lambda: bool(running.health()))
        pid = running.kill(command)
        running.wait_for_another(command, pid)
        running.wait_for_events(500)
        wait_until(lambda: bool(running.health()))
        code, summary, said = running.end()
    assert code == 130, said
    assert_proved(summary, said)
    assert sum(summary["restarts"].values()) == 1
    assert len(summary["manifests"]) == (2 if command == "run" else 1)
    assert "killed by SIGKILL); it is started again in 0.5 s" in said


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_events_of_the_clock_are_proved_also_where_their_producer_was_killed(tmp_path: Path) -> None:
    with pipeline(tmp_path, "--rate", "natural", "--users", "20000") as running:
        running.wait_for_events(200)
        running.wait_for_another("run", running.kill("run"))
        running.wait_for_events(200)
        code, summary, said = running.end()
    assert code == 130, said
    assert_proved(summary, said)
    assert len(summary["manifests"]) == 2


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_parts_killed_again_and_again_lose_and_repeat_nothing(tmp_path: Path) -> None:
    with pipeline(tmp_path) as running:
        for command in ("run", "consume", "run", "consume"):
            running.wait_for_events(200)
            running.wait_for_another(command, running.kill(command))
        running.wait_for_events(200)
        code, summary, said = running.end()
    assert code == 130, said
    assert_proved(summary, said)
    assert len(summary["manifests"]) >= 2
    assert any("was killed" in note for note in summary["notes"])


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_second_pipeline_into_the_same_folder_proves_its_own_events(tmp_path: Path) -> None:
    n_stored = []
    for _ in range(2):
        with pipeline(tmp_path, "--duration", "3s") as running:
            code, summary, said = running.end(None)
        assert code == 0, said
        assert summary["exit_reason"] == "duration"
        assert_proved(summary, said)
        n_stored.append(summary["found"])
    assert running.n_stored() == sum(n_stored)


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("flags", "number", "code", "reason"),
    [
        ((), signal.SIGHUP, 0, "hung up"),
        (("--duration", "60s"), signal.SIGTERM, 143, "terminated early"),
        (("--duration", "60s"), signal.SIGINT, 130, "interrupted early"),
    ],
)
def test_stopped_before_its_time_is_up_it_is_not_done_though_all_is_stored(
    tmp_path: Path, flags: tuple[str, ...], number: signal.Signals, code: int, reason: str
) -> None:
    with pipeline(tmp_path, *flags) as running:
        running.wait_for_events()
        found, summary, said = running.end(number)
    assert (found, summary["exit_reason"]) == (code, reason), said
    assert_proved(summary, said)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_producer_that_somebody_else_stops_is_started_again(tmp_path: Path) -> None:
    with pipeline(tmp_path, "--duration", "60s") as running:
        running.wait_for_events()
        producer = running.child("run")
        assert producer is not None
        producer.send_signal(signal.SIGTERM)
        running.wait_for_another("run", producer.pid)
        running.wait_for_events()
        code, summary, said = running.end()
    assert code == 130, said
    assert_proved(summary, said)
    assert "the producer ended (exit code 143); it is started again" in said


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_the_page_shows_what_is_sent_stored_and_on_its_way_and_at_the_end_what_is_certain(tmp_path: Path) -> None:
    with pipeline(tmp_path, "--rate", "natural", "--users", "20000", "--duration", "12s", "--stay") as running:
        wait_until(lambda: (running.flow().get("latency") or {}).get("n_events", 0) > 100)
        during = running.flow()
        assert 0 < during["stored"] <= during["sent"]
        assert during["lag"] >= 0
        assert 0 < during["latency"]["p50_ms"] <= during["latency"]["p99_ms"] < 60_000
        wait_until(lambda: "proved" in running.shown())
        wait_until(lambda: running.flow()["lag"] is None)
        after = running.flow()
        code, summary, said = running.end()
    assert code == 0, said
    assert (after["sent"], after["stored"]) == (summary["delivered"], summary["found"])


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_the_page_stays_until_ctrl_c_where_that_is_asked_for(tmp_path: Path) -> None:
    with pipeline(tmp_path, "--duration", "2s", "--stay") as running:
        wait_until(lambda: "proved" in running.shown())
        assert running.child("consume") is None
        wait_until(lambda: bool(running.health()))
        code, summary, said = running.end()
    assert (code, summary["exit_reason"]) == (0, "duration"), said
    assert "the dashboard is still there, until Ctrl-C" in said


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_second_ctrl_c_ends_at_once(tmp_path: Path) -> None:
    with pipeline(tmp_path) as running:
        running.wait_for_events()
        family = running.family()
        running.child("consume").send_signal(signal.SIGSTOP)  # type: ignore[union-attr]
        running.process.send_signal(signal.SIGINT)
        wait_until(lambda: "stopping: storing" in running.shown())
        time.sleep(1.0)
        code, summary, said = running.end(timeout_s=15)
    assert (code, summary["exit_reason"]) == (1, "interrupted twice"), said
    wait_until(lambda: all(map(is_gone, family)), 10.0)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_secrets_stand_on_no_command_line_and_in_no_log(tmp_path: Path) -> None:
    secret = {"LOADGEN_KAFKA_OPTION_SASL_PASSWORD": "open-sesame", "LOADGEN_KAFKA_OPTION_CLIENT_ID": "me"}
    with pipeline(tmp_path, env=secret) as running:
        running.wait_for_events()
        words = [word for process in running.family() for word in process.cmdline()]
        assert "open-sesame" in str(running.child("consume").environ())  # type: ignore[union-attr]
        code, summary, said = running.end()
    assert code == 130, said
    assert_proved(summary, said)
    files = [path.read_text() for path in (tmp_path / "loadgen_runs").rglob("*") if path.is_file()]
    assert not any("open-sesame" in text for text in [*words, *files, said, str(summary)])
