"""One worker, driven over its pipe as the coordinator would: what it sends, drops, spoils and says."""

import errno
import re
import threading
import time
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import orjson
import pytest

from loadgen.errors import CatalogError, OutputUnwritable
from loadgen.ledger import Outcome
from loadgen.runner import messages as messages_module
from loadgen.runner import worker as worker_module
from loadgen.runner.assignment import ShardAssignment
from loadgen.runner.messages import Activity, Checkpoint, Drain, FromWorker, Go, Plan, Ready, Samples, Snapshot
from loadgen.runner.worker import Batches, Worker, run_worker
from loadgen.simulate.impair import OutgoingBatch
from loadgen.sink import EncodedBatch
from loadgen.sink.simple import NullSink
from loadgen.stream import ShardStream
from loadgen.verifier.worker_progress import WorkerProgress
from tests.runner.plans import plan_of
from tests.runner.program import lines_in

T0_WALL_MS = 1_800_000_000_000


@dataclass
class Told:
    """What a worker said."""

    messages: list[FromWorker]

    @property
    def last(self) -> Snapshot:
        (found,) = [message for message in self.messages if isinstance(message, Snapshot) and message.done]
        return found

    @property
    def samples(self) -> list[bytes]:
        return [line for message in self.messages if isinstance(message, Samples) for _, line in message.lines]


def ready(
    plan: Plan, checkpoint: Checkpoint | None = None, late_by_s: float = 0.0
) -> tuple[Worker, Connection, Connection]:
    """A worker that has been told to go, and the two ends of its pipe, ours first."""
    ours, theirs = Pipe()
    worker = Worker(ShardAssignment(plan, 0, checkpoint or Checkpoint()), theirs, WorkerProgress())
    ours.send(Go(time.monotonic_ns() - int(late_by_s * 1e9), T0_WALL_MS))
    return worker, ours, theirs


def run(
    plan: Plan, checkpoint: Checkpoint | None = None, late_by_s: float = 0.0, drain_after_s: float | None = None
) -> Told:
    """Run a worker from Go to its last snapshot."""
    worker, ours, theirs = ready(plan, checkpoint, late_by_s)
    messages: list[FromWorker] = []
    listener = threading.Thread(target=_listen, args=(ours, messages))
    listener.start()
    if drain_after_s is not None:
        threading.Timer(drain_after_s, ours.send, [Drain(5.0)]).start()
    worker.run()
    listener.join(10)
    ours.close()
    theirs.close()
    return Told(messages)


def _listen(connection: Any, messages: list[FromWorker]) -> None:
    while not (messages and isinstance(messages[-1], Snapshot) and messages[-1].done):
        messages.append(connection.recv())


def spoilt(lines: list[bytes]) -> dict[str, int]:
    """What can be seen of impairments in lines."""
    n_broken = 0
    for line in lines:
        try:
            n_broken += not isinstance(orjson.loads(line)["ts"], int)
        except orjson.JSONDecodeError:
            n_broken += 1
    return {"duplicate": len(lines) - len(set(lines)), "malform": n_broken}


@pytest.mark.parametrize(("events", "n_samples"), [(2, 2), (500, 3)])
def test_a_worker_says_that_it_is_ready_shows_its_first_events_and_ends_with_its_totals(
    events: int, n_samples: int
) -> None:
    told = run(plan_of(events=events))
    assert isinstance(told.messages[0], Ready)
    times = [orjson.loads(line)["ts"] for line in told.samples]
    assert len(times) == n_samples
    assert times == sorted(times)
    assert told.last.tallies["null"].counts()["delivered"] == events
    assert told.last.completed["null"].tolist() == [events]


def test_a_successor_sends_the_rest_and_its_spoilt_events_are_those_of_the_whole_run() -> None:
    plan = plan_of(events=90_000, users=5000, impair={"duplicate": 0.1, "drop": 0.1, "malform": 0.01})
    whole = run(plan).last
    n_left = whole.tallies["null"].planned
    for n_completed in (1, 70_000, n_left):  # the first batch has some 65,000 events
        rest = run(plan, Checkpoint({"null": np.array([n_completed])})).last
        assert rest.tallies["null"].planned == n_left - n_completed
        assert rest.completed["null"].tolist() == [n_left]
        assert rest.impaired == whole.impaired
    assert whole.impaired["drop"] == 90_000 + whole.impaired["duplicate"] - n_left


