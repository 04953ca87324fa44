"""The bookkeeping of events in flight: per partition a queue of runs, completed in the order of sending.

In: runs of events that were accepted, dropped or refused, and the broker's reports about them. Out: a tally that is
right at every moment, and `completed`: the number of events of each partition that have ended, from the first without a
gap. No Kafka in here, and no waiting.

**Counting by watermarks.** A report per message costs as much as all the rest of the sending. It is not needed when
the producer guarantees three things: idempotence (a partition's messages enter the log in the order of sending, each
once), the gapless guarantee (a message that fails for good stops the producer with a fatal error instead of letting
later ones pass), and no expiry (`message.timeout.ms` 0; messages that time out would be outside the guarantee). Then
what a partition has accepted is always a prefix of what was sent to it. So the report of *one* message vouches for
all before it in its partition: each run asks for the report of its last message only. What lies after the last
watermark when the producer is closed is in doubt, until it is read back from the topic (readback.py).

**A broker that forgets.** A broker that has forgotten a producer takes its later messages without the earlier ones,
and the producer then takes the earlier ones for delivered. Two things tell: the report of such a message has no offset,
and from one watermark to the next the offsets may leave no room for all events between (where no other producer writes
to the partition). Then these events are in doubt, too; see `Gap`.
"""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np
import numpy.typing as npt

from loadgen.event import Int64s, UInt8s, UInt16s, UInt64s
from loadgen.ledger import Outcome, Tally
from loadgen.progress import Progress
from loadgen.sink import EncodedBatch

NO_OFFSET = -2
"""-1 is the one before the first."""
NO_REPORT = 255

Bools = npt.NDArray[np.bool_]


@dataclass(slots=True)
class SentColumns:
    """Events whose outcome is not known yet: 27 bytes each, no values.

    Attributes:
        page: uint8; virtual_shard: uint16; hash: uint64; due_ns: int64: see `EncodedBatch`.
        sent_ns: int64, time.monotonic_ns() at which each was given to the sink.
        n_bytes: bytes of all their values together.
        crowd: uint8, see `EncodedBatch`.
    """

    page: UInt8s
    virtual_shard: UInt16s
    hash: UInt64s
    due_ns: Int64s
    sent_ns: Int64s
    n_bytes: int
    crowd: UInt8s | None = None

    @classmethod
    def of(cls, batch: EncodedBatch, n_bytes: int) -> Self:
        """A batch that is sent now."""
        sent_ns = np.full(len(batch), time.monotonic_ns(), np.int64)
        return cls(batch.page, batch.virtual_shard, batch.hash, batch.due_ns, sent_ns, n_bytes, batch.crowd)

    @classmethod
    def concat(cls, parts: Sequence[Self]) -> Self:
        """All of these (at least one), one after another."""
        if len(parts) == 1:
            return parts[0]
        crowds = [part.crowd for part in parts if part.crowd is not None]
        return cls(
            np.concatenate([part.page for part in parts]),
            np.concatenate([part.virtual_shard for part in parts]),
            np.concatenate([part.hash for part in parts]),
            np.concatenate([part.due_ns for part in parts]),
            np.concatenate([part.sent_ns for part in parts]),
            sum(part.n_bytes for part in parts),
            np.concatenate(crowds) if crowds else None,
        )

    def take(self, positions: Int64s | slice, n_bytes: int) -> Self:
        """The events at these positions (a slice copies nothing), whose values have n_bytes."""
        return type(self)(
            self.page[positions],
            self.virtual_shard[positions],
            self.hash[positions],
            self.due_ns[positions],
            self.sent_ns[positions],
            n_bytes,
            None if self.crowd is None else self.crowd[positions],
        )

    def __len__(self) -> int:
        return len(self.page)


def count_delivered(tally: Tally, sent: SentColumns) -> None:
    """Count these events as delivered now: pages, bytes, fingerprint and both latencies."""
    now_ns = time.monotonic_ns()
    tally.complete(Outcome.DELIVERED, sent.page, sent.crowd)
    tally.fingerprint.add(sent.virtual_shard, sent.hash)
    tally.bytes_delivered += sent.n_bytes
    ack_s, intended_to_ack_s = _seconds(now_ns - sent.sent_ns), _seconds(now_ns - sent.due_ns)
    tally.ack_s.record(ack_s)
    tally.intended_to_ack_s.record(intended_to_ack_s)
    if tally.crowds is not None and sent.crowd is not None:
        tally.crowds.ack_s.record(ack_s, sent.crowd)
        tally.crowds.intended_to_ack_s.record(intended_to_ack_s, sent.crowd)


