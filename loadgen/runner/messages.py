"""The messages between the coordinator and its workers.

coordinator → worker: Go, Drain, Written.      worker → coordinator: Ready, Samples, Snapshot (cumulative), Chunk.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from loadgen.config import ReplaySettings, RunSettings
from loadgen.encode.encodings import RegisteredSchema
from loadgen.event import Int64s
from loadgen.histogram import Histogram
from loadgen.kafka.options import KafkaSettings
from loadgen.kafka.topics import Topics
from loadgen.ledger import Tally
from loadgen.progress import Progress
from loadgen.replay.merge import Part
from loadgen.replay.records import KEY_FIELDS, TIME_FIELDS, FieldReader, ReadCounts
from loadgen.replay.topic import Topic
from loadgen.simulate.crowds import CrowdWorld
from loadgen.simulate.model import Model
from loadgen.simulate.world import SimulationSettings
from loadgen.sink.simple import StartableSink

STUCK_NS = 1_000_000_000
"""A worker checks its deliveries many times a second; one that has not for this long was itself suspended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is decided before the workers start, the same for each of them, wherever their events come from.

    Attributes:
        run_id: names the run's files and manifest.
        settings: what the user asked for.
        kafka: where to produce, or None.
        topics: those of a topic map; None where there is one topic, that of `kafka`.
        topic_ends: partition → one past its last offset before the run; None where that is not known.
        stream: lines go to the coordinator, which writes the one output file.
        sinks: name → sink of another package, which each worker starts.
        schema: of Kafka's messages; None where they are JSON without a schema.
        key_schema: of their keys in Avro; None where there are none.
    """

    run_id: str
    settings: RunSettings
    kafka: KafkaSettings | None
    topic_ends: dict[int, int] | None
    stream: bool
    sinks: dict[str, StartableSink] = field(default_factory=dict)
    schema: RegisteredSchema | None = None
    key_schema: RegisteredSchema | None = None
    topics: Topics | None = None

    @property
    def pages(self) -> tuple[str, ...]:
        """The names of the pages, by which events are counted."""
        raise NotImplementedError

    @property
    def start_ms(self) -> int:
        """The time before the first event, ms since 1970."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationPlan(Plan):
    """The plan of a run whose events are simulated.

    Attributes:
        simulation: the population's part of the settings, with start and seed resolved.
        model: the tables that all shards share.
        catalog_path: the catalogue's Arrow file.
        catalog_digest: equal for equal contents.
        crowds: of the listeners, if they are several.
    """

    simulation: SimulationSettings
    model: Model
    catalog_path: Path
    catalog_digest: str
    crowds: tuple[CrowdWorld, ...] = ()

    @property
    def pages(self) -> tuple[str, ...]:
        """The pages of its behaviour."""
        return self.simulation.behaviour.page_table.names

    @property
    def start_ms(self) -> int:
        """Where simulated time begins."""
        return self.simulation.start_ms


class Recording(Protocol):
    """Where recorded events are."""

    @property
    def said(self) -> str:
        """How much it is, after its name."""

    def parts(self, reader: FieldReader) -> list[Part]:
        """The parts of one pass through it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayPlan(Plan):
    """The plan of a replay.

    Attributes:
        recording: what is replayed.
        first_us: the time of an event near its beginning, µs since 1970.
    """

    recording: Recording
    first_us: int

    @property
    def replay_settings(self) -> ReplaySettings:
        """The settings, which are those of a replay."""
        assert isinstance(self.settings, ReplaySettings)
        return self.settings

    @property
    def pages(self) -> tuple[str, ...]:
        """All events are of one kind."""
        return ("recorded",)

    @property
    def start_ms(self) -> int:
        """About the time of the first event."""
        return self.first_us // 1000

    @property
    def since_us(self) -> int | None:
        """Where --start names a moment; None where it follows from the first event."""
        start = self.replay_settings.start
        return start * 1000 if isinstance(start, int) else None

    def reader(self, counts: ReadCounts) -> FieldReader:
        """Finds times and keys."""
        return self.reader_of(self.replay_settings, counts, isinstance(self.recording, Topic))

    @staticmethod
    def reader_of(settings: ReplaySettings, counts: ReadCounts, is_topic: bool) -> FieldReader:
        """The same before there is a plan; messages of a topic have times and keys of their own."""
        default_times, default_keys = ((), ()) if is_topic else (TIME_FIELDS, KEY_FIELDS)
        times = (settings.time_field,) if settings.time_field else default_times
        keys = (settings.key_field,) if settings.key_field else default_keys
        return FieldReader(times, keys, counts)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where the successor of a worker that died goes on.

    Attributes:
        completed: sink name → int64[number of partitions], events that need not be sent again.
        progress: sink name → the same by virtual shard, see `Sink.progress`.
        file_bytes: path → length up to which a file is counted; what lies behind is cut off.
        served_ns: how far the schedule had been served.
    """

    completed: dict[str, Int64s] = field(default_factory=dict)
    progress: dict[str, Progress] = field(default_factory=dict)
    file_bytes: dict[str, int] = field(default_factory=dict)
    served_ns: int = 0


@dataclass(frozen=True, slots=True)
class Go:
    """Start; the schedule's zero is the same for all workers: time.monotonic_ns(), and ms since 1970."""

    t0_ns: int
    t0_wall_ms: int


@dataclass(frozen=True, slots=True)
class Drain:
    """Stop generating; wait at most timeout_s for what is in flight; report; end."""

    timeout_s: float


@dataclass(frozen=True, slots=True)
class Ready:
    """The shard is built, and its first batch made."""