def test_events_further_behind_than_allowed_are_dropped_and_none_else() -> None:
    told = run(plan_of(events=4000, rate=2000.0, max_lag=1.0), late_by_s=1.5).last
    counts = told.tallies["null"].counts()
    assert counts["planned"] == 4000
    assert counts["dropped"] + counts["delivered"] == 4000
    assert 1000 <= counts["dropped"] <= 2500  # those due in the first half second; more where the machine is slow
    assert told.schedule_lag_s.max_s <= 1.1
    assert len(told.schedule_lag_s) == counts["delivered"]


def test_a_worker_that_is_stopped_in_the_middle_counts_the_spoilt_events_that_it_sent(tmp_path: Path) -> None:
    impair = {"duplicate": 0.2, "malform": 0.1, "drop": 0.1, "late": 0.1, "reorder": 0.1}
    told = run(plan_of(folder=tmp_path, rate=5000.0, continuous=True, impair=impair), drain_after_s=1.0).last
    lines = lines_in(tmp_path)
    assert told.tallies["files"].counts()["delivered"] == told.tallies["files"].planned == len(lines) > 100
    found = spoilt(lines)
    assert found == {kind: told.impaired[kind] for kind in found}
    n_distinct = len(lines) - told.impaired["duplicate"]
    assert told.impaired["drop"] == pytest.approx(n_distinct / 9, abs=4 * np.sqrt(n_distinct / 9))


def test_with_wall_clock_times_late_events_say_when_they_happened_and_copies_are_equal(tmp_path: Path) -> None:
    impair = {"duplicate": 0.5, "late": 0.5}
    settings = {"rate": 2000.0, "timestamps": "wall", "events": 1000, "impair": impair}
    told = run(plan_of(folder=tmp_path, **settings)).last
    lines = lines_in(tmp_path)
    before_s = (T0_WALL_MS - np.array([orjson.loads(line)["ts"] for line in lines])) / 1000
    assert len(lines) - len(set(lines)) == told.impaired["duplicate"] > 400
    on_time = (before_s > -len(lines) / 2000.0) & (before_s <= 0.0)
    assert on_time.sum() >= len(lines) - told.impaired["late"]
    assert before_s.max() > 60.0


def test_events_leave_while_the_next_batch_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first is made before the start; each later one takes until events of the one before have left."""
    simulate, send = ShardStream.next, NullSink.send
    have_left, was_seen = threading.Event(), list[bool]()

    def simulate_once_events_leave(stream: ShardStream, until_ms: int | None = None) -> OutgoingBatch | None:
        have_left.clear()
        was_seen.append(have_left.wait(10.0 if was_seen else 0.0))
        return simulate(stream)

    def send_and_say_so(sink: NullSink, lines: EncodedBatch) -> None:
        send(sink, lines)
        have_left.set()

    monkeypatch.setattr(ShardStream, "next", simulate_once_events_leave)
    monkeypatch.setattr(NullSink, "send", send_and_say_so)
    run(plan_of(users=5000, rate=2000.0, continuous=True), late_by_s=-0.5, drain_after_s=3.0)
    assert len(was_seen) > 3
    assert all(was_seen[1:-1])  # the last is made when the worker has stopped


def test_a_fault_in_the_making_of_a_batch_ends_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    simulate, sizes = ShardStream.next, list[int]()

    def fail_in_the_third(stream: ShardStream, until_ms: int | None = None) -> OutgoingBatch | None:
        if len(sizes) == 2:
            raise CatalogError("the catalogue is gone")
        leaving = simulate(stream)
        sizes.append(len(leaving or ()))
        return leaving

    monkeypatch.setattr(ShardStream, "next", fail_in_the_third)
    worker, ours, theirs = ready(plan_of(rate=2000.0, events=3000))
    with pytest.raises(CatalogError, match="is gone"):
        worker.run()
    counts = worker.give_up().tallies["null"].counts()
    assert counts["planned"] == counts["delivered"] == sum(sizes)
    assert min(sizes) > 0
    ours.close()
    theirs.close()


def test_events_in_flight_of_a_sink_that_fails_all_have_an_outcome(tmp_path: Path) -> None:
    plan = plan_of(folder=tmp_path / "out", events=50_000)
    (tmp_path / "out").write_text("a file where a folder should be")
    worker, ours, theirs = ready(plan)
    with pytest.raises(OutputUnwritable, match="Not a directory"):
        worker.run()
    last = worker.give_up()
    tally = last.tallies["files"]
    assert tally.in_flight == 0
    assert tally.planned == tally.count(Outcome.FAILED) > 0
    ours.close()
    theirs.close()


def failing(plan: Plan, monkeypatch: pytest.MonkeyPatch, error: Exception, after: int) -> list[FromWorker]:
    """What a worker's process says that meets this after so many batches."""
    made: list[int] = []
    simulate = ShardStream.next

    def broken(stream: ShardStream, until_ms: int | None = None) -> OutgoingBatch | None:
        made.append(1)
        if len(made) > after:
            raise error
        return simulate(stream)

    monkeypatch.setattr(ShardStream, "next", broken)
    monkeypatch.setattr(worker_module, "ignore", lambda: None)  # this process listens to its signals
    ours, theirs = Pipe()
    ours.send(Go(time.monotonic_ns(), T0_WALL_MS))
    place = Mock(open=lambda: WorkerProgress())
    messages: list[FromWorker] = []
    listener = threading.Thread(target=_listen, args=(ours, messages))
    listener.start()  # a slow machine has the worker say more than a pipe holds
    run_worker(ShardAssignment(plan, 0), theirs, place)
    listener.join(10)
    ours.close()
    theirs.close()
    return messages