def _seconds(durations_ns: Int64s) -> npt.NDArray[np.float64]:
    return np.multiply(durations_ns, 1e-9, dtype=np.float64)


@dataclass(slots=True, eq=False)
class SentBatch:
    """One send: columns sorted by partition, which its runs share.

    Attributes:
        sent: see `SentColumns`.
        ts_ms: int64, the time of each event.
        end_bytes: int64, bytes of the values up to and including each event.
        events, order: the batch as it came, and the position there of each event; kept where an event may have to be
            sent again.
    """

    sent: SentColumns
    ts_ms: Int64s
    end_bytes: Int64s
    events: EncodedBatch | None = None
    order: Int64s | None = None

    @classmethod
    def of(cls, batch: EncodedBatch) -> Self:
        """A batch that is sent now, in its own order, newlines included."""
        end_bytes = np.cumsum(batch.line_bytes())
        n_bytes = int(end_bytes[-1]) if len(batch) else 0
        return cls(SentColumns.of(batch, n_bytes), batch.ts_ms, end_bytes)

    @classmethod
    def sorted_by(cls, order: Int64s, batch: EncodedBatch) -> Self:
        """A batch (at least one event) that is sent now, in this order, as messages: without newlines."""
        end_bytes = np.cumsum(batch.line_bytes()[order] - 1)
        sent = SentColumns.of(batch, 0).take(order, int(end_bytes[-1]))
        return cls(sent, batch.ts_ms[order], end_bytes, batch, order)

    def in_order(self, positions: Int64s) -> tuple[EncodedBatch, Int64s]:
        """The batch as it came, and where there the events at these positions are; of a batch that was sorted."""
        assert self.events is not None
        assert self.order is not None
        return self.events, self.order[positions]

    def bytes_of(self, start: int, stop: int) -> int:
        """Bytes of the values start:stop."""
        before = self.end_bytes[start - 1] if start else 0
        return int(self.end_bytes[stop - 1] - before) if stop > start else 0


def partition_runs(partitions: UInt16s) -> Iterator[tuple[int, int, int]]:
    """The runs of equal partitions in a sorted array: (partition, start, stop)."""
    if len(partitions) == 0:
        return
    cuts = [0, *(np.flatnonzero(np.diff(partitions)) + 1).tolist(), len(partitions)]
    for start, stop in pairwise(cuts):
        yield int(partitions[start]), start, stop


@dataclass(slots=True, eq=False)
class SentRun:
    """Events start:stop of a batch, all of one partition, given to the producer together.

    Attributes:
        ended: whether the tally has counted them.
        outcome: uint8 per event, an `Outcome` or NO_REPORT; None where single events have none.
        n_reports: how many events have an outcome of their own.
    """

    partition: int
    batch: SentBatch
    start: int
    stop: int
    ended: bool = False
    outcome: UInt8s | None = None
    n_reports: int = 0

    def __len__(self) -> int:
        return self.stop - self.start

    def n_in_doubt(self) -> int:
        """How many events have no outcome yet."""
        return len(self) - self.n_reports

    def own_outcomes(self) -> UInt8s:
        """`outcome`, made where it is None: from now on each event has its own."""
        if self.outcome is None:
            self.outcome = np.full(len(self), NO_REPORT, np.uint8)
        return self.outcome

    def positions_in_doubt(self) -> Int64s:
        """The positions in the batch of the events without an outcome."""
        if self.outcome is None:
            return np.arange(self.start, self.stop)
        return self.start + np.flatnonzero(self.outcome == NO_REPORT)

    def sent(self) -> SentColumns:
        """The columns of these events."""
        n_bytes = self.batch.bytes_of(self.start, self.stop)
        return self.batch.sent.take(slice(self.start, self.stop), n_bytes)

    @property
    def virtual_shard(self) -> UInt16s:
        """The virtual shard of each event."""
        return self.batch.sent.virtual_shard[self.start : self.stop]

    @property
    def final_outcomes(self) -> UInt8s | None:
        """How the events of a run that has ended did; None where all were delivered."""
        return self.outcome


