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
from typing import Any

import numpy as np
from confluent_kafka import KafkaException, Message

from loadgen.errors import LoadgenError, described
from loadgen.histogram import Histogram
from loadgen.kafka.errors import METADATA_S, n_partitions_of, unreachable
from loadgen.kafka.event_ids import EventIds, header_values
from loadgen.kafka.monitor import admin_client
from loadgen.kafka.options import KafkaSettings
from loadgen.kafka.seen_events import SeenEvents
from loadgen.kafka.topic_reader import TopicReader, reader_config
from loadgen.signals import ignore

REPORT_S = 0.25
WAIT_S = 0.1
MOST_MESSAGES = 20_000
_OPTIONS = {"enable.partition.eof": "false", "queued.max.messages.kbytes": "65536"}


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
        ids, report = EventIds.read(header_values(headers), self._run), self.report
        is_new = self._seen.add(ids.virtual_shard, ids.position)
        latency_ns = arrived_ns - ids.due_ns[is_new]
        report.seen += len(latency_ns)
        report.repeated += len(ids) - len(latency_ns)
        report.late += int(np.count_nonzero(latency_ns > self._late_ns))
        report.unrecognised += len(headers) - len(ids)
        if len(latency_ns):
            report.latency_s.record(np.multiply(latency_ns, 1e-9, dtype=np.float64))


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
