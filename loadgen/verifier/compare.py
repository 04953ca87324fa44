"""What was found against what was promised: which events are lost, repeated, altered, foreign, out of order.

1. One pass over the source: fingerprints by bucket (virtual shard of the listeners), and a row for every event into a
spill. 2. Bucket by bucket: is the fingerprint the promised one, does an event come after a later one of its listener?
3. Only where something is wrong are the promised events made again, and matched with those found.

Runs whose listeners are named differently (`listen` with several seeds) cannot be told apart by virtual shard: their
buckets are made of the names, and all of them are looked at as soon as the grand total differs. Fingerprints of runs
with different seeds have different keys and cannot be added up: their events are all made again, with one key for all.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np
import numpy.typing as npt

from loadgen.errors import ManifestError
from loadgen.event import N_VIRTUAL_SHARDS, Int64s, UInt64s
from loadgen.formats import OWN, KnownFormats
from loadgen.kafka.topics import Topics
from loadgen.verifier.envelope import Content, MessageRules
from loadgen.verifier.manifest_spec import ManifestSpec
from loadgen.verifier.names import NO_LISTENER, HashedNames, NameLookup
from loadgen.verifier.observed import Reader
from loadgen.verifier.regenerator import Regenerator, refs_of, texts_of, virtual_shard_of_refs
from loadgen.verifier.source import EventSource
from loadgen.verifier.spill import N_BUCKETS, NOWHERE, Rows, Spill, may_be_absent, places_of, rows_of
from loadgen.verifier.unmatched import Unmatched, displaced_by_identity, listener_of, look_at, unit_of

KINDS = ("lost", "repeated", "altered", "foreign", "out_of_order")
ShowProgress = Callable[[str, int, float], None]
"""Called with what is being done, how many events have been seen, and the share of this that is done."""
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Named:
    """One event that is not as it should be.

    Attributes:
        kind: one of KINDS.
        found: the place where it was found; None where it was not.
        expected: which of the promised events it is, see again.refs_of; None where it is none.
    """

    kind: str
    found: int | None
    expected: int | None


@dataclass(slots=True)
class Findings:
    """What the comparison says.

    Attributes:
        n_expected: events delivered, as the manifests say.
        n_found: events found, whatever they are.
        counts: how many of each of KINDS.
        n_undecided: planned events that are absent, and of which the manifest does not say whether they arrived.
        n_split: listeners whose events are in several Kafka partitions, so that their order cannot be told.
        may_be_split: the user says that another system has done that on purpose.
        named: the first few of each kind.
        notes: what else a person should know.
        kinds: those of KINDS that were looked for.
    """

    n_expected: int = 0
    n_found: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    n_undecided: int = 0
    n_split: int = 0
    may_be_split: bool = False
    named: list[Named] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    kinds: tuple[str, ...] = KINDS

    @property
    def is_proved(self) -> bool:
        """Whether nothing is wrong, and something was there to be proved."""
        is_ordered = self.n_split == 0 or self.may_be_split
        return self.is_clean and self.n_undecided == 0 and self.n_expected > 0 and is_ordered

    @property
    def is_clean(self) -> bool:
        """Whether nothing wrong was found."""
        return not any(self.counts[kind] for kind in KINDS)


def known_of(promises: list[ManifestSpec]) -> KnownFormats:
    """The formats of these runs, and loadgen's own where no schema of a user gives their names to others."""
    known = KnownFormats(()) if any(promise.schema and promise.schema.own for promise in promises) else OWN
    for promise in promises:
        known = known.with_format(promise.wire_format, f"run {promise.run_id}")
    return known


