"""The one place where events are made: which listeners do what, in which order, due when, in which bytes.

    EventStream:  shard.step → quotas → impairments → due times → wall-clock times → encoder → spoilt lines

`World` holds what all streams of a run share; a stream has the listeners of some virtual shards. No clock is read here,
no process is started, no broker is asked: a worker of `loadgen run`, a process of Locust, `loadgen verify`, which makes
a run's events once more, and the library read the same streams. The events depend on the settings alone; how they are
split over streams, and how many a batch has, changes none of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from loadgen.encode.lines import make_encoder
from loadgen.encode.malform import malform
from loadgen.encode.tracks import KIND_OF, TrackParts, open_track_parts
from loadgen.event import N_VIRTUAL_SHARDS, Labels
from loadgen.fingerprint import run_key
from loadgen.simulate.catalog_file import Catalog
from loadgen.simulate.feed import Owned, feed_of, owned_listeners
from loadgen.simulate.impair import Impairer, OutgoingBatch
from loadgen.simulate.model import Model
from loadgen.simulate.population import user_names
from loadgen.simulate.schedule import Schedule, due_of, wall_times
from loadgen.simulate.shard import Shard
from loadgen.simulate.world import SimulationSettings, labels
from loadgen.sink import EncodedBatch

if TYPE_CHECKING:
    from loadgen.config import RunSettings


@dataclass(frozen=True, slots=True)
class World:
    """What all streams of a run share: settings, and tables made from them once.

    Attributes:
        settings: what the user asked for.
        simulation: their part that says who the listeners are and what they do.
        catalog: what events name tracks of.
        model: the behaviour's lookup tables.
        labels: the words behind the codes of a batch.
        parts: the unchanging part of each track's lines in the run's format.
        key: uint64, of the run's hashes, see `fingerprint.run_key`.
    """

    settings: "RunSettings"
    simulation: SimulationSettings
    catalog: Catalog
    model: Model
    labels: Labels
    parts: TrackParts
    key: np.uint64

    @classmethod
    def of(
        cls,
        settings: "RunSettings",
        simulation: SimulationSettings,
        catalog: Catalog,
        model: Model | None = None,
        key: np.uint64 | None = None,
        is_checked: bool = False,
    ) -> "World":
        """Make the tables, or take those that are there.

        Args:
            settings, simulation, catalog, model, key: see the attributes.
            is_checked: the file of the tracks' parts has been checked by another process.
        """
        return cls(
            settings,
            simulation,
            catalog,
            model or Model.of(simulation, catalog),
            labels(catalog, simulation.behaviour),
            open_track_parts(catalog, KIND_OF[settings.format], is_checked=is_checked),
            run_key(settings.seed, settings.timeless) if key is None else key,
        )

    def shard(self, owned: Owned) -> Shard:
        """The listeners of these virtual shards."""
        return Shard(self.simulation, self.catalog, owned_listeners(self.settings.users, owned), self.model)


class EventStream:
    """The events of some listeners in the order of leaving, batch after batch.

    Attributes:
        shard: the listeners; its rows are those of the batches.
        schedule: says when events are due; None until `start`, and where nobody asks.
    """

    def __init__(self, world: World, owned: Owned, shard: Shard | None = None, n_events: float | None = None) -> None:
        """Make no event yet.

        Args:
            world: of the run.
            owned: bool[N_VIRTUAL_SHARDS], the stream's virtual shards.
            shard: their listeners; None makes them.
            n_events: about this many a batch; None for what a worker of the run takes.
        """
        settings = self._settings = world.settings
        self.shard = world.shard(owned) if shard is None else shard
        self.schedule: Schedule | None = None
        impairer = Impairer(settings.impair, self.shard.listeners.key) if settings.impair else None
        self._feed = feed_of(settings, owned, self.shard, impairer, n_events)
        self._encoder = make_encoder(
            settings.format,
            world.parts,
            world.labels,
            self.shard.listeners,
            lambda ids: user_names(ids, settings.seed, world.labels),
            world.key,
        )
        self._first: OutgoingBatch | None = None

    def __iter__(self) -> Iterator[OutgoingBatch]:
        """Every batch that is left, also empty ones."""
        return iter(self.next, None)

    def warm_up(self, n_times: int) -> None:
        """Simulate the first batch and encode it n_times: after the start that would make the first events late."""
        self._first = self._feed.next_batch()
        for _ in range(n_times if self._first else 0):
            self.encode(self._first)  # type: ignore[arg-type]  # there is one

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
            outgoing.due_ns = due_of(self.schedule, outgoing)
            if self._settings.timestamps == "wall":
                since_t0_ns = outgoing.due_ns - self._t0_ns
                outgoing.events.ts_ms = wall_times(outgoing, since_t0_ns, self._t0_wall_ms, self._settings.speed)
        return outgoing

    def encode(self, outgoing: OutgoingBatch) -> EncodedBatch:
        """The lines of a batch of this stream, or of some of its events, with all that sinks ask for."""
        batch = outgoing.events
        lines, hashes = malform(*self._encoder.encode(batch), outgoing.marked("malform"))
        virtual_shard = (batch.user_id % N_VIRTUAL_SHARDS).astype(np.uint16)
        due_ns = outgoing.due_ns if self.schedule else np.zeros(len(batch), np.int64)
        return EncodedBatch(lines, batch.row, batch.user_id, batch.ts_ms, batch.page, virtual_shard, hashes, due_ns)
