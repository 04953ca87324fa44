"""Recorded events as the batches of a worker: paced by their own times, a few batches ahead.

    parts → merged by time → shifted by each pass of --loop → due = zero + (time − first time) / speed → EncodedBatch

In: the plan of a replay. Out: an `EventSource`. A thread of its own reads and encodes while the present ones are sent.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from loadgen.errors import StoreError
from loadgen.event import N_VIRTUAL_SHARDS, EventBatch, Int64s, UInt16s, UInt32s
from loadgen.kafka.event_ids import HEADER, EventIds, Positions, run_tag
from loadgen.kafka.message import with_header
from loadgen.kafka.partition import POSITIVE, hash_of_keys
from loadgen.replay.merge import merged
from loadgen.replay.records import FieldReader, ReadCounts, Records, with_own_header
from loadgen.runner.assignment import ShardAssignment
from loadgen.runner.messages import Go, ReplayPlan, Seconds
from loadgen.runner.outputs import ResumeFilter
from loadgen.runner.send_loop import Batch
from loadgen.simulate.impair import OutgoingBatch
from loadgen.sink import EncodedBatch

N_AHEAD = 8
"""Batches that are made before they are needed: more are made than sent at times, and fewer at others."""
LATEST_NS = 4e18
"""After the start; what is due later never is."""
WAIT_S = 0.02
"""Longest wait for a batch that is not read yet: between two of them delivery reports are taken."""
SINGLE_US = 1_000_000
"""From a pass to the next where a recording is a single event."""
_NEWLINE = 10


class _Timed(NamedTuple):
    """Recorded events, and their times in this pass: int64, µs since 1970, ascending."""

    records: Records
    time_us: Int64s


class RecordedEvents:
    """The events of a recording: an `EventSource`.

    Attributes:
        n_rows, is_over, is_behind, is_paced, read_counts: see `EventSource`.
    """

    n_rows = 1
    active = 0

    def __init__(self, assignment: ShardAssignment, seconds: Seconds) -> None:
        """Read nothing yet; `seconds` counts the time that the worker waits for a batch."""
        plan = assignment.plan
        assert isinstance(plan, ReplayPlan)
        self._plan, self._settings, self._seconds = plan, plan.replay_settings, seconds
        self.read_counts = ReadCounts()
        self.is_over = self.is_behind = self.is_paced = False
        self._timed = self._passes(plan.reader(self.read_counts))
        self._thread = ThreadPoolExecutor(1, "recorded")
        self._n_made = self._n_keyless = 0
        self._due = DueTimes()
        self._positions = None if plan.settings.watch_topic is None else Positions()

    def key_hashes(self, batch: EventBatch) -> UInt32s:
        """Nothing is resumed, so nothing is asked."""
        return np.zeros(len(batch), np.uint32)

    def resume(self, filters: Sequence[ResumeFilter]) -> None:
        """There is never a predecessor."""

    def warm_up(self) -> None:
        """Read the first events.

        Raises:
            LoadgenError: there are none, or they cannot be read.
        """
        self._first = next(self._timed, None)
        if self._first is None:
            raise self._nothing()

    def start(self, go: Go) -> None:
        """See `EventSource`."""
        assert self._first is not None
        self._go, self._zero_us, self.is_paced = go, int(self._first.time_us[0]), True
        self._ahead: deque[Future[Batch | None]] = deque(self._thread.submit(self._make) for _ in range(N_AHEAD))

    def next(self, limit_ns: int) -> Batch | None:
        """The batch that was made ahead; None at the end, or where it is not read yet."""
        with self._seconds.spent_on("generate"):
            wait([self._ahead[0]], WAIT_S)
        self.is_behind = not self._ahead[0].done()
        if self.is_behind:
            return None
        batch = self._ahead[0].result()
        self.is_over = batch is None
        if batch is not None:
            self._ahead.popleft()
            self._due.add(batch[0].due_ns)
            self._ahead.append(self._thread.submit(self._make))
        return batch

    def scheduled(self, until_ns: int) -> float:
        """Events due before this moment; beyond what is read, as many as until then."""
        ahead = [one.result() for one in self._ahead if one.done() and not one.cancelled() and not one.exception()]
        due_ns = [batch[0].due_ns for batch in ahead if batch is not None]
        return self._due.count(until_ns, self._go.t0_ns, due_ns, self.is_over or len(due_ns) < len(ahead))

    def end(self) -> None:
        """Read no more."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _passes(self, reader: FieldReader) -> Iterator[_Timed]:
        """The events of all passes, in order."""
        shift_us, last_us, since_us = 0, 0, self._plan.since_us
        while True:
            self.read_counts.passes += 1
            first_us, n_events = None, 0
            for records in merged(self._plan.recording.parts(reader), self.read_counts):
                if since_us is None:
                    since_us = int(records.time_us[0]) + round(self._settings.offset_s * 1e6)
                some = self._from(records, since_us)
                if not len(some):
                    continue
                time_us = np.maximum(np.maximum.accumulate(some.time_us + shift_us), last_us)
                first_us, last_us = int(time_us[0]) if first_us is None else first_us, int(time_us[-1])
                n_events += len(some)
                yield _Timed(some, time_us)
            if not self._settings.loop or first_us is None:
                return
            span_us = last_us - first_us
            shift_us += span_us + (max(1, span_us // (n_events - 1)) if n_events > 1 else SINGLE_US)

    def _from(self, records: Records, since_us: int) -> Records:
        """Those that are not before --start."""
        if int(records.time_us.min()) >= since_us:
            return records
        (rows,) = np.nonzero(records.time_us >= since_us)
        self.read_counts.skipped += len(records) - len(rows)
        return records.take(rows)

    def _make(self) -> Batch | None:
        """The next batch, due and encoded."""
        timed, self._first = self._first or next(self._timed, None), None
        n_left = None if self._settings.events is None else self._settings.events - self._n_made
        if timed is None or n_left == 0:
            return None
        records, time_us = timed.records[:n_left], timed.time_us[:n_left]
        self._n_made += len(time_us)
        since_ns = (time_us - self._zero_us) * (1000 / self._settings.speed)  # exact for 100 days at speed 1
        since_ns = np.rint(np.minimum(since_ns, LATEST_NS)).astype(np.int64)
        due_ns = self._go.t0_ns + since_ns
        is_now = self._settings.message_time == "now"
        ts_ms = self._go.t0_wall_ms + since_ns // 1_000_000 if is_now else time_us // 1000
        encoded = self._encoded(records, ts_ms, due_ns)
        return OutgoingBatch(_events(ts_ms), time_us // 1000, encoded.page, due_ns=due_ns), encoded

    def _encoded(self, records: Records, ts_ms: Int64s, due_ns: Int64s) -> EncodedBatch:
        n, key_hash = len(records), self._key_hash(records.key)
        virtual_shard = (key_hash % N_VIRTUAL_SHARDS).astype(np.uint16)
        lines, flat = records.value, _on_one_line(records.value)
        no_hash = np.zeros(n, np.uint64)  # no fingerprint: these events cannot be made again
        return EncodedBatch(
            lines if flat is None else flat,
            np.zeros(n, np.int64),
            ts_ms,
            np.zeros(n, np.uint8),
            virtual_shard,
            no_hash,
            due_ns,
            key_hash,
            records.key,
            self._headers(records.headers, virtual_shard, due_ns),
            None if flat is None else lines,
            None if flat is None else no_hash,
        )

    def _headers(
        self, recorded: pa.ListArray | None, virtual_shard: UInt16s, due_ns: Int64s
    ) -> pa.StructArray | pa.ListArray | None:
        """The recorded headers, and that by which events are recognised behind the system under test."""
        if self._positions is None:
            return recorded
        position = self._positions.of(virtual_shard)
        ids = EventIds(virtual_shard.astype(np.int64), position, due_ns).headers(run_tag(self._plan.run_id))
        return with_header(None, HEADER, ids) if recorded is None else with_own_header(recorded, HEADER, ids)

    def _key_hash(self, keys: pa.BinaryArray) -> UInt32s:
        """What the partitions follow from; events without a key take turns."""
        found = hash_of_keys(keys)
        if keys.null_count:
            (rows,) = np.nonzero(keys.is_null().to_numpy(zero_copy_only=False))
            found[rows] = (self._n_keyless + np.arange(len(rows))).astype(np.uint32) & POSITIVE
            self._n_keyless += len(rows)
        return found

    def _nothing(self) -> StoreError:
        """Why there is no first event."""
        counts, source = self.read_counts, self._settings.source
        if counts.skipped:
            return StoreError(
                f"--start must be before the last event of {source}, and all its {counts.skipped:,} events are "
                "earlier; name an earlier moment"
            )
        return StoreError(f"{source} must have an event with a time, got {counts.read:,} records without; {counts.why}")


class DueTimes:
    """How many events of the batches that were taken are due."""

    def __init__(self) -> None:
        self._recent: list[Int64s] = []
        self._n_past = 0

    def add(self, due_ns: Int64s) -> None:
        """Of the next batch; ascending."""
        self._recent.append(due_ns)

    def count(self, until_ns: int, t0_ns: int, ahead_ns: Sequence[Int64s], is_all: bool) -> float:
        """Events that are due before a moment; later moments follow.

        Args:
            until_ns: the moment.
            t0_ns: the schedule's zero.
            ahead_ns: of the batches that are ready, and not taken.
            is_all: whether there are no more. If there are, then beyond what is known it goes on as until there.
        """
        while self._recent[1:] and self._recent[0][-1] < until_ns:
            self._n_past += len(self._recent.pop(0))
        known = [*self._recent, *ahead_ns]
        n = self._n_past + sum(int(np.searchsorted(one, until_ns)) for one in known)
        last_ns = int(known[-1][-1]) if known else t0_ns
        if is_all or until_ns <= last_ns or last_ns <= t0_ns:
            return float(n)
        return n * (until_ns - t0_ns) / (last_ns - t0_ns)


def _events(ts_ms: Int64s) -> EventBatch:
    """What is known of recorded events: their times."""
    n = len(ts_ms)
    zero, wide, narrow = np.zeros(1, np.int64), np.zeros(1, np.int32), np.zeros(1, np.uint8)
    long, whole, byte = np.broadcast_to(zero, n), np.broadcast_to(wide, n), np.broadcast_to(narrow, n)
    return EventBatch(ts_ms, whole, long, long, whole, byte, byte, whole, byte)


def _on_one_line(values: pa.BinaryArray) -> pa.BinaryArray | None:
    """The values with spaces in place of line feeds, as files need them; None where there is none inside of a value."""
    ends = np.frombuffer(values.buffers()[1], np.int32)[values.offset : values.offset + len(values) + 1]
    data = np.frombuffer(values.buffers()[2], np.uint8)[ends[0] : ends[-1]]
    if np.count_nonzero(data == _NEWLINE) == len(values):
        return None
    return pa.array([value[:-1].replace(b"\n", b" ") + b"\n" for value in values.to_pylist()], pa.binary())