class Comparison:
    """One comparison of promises with a source."""

    def __init__(
        self,
        promises: list[ManifestSpec],
        source: EventSource,
        names: NameLookup,
        show: int,
        progress: ShowProgress,
        is_repartitioned: bool = False,
        with_topics: bool = False,
    ) -> None:
        """Prepare.

        Args:
            promises: of all manifests.
            source: where events are.
            names: tells the listeners of the format `listen`.
            show: how many events of each kind are named.
            progress: see `ShowProgress`.
            is_repartitioned: events may be in any partition, since another system has put them there.
            with_topics: the source tells the topics of events, and the runs have topic maps, the same one.
        """
        self._promises, self._source, self._names = promises, source, names
        self._known = known_of(promises)
        self._show, self._progress = show, progress
        self._timeless = any(promise.timeless for promise in promises)
        keys = {int(promise.key) for promise in promises}
        if len(keys) > 1 and self._timeless:
            raise ManifestError(
                "runs with --timestamps wall and --rate max or a pacer must be verified with others of that kind "
                "only, got some without; verify each kind against a place of its own"
            )
        self.key, self._with_topics = np.uint64(min(keys, default=0)), with_topics
        self._is_coarse = isinstance(names, HashedNames)
        messages = [promise.messages for promise in promises]
        topics = [promise.topics or Topics(("",), (len(promise.progress.ended),)) for promise in promises]
        has_fields = [not promise.changed_fields for promise in promises]
        self._rules = MessageRules.of(messages, topics, has_fields, is_repartitioned, by_user_id=not self._is_coarse)
        self._has_checked_partitions = False
        self._counts, self._totals = np.zeros(N_BUCKETS, np.int64), np.zeros(N_BUCKETS, np.uint64)
        self._findings = Findings(n_expected=sum(promise.n_delivered for promise in promises))
        self._findings.notes += [
            f"keys or headers of run {promise.run_id} are made of {', '.join(promise.changed_fields)}, which its own "
            "schema leaves out or changes; what is made of fields was not compared"
            for promise in promises
            if promise.changed_fields
        ]

    @property
    def _has_fingerprints(self) -> bool:
        """Whether those of the runs are of all events that are compared, have one key, and the same topics as here."""
        has_one_key = len({int(promise.key) for promise in self._promises}) <= 1
        is_whole = all(promise.topics is None or promise.only is None for promise in self._promises)
        return has_one_key and is_whole and all(not promise.topics or self._with_topics for promise in self._promises)

    def run(self, remake: Callable[[ManifestSpec], Regenerator]) -> Findings:
        """Do it.

        Args:
            remake: makes a run again; asked for only where that is needed.

        Raises:
            LoadgenError: the source cannot be read, or a run cannot be made again.
        """
        with Spill() as found, Spill() as expected:
            self._read(found)
            groups, differs = self._source.groups(), self._differing()
            self._findings.n_split = self._n_split(found)
            self._findings.may_be_split = self._rules.is_repartitioned
            wanted = differs | self._in_doubt(found, differs, groups)
            if wanted.any():
                remakes = [remake(promise) for promise in self._promises]
                self._make_again(remakes, wanted, expected)
                self._match(found, expected, np.flatnonzero(wanted), differs, groups, remakes)
        self._findings.notes += self._source.notes
        return self._findings

    def _read(self, spill: Spill) -> None:
        """One pass over everything that is there."""
        reader = Reader(self._names, self._timeless, self.key, self._known)
        n_before: Counter[int] = Counter()
        for block in self._source.blocks():
            seen = reader.of_block(block if self._rules.has_plain_keys else replace(block, keys=None))
            if block.envelope is not None:
                self._has_checked_partitions = not self._rules.is_repartitioned
                content = cast(Content, block.content)
                seen.alter(self._rules.differs(block.envelope, content, seen.user_id, seen.time_ms))
                if self._with_topics:
                    seen.put_in(block.envelope.topic)
            bucket = np.where(seen.user_id == NO_LISTENER, NOWHERE, seen.user_id % N_VIRTUAL_SHARDS).astype(np.uint16)
            self._counts += np.bincount(bucket, minlength=N_BUCKETS)
            np.add.at(self._totals, bucket, seen.hash)
            places = block.places
            if places is None:
                first = n_before[block.unit]
                places = places_of(block.unit, np.arange(first, first + len(seen)))
                n_before[block.unit] += len(seen)
            spill.add(bucket, rows_of(seen.key, seen.major, seen.minor, places))
            self._findings.n_found += len(seen)
            self._progress("reading", self._findings.n_found, self._source.share())

    def _n_split(self, spill: Spill) -> int:
        """Listeners whose events are in more than one Kafka partition: their order cannot be told."""
        topic, partition = self._source.partitions()
        if self._has_checked_partitions or self._rules.is_split_by_key or len(np.unique(partition[partition >= 0])) < 2:
            return 0
        n_topics, n_partitions, n_split = int(topic.max()) + 1, int(partition.max()) + 1, 0
        for bucket in range(N_VIRTUAL_SHARDS):
            rows = spill.read(bucket)
            unit, listener = unit_of(rows), listener_of(rows)
            is_known = (partition[unit] >= 0) & (listener >= 0)
            in_topic = listener[is_known] * n_topics + topic[unit[is_known]]
            places = np.unique(in_topic * n_partitions + partition[unit[is_known]])
            n_split += int(np.count_nonzero(np.unique(places // n_partitions, return_counts=True)[1] > 1))
        return n_split

    def _differing(self) -> Bools:
        """In which buckets the fingerprint is not the promised one: bool[N_BUCKETS]."""
        if not self._has_fingerprints:
            return np.ones(N_BUCKETS, np.bool_)
        counts, totals = np.zeros(N_BUCKETS, np.int64), np.zeros(N_BUCKETS, np.uint64)
        for promise in self._promises:
            counts[:N_VIRTUAL_SHARDS] += promise.delivered.count
            totals[:N_VIRTUAL_SHARDS] += promise.delivered.total
        if self._is_coarse:
            same = counts.sum() == self._counts.sum() and totals.sum() == self._totals.sum()
            return np.full(N_BUCKETS, not same)
        return np.asarray((counts != self._counts) | (totals != self._totals), np.bool_)

    def _in_doubt(self, spill: Spill, differs: Bools, groups: Int64s) -> Bools:
        """Where events seem to be out of order, and only the order of leaving tells whether they are."""
        in_doubt, n_runs = np.zeros(N_BUCKETS, np.bool_), np.zeros(N_BUCKETS, np.int64)
        for promise in self._promises:
            n_runs[:N_VIRTUAL_SHARDS] += promise.planned > 0
        needs_plan = self._is_coarse or any(promise.shuffled for promise in self._promises)
        for bucket in np.flatnonzero(~differs).tolist():
            rows = spill.read(bucket)
            moved = rows[displaced_by_identity(rows, groups)]
            if needs_plan or n_runs[bucket] > 1:
                in_doubt[bucket] = len(moved) > 0
            else:
                self._name("out_of_order", moved)
            self._progress("checking the order", self._findings.n_found, bucket / N_BUCKETS)
        return in_doubt

    def _make_again(self, remakes: list[Regenerator], wanted: Bools, spill: Spill) -> None:
        """The promised events of these buckets into a spill."""
        slices = np.ones(N_VIRTUAL_SHARDS, np.bool_) if self._is_coarse else wanted[:N_VIRTUAL_SHARDS]
        n_all = max(1, sum(int(promise.planned[slices].sum()) for promise in self._promises))
        n_made = 0
        for number, one in enumerate(remakes):
            for made in one.events(slices, self._names, self._timeless):
                bucket = np.where(made.user_id == NO_LISTENER, NOWHERE, made.user_id % N_VIRTUAL_SHARDS).astype(
                    np.uint16
                )
                spill.add(bucket, rows_of(made.key, made.major, made.minor, refs_of(number, made)))
                n_made += len(made)
                self._progress("making expected events again", n_made, n_made / n_all)

    def _match(
        self, found: Spill, expected: Spill, buckets: Int64s, differs: Bools, groups: Int64s, remakes: list[Regenerator]
    ) -> None:
        """Found against expected, bucket by bucket, and then what they leave over."""
        leftovers, is_clean = Unmatched(), np.ones(N_BUCKETS, np.bool_)
        n_absent, n_required = np.zeros((2, N_BUCKETS), np.int64)
        for bucket in buckets.tolist():
            outcome = look_at(found.read(bucket), expected.read(bucket), groups, self._timeless)
            is_clean[bucket], n_absent[bucket] = outcome.is_clean, len(outcome.absent)
            n_required[bucket] = np.count_nonzero(~may_be_absent(outcome.absent["place"]))
            self._name("repeated", outcome.repeated)
            self._name("altered", outcome.altered, outcome.altered_from)
            self._name("out_of_order", outcome.displaced)
            leftovers.add(outcome.strange, outcome.absent, has_listeners=bucket != NOWHERE)
            self._progress("comparing", self._findings.n_found, bucket / N_BUCKETS)
        is_told = self._settle(leftovers, remakes, n_absent, n_required)
        if self._has_fingerprints:
            self._explain(differs & is_clean & ~is_told, n_absent)

    def _settle(self, leftovers: Unmatched, remakes: list[Regenerator], n_absent: Int64s, n_required: Int64s) -> Bools:
        """Pair leftovers; what stays alone is foreign or lost. Returns of which buckets that tells what is wrong."""
        paired = leftovers.pair(self._timeless, self._source.texts, lambda refs: texts_of(remakes, refs))
        self._name("altered", paired.altered, paired.altered_from)
        self._name("foreign", paired.foreign)
        n_paired = sum(map(len, (paired.there, paired.altered, paired.foreign)))
        self._findings.counts["foreign"] += leftovers.n_strange - n_paired
        found = np.append(paired.there["place"], paired.altered_from["place"])
        n_left = n_absent - _by_virtual_shard(found)
        n_required = n_required - _by_virtual_shard(found[~may_be_absent(found)])
        n_beyond = self._pooled(n_left) - self._pooled(self._allowed())
        n_lost = np.maximum(np.maximum(self._pooled(n_required), n_beyond), 0)
        self._name_lost(paired.lost, n_lost, self._pooled(n_required))
        if not all(promise.progress.is_complete for promise in self._promises):
            self._findings.n_undecided = int((self._pooled(n_left) - n_lost).sum())
        is_told: Bools = (n_lost > 0)[self._pools()] | (n_left < n_absent)
        return is_told

    def _name_lost(self, absent: Rows, n_lost: Int64s, n_required: Int64s) -> None:
        """Count what is lost, and name it: where it is not known which are, any that are absent there.

        Args:
            absent: expected rows.
            n_lost, n_required: of each pool, how many are lost, and how many of them are known to be.
        """
        pool = self._pools()[virtual_shard_of_refs(absent["place"])]
        is_named = np.where(n_required[pool] > 0, ~may_be_absent(absent["place"]), n_lost[pool] > 0)
        lost = absent[is_named]
        self._name("lost", None, lost)
        self._findings.counts["lost"] += int(n_lost.sum()) - len(lost)

    def _explain(self, unexplained: Bools, n_absent: Int64s) -> None:
        """Fingerprints that differ though every event found is a promised one, and no more are absent than may be."""
        allowed = self._pooled(self._allowed())
        is_puzzle = self._pooled(unexplained.astype(np.int64)) == self._pooled(np.ones(N_BUCKETS, np.int64))
        n_puzzles = int(np.count_nonzero(is_puzzle & (self._pooled(n_absent) == allowed)))
        if n_puzzles == 0:
            return
        if self._timeless:
            self._findings.counts["altered"] += n_puzzles
            self._findings.notes.append(
                f"{n_puzzles} slices hold an altered time or malformed line at least, which cannot be named: "
                "with --timestamps wall and --rate max or a pacer, times cannot be made again"
            )
        elif allowed[is_puzzle].all():
            self._findings.counts["lost"] += n_puzzles
            self._findings.notes.append(
                f"in {n_puzzles} slices a delivered event at least is lost, and cannot be named: as many are there of "
                "which the run did not know that they were delivered"
            )
        else:
            raise ManifestError(
                "the manifests' fingerprints are not those of the events that their settings give; were they changed, "
                "or written by another version of loadgen? Verify with the files as loadgen run wrote them"
            )

    def _allowed(self) -> Int64s:
        """Events of each bucket that may be absent: planned, and not known to be delivered."""
        sums = np.zeros(N_BUCKETS, np.int64)
        for promise in self._promises:
            sums[:N_VIRTUAL_SHARDS] += promise.undelivered
        return sums

    def _pools(self) -> Int64s:
        """Which buckets are counted together: each alone, or all."""
        return np.zeros(N_BUCKETS, np.int64) if self._is_coarse else np.arange(N_BUCKETS)

    def _pooled(self, counts: Int64s) -> Int64s:
        return np.bincount(self._pools(), weights=counts).astype(np.int64)

    def _name(self, kind: str, found: Rows | None, expected: Rows | None = None) -> None:
        """Count events of a kind, and keep the first few; rows of both sides belong together."""
        n_events = len(found if found is not None else expected if expected is not None else ())
        self._findings.counts[kind] += n_events
        n_named = sum(named.kind == kind for named in self._findings.named)
        for at in range(min(n_events, self._show - n_named)):
            places = [None if rows is None else int(rows["place"][at]) for rows in (found, expected)]
            self._findings.named.append(Named(kind, places[0], places[1]))


def _by_virtual_shard(refs: UInt64s) -> Int64s:
    """How many of these expected events are of each bucket."""
    return np.bincount(virtual_shard_of_refs(refs), minlength=N_BUCKETS)
