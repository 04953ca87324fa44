"""The two processes of the dashboard: one reads and counts, the other one answers and therefore never waits.

In: settings, which say where events come from (`Origin`). Out: in the answering process, the latest snapshot of all
metrics and the state of the source (`Latest`).

The reading process (`read_and_count`) runs a `DashboardFeed` and sends a snapshot as JSON through a pipe at least once
a second. `Link` starts that process and restarts it when it dies; the new one reads everything from the beginning, and
until then the last metrics stay.
"""

import multiprocessing
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Any, Final, Literal

import orjson

from loadgen.config import DashboardSettings
from loadgen.dashboard.aggregates import Aggregates, Latency
from loadgen.dashboard.reading import CHUNK_BYTES
from loadgen.dashboard.rows import EventPiece, Normaliser
from loadgen.decoder import Decoder, Schemas, registry_settings
from loadgen.errors import LoadgenError, described
from loadgen.formats import OWN, KnownFormats, known_formats
from loadgen.kafka.consumer_options import check_consumer_options
from loadgen.kafka.options import KafkaSettings, options_of
from loadgen.kafka.registry import Registry, RegistrySettings
from loadgen.signals import held_back, ignore
from loadgen.store import open_store

if TYPE_CHECKING:  # each is imported by the process that reads it
    from loadgen.dashboard.stored import StoredEvents
    from loadgen.dashboard.topic import TopicEvents

Status = Literal["starting", "waiting", "reading", "ok", "stale"]
"""starting: not asked yet · waiting: nothing there yet · reading: catching up · ok: up to date · stale: the source is
gone or does not answer, and the metrics are the last that could be read."""

MOST_REASON_LETTERS = 500


Begin = Literal["recent", "beginning", "end"]
"""Where in a topic reading begins."""
DASHBOARD_GROUP = "loadgen-dashboard"
"""The consumer group's name, which librdkafka requires; the group is never joined."""


class Reset:
    """Stands among contents where everything counted so far is void, because it will all be read again."""


RESET: Final = Reset()


@dataclass(frozen=True, slots=True)
class SourceState:
    """The state of a source.

    Attributes:
        reason: why, in a sentence for the user; empty if all is well.
        share: the share, 0..1, of the data found at the start that is read; None once that is done.
    """

    status: Status = "starting"
    reason: str = ""
    share: float | None = None

    def as_json(self) -> dict[str, Any]:
        """The attributes; a long reason is cut."""
        return asdict(self) | {"reason": self.reason[:MOST_REASON_LETTERS]}


SNAPSHOT_EVERY_S = 1.0
TURN_S = 0.1
MINUTE_S = 60.0


@dataclass(frozen=True, slots=True)
class Origin:
    """Where events come from: a topic if `kafka` is set, else a store. May hold secrets: for pipes only."""

    store: str | None = None
    kafka: KafkaSettings | None = None
    begin: Begin = "recent"
    formats: tuple[str, ...] = ()
    registry: RegistrySettings | None = None


