"""The bookkeeping of events in flight: per lane (Kafka partition) a queue of runs, settled in the order of sending.

In: runs of events that were accepted, dropped or refused, and the broker's reports about them. Out: a tally that is
right at every moment, and `settled`: how many events of each lane have ended, counted from the first without a gap.
No Kafka in here, and no waiting.

**Counting by watermarks.** A report per message costs as much as all the rest of the sending. It is not needed when
the producer guarantees three things: idempotence (a partition's messages enter the log in the order of sending, each
once), the gapless guarantee (a message that fails for good stops the producer with a fatal error instead of letting
later ones pass), and no expiry (`message.timeout.ms` 0; messages that time out would be outside the guarantee). Then
what a partition has accepted is always a prefix of what was sent to it. So the report of *one* message vouches for
all before it in its lane: each group asks for the report of its last message only. What lies after the last
watermark when the producer is closed is in doubt, until it is read back from the topic (readback.py).

**A broker that forgets.** A broker that has forgotten a producer takes its later messages without the earlier ones,
and the producer then takes the earlier ones for delivered. Two things tell: the report of such a message has no offset,
and from one watermark to the next the offsets may leave no room for all events between (where nobody else writes to the
partition). Then these events are in doubt, too; see `Tear`.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from loadgen.event import Int64s, UInt8s, UInt16s
from loadgen.ledger import Outcome, Tally
from loadgen.progress import Progress
from loadgen.sink import EncodedBatch
from loadgen.sink.deliver import Sent, count_delivered, line_lengths

NO_OFFSET = -2
"""-1 is the one before the first."""
NO_REPORT = 255

Bools = npt.NDArray[np.bool_]


@dataclass(slots=True, eq=False)
class Batch:
    """What the groups of one send share: columns sorted by lane.

    Attributes:
        sent: see `Sent`.
        user_id, ts_ms: int64; by them an event is recognised in the topic.
        end_bytes: int64, bytes of the values up to and including each event.
        lines, order: the lines as they came, and the position there of each event; kept where an event may have to be
            handed over once more.
    """

    sent: Sent
    user_id: Int64s
    ts_ms: Int64s
    end_bytes: Int64s
    lines: pa.BinaryArray | None = None
    order: Int64s | None = None

    @classmethod
    def of(cls, lines: EncodedBatch) -> Self:
        """These lines, newlines included, sent now in this order."""
        end_bytes = np.cumsum(line_lengths(lines))
        n_bytes = int(end_bytes[-1]) if len(lines) else 0
        return cls(Sent.of(lines, n_bytes), lines.user_id, lines.ts_ms, end_bytes)

    def bytes_of(self, start: int, stop: int) -> int:
        """Bytes of the values start:stop."""
        before = self.end_bytes[start - 1] if start else 0
        return int(self.end_bytes[stop - 1] - before) if stop > start else 0

    def part(self, start: int, stop: int) -> Sent:
        """The events start:stop."""
        return self.sent.part(start, stop, self.bytes_of(start, stop))


@dataclass(slots=True, eq=False)
class Group:
    """Events start:stop of a batch, all of one lane, handed to the producer in one go.

    Attributes:
        ended: whether the tally has them.
        outcome: uint8 per event, an `Outcome` or NO_REPORT; None where nothing is known of single events.
        n_reports: how many events have an outcome of their own.
    """

    lane: int
    batch: Batch
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

    def outcomes(self) -> UInt8s:
        """`outcome`, made where it is None: from now on each event has its own."""
        if self.outcome is None:
            self.outcome = np.full(len(self), NO_REPORT, np.uint8)
        return self.outcome

    def positions_in_doubt(self) -> Int64s:
        """The positions in the batch of the events whose outcome is not known."""
        if self.outcome is None:
            return np.arange(self.start, self.stop)
        return self.start + np.flatnonzero(self.outcome == NO_REPORT)

    @property
    def virtual_shard(self) -> UInt16s:
        """The virtual shard of each event."""
        return self.batch.sent.virtual_shard[self.start : self.stop]


@dataclass(frozen=True, slots=True)
class Tear:
    """Events of a lane that are acknowledged, some of which may not be in the topic.

    Attributes:
        group: the last of them.
        start_offset: those that are in the topic are at this offset or later.
        offset: of the last of them.
    """

    group: Group
    start_offset: int
    offset: int


@dataclass(slots=True, eq=False)
class Unsent:
    """Events of one lane that were never handed to the producer; they keep their place in the order."""

    virtual_shard: UInt16s
    unsent_as: Outcome
    ended: bool = True

    def __len__(self) -> int:
        return len(self.virtual_shard)

    def outcomes(self) -> UInt8s:
        """How each of them ended."""
        return np.full(len(self), self.unsent_as, np.uint8)


class Lanes:
    """All runs of events that have not been settled in order yet.

    Attributes:
        tally: counts them.
        settled: int64 per lane.
        last_offset: int64 per lane, what we send next is behind this offset; NO_OFFSET where none is known.
        in_flight_bytes: bytes of the values in flight.
        torn: of each lane the tear that is not mended.
        unplaced: lanes with events after the last watermark that were reported without an offset.
    """

    def __init__(self, n_lanes: int, tally: Tally, settled: Int64s, progress: Progress) -> None:
        """Begin with nothing in flight."""
        self.tally = tally
        self.settled = settled
        self._progress = progress
        self.last_offset = np.full(n_lanes, NO_OFFSET, np.int64)
        self.in_flight_bytes = 0
        self.torn: dict[int, Tear] = {}
        self.unplaced: set[int] = set()
        self._runs: list[deque[Group | Unsent]] = [deque() for _ in range(n_lanes)]
        self._arrived: list[Sent] = []

    def accept(self, group: Group) -> None:
        """These events are in flight from now on."""
        self.tally.in_flight += len(group)
        self.in_flight_bytes += group.batch.bytes_of(group.start, group.stop)
        self._runs[group.lane].append(group)

    def skip(self, lane: int, pages: UInt8s, virtual_shard: UInt16s, outcome: Outcome) -> None:
        """These events are not handed to the producer; they end after all that the lane was given before."""
        self.tally.settle(outcome, pages)
        self._runs[lane].append(Unsent(virtual_shard, outcome))
        self._advance(lane)

    def watermark(self, group: Group, offset: int) -> None:
        """The last event of the group is in the topic, at this offset, so all before it in its lane are; or a tear is.

        Args:
            group: one that was accepted.
            offset: NO_OFFSET where there are none.
        """
        if group.ended:
            return
        lane, open_groups = group.lane, self.in_doubt(group.lane, group)
        last, n_events = int(self.last_offset[lane]), sum(map(Group.n_in_doubt, open_groups))
        is_short = last != NO_OFFSET and offset - last < n_events
        if is_short or lane in self.torn or lane in self.unplaced:
            self.unplaced.discard(lane)
            self.torn[lane] = Tear(group, max(0, min(last + 1, offset + 1 - n_events)), offset)
            return
        self.last_offset[lane] = max(offset, last)
        for one in open_groups:
            self._arrive(one)
        self._advance(lane)

    def arrive_all(self) -> None:
        """The producer holds nothing any more and had no error: everything in flight is in the topic."""
        for lane, runs in enumerate(self._runs):
            for run in runs:
                if isinstance(run, Group):
                    self._arrive(run)
            self._advance(lane)

    def report(self, group: Group, position: int, outcome: Outcome) -> None:
        """The outcome of one event, by its position in the batch; the group ends with its last one."""
        group.outcomes()[position - group.start] = outcome
        group.n_reports += 1
        if group.n_reports == len(group):
            self._settle(group)
            self._advance(group.lane)

    def resolve(self, lane: int, outcomes: UInt8s, until: Group | None = None) -> None:
        """Nothing more will be reported: settle the lane's events in doubt.

        Args:
            lane: the lane.
            outcomes: an `Outcome` per event in doubt, in order.
            until: the last group that is meant; None is the lane's last.
        """
        for group in self.in_doubt(lane, until):
            positions = group.positions_in_doubt() - group.start
            group.outcomes()[positions] = outcomes[: len(positions)]
            outcomes = outcomes[len(positions) :]
            self._settle(group)
        self._advance(lane)

    def mended(self, lane: int) -> None:
        """The lane's tear is resolved, or all that was reported without an offset."""
        if tear := self.torn.pop(lane, None):
            self.last_offset[lane] = tear.offset
        else:
            self.unplaced.discard(lane)

    def in_doubt(self, lane: int, until: Group | None = None) -> list[Group]:
        """The groups of a lane, up to one of them, that have events whose outcome is not known, in order."""
        found = []
        for run in self._runs[lane]:
            if isinstance(run, Group) and not run.ended:
                found.append(run)
            if run is until:
                break
        return found

    def lanes_in_doubt(self) -> list[int]:
        """The lanes that have such groups."""
        return [lane for lane in range(len(self._runs)) if self.in_doubt(lane)]

    def count_arrived(self) -> None:
        """Count what arrived since the last call: once for many groups, since each count has a fixed cost."""
        if self._arrived:
            sent = Sent.concat(self._arrived)
            self._arrived.clear()
            count_delivered(self.tally, sent)
            self._leave(sent)

    def progress(self) -> Progress:
        """How far it is by now, with what was delivered ahead of events still in flight."""
        self._progress.set_ahead([found for lane in range(len(self._runs)) for found in self._ahead(lane)])
        return self._progress.settle()

    def _ahead(self, lane: int) -> Iterator[tuple[int, UInt16s, Int64s]]:
        """What is delivered behind the first run that has not ended: lane, virtual shards, places."""
        runs = self._runs[lane]
        if not any(isinstance(run, Group) and run.ended for run in runs):
            return
        slices = np.concatenate([run.virtual_shard for run in runs])
        outcomes = np.concatenate([_outcomes_so_far(run) for run in runs])
        (delivered,) = np.nonzero(outcomes == Outcome.DELIVERED)
        yield lane, slices[delivered], self._progress.places(lane, slices)[delivered]

    def _arrive(self, group: Group) -> None:
        """Everything of the group that is not known to have ended otherwise is in the topic."""
        if group.ended:
            return
        if group.outcome is not None:
            group.outcome[group.outcome == NO_REPORT] = Outcome.DELIVERED
            self._settle(group)
            return
        group.ended = True
        self._arrived.append(group.batch.part(group.start, group.stop))

    def _settle(self, group: Group) -> None:
        """Settle a group whose events ended in different ways."""
        group.ended = True
        outcomes = group.outcomes()
        sent = group.batch.part(group.start, group.stop)
        lengths = np.diff(group.batch.end_bytes[: group.stop], prepend=0)[group.start :]
        for outcome in Outcome:
            positions = np.flatnonzero(outcomes == outcome)
            part = sent.take(positions, int(lengths[positions].sum()))
            if outcome is Outcome.DELIVERED:
                count_delivered(self.tally, part)
            else:
                self.tally.settle(outcome, part.page)
        self._leave(sent)

    def _leave(self, sent: Sent) -> None:
        self.tally.in_flight -= len(sent)
        self.in_flight_bytes -= sent.n_bytes

    def _advance(self, lane: int) -> None:
        """Settle what has ended, up to the first run that has not."""
        runs = self._runs[lane]
        while runs and runs[0].ended:
            run = runs.popleft()
            self.settled[lane] += len(run)
            self._progress.advance(lane, run.virtual_shard, _outcomes(run))


def _outcomes(run: Group | Unsent) -> UInt8s | None:
    """How the events of a run that has ended did; None where all were delivered."""
    return None if isinstance(run, Group) and run.outcome is None else run.outcomes()


def _outcomes_so_far(run: Group | Unsent) -> UInt8s:
    """How the events of a run did; NO_REPORT for all of one that has not ended, which the tally has not counted."""
    if not run.ended:
        return np.full(len(run), NO_REPORT, np.uint8)
    known = _outcomes(run)
    return np.full(len(run), Outcome.DELIVERED, np.uint8) if known is None else known
