"""Which topic an event goes to, by its page, and the partitions of all topics as one sequence.

In: a run's `--topic-map`, the names of its pages, the partitions of each topic. Out: the partition of each event,
counted through: those of the first topic, then those of the second, and so on. So a run to several topics is counted,
resumed and proved by partition as one to a single topic is.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import pyarrow as pa

from loadgen.config.names import OTHER_PAGES
from loadgen.config.values import nearest
from loadgen.errors import UsageError
from loadgen.event import Bools, Int64s, UInt8s, UInt16s, UInt32s, UInt64s
from loadgen.fingerprint import hash_strings, mix
from loadgen.kafka.partition import MAX_PARTITIONS, partitions_of


def topics_of_pages(wanted: Mapping[str, str], pages: Sequence[str]) -> list[str]:
    """The topic of each of a run's pages.

    Args:
        wanted: page → topic, see `names.topic_map`.
        pages: the names of the run's pages.

    Raises:
        UsageError: a page is not one of the run's, or one of them has no topic.
    """
    unknown = [page for page in wanted if page not in (*pages, OTHER_PAGES)]
    if unknown:
        near = nearest(unknown[0], pages)
        step = f"did you mean {near}?" if near else f"write one of {', '.join(pages)}, or {OTHER_PAGES} for all others"
        raise UsageError(f"--topic-map must name pages of the run, got {', '.join(map(repr, unknown))}; {step}")
    left = [page for page in pages if page not in wanted]
    if left and OTHER_PAGES not in wanted:
        step = f"name them, or add {OTHER_PAGES}=TOPIC for all others"
        raise UsageError(f"--topic-map must have a topic for every page, got none for {', '.join(left)}; {step}")
    return [wanted.get(page, wanted.get(OTHER_PAGES, "")) for page in pages]


@dataclass(frozen=True)
class Topics:
    """The topics of a run.

    Attributes:
        names: of the topics.
        n_partitions: of each topic.
        of_page: for each code of the run's `Pages` its topic, as a position in `names`; empty where one topic has all.
    """

    names: tuple[str, ...]
    n_partitions: tuple[int, ...]
    of_page: tuple[int, ...] = ()

    @classmethod
    def mapped(cls, of_pages: Sequence[str], n_partitions: Mapping[str, int]) -> Self:
        """Those of a topic map.

        Args:
            of_pages: the topic of each page.
            n_partitions: of each topic, in the order of `names`.

        Raises:
            UsageError: they have too many partitions together.
        """
        names = tuple(n_partitions)
        if (n_all := sum(n_partitions.values())) > MAX_PARTITIONS:
            step = "use topics with fewer partitions"
            raise UsageError(
                f"the topics of --topic-map must have {MAX_PARTITIONS} partitions together, got {n_all}; {step}"
            )
        return cls(names, tuple(n_partitions.values()), tuple(names.index(name) for name in of_pages))

    @property
    def n_all(self) -> int:
        """How many partitions all topics have together."""
        return sum(self.n_partitions)

    @cached_property
    def firsts(self) -> Int64s:
        """For each topic the number of its first partition; then `n_all`: int64[n_topics + 1]."""
        return np.cumsum([0, *self.n_partitions])

    def partitions(self, key_hash: UInt32s, page: UInt8s) -> UInt16s:
        """The partition of each message, counted through all topics: uint16[n]; see `Sink.partitions`."""
        if not self.of_page:
            return partitions_of(key_hash, self.n_partitions[0])
        topic = self._topic_of_page[page]
        of_topic = np.array(self.n_partitions, np.uint32)[topic]
        return (self.firsts[topic] + key_hash % of_topic).astype(np.uint16)

    def addresses(self, partitions: UInt16s) -> tuple[list[str], list[int]]:
        """Topic and partition of each message, as Kafka names them."""
        if len(self.names) == 1:
            return [*self.names] * len(partitions), partitions.tolist()
        topic = np.searchsorted(self.firsts, partitions, side="right") - 1
        return np.array(self.names, np.object_)[topic].tolist(), (partitions - self.firsts[topic]).tolist()

    def by_topic(self, partitions: Iterable[int]) -> dict[str, dict[int, int]]:
        """Of each topic that has some of these partitions: Kafka's number → the number counted through."""
        found: dict[str, dict[int, int]] = {}
        for partition, name, number in zip(
            numbers := list(partitions), *self.addresses(np.array(numbers, np.uint16)), strict=True
        ):
            found.setdefault(name, {})[number] = partition
        return found

    def size(self, name: str) -> int:
        """How many partitions a topic has; a single one may have another name by now."""
        return self.n_partitions[self.names.index(name) if self.of_page else 0]

    def pages(self, name: str) -> Bools:
        """Which pages have this topic: bool[number of pages]."""
        found: Bools = self._topic_of_page == self.names.index(name)
        return found

    def hashes(self, hashes: UInt64s, page: UInt8s) -> UInt64s:
        """The hashes of events in the topics of their pages, so that one in another topic has another: uint64[n]."""
        if not self.of_page:
            return hashes
        terms = np.concatenate([hash_of_topic(name) for name in self.names])
        return mix(hashes ^ terms[self._topic_of_page[page]])

    @cached_property
    def _topic_of_page(self) -> Int64s:
        return np.array(self.of_page, np.int64)


def hash_of_topic(name: str) -> UInt64s:
    """What `Topics.hashes` adds to the hash of an event in this topic: uint64[1]."""
    return hash_strings(pa.array([name]))