class DashboardFeed:
    """Reads and counts the events of a source, and sends snapshots."""

    def __init__(
        self,
        source: "StoredEvents | TopicEvents",
        send: Callable[[bytes], None],
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        known: KnownFormats = OWN,
    ) -> None:
        """Begin.

        Args:
            send: takes a snapshot, as JSON.
            now: seconds since 1970; the latency is measured against it.
            known: the formats of the records.
        """
        self._source, self._send, self._clock, self._now = source, send, clock, now
        self._normaliser = Normaliser(known)
        self._aggregates = Aggregates()
        self._lines: list[bytes] = []
        self._n_bytes = 0
        self._arrived: deque[tuple[float, int]] = deque()
        self._latency, self._is_caught_up = Latency(), False
        self._sent_s = float("-inf")

    def turn(self) -> None:
        """Count what is new; send a snapshot whenever one is due."""
        for content in self._source.contents():
            if isinstance(content, Reset):
                self._aggregates, self._lines, self._n_bytes = Aggregates(), [], 0
                self._latency, self._is_caught_up = Latency(), False
            elif isinstance(content, bytes):
                self._lines.append(content)
                self._n_bytes += len(content)
                if self._n_bytes >= CHUNK_BYTES:
                    self._count_lines()
            else:
                for piece in self._normaliser.of_table(content):
                    self._count(piece)
            self._send_if_due()
        self._count_lines()
        self._is_caught_up |= self._source.state.status == "ok"
        self._send_if_due()

    def snapshot(self) -> dict[str, Any]:
        """All metrics and the state of the source."""
        state, latency = self._source.state.as_json(), self._latency.percentiles(self._now())
        return {
            "state": state,
            "name": self._source.name,
            "arrived_last_minute": self._last_minute(),
            "unread": self._source.unread,
            "latency": None if latency is None else latency._asdict(),
            "figures": self._aggregates.figures(),
        }

    def _count_lines(self) -> None:
        """Count the collected lines, of many small files at once: each call of DuckDB costs some milliseconds."""
        lines, self._lines, self._n_bytes = b"".join(self._lines), [], 0
        for piece in self._normaliser.of_lines(lines) if lines else ():
            self._count(piece)

    def _count(self, piece: EventPiece) -> None:
        self._aggregates.add(piece)
        self._arrived.append((self._clock(), piece.rows.num_rows))
        if self._is_caught_up:  # the age of older events is not their latency
            self._latency.add(piece.rows["ts_ms"].to_numpy(), self._now())

    def _last_minute(self) -> int:
        while self._arrived and self._arrived[0][0] < self._clock() - MINUTE_S:
            self._arrived.popleft()
        return sum(n_events for _, n_events in self._arrived)

    def _send_if_due(self) -> None:
        now_s = self._clock()
        if now_s - self._sent_s >= SNAPSHOT_EVERY_S:
            self._sent_s = now_s
            self._send(orjson.dumps(self.snapshot()))


def source_of(origin: Origin, known: KnownFormats = OWN) -> "StoredEvents | TopicEvents":
    """The source, not connected yet. Raises UsageError for a wrong URL."""
    if origin.kafka is not None:
        from loadgen.dashboard.topic import TopicEvents

        decoder = None if origin.registry is None else Decoder(Schemas(Registry(origin.registry)), known)
        return TopicEvents(origin.kafka, origin.begin, decoder=decoder)
    from loadgen.dashboard.stored import StoredEvents

    return StoredEvents(open_store(origin.store or ""), known=known)


def read_and_count(pipe: Connection, origin: Origin) -> None:
    """Read and count until the other end of the pipe is closed."""
    ignore()  # a signal may reach both processes: the answering one ends this one
    known = known_formats(origin.formats)
    source = source_of(origin, known)
    feed = DashboardFeed(source, pipe.send_bytes, known=known)
    try:
        while not pipe.poll(TURN_S):
            feed.turn()
    except (BrokenPipeError, EOFError, ConnectionResetError):
        pass
    except Exception as error:  # any kind: only the other process can print it
        text = str(error) if isinstance(error, LoadgenError) else described(error)
        with suppress(OSError):
            pipe.send_bytes(orjson.dumps({"failed": text}))
    finally:
        source.close()


SILENT_S = 30.0
"""Longer than a store that hangs blocks the reading process, which is 20 s."""
RESTART_S, MOST_RESTART_S = 1.0, 30.0
END_S = 2.0


@dataclass(slots=True)
class Latest:
    """What the answering process knows.

    Attributes:
        snapshot: the latest `DashboardFeed.snapshot`; empty before the first.
        state: the state of the source, or of the reading process.
    """

    snapshot: dict[str, Any] = field(default_factory=dict)
    state: SourceState = field(default_factory=SourceState)


