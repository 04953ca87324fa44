"""The one place where events are made: which listeners do what, in which order, due when, in which bytes.

    EventStream.part:  shard.step → quotas → impairments → due times → wall-clock times → encoder → spoilt lines

An `EventStream` is all of a run's events, a `ShardStream` those of some virtual shards. No clock is read here, no
process is started, no broker is asked: a worker of `loadgen run`, a process of Locust, `loadgen verify`, which makes a
run's events once more, and a notebook read the same streams. The events depend on the settings alone; how they are
split over shards, and how many a batch has, changes none of them.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from loadgen.config.crowds import Crowd
from loadgen.encode.arrow import ArrowEncoder, arrow_schema
from loadgen.encode.encoding import Encoding, format_in
from loadgen.encode.lines import Encoder
from loadgen.encode.malform import malform
from loadgen.encode.text import JSON_LINES
from loadgen.encode.tracks import TrackParts, open_track_parts
from loadgen.errors import UsageError
from loadgen.event import N_VIRTUAL_SHARDS, EventBatch, Int64s, Labels, UInt16s, UInt32s
from loadgen.fingerprint import run_key
from loadgen.formats import Field, Format
from loadgen.kafka.event_ids import HEADER, EventIds, Positions
from loadgen.kafka.message import MessageSpec, with_header
from loadgen.kafka.partition import hash_of_ids, hash_of_keys
from loadgen.simulate.behaviour import Behaviour
from loadgen.simulate.catalog import CatalogSettings, cache_folder, open_catalog, open_imported
from loadgen.simulate.catalog_file import Catalog
from loadgen.simulate.crowds import CrowdShards, CrowdWorld, crowd_simulations, labels_of, worlds
from loadgen.simulate.feed import Feed, Owned, feed_of, owned_listeners, owned_virtual_shards
from loadgen.simulate.impair import Impairer, OutgoingBatch
from loadgen.simulate.model import Model
from loadgen.simulate.population import user_names
from loadgen.simulate.schedule import Schedule, due_of, wall_times
from loadgen.simulate.shard import Shard
from loadgen.simulate.world import SimulationSettings
from loadgen.sink import EncodedBatch

if TYPE_CHECKING:
    import pandas as pd

    from loadgen.config import RunSettings


def simulation_of(settings: "RunSettings") -> SimulationSettings:
    """The settings that say who the listeners are and what they do; of several crowds, with the first one's behaviour.

    Raises:
        UsageError: the behaviour file is wrong.
    """
    return SimulationSettings(
        users=settings.users,
        seed=settings.seed,
        start_ms=settings.start_ms,
        presence=settings.presence,
        behaviour=_behaviour_of(settings, settings.crowd[0] if settings.crowd else None),
    )


def _behaviour_of(settings: "RunSettings", crowd: Crowd | None) -> Behaviour:
    """The behaviour of a crowd, or, where all listeners are one, of the run."""
    if crowd is None:
        return Behaviour.load(settings.behaviour, settings.profile)
    behaviour = settings.behaviour if crowd.behaviour is None else crowd.behaviour
    return Behaviour.load(behaviour, crowd.profile or settings.profile)


def crowds_of(settings: "RunSettings", catalog: Catalog) -> tuple[CrowdWorld, ...]:
    """The crowds of a run as they are simulated; none where its listeners are one.

    Raises:
        UsageError: the behaviour of one is wrong, or it has other pages than the first.
    """
    behaviours = []
    for crowd in settings.crowd:
        behaviours.append(_behaviour_of(settings, crowd))
        if behaviours[-1].page_table != behaviours[0].page_table:
            first, step = settings.crowd[0].name, "give both behaviours the same [pages]"
            raise UsageError(f"crowd {crowd.name} must have the same pages as crowd {first}, got others; {step}")
    return worlds(crowd_simulations(settings, behaviours), settings, catalog)


def catalog_of(settings: "RunSettings", building: Callable[[float, str], None] = lambda share, what: None) -> Catalog:
    """The catalogue that the settings name, from the cache; built there first where it is missing.

    Args:
        settings: of the run.
        building: called while it is built, with the share that is done and what is being made.

    Raises:
        LoadgenError: there is no such catalogue, or it cannot be written.
    """
    if settings.catalog is not None:
        return open_imported(settings.catalog, cache_folder())
    return open_catalog(CatalogSettings(n_tracks=settings.tracks), cache_folder(), building)


class EventStream:
    """The events of a run: nothing is computed before they are asked for, and each iteration begins again.

    Iterating gives pyarrow record batches in the order of event time. Their columns bear the wire names of the format;
    `ts` is timestamp[ms, UTC].

    Attributes:
        settings: of the run.
        encodings, id_tag: see `__init__`.
    """

    def __init__(
        self,
        settings: "RunSettings",
        simulation: SimulationSettings | None = None,
        catalog: Catalog | None = None,
        model: Model | None = None,
        key: np.uint64 | None = None,
        is_checked: bool = False,
        encodings: Sequence[Encoding] = (JSON_LINES,),
        key_schema_id: int | None = None,
        id_tag: int | None = None,
        crowds: Sequence[CrowdWorld] | None = None,
    ) -> None:
        """Keep what is known already; the rest is made when it is needed.

        Args:
            settings: of the run.
            simulation: their part that says who the listeners are and what they do.
            catalog: what events name tracks of.
            model: the behaviour's lookup tables.
            key: uint64, of the hashes; None takes the run's, see `fingerprint.run_key`.
            is_checked: another process has checked the files of the tracks' parts.
            encodings: of the lines, and of the messages where it is another one.
            key_schema_id: of the messages' keys in Avro.
            id_tag: of the headers by which events are recognised behind the system under test; None writes none.
            crowds: its crowds, if it has any.
        """
        self.settings, self.id_tag = settings, id_tag
        self._key = run_key(settings.seed, settings.timeless) if key is None else key
        self._is_checked, self.encodings, self._key_schema_id = is_checked, encodings, key_schema_id
        given = {"simulation": simulation, "catalog": catalog, "model": model, "crowds": crowds}
        self.__dict__.update({name: value for name, value in given.items() if value is not None})

    @cached_property
    def simulation(self) -> SimulationSettings:
        """Who the listeners are and what they do."""
        return simulation_of(self.settings)

    @cached_property
    def catalog(self) -> Catalog:
        """What events name tracks of."""
        return catalog_of(self.settings)

    @cached_property
    def model(self) -> Model:
        """The behaviour's lookup tables."""
        return Model.of(self.simulation, self.catalog)

    @cached_property
    def crowds(self) -> Sequence[CrowdWorld]:
        """Its crowds; none where all listeners are one."""
        return crowds_of(self.settings, self.catalog)

    @cached_property
    def labels(self) -> Labels:
        """The words behind the codes of a batch."""
        return labels_of(self.catalog, self.simulation, self.crowds)

    @cached_property
    def wire_format(self) -> Format:
        """What the events look like."""
        return self.settings.wire_format

    @cached_property
    def messages(self) -> MessageSpec:
        """The keys and headers of its Kafka messages."""
        return MessageSpec.of(self.settings, self._key_schema_id)

    @cached_property
    def parts(self) -> list[TrackParts]:
        """The unchanging part of each track's records in the run's format, by encoding."""
        return [
            open_track_parts(self.catalog, format_in(encoding, self.wire_format), encoding, is_checked=self._is_checked)
            for encoding in self.encodings
        ]

    @property
    def schema(self) -> pa.Schema:
        """The columns of the record batches."""
        return arrow_schema(self.wire_format)

    def part(self, owned: Owned, shard: Shard | None = None, n_events: float | None = None) -> "ShardStream":
        """The events of some virtual shards.

        Args:
            owned: bool[N_VIRTUAL_SHARDS].
            shard: their listeners; None makes them.
            n_events: about this many a batch; None for what a worker of the run takes.
        """
        return ShardStream(self, owned, shard, n_events)

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Record batches in the order of event time, some 65,000 events each."""
        part = self._whole()
        for outgoing in part:
            if len(outgoing):
                yield part.to_arrow(outgoing.events)

    def lines(self, format: str | None = None) -> Iterator[pa.BinaryArray]:
        """The events as `loadgen run` sends them: arrays of lines of JSON, each ending in a newline.

        Args:
            format: activity, listen or full; None takes that of the stream.

        Raises:
            UsageError: there is no such format.
        """
        stream = self if format is None else self._in(format)
        part = stream._whole()
        for outgoing in part:
            if len(outgoing):
                yield part.lines(outgoing)

    def to_reader(self) -> pa.RecordBatchReader:
        """A reader that DuckDB, Polars and others take as it is, in bounded memory."""
        return pa.RecordBatchReader.from_batches(self.schema, self)

    def to_arrow(self) -> pa.Table:
        """All events as one table.

        Raises:
            UsageError: the stream has no end.
        """
        if self.settings.events is None and self.settings.end_ms is None:
            raise UsageError('a table needs an end: give events=1000, hours=24 or end="2026-02-01", or iterate')
        return self.to_reader().read_all()

    def to_pandas(self) -> "pd.DataFrame":
        """All events as a data frame; raises as `to_arrow` does, and where pandas is not installed."""
        return self.to_arrow().to_pandas()

    def _whole(self) -> "ShardStream":
        shard = self.settings.shard
        return self.part(owned_virtual_shards(shard.index, shard.count, 0, 1))

    def _in(self, format: str) -> "EventStream":
        settings = self.settings.model_copy(update={"format": format})
        return EventStream(settings, self.simulation, self.catalog, self.model, crowds=self.crowds)


class ShardStream:
    """The events of some listeners in the order of leaving, batch after batch, once.

    Attributes:
        shard: the listeners; its rows are those of the batches.
        schedule: says when events are due; None until `start`, and where nothing is sent.
    """

    def __init__(self, stream: EventStream, owned: Owned, shard: Shard | None, n_events: float | None) -> None:
        """See `EventStream.part`."""
        self._stream, settings = stream, stream.settings
        self._crowds: CrowdShards | None = None
        self.shard: Shard | CrowdShards
        self._feed: Feed | CrowdShards
        self.schedule: Schedule | None = None
        if settings.crowd:
            self._crowds = CrowdShards(settings, owned, stream.crowds, stream.catalog, stream.labels, n_events)
            self.shard = self._feed = self._crowds
        else:
            if shard is None:
                shard = Shard(stream.simulation, stream.catalog, owned_listeners(settings.users, owned), stream.model)
            impairer = Impairer(settings.impair, shard.listeners.key) if settings.impair else None
            self.shard, self._feed = shard, feed_of(settings, owned, shard, impairer, n_events)
        self._first: OutgoingBatch | None = None
        self._positions = None if stream.id_tag is None else Positions()

    def __iter__(self) -> Iterator[OutgoingBatch]:
        """Every batch that is left, also empty ones."""
        return iter(self.next, None)

    def warm_up(self, n_times: int) -> None:
        """Simulate the first batch and encode it n_times: after the start that would make the first events late."""
        self._first = first = self._feed.next_batch()
        if first:
            for _ in range(n_times):
                self.encode(first)

    def start(self, schedule: Schedule, t0_ns: int, t0_wall_ms: int) -> None:
        """Let the next batches say when they are due.

        Args:
            schedule: which sees all events of the stream, in their order.
            t0_ns: its zero.
            t0_wall_ms: the same moment, milliseconds since 1970.
        """
        self.schedule, self._t0_ns, self._t0_wall_ms = schedule, t0_ns, t0_wall_ms

    def next(self, until_ms: int | None = None) -> OutgoingBatch | None:
        """The next batch, perhaps an empty one; None at the end.

        Args:
            until_ms: the simulated time up to which it reaches; None takes the stream's own step.
        """
        outgoing, self._first = self._feed.next_batch(until_ms) if self._first is None else self._first, None
        if outgoing is not None and self.schedule is not None:
            if self._crowds is not None and self._crowds.is_paced:  # known since they were merged
                outgoing.due_ns = outgoing.due_ns + self._t0_ns
            else:
                outgoing.due_ns = due_of(self.schedule, outgoing)
            if self._stream.settings.timestamps == "wall":
                since_t0_ns = outgoing.due_ns - self._t0_ns
                outgoing.events.ts_ms = wall_times(outgoing, since_t0_ns, self._t0_wall_ms, self._stream.settings.speed)
        if outgoing is not None and self._positions is not None:
            outgoing.position = self._positions.of(virtual_shards(outgoing.events))
        return outgoing

    @cached_property
    def _encoders(self) -> list[tuple[Encoding, Encoder]]:
        stream, names, listeners = self._stream, self._user_names, self.shard.listeners
        formats = [format_in(encoding, stream.wire_format) for encoding in stream.encodings]
        return [
            (encoding, Encoder(wire_format, parts, stream.labels, listeners, names, stream._key, encoding))
            for wire_format, encoding, parts in zip(formats, stream.encodings, stream.parts, strict=True)
        ]

    @cached_property
    def _arrow(self) -> ArrowEncoder:
        stream = self._stream
        names, listeners = self._user_names, self.shard.listeners
        return ArrowEncoder(stream.catalog, stream.labels, listeners, names, stream.wire_format)

    def _user_names(self, user_ids: Int64s) -> pa.Array:
        return user_names(user_ids, self._stream.settings.seed, self._stream.labels)

    def encode(self, outgoing: OutgoingBatch) -> EncodedBatch:
        """The lines of a batch of this stream, or of some of its events, with all that sinks ask for."""
        batch, is_broken = outgoing.events, outgoing.marked("malform")
        (lines, hashes), *others = [
            malform(*encoder.encode(batch), is_broken, encoding) for encoding, encoder in self._encoders
        ]
        virtual_shard = virtual_shards(batch)
        due_ns = outgoing.due_ns if self.schedule else np.zeros(len(batch), np.int64)
        key, key_hash = self._keys(batch)
        messages, columns = self._stream.messages, partial(self._column, batch=batch)
        headers = messages.headers_of(columns, len(batch))
        if len(outgoing.position) and self._stream.id_tag is not None:
            ids = EventIds(virtual_shard.astype(np.int64), outgoing.position, due_ns).headers(self._stream.id_tag)
            headers = with_header(headers, HEADER, ids)
        if (wrapped := messages.wrapped(columns, lines)) is not None:
            others = [(wrapped, hashes)]
        value, value_hash = others[0] if others else (None, None)
        return EncodedBatch(
            lines,
            batch.user_id,
            batch.ts_ms,
            batch.page,
            virtual_shard,
            hashes,
            due_ns,
            key_hash,
            key,
            headers,
            value,
            value_hash,
            None if self._crowds is None else self._crowds.crowd_of_row[batch.row],
        )

    def lines(self, outgoing: OutgoingBatch) -> pa.BinaryArray:
        """The lines alone of a batch, or of some of its events."""
        if outgoing.marked("malform").any():
            return self.encode(outgoing).lines
        return self._encoders[0][1].records(outgoing.events)

    def key_hashes(self, batch: EventBatch) -> UInt32s:
        """What the partitions of these events in Kafka follow from: that of the listener where there is no key."""
        return self._keys(batch)[1]

    @cached_property
    def _hash_of_row(self) -> UInt32s:
        return hash_of_ids(self.shard.listeners.user_id)

    def _column(self, field: Field, batch: EventBatch) -> pa.Array:
        return self._arrow.column(field, batch)

    def _keys(self, batch: EventBatch) -> tuple[pa.BinaryArray | None, UInt32s]:
        of_listener, messages = self._hash_of_row[batch.row], self._stream.messages
        if messages.has_plain_key:
            return None, of_listener
        keys = messages.keys_of(partial(self._column, batch=batch), batch.user_id)
        is_null = keys.is_null().to_numpy(zero_copy_only=False)
        return keys, np.where(is_null, of_listener, hash_of_keys(keys))

    def to_arrow(self, batch: EventBatch) -> pa.RecordBatch:
        """Events of this stream as a record batch."""
        return self._arrow.to_arrow(batch)


def virtual_shards(batch: EventBatch) -> UInt16s:
    """The virtual shard of each event."""
    return (batch.user_id % N_VIRTUAL_SHARDS).astype(np.uint16)