@dataclass(frozen=True, slots=True)
class Samples:
    """The first events of a worker, as sent: (ts_ms, line) of at most three."""

    lines: list[tuple[int, bytes]]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Encoded lines follow as raw bytes: n_events of them."""

    n_events: int


@dataclass(frozen=True, slots=True)
class Written:
    """The lines of the oldest chunk not yet acknowledged are in the output file."""

    n_events: int


@dataclass(slots=True)
class Seconds:
    """Where a worker's wall-clock time went.

    Attributes:
        generate: waiting for the next batch to be simulated and encoded.
        send: handing events to sinks.
        full: waiting for room in a full queue.
        idle: waiting for the schedule.
    """

    generate: float = 0.0
    send: float = 0.0
    full: float = 0.0
    idle: float = 0.0

    def merge(self, other: "Seconds") -> None:
        """Add the other's."""
        self.generate += other.generate
        self.send += other.send
        self.full += other.full
        self.idle += other.idle

    @contextmanager
    def spent_on(self, what: str) -> Iterator[None]:
        """Count the time that this takes for one of them."""
        began = time.perf_counter()
        yield
        setattr(self, what, getattr(self, what) + time.perf_counter() - began)


@dataclass(slots=True)
class Activity:
    """When a worker saw deliveries of its first sink; times are time.monotonic_ns(), 0 where there is none.

    Attributes:
        n_delivered: events delivered.
        delivered_ns: the last time that it saw more of them.
        waiting_ns: since when events have waited for a delivery, and there was none.
        resumed_ns: the first time since the last snapshot that it saw more of them; or, after a long wait, that one.
        waited_ns: what waiting_ns was just before.
        seen_ns: when it looked last.
    """

    n_delivered: int = 0
    delivered_ns: int = 0
    waiting_ns: int = 0
    resumed_ns: int = 0
    waited_ns: int = 0
    seen_ns: int = 0

    def see(self, now_ns: int, n_delivered: int, n_waiting: int) -> None:
        """Look at what is delivered, and at how many events wait to be."""
        if self.waiting_ns == 0 and self.seen_ns and now_ns - self.seen_ns >= STUCK_NS:
            self.waiting_ns = self.seen_ns  # it did not look: it was held up itself, and events became due
        if n_delivered > self.n_delivered:
            waited_ns = now_ns - (self.waiting_ns or now_ns)
            if self.resumed_ns == 0 or waited_ns >= STUCK_NS:
                self.resumed_ns, self.waited_ns = now_ns, self.waiting_ns
            self.n_delivered, self.delivered_ns, self.waiting_ns = n_delivered, now_ns, 0
        if n_waiting == 0:
            self.waiting_ns = 0
        elif self.waiting_ns == 0:
            self.waiting_ns = now_ns
        self.seen_ns = now_ns

    def look_up(self, now_ns: int) -> None:
        """Nothing was due until now: without a schedule, the next events were only being made."""
        self.seen_ns = now_ns

    def taken(self) -> "Activity":
        """A copy for a snapshot; the next delivery is again the first since a snapshot."""
        copy = replace(self)
        self.resumed_ns = self.waited_ns = 0
        return copy


@dataclass(slots=True)
class Snapshot:
    """A worker's totals so far.

    Attributes:
        tallies: sink name → tally.
        completed: sink name → events of each partition that ended, see `Sink.completed`.
        progress: sink name → how far it is, see `Sink.progress`.
        file_bytes: see `Checkpoint.file_bytes`.
        schedule_lag_s: from the due time to the send, of every event.
        active: listeners that are in a session now.
        served_ns: how far the schedule has been served.
        scheduled: events that the schedule asked for until scheduled_ns; nan where there is no schedule. At the natural
            rate it is what the listeners did so far, carried on to that moment where the worker is behind.
        scheduled_ns: time.monotonic_ns() of this snapshot, or of the end of what the worker was to offer.
        simulated_ms: the time of the last event sent.
        cpu_s: of the whole process since the start of the schedule.
        at_ns: time.monotonic_ns() of this snapshot.
        impaired: events spoilt on purpose so far, by kind.
        seconds: where its wall-clock time went.
        slow_s: the part of `seconds.full` in which the broker answered late.
        activity: when it saw deliveries.
        round_trip_s: broker round trip, 99th percentile of the last second; nan where unknown.
        read: what was read of a recording; None where events are simulated.
        ended_ns: time.monotonic_ns() of the last delivery report; 0 before the end.
        done: this is the last one.
        offered_all: all that it was asked for has been offered: its events, the window, or the time.
        error: what ended the worker early, with the next step; empty when nothing did.
        error_kind: the class of that error in loadgen.errors.
    """

    tallies: dict[str, Tally]
    completed: dict[str, Int64s]
    file_bytes: dict[str, int]
    schedule_lag_s: Histogram
    active: int
    served_ns: int
    simulated_ms: int
    cpu_s: float
    seconds: Seconds
    slow_s: float = 0.0
    scheduled: float = float("nan")
    scheduled_ns: int = 0
    at_ns: int = 0
    impaired: dict[str, int] = field(default_factory=dict)
    activity: Activity = field(default_factory=Activity)
    progress: dict[str, Progress] = field(default_factory=dict)
    round_trip_s: float = float("nan")
    read: ReadCounts | None = None
    ended_ns: int = 0
    done: bool = False
    offered_all: bool = False
    error: str = ""
    error_kind: str = ""


def empty_snapshot() -> Snapshot:
    """The totals of a worker that has done nothing."""
    return Snapshot({}, {}, {}, Histogram(), 0, 0, 0, 0.0, Seconds())


ToWorker = Go | Drain | Written
FromWorker = Ready | Samples | Snapshot | Chunk
