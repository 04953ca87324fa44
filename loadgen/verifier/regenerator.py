"""Makes the events of a run again: which were planned, in which order, and with which bytes.

A `ManifestSpec` goes in; out come its events, those of each virtual shard in the order in which they left, with the
same hashes, and the lines of those that are to be shown. They are read from the same `EventStream` as
in the run.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from loadgen.encode.encoding import Encoding
from loadgen.encode.text import JSON_LINES
from loadgen.errors import CatalogError, ManifestError
from loadgen.event import N_VIRTUAL_SHARDS, SESSIONS_PER_LISTENER, EventBatch, Int64s, UInt32s, UInt64s, rank_within
from loadgen.fingerprint import hash_integers, mix
from loadgen.kafka.topics import Topics
from loadgen.simulate.catalog import cache_folder
from loadgen.simulate.catalog_file import Catalog, load
from loadgen.simulate.crowds import crowd_simulations, worlds
from loadgen.simulate.feed import (
    MAX_BATCH,
    Owned,
    owned_virtual_shards,
    paced_schedule,
    virtual_shard_users,
)
from loadgen.simulate.impair import OutgoingBatch
from loadgen.simulate.population import user_names
from loadgen.simulate.world import SimulationSettings
from loadgen.stream import EventStream, catalog_of
from loadgen.transactions import TransactionPlan, transaction_plan
from loadgen.verifier.manifest_spec import ManifestSpec
from loadgen.verifier.names import HashedNames, NameLookup
from loadgen.verifier.observed import SHAPELESS
from loadgen.verifier.spill import MAY_BE_ABSENT, PLACE_BITS

MOST_LISTENERS = 500_000
"""Made again at a time: some 100 bytes each."""
Bools = npt.NDArray[np.bool_]
Building = Callable[[float, str], None]
_RUN_BIT = PLACE_BITS + 8
_INVERSE_1 = np.uint64(pow(0xBF58476D1CE4E5B9, -1, 1 << 64))
_INVERSE_2 = np.uint64(pow(0x94D049BB133111EB, -1, 1 << 64))


@dataclass(slots=True)
class ExpectedEvents:
    """Some events of a run, made again.

    Attributes:
        virtual_shard: int64, the virtual shard of each.
        rank: int64, how many events of its virtual shard left before it.
        user_id, major, minor: int64, as in `ObservedEvents`.
        key: uint64, as in `ObservedEvents`.
        lines: the events' lines, each ending in a newline.
        may_be_absent: bool, which were not delivered for certain.
    """

    virtual_shard: Int64s
    rank: Int64s
    user_id: Int64s
    major: Int64s
    minor: Int64s
    key: UInt64s
    lines: pa.BinaryArray
    may_be_absent: Bools

    def __len__(self) -> int:
        return len(self.rank)


def refs_of(run: int, made: ExpectedEvents) -> UInt64s:
    """Names events of a run (its number among those compared): uint64; may be absent, run, virtual shard, rank."""
    refs: UInt64s = ((run << _RUN_BIT) + (made.virtual_shard << PLACE_BITS) + made.rank).view(np.uint64)
    refs[made.may_be_absent] |= MAY_BE_ABSENT
    return refs


def virtual_shard_of_refs(refs: UInt64s) -> Int64s:
    """The virtual shards of events, by their names."""
    return ((refs >> np.uint64(PLACE_BITS)) % np.uint64(N_VIRTUAL_SHARDS)).view(np.int64)


def texts_of(remakes: "Sequence[Regenerator]", refs: Iterable[int]) -> dict[int, bytes]:
    """The lines of these events, without newlines; their virtual shards are made again."""
    found = {}
    for number, wanted in _by_run(refs).items():
        slices = np.zeros(N_VIRTUAL_SHARDS, np.bool_)
        slices[virtual_shard_of_refs(wanted)] = True
        for made in remakes[number].events(slices, HashedNames(), timeless=False):
            names = refs_of(number, made)
            rows = np.flatnonzero(np.isin(names, wanted))
            for name, line in zip(names[rows].tolist(), made.lines.take(pa.array(rows)).to_pylist(), strict=True):
                found[name] = line[:-1]
    return found


def _by_run(refs: Iterable[int]) -> dict[int, UInt64s]:
    runs: dict[int, list[int]] = {}
    for ref in refs:
        runs.setdefault((ref & ~int(MAY_BE_ABSENT)) >> _RUN_BIT, []).append(ref)
    return {number: np.array(sorted(wanted), np.uint64) for number, wanted in runs.items()}


def find_catalog(promise: ManifestSpec, building: Building) -> Catalog:
    """The catalogue of the run: one in the cache that has its digest, else built.

    Raises:
        ManifestError: this installation has and builds another one.
        CatalogError: the cache cannot be written.
    """
    settings, folder = promise.settings, cache_folder()
    cached = {*folder.glob(f"catalog-{settings.tracks}-*.arrow"), *folder.glob("imported/*/catalog-*.arrow")}
    for path in sorted(cached):
        found = _loaded(path)
        if found is not None and found.digest == promise.digest:
            return found
    found = catalog_of(settings, building)
    if settings.catalog is not None:
        step = f"import it again from the same file: loadgen catalog import FILE --name {settings.catalog}"
    else:
        step = f"it was built with Faker {promise.faker}: pip install faker=={promise.faker}, or copy that cache here"
    if found.digest != promise.digest:
        raise ManifestError(
            f"the catalogue of {promise.path} must have digest {promise.digest}, got {found.digest}: its events cannot "
            f"be made again; {step}"
        )
    return found


def _loaded(path: Path) -> Catalog | None:
    try:
        return load(path)
    except CatalogError:  # of another version, or parts derived from a catalogue
        return None


class Regenerator:
    """One run, ready to be made again."""

    def __init__(self, promise: ManifestSpec, catalog: Catalog, key: np.uint64, with_topics: bool = False) -> None:
        """Prepare the tables that its virtual shards share.

        Args:
            promise: the run.
            catalog: that of `find_catalog`.
            key: of the hashes.
            with_topics: the keys of events are those in the topics that they were sent to.
        """
        settings = promise.settings
        simulation = SimulationSettings(
            settings.users, settings.seed, settings.start_ms, settings.presence, promise.behaviour
        )
        self.promise = promise
        self._format = promise.wire_format
        encodings: list[Encoding] = [JSON_LINES]
        schema = promise.schema if promise.sink == "kafka" else None
        if schema is not None and (settings.impair.malform or schema.own):
            # the hash of a broken record is that of its bytes; a schema of the user's own may lack fields
            encodings.append(schema.encoding)
        self._all = EventStream(
            settings,
            simulation,
            catalog,
            key=key,
            encodings=encodings,
            key_schema_id=promise.key_schema_id,
            crowds=worlds(crowd_simulations(settings, promise.crowds), settings, catalog),
        )
        self._key = key
        self._topics = promise.topics if with_topics else None
        self._is_compared = np.ones(len(promise.behaviour.page_table.names), np.bool_)
        if promise.topics is not None and promise.only is not None:
            self._is_compared = promise.topics.pages(promise.only)

    def events(self, wanted: Owned, names: NameLookup, timeless: bool) -> Iterator[ExpectedEvents]:
        """The planned events of these virtual shards.

        Args:
            wanted: bool[N_VIRTUAL_SHARDS].
            names: tells the listeners of the format `listen`, as in what was found.
            timeless: keys leave the time out.

        Raises:
            ManifestError: the settings give fewer events than were planned.
        """
        planned = np.where(wanted, self.promise.planned, 0)
        for owned, shown, transactions in self._parcels(planned):
            yield from self._of_virtual_shards(owned, np.where(shown, planned, 0), names, timeless, transactions)

    @property
    def _keeps_a_clock(self) -> bool:
        """Whether times are those at which a schedule had the events due."""
        return self.promise.settings.timestamps == "wall" and not self.promise.timeless

    @property
    def _lacks_aborted(self) -> bool:
        """Whether events of transactions that were aborted on purpose are left out."""
        return self.promise.settings.abort_prob > 0 and not self.promise.with_aborted

    @property
    def _follows_workers(self) -> bool:
        """Whether what a virtual shard has, or its order, depends on all listeners of a worker."""
        settings = self.promise.settings
        return self._keeps_a_clock or self._lacks_aborted or (bool(settings.crowd) and not settings.unpaced)

    def _parcels(self, planned: Int64s) -> Iterator[tuple[Owned, Owned, TransactionPlan | None]]:
        """Slices to simulate together, those of them that are wanted, and the transactions that tell what is left out.

        What wall-clock times a schedule gives depends on all listeners of a worker, and so do the order of the events
        of two crowds that are paced, and the transaction of an event; all else depends on the listener alone.
        """
        settings, is_wanted = self.promise.settings, planned > 0
        if self._follows_workers:
            for worker in range(settings.workers):
                owned = owned_virtual_shards(settings.shard.index, settings.shard.count, worker, settings.workers)
                if (owned & is_wanted).any():
                    yield owned, owned & is_wanted, transaction_plan(settings, worker) if self._lacks_aborted else None
            return
        sizes = np.where(is_wanted, virtual_shard_users(settings.users), 0)
        parcel_of = np.cumsum(sizes) // MOST_LISTENERS
        for parcel in np.unique(parcel_of[is_wanted]):
            chosen = is_wanted & (parcel_of == parcel)
            yield chosen, chosen, None

    def _of_virtual_shards(
        self, owned: Owned, planned: Int64s, names: NameLookup, timeless: bool, transactions: TransactionPlan | None
    ) -> Iterator[ExpectedEvents]:
        n_events = None if self._keeps_a_clock or transactions else min(MAX_BATCH, int(planned.sum()) // 2 + 64)
        stream = self._all.part(owned, n_events=n_events)
        if self._keeps_a_clock and self.promise.t0_wall_ms is not None:
            stream.start(paced_schedule(self.promise.settings, owned, 0), 0, self.promise.t0_wall_ms)
        reached, position = np.zeros(N_VIRTUAL_SHARDS, np.int64), 0
        open_events = _OpenEvents(self.promise, stream.key_hashes)
        while (reached < planned).any():
            outgoing = stream.next()
            if outgoing is None:
                raise ManifestError(
                    f"manifest {self.promise.path} has more events planned than its settings give; was it changed?"
                )
            virtual_shard = outgoing.events.user_id % N_VIRTUAL_SHARDS
            ranks, counts = rank_within(virtual_shard, N_VIRTUAL_SHARDS)
            ranks += reached[virtual_shard]
            reached += counts
            may_be_absent = open_events.next(outgoing.events, virtual_shard)
            is_expected = (ranks < planned[virtual_shard]) & self._is_compared[outgoing.events.page]
            if transactions is not None:
                is_expected &= ~transactions.is_aborted(np.arange(position, position + len(outgoing)))
                position += len(outgoing)
            rows = np.flatnonzero(is_expected)
            if len(rows):
                some = outgoing.take(rows)
                encoded = stream.encode(some)
                keys = self._keys(some, encoded.for_kafka().hash, timeless)
                yield self._made(some, ranks[rows], names, encoded.lines, keys, may_be_absent[rows])

    def _keys(self, outgoing: OutgoingBatch, hashes: UInt64s, timeless: bool) -> UInt64s:
        keys, page = hashes, outgoing.events.page
        if timeless:
            keys = mix(_unmixed(hashes) - hash_integers(self._format.time.name, outgoing.events.ts_ms, self._key))
        keys = keys if self._topics is None else self._topics.hashes(keys, page)
        return np.where(outgoing.marked("malform"), SHAPELESS, keys) if timeless else keys

    def _made(
        self,
        outgoing: OutgoingBatch,
        rank: Int64s,
        names: NameLookup,
        lines: pa.BinaryArray,
        key: UInt64s,
        may_be_absent: Bools,
    ) -> ExpectedEvents:
        batch = outgoing.events
        virtual_shard, user_id = batch.user_id % N_VIRTUAL_SHARDS, batch.user_id
        major, minor = batch.session_id, batch.item.astype(np.int64)
        if not self._format.has_ids:
            user_id = names.ids_of(user_names(user_id, self.promise.settings.seed, self._all.labels))
            major, minor = user_id * SESSIONS_PER_LISTENER, batch.ts_ms
        return ExpectedEvents(virtual_shard, rank, user_id, major, minor, key, lines, may_be_absent)


class _OpenEvents:
    """Tells of a run's events, in the order of sending, which of them may be absent."""

    def __init__(self, promise: ManifestSpec, key_hashes: Callable[[EventBatch], UInt32s]) -> None:
        self._progress = promise.progress
        n_partitions = len(self._progress.ended)
        self._topics = promise.topics or Topics(("",), (n_partitions,))
        self._is_any = bool(promise.undelivered.any())
        self._key_hashes = key_hashes
        self._reached = np.zeros(n_partitions * N_VIRTUAL_SHARDS, np.int64)

    def next(self, events: EventBatch, virtual_shard: Int64s) -> Bools:
        """Of the next events."""
        if not self._is_any:
            return np.zeros(len(events), np.bool_)
        partition = self._topics.partitions(self._key_hashes(events), events.page)
        sequence = partition.astype(np.int64) * N_VIRTUAL_SHARDS + virtual_shard
        places, counts = rank_within(sequence, len(self._reached))
        places += self._reached[sequence]
        self._reached += counts
        return self._progress.may_be_absent(partition, virtual_shard, places)


def _unmixed(values: UInt64s) -> UInt64s:
    """The inverse of fingerprint.mix."""
    values = values ^ (values >> np.uint64(31)) ^ (values >> np.uint64(62))
    values *= _INVERSE_2
    values ^= (values >> np.uint64(27)) ^ (values >> np.uint64(54))
    values *= _INVERSE_1
    values ^= (values >> np.uint64(30)) ^ (values >> np.uint64(60))
    return values
