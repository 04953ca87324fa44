"""What came out of a system under test, held against what runs gave it: by the header of each message, not its value.

In: runs that were watched (`--watch-topic`), and the topic into which the system writes. Out: `Findings`. An event is
lost where it was delivered and none of the messages bears its place, repeated where several do. Values, keys,
partitions and the order may be others: a system that enriches or routes changes them, and they are not compared.
Messages that bear no place of these runs are counted, and are no events of theirs.
"""

from collections.abc import Callable, Sequence

import numpy as np

from loadgen.errors import UsageError
from loadgen.event import N_VIRTUAL_SHARDS, Int64s
from loadgen.kafka.event_ids import EventIds, header_values, run_tag
from loadgen.kafka.seen_events import SeenEvents
from loadgen.verifier.compare import Findings, Named, ShowProgress
from loadgen.verifier.manifest_spec import ManifestSpec
from loadgen.verifier.names import HashedNames
from loadgen.verifier.regenerator import Regenerator, refs_of
from loadgen.verifier.source import EventSource, SourceBlock

COMPARED = ("lost", "repeated", "foreign")
"""The kinds of differences that are looked for."""


class ThroughComparison:
    """One comparison of runs with what came out of a system."""

    def __init__(
        self, promises: Sequence[ManifestSpec], source: EventSource, show: int, progress: ShowProgress
    ) -> None:
        """Prepare; show: how many events of each kind are named.

        Raises:
            UsageError: the messages of a run bear no places.
        """
        for promise in promises:
            if not promise.messages.has_ids:
                rule = "--through needs a run whose messages say which event they are"
                raise UsageError(f"{rule}, got run {promise.run_id} without; run with --watch-topic NAME")
        self._promises, self._source, self._show, self._progress = promises, source, show, progress
        self._seen = [SeenEvents() for _ in promises]
        self._n_seen = [np.zeros(N_VIRTUAL_SHARDS, np.int64) for _ in promises]
        self._findings = Findings(kinds=COMPARED)

    def run(self, regenerator_of: Callable[[ManifestSpec], Regenerator]) -> Findings:
        """Read the topic, and make the events again of each virtual shard that is not all there.

        Raises:
            LoadgenError: the topic cannot be read, or a run cannot be made again.
        """
        findings, n_others = self._findings, 0
        findings.n_expected = sum(promise.n_delivered for promise in self._promises)
        for block in self._source.blocks():
            n_messages, n_ours = self._take(block)
            findings.n_found += n_ours
            n_others += n_messages - n_ours
            self._progress("reading", findings.n_found + n_others, self._source.share())
        for number, promise in enumerate(self._promises):
            self._find_lost(number, promise, regenerator_of)
        findings.notes += self._source.notes
        findings.notes.append("values, keys and the order were not compared")
        if n_others:
            findings.notes.append(f"{n_others:,} messages bear no header of these runs, and were not compared")
        return findings

    def _take(self, block: SourceBlock) -> tuple[int, int]:
        """Mark the events of some messages as seen; how many messages there are, and how many of the runs."""
        assert block.envelope is not None
        assert block.places is not None
        ids, run = EventIds.read_all(header_values(block.envelope.headers))
        n_ours = 0
        for number, promise in enumerate(self._promises):
            rows = np.flatnonzero(run == run_tag(promise.run_id))
            shard, position = ids.virtual_shard[rows], ids.position[rows]
            is_planned = position < promise.planned[shard]
            is_new = self._seen[number].add(shard, position)
            self._n_seen[number] += np.bincount(shard[is_new & is_planned], minlength=N_VIRTUAL_SHARDS)
            places = block.places.view(np.int64)
            self._count("repeated", places[rows[~is_new & is_planned]])
            self._count("foreign", places[rows[~is_planned]])
            n_ours += len(rows)
        return len(run), n_ours

    def _count(self, kind: str, places: Int64s) -> None:
        n_left = max(0, self._show - self._findings.counts[kind])
        self._findings.named += [Named(kind, place, None) for place in places[:n_left].tolist()]
        self._findings.counts[kind] += len(places)

    def _find_lost(
        self, number: int, promise: ManifestSpec, regenerator_of: Callable[[ManifestSpec], Regenerator]
    ) -> None:
        wanted, findings = self._n_seen[number] < promise.planned, self._findings
        if not wanted.any():
            return
        n_made = 0
        for made in regenerator_of(promise).events(wanted, HashedNames(), timeless=False):
            is_absent = ~self._seen[number].has(made.virtual_shard, made.rank)
            rows = np.flatnonzero(is_absent & ~made.may_be_absent)
            n_left = max(0, self._show - findings.counts["lost"])
            refs = refs_of(number, made)[rows[:n_left]].tolist()
            findings.named += [Named("lost", None, ref) for ref in refs]
            findings.counts["lost"] += len(rows)
            if not promise.progress.is_complete:
                findings.n_undecided += int(np.count_nonzero(is_absent & made.may_be_absent))
            n_made += len(made)
            self._progress("looking for what is lost", n_made, n_made / int(promise.planned[wanted].sum()))
