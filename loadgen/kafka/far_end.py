"""The far end of the system under test: which of a run's events come out of it, and when.

    workers ─ header: place, due ─→ topic ─→ system under test ─→ topic OUT ─→ reader ─ report ─→ coordinator

Each worker writes into a header of every message which event it is and when it is due (event_ids.py). The reader, a
process of its own, reads topic OUT from where it ended before the run, and takes these headers apart as arrays. The
latency of an event goes from its due time to the moment at which the reader has its message: both are read from the
monotonic clock of this host, so no two clocks are compared. An event counts when it is seen first; what is seen of it
later is a repetition. A bit for each event says whether it was seen, and the bits of 4,096 events that all were are
let go.
"""

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt
from confluent_kafka import KafkaException, Message

from loadgen.errors import LoadgenError, described
from loadgen.event import N_VIRTUAL_SHARDS, Int64s
from loadgen.histogram import Histogram
from loadgen.kafka.errors import METADATA_S, n_partitions_of, unreachable
from loadgen.kafka.event_ids import HEADER, EventIds
from loadgen.kafka.monitor import admin_client
from loadgen.kafka.options import KafkaSettings
from loadgen.kafka.topic_reader import TopicReader, reader_config
from loadgen.signals import ignore

PAGE_BITS = 12
"""The bits of so many events (2 to this power) are kept and let go together."""
PAGE_BYTES = (1 << PAGE_BITS) // 8
NO_PAGE = -1
FULL_PAGE = 0
REPORT_S = 0.25
WAIT_S = 0.1
MOST_MESSAGES = 20_000
_OPTIONS = {"enable.partition.eof": "false", "queued.max.messages.kbytes": "65536"}
Bools = npt.NDArray[np.bool_]


class SeenEvents:
    """A set of places: one bit for each event.

    Pages of bits are rows of one array; a table says which row a page is in. Row FULL_PAGE is all ones, and stands for
    every page whose events were all seen.
    """

    def __init__(self) -> None:
        self._rows = np.full((N_VIRTUAL_SHARDS, 1), NO_PAGE, np.int32)
        self._bits = np.zeros((64, PAGE_BYTES), np.uint8)
        self._bits[FULL_PAGE] = 0xFF
        self._n_seen = np.zeros(64, np.int64)
        self._free = list(range(63, FULL_PAGE, -1))

    @property
    def n_pages(self) -> int:
        """How many pages are in memory."""
        return len(self._bits)

    def add(self, virtual_shard: Int64s, position: Int64s) -> Bools:
        """Add places; of each whether it is new, which of equal ones only the first is."""
        is_new = np.zeros(len(position), np.bool_)
        _, firsts = np.unique(virtual_shard << 40 | position, return_index=True)
        shard, at = virtual_shard[firsts], position[firsts]
        row = self._rows_of(shard, at >> PAGE_BITS)
        byte, bit = (at & (1 << PAGE_BITS) - 1) >> 3, np.uint8(1) << (at & 7).astype(np.uint8)
        unseen = np.flatnonzero((self._bits[row, byte] & bit) == 0)
        # each of them is another bit that is not set: to add is to set
        np.add.at(self._bits.reshape(-1), row[unseen] * PAGE_BYTES + byte[unseen], bit[unseen])
        np.add.at(self._n_seen, row[unseen], 1)
        is_new[firsts[unseen]] = True
        self._let_go(shard[unseen], (at >> PAGE_BITS)[unseen], row[unseen])
        return is_new

    def _rows_of(self, shard: Int64s, page: Int64s) -> Int64s:
        """The row of each of these pages, made where there is none."""
        n_missing = int(page.max(initial=0)) + 1 - self._rows.shape[1]
        if n_missing > 0:
            n_more = max(n_missing, self._rows.shape[1])
            self._rows = np.pad(self._rows, ((0, 0), (0, n_more)), constant_values=NO_PAGE)
        row = self._rows[shard, page]
        if (row == NO_PAGE).any():
            for one in np.unique((shard << 40 | page)[row == NO_PAGE]).tolist():  # one for each 4,096 events
                self._rows[one >> 40, one & (1 << 40) - 1] = self._new_row()
            row = self._rows[shard, page]
        return row.astype(np.int64)

    def _new_row(self) -> int:
        if not self._free:
            n_rows = len(self._bits)
            self._bits = np.concatenate([self._bits, np.zeros_like(self._bits)])
            self._n_seen = np.concatenate([self._n_seen, np.zeros_like(self._n_seen)])
            self._free = list(range(2 * n_rows - 1, n_rows - 1, -1))
        return self._free.pop()

    def _let_go(self, shard: Int64s, page: Int64s, row: Int64s) -> None:
        """Free those of these pages that are full."""
        is_full = self._n_seen[row] == 1 << PAGE_BITS
        if is_full.any():
            self._rows[shard[is_full], page[is_full]] = FULL_PAGE
            freed = np.unique(row[is_full])
            self._bits[freed], self._n_seen[freed] = 0, 0
            self._free += freed.tolist()


