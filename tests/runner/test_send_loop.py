"""The send loop: what is due is sent as far as there is room and it is allowed; every planned event has an outcome."""

import time
from collections.abc import Iterator

import numpy as np
import pytest

from loadgen.event import N_VIRTUAL_SHARDS
from loadgen.ledger import Outcome
from loadgen.runner.messages import Checkpoint, Seconds
from loadgen.runner.outputs import ResumeFilter
from loadgen.runner.send_loop import NO_LIMIT, Batch, SendCounts, SendLoop
from loadgen.simulate.catalog_file import load
from loadgen.sink.simple import NullSink, SinkContext
from loadgen.stream import EventStream, ShardStream
from loadgen.verifier.worker_progress import WorkerProgress
from tests.runner.plans import plan_of

MS = 1_000_000


class Made:
    """A source of one batch, whose events are due a millisecond apart."""

    def __init__(self, t0_ns: int) -> None:
        plan = plan_of(events=500)
        stream = EventStream(plan.settings, plan.simulation, load(plan.catalog_path), plan.model).part(
            np.ones(N_VIRTUAL_SHARDS, np.bool_)
        )
        self.n_listeners = len(stream.shard.listeners)
        self._batches = self._made(stream, t0_ns)
        self.is_over = self.is_behind = False

    def _made(self, stream: ShardStream, t0_ns: int) -> Iterator[Batch]:
        for outgoing in stream:
            if len(outgoing):
                encoded = stream.encode(outgoing)
                encoded.due_ns = t0_ns + np.arange(len(encoded)) * MS
                yield outgoing, encoded

    def next(self, limit_ns: int) -> Batch | None:
        batch = next(self._batches, None)
        self.is_over = batch is None
        return batch


class Narrow(NullSink):
    """Has room for so many events in all."""

    free = NO_LIMIT

    def room(self) -> int:
        return max(0, self.free - self.tally.planned)


def loop_of(t0_ns: int, max_lag_s: float | None = 60.0) -> tuple[SendLoop, Narrow]:
    source = Made(t0_ns)
    sink = Narrow()
    sink.start(SinkContext("null", source.n_listeners))
    outputs = [(sink, ResumeFilter.of(sink, Checkpoint(), lambda batch: np.zeros(len(batch), np.uint32)))]
    loop = SendLoop(source, outputs, SendCounts(WorkerProgress()), Seconds(), max_lag_s)
    loop.start(t0_ns)
    return loop, sink


def test_what_is_due_is_sent_and_no_more_than_is_allowed_or_has_room() -> None:
    t0_ns = time.monotonic_ns() - 100 * MS  # 100 events are due
    loop, sink = loop_of(t0_ns)
    loop.start(time.monotonic_ns())
    assert loop.turn()  # takes the batch
    loop.turn(until_ns=t0_ns + 20 * MS)
    assert sink.tally.planned == 20
    loop.turn(most=33)
    assert sink.tally.planned == 33
    assert loop.is_full
    sink.free = 50
    loop.turn()
    assert sink.tally.planned == 50
    assert loop.counts.served_ns == t0_ns + 49 * MS
    assert loop.counts.n_planned == loop.counts.progress.n_accepted == int(loop.counts.progress.planned().sum()) == 50
    assert len(loop.counts.lag_s) == 50


def test_at_the_end_what_is_due_is_sent_or_dropped_and_nothing_else_is_planned() -> None:
    t0_ns = time.monotonic_ns() - 100 * MS
    loop, sink = loop_of(t0_ns)
    loop.turn()
    sink.free = 60
    now_ns = t0_ns + 90 * MS
    loop.finish(now_ns, NO_LIMIT)
    counts = sink.tally.counts()
    assert (counts["delivered"], counts["dropped"], counts["planned"]) == (60, 30, 90)
    loop.finish(now_ns, NO_LIMIT)
    assert sink.tally.planned == 90


@pytest.mark.parametrize(("max_lag_s", "n_dropped"), [(0.05, 50), (60.0, 0)])
def test_what_is_later_than_allowed_is_dropped(max_lag_s: float, n_dropped: int) -> None:
    t0_ns = time.monotonic_ns() - 100 * MS
    loop, sink = loop_of(t0_ns, max_lag_s)
    loop.turn()
    loop.turn()
    assert sink.tally.count(Outcome.DROPPED) >= n_dropped
    assert (sink.tally.count(Outcome.DROPPED) == 0) == (n_dropped == 0)
    assert loop.counts.n_planned == sink.tally.planned


def test_without_a_schedule_everything_is_sent_and_then_it_is_over() -> None:
    loop, sink = loop_of(time.monotonic_ns() - 10**12, max_lag_s=None)
    while not loop.is_over:
        loop.turn()
    assert sink.tally.count(Outcome.DELIVERED) == 500