@pytest.mark.parametrize("settings", [{"rate": "max"}, {"rate": 100_000.0}])
def test_an_exception_in_a_worker_is_told_with_its_text_and_place_and_what_was_sent_is_counted(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
) -> None:
    told = Told(failing(plan_of(users=2000, events=500_000, **settings), monkeypatch, ValueError("two words"), 2)).last
    assert told.error_kind == "WorkerFailed"
    place = r"\(raised at loadgen/.*\.py:\d+, in _make\)"
    said = rf"worker 0 failed: ValueError: two words {place}; .*LOADGEN_DEBUG=1.*"
    assert re.fullmatch(said, told.error), told.error
    assert told.tallies["null"].planned == told.tallies["null"].counts()["delivered"] > 0
    assert not told.offered_all


@pytest.mark.parametrize(
    "error", [MemoryError(), OSError("Memory mapping file failed: Cannot allocate memory"), OSError(errno.ENOMEM, "so")]
)
def test_a_worker_without_memory_says_which_limit_to_raise(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    told = Told(failing(plan_of(events=1000), monkeypatch, error, 0)).last
    assert (told.error_kind, told.error) == (
        "NotEnoughMemory",
        "worker 0: the system gives no more memory; lower --users, or raise `ulimit -v` or the limit of the container",
    )


def test_a_worker_whose_coordinator_is_gone_before_the_start_ends_in_silence(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(worker_module, "ignore", lambda: None)
    ours, theirs = Pipe()

    def hear_ready_and_go() -> None:
        ours.recv()
        ours.close()

    closing = threading.Thread(target=hear_ready_and_go)
    closing.start()
    run_worker(ShardAssignment(plan_of(events=10), 0), theirs, Mock(open=lambda: WorkerProgress()))
    closing.join()
    assert capfd.readouterr().err == ""


def test_a_worker_says_whether_it_has_offered_all_that_it_was_asked_for() -> None:
    assert run(plan_of(events=500)).last.offered_all
    assert run(plan_of(duration=0.1 / 60, rate=100.0)).last.offered_all
    assert not run(plan_of(duration=60.0, rate=100.0), drain_after_s=0.1).last.offered_all


def test_without_a_schedule_nothing_is_due_while_the_next_events_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    make, seen = Batches.next, list[Activity]()

    def slow(self: Batches, limit_ns: int) -> Any:
        time.sleep(0.3)
        return make(self, limit_ns)

    monkeypatch.setattr(Batches, "next", slow)
    monkeypatch.setattr(messages_module, "STUCK_NS", 150_000_000)
    monkeypatch.setattr(worker_module, "SNAPSHOT_S", 0.01)
    for message in run(plan_of(users=2000, events=200_000)).messages:
        seen += [message.activity] if isinstance(message, Snapshot) else []
    assert len(seen) > 2
    assert {activity.waited_ns for activity in seen} == {0}