@dataclass(slots=True, eq=False)
class SkippedRun:
    """Events of one partition that the producer was never given; they keep their place in the order."""

    virtual_shard: UInt16s
    skipped_as: Outcome
    ended: bool = True

    def __len__(self) -> int:
        return len(self.virtual_shard)

    @property
    def final_outcomes(self) -> UInt8s:
        """All of them ended in the same way."""
        return np.full(len(self), self.skipped_as, np.uint8)


@dataclass(frozen=True, slots=True)
class Gap:
    """Events of a partition that are acknowledged, some of which may be missing from the topic.

    Attributes:
        last_run: ends with the last of them.
        start_offset: those that are in the topic are at this offset or later.
        offset: of the last of them.
    """

    last_run: SentRun
    start_offset: int
    offset: int


class InFlight:
    """All runs of events that have not been completed in order yet.

    Attributes:
        tally: counts them.
        completed: int64 per partition.
        last_offset: int64 per partition, what is sent next is behind this offset; NO_OFFSET where none is known.
        n_bytes: bytes of the values in flight.
        gaps: of each partition the gap that is not closed.
        offset_unknown: partitions with events after the last watermark that were reported without an offset.
    """

    def __init__(self, n_partitions: int, completed: Int64s | None, before: Progress | None) -> None:
        """Begin with nothing in flight.

        Args:
            n_partitions: how many there are.
            completed: int64 per partition, from a predecessor's snapshot; None for a fresh start.
            before: progress of the same snapshot.
        """
        self.tally = Tally()
        self.completed = np.zeros(n_partitions, np.int64) if completed is None else completed.copy()
        self.last_offset = np.full(n_partitions, NO_OFFSET, np.int64)
        self.n_bytes = 0
        self.gaps: dict[int, Gap] = {}
        self.offset_unknown: set[int] = set()
        self._progress = Progress.start(n_partitions, before)
        self._runs: list[deque[SentRun | SkippedRun]] = [deque() for _ in range(n_partitions)]
        self._arrived: list[SentColumns] = []

    def accept(self, run: SentRun) -> None:
        """These events are in flight from now on."""
        self.tally.in_flight += len(run)
        self.n_bytes += run.batch.bytes_of(run.start, run.stop)
        self._runs[run.partition].append(run)

    def skip(
        self, partition: int, pages: UInt8s, virtual_shard: UInt16s, outcome: Outcome, crowd: UInt8s | None = None
    ) -> None:
        """These events are not given to the producer; they end after all that the partition was given before."""
        self.tally.complete(outcome, pages, crowd)
        self._runs[partition].append(SkippedRun(virtual_shard, outcome))
        self._advance(partition)

    def watermark(self, run: SentRun, offset: int) -> None:
        """The last event of the run is in the topic, and so are all before it in its partition, unless there is a gap.

        Args:
            run: one that was accepted.
            offset: of its last event; NO_OFFSET where there are none.
        """
        if run.ended:
            return
        partition, open_runs = run.partition, self.in_doubt(run.partition, run)
        last, n_events = int(self.last_offset[partition]), sum(map(SentRun.n_in_doubt, open_runs))
        is_short = last != NO_OFFSET and offset - last < n_events
        if is_short or partition in self.gaps or partition in self.offset_unknown:
            self.offset_unknown.discard(partition)
            self.gaps[partition] = Gap(run, max(0, min(last + 1, offset + 1 - n_events)), offset)
            return
        self.last_offset[partition] = max(offset, last)
        for one in open_runs:
            self._arrive(one)
        self._advance(partition)

    def pass_offsets(self, partition: int, n_events: int) -> None:
        """Events of the partition are in the topic at unknown offsets: those that follow are behind them."""
        if self.last_offset[partition] != NO_OFFSET:
            self.last_offset[partition] += n_events

    def report(self, run: SentRun, position: int, outcome: Outcome) -> None:
        """The outcome of one event, by its position in the batch; the run ends with its last one."""
        run.own_outcomes()[position - run.start] = outcome
        run.n_reports += 1
        if run.n_reports == len(run):
            self._complete(run)
            self._advance(run.partition)

    def resolve(self, partition: int, outcomes: UInt8s, until: SentRun | None = None) -> None:
        """No more reports will come: complete the partition's events in doubt.

        Args:
            partition: the partition.
            outcomes: an `Outcome` per event in doubt, in order.
            until: the last run that is meant; None is the partition's last.
        """
        for run in self.in_doubt(partition, until):
            positions = run.positions_in_doubt() - run.start
            run.own_outcomes()[positions] = outcomes[: len(positions)]
            self.pass_offsets(partition, int(np.count_nonzero(outcomes[: len(positions)] == Outcome.DELIVERED)))
            outcomes = outcomes[len(positions) :]
            self._complete(run)
        self._advance(partition)

    def close_gap(self, partition: int) -> None:
        """The events of the partition's gap, or those without an offset, are resolved."""
        if gap := self.gaps.pop(partition, None):
            self.last_offset[partition] = gap.offset
        else:
            self.offset_unknown.discard(partition)

    def in_doubt(self, partition: int, until: SentRun | None = None) -> list[SentRun]:
        """The runs of a partition, up to one of them, that have events without an outcome, in order."""
        found = []
        for run in self._runs[partition]:
            if isinstance(run, SentRun) and not run.ended:
                found.append(run)
            if run is until:
                break
        return found

    def partitions_in_doubt(self) -> list[int]:
        """The partitions that have such runs."""
        return [partition for partition in range(len(self._runs)) if self.in_doubt(partition)]

    def count_arrived(self) -> None:
        """Count what arrived since the last call: once for many runs, since each count has a fixed cost."""
        if self._arrived:
            sent = SentColumns.concat(self._arrived)
            self._arrived.clear()
            count_delivered(self.tally, sent)
            self._leave(sent)

    def progress(self) -> Progress:
        """The progress so far, with what was delivered ahead of events still in flight."""
        self._progress.set_ahead([found for partition in range(len(self._runs)) for found in self._ahead(partition)])
        return self._progress.flush()

    def _ahead(self, partition: int) -> Iterator[tuple[int, UInt16s, Int64s]]:
        """What is delivered behind the first run that has not ended: partition, virtual shards, places."""
        runs = self._runs[partition]
        if not any(isinstance(run, SentRun) and run.ended for run in runs):
            return
        virtual_shard = np.concatenate([run.virtual_shard for run in runs])
        (delivered,) = np.nonzero(np.concatenate([_is_delivered(run) for run in runs]))
        yield partition, virtual_shard[delivered], self._progress.places(partition, virtual_shard)[delivered]

    def _arrive(self, run: SentRun) -> None:
        """All events of an open run that have no other outcome are in the topic."""
        if run.outcome is not None:
            run.outcome[run.outcome == NO_REPORT] = Outcome.DELIVERED
            self._complete(run)
            return
        run.ended = True
        self._arrived.append(run.sent())

    def _complete(self, run: SentRun) -> None:
        """Settle a run whose events ended in different ways."""
        run.ended = True
        outcomes, sent = run.own_outcomes(), run.sent()
        lengths = np.diff(run.batch.end_bytes[: run.stop], prepend=0)[run.start :]
        for outcome in Outcome:
            positions = np.flatnonzero(outcomes == outcome)
            part = sent.take(positions, int(lengths[positions].sum()))
            if outcome is Outcome.DELIVERED:
                count_delivered(self.tally, part)
            else:
                self.tally.complete(outcome, part.page, part.crowd)
            if outcome is Outcome.ABORTED:
                self.tally.aborted.add(part.virtual_shard, part.hash)
        self._leave(sent)

    def _leave(self, sent: SentColumns) -> None:
        self.tally.in_flight -= len(sent)
        self.n_bytes -= sent.n_bytes

    def _advance(self, partition: int) -> None:
        """Settle what has ended, up to the first run that has not."""
        runs = self._runs[partition]
        while runs and runs[0].ended:
            run = runs.popleft()
            self.completed[partition] += len(run)
            self._progress.advance(partition, run.virtual_shard, run.final_outcomes)


class InFlightCounts:
    """What a sink tells of its events, by the `InFlight` that it keeps them in."""

    _in_flight: InFlight

    @property
    def tally(self) -> Tally:
        """See `Sink`."""
        return self._in_flight.tally

    @property
    def completed(self) -> Int64s:
        """See `Sink`."""
        return self._in_flight.completed

    @property
    def progress(self) -> Progress:
        """See `Sink`."""
        return self._in_flight.progress()


def _is_delivered(run: SentRun | SkippedRun) -> Bools:
    """Per event; False for a run that has not ended, since the tally has not counted it."""
    if not run.ended:
        return np.zeros(len(run), np.bool_)
    outcomes = run.final_outcomes
    return np.ones(len(run), np.bool_) if outcomes is None else outcomes == Outcome.DELIVERED