@dataclass(slots=True)
class FarEndReport:
    """What the reader has seen so far.

    Attributes:
        seen: events of the run.
        repeated: messages that carried one of them again.
        late: events that were seen more than the bound after they were due.
        unrecognised: messages that do not say which event of the run they are.
        latency_s: from the due time to arrival, of each event when it was seen first.
        busy_s, elapsed_s: for how long the reader was busy, and of what time.
        error: why it reads no more; empty while it does.
    """

    seen: int = 0
    repeated: int = 0
    late: int = 0
    unrecognised: int = 0
    latency_s: Histogram = field(default_factory=Histogram)
    busy_s: float = 0.0
    elapsed_s: float = 0.0
    error: str = ""


class Recogniser:
    """Recognises the events of one run, and counts them.

    Attributes:
        report: see there; busy_s, elapsed_s and error are the reader's.
    """

    def __init__(self, run: int, late_s: float) -> None:
        """Seen nothing yet; run: its tag; late_s: what takes longer is late."""
        self.report = FarEndReport()
        self._run, self._late_ns, self._seen = run, round(late_s * 1e9), SeenEvents()

    def take(self, headers: Sequence[Any], arrived_ns: int) -> None:
        """Count messages that arrived at this time.monotonic_ns().

        Args:
            headers: what a consumer gives for each: None, or a list of (name, value).
            arrived_ns: when.
        """
        ids, report = EventIds.read(_values_of(headers), self._run), self.report
        is_new = self._seen.add(ids.virtual_shard, ids.position)
        latency_ns = arrived_ns - ids.due_ns[is_new]
        report.seen += len(latency_ns)
        report.repeated += len(ids) - len(latency_ns)
        report.late += int(np.count_nonzero(latency_ns > self._late_ns))
        report.unrecognised += len(headers) - len(ids)
        if len(latency_ns):
            report.latency_s.record(np.multiply(latency_ns, 1e-9, dtype=np.float64))


def _values_of(headers: Sequence[Any]) -> list[bytes]:
    """The value of the header that loadgen wrote, of messages that have it: most often it is the last one of all."""
    with suppress(TypeError, IndexError):  # some have no headers
        last = list(map(itemgetter(-1), headers))
        if set(map(itemgetter(0), last)) == {HEADER}:
            values = list(map(itemgetter(1), last))
            if None not in values:
                return values
    found = [dict(pairs).get(HEADER) for pairs in headers if pairs]
    return [value for value in found if value is not None]


@dataclass(frozen=True, slots=True)
class Watched:
    """What the reader reads.

    Attributes:
        kafka: topic OUT.
        run: the tag of the run.
        late_s: see `Recogniser`.
    """

    kafka: KafkaSettings
    run: int
    late_s: float


def run_reader(watched: Watched, connection: Connection) -> None:
    """Entry point of the process: reports come out of the connection until its other end is closed."""
    ignore()
    recogniser = Recogniser(watched.run, watched.late_s)
    try:
        _read(watched, recogniser, connection)
    except (BrokenPipeError, ConnectionResetError, EOFError):
        return
    except Exception as error:  # of any kind: only the coordinator can report it
        text = str(error) if isinstance(error, LoadgenError) else described(error)
        with suppress(OSError):
            connection.send(replace(recogniser.report, error=text))
    finally:
        os._exit(0)  # a consumer that cannot reach its broker takes seconds to close


def _read(watched: Watched, recogniser: Recogniser, connection: Connection) -> None:
    kafka, report = watched.kafka, recogniser.report
    reader = TopicReader(kafka, reader_config(kafka, "watch") | _OPTIONS)
    for partition, end in _ends(kafka, reader).items():
        reader.start(partition, end)
    began_s, reported_s, waited_s = time.monotonic(), 0.0, 0.0
    while True:
        turn_s = time.monotonic()
        if turn_s - reported_s >= REPORT_S:
            reported_s = turn_s
            report.elapsed_s, report.busy_s = turn_s - began_s, turn_s - began_s - waited_s
            connection.send(report)
            if connection.poll():
                connection.recv()  # raises EOFError: the other end says nothing, it only closes
        messages = reader.fetch(1, WAIT_S)
        waited_s += time.monotonic() - turn_s
        if messages:
            messages += reader.fetch(MOST_MESSAGES, 0.0)
            _take(messages, recogniser, reader)
        elif reader.has_no_brokers:
            raise unreachable(kafka, METADATA_S, next(reversed(reader.monitor.last_errors), ""))


def _take(messages: list[Message], recogniser: Recogniser, reader: TopicReader) -> None:
    arrived_ns = time.monotonic_ns()
    errors = list(map(Message.error, messages))
    if errors.count(None) != len(errors):
        for error in filter(None, errors):
            if not error.retriable():
                raise reader.failed(error)
        messages = [message for message, error in zip(messages, errors, strict=True) if error is None]
    recogniser.take(list(map(Message.headers, messages)), arrived_ns)


def _ends(kafka: KafkaSettings, reader: TopicReader) -> dict[int, int]:
    """Where each partition ends now; raises BrokerUnreachable, TopicMissing, AccessRefused."""
    try:
        metadata = admin_client(kafka).list_topics(kafka.topic, METADATA_S)
        return reader.ends(range(n_partitions_of(metadata, kafka)), METADATA_S)
    except (KafkaException, TimeoutError) as error:
        raise unreachable(kafka, METADATA_S, str(error)) from error