class Link:
    """Starts and restarts the reading process, and receives its snapshots in a thread."""

    def __init__(
        self,
        origin: Origin,
        note: Callable[[str], None],
        target: Callable[[Connection, Origin], None] = read_and_count,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._origin, self._note, self._target, self._clock = origin, note, target, clock
        self._latest = Latest()
        self._received_s = clock()
        self._failure = ""
        self._ending = threading.Event()
        self._process: BaseProcess | None = None
        self._thread = threading.Thread(target=self._receive, name="reader", daemon=True)

    def start(self) -> None:
        """Start the reading process."""
        self._thread.start()

    def latest(self) -> Latest:
        """The latest snapshot and state."""
        silent_s = self._clock() - self._received_s
        if silent_s <= SILENT_S:
            return self._latest
        reason = f"the reading process has said nothing for {silent_s:.0f} s"
        return Latest(self._latest.snapshot, SourceState("stale", reason))

    def close(self) -> None:
        """End the reading process."""
        self._ending.set()
        if self._process is not None:
            self._process.kill()  # it writes nothing
        if self._thread.is_alive():
            self._thread.join(END_S)

    def _receive(self) -> None:
        wait_s = RESTART_S
        while not self._ending.is_set():
            has_sent = self._receive_from_one()
            wait_s = RESTART_S if has_sent and not self._failure else min(2 * wait_s, MOST_RESTART_S)
            if not self._ending.is_set():
                code = self._process.exitcode if self._process else None
                ended = f"failed: {self._failure}" if self._failure else f"ended (exit code {code})"
                reason = f"the reading process {ended}; it is started again, and reads everything again"
                self._latest = Latest(self._latest.snapshot, SourceState("stale", reason))
                self._note(reason)
                self._ending.wait(wait_s)

    def _receive_from_one(self) -> bool:
        """Start a process and receive its snapshots until it ends; returns whether it sent one."""
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        self._process = context.Process(target=self._target, args=(theirs, self._origin), name="reader", daemon=True)
        with held_back():
            self._process.start()
        theirs.close()
        has_sent = False
        self._failure = ""
        with suppress(EOFError, OSError):
            while not self._ending.is_set():
                message = orjson.loads(ours.recv_bytes())
                if "failed" in message:
                    self._failure = message["failed"]
                    break
                self._take(message)
                has_sent = True
        ours.close()
        self._process.join(END_S)
        return has_sent

    def _take(self, snapshot: dict[str, Any]) -> None:
        before = self._latest.state
        state = SourceState(**snapshot["state"])
        self._latest, self._received_s = Latest(snapshot, state), self._clock()
        if (state.status, state.reason) != (before.status, before.reason):
            self._note(_sentence(state, snapshot))


def _sentence(state: SourceState, snapshot: dict[str, Any]) -> str:
    """A state in words, for the terminal."""
    n_events = snapshot["figures"]["totals"]["events"]
    texts = {
        "reading": f"reading what is in {snapshot['name']}",
        "ok": f"up to date with {snapshot['name']}: {n_events:,} events",
    }
    return ": ".join(filter(None, (texts.get(state.status, state.status), state.reason)))


def origin_of(settings: DashboardSettings) -> Origin:
    """Where events come from, checked as far as is possible without a connection.

    Raises:
        UsageError: a wrong option of Kafka, or a wrong URL.
    """
    if settings.brokers is None:
        open_store(settings.store or "").close()
        return Origin(store=settings.store, formats=settings.format)
    options = options_of(settings.kafka_option, settings.kafka_config)
    kafka = KafkaSettings(settings.brokers, settings.topic, options, reading=True)
    check_consumer_options(kafka, DASHBOARD_GROUP)
    registry = registry_settings(settings.schema_registry, settings.registry_option, settings.registry_config)
    return Origin(kafka=kafka, begin=settings.begin, formats=settings.format, registry=registry)


def place_of(settings: DashboardSettings) -> dict[str, str | None]:
    """The same for /health: `store`, or `topic` and `brokers`; the others are None."""
    store = None if settings.store is None else open_store(settings.store).url
    return {"store": store, "topic": settings.topic if settings.brokers else None, "brokers": settings.brokers}
