"""User names to listeners: the format `listen` names its listeners and has no ids.

In: the sizes, seeds and name parts of the populations that runs had. Out: the listener of each name, found by the hash
of the name: 16 bytes a listener.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa

from loadgen.event import Int64s, Labels, UInt64s
from loadgen.fingerprint import hash_strings
from loadgen.simulate.population import user_names

NO_LISTENER = -1
_CHUNK = 1 << 18
_LISTENER_BITS = 40


class NameLookup(Protocol):
    """Tells listeners by their names."""

    def ids(self, hashes: UInt64s) -> Int64s:
        """The listeners whose names have these hashes; NO_LISTENER where there is none."""

    def ids_of(self, names: pa.StringArray) -> Int64s:
        """The listeners of these names."""


@dataclass(frozen=True)
class ListenerNames:
    """Whose names they are: users of a seed; labels for the name parts."""

    users: int
    seed: int
    labels: Labels

    @property
    def naming(self) -> tuple[int, tuple[str, ...], tuple[str, ...]]:
        """What decides which listener has which name."""
        return self.seed, self.labels.first_names, self.labels.last_names


class KnownNames:
    """The names of one population."""

    def __init__(self, population: ListenerNames | None) -> None:
        """Hash all names; None: no listener has a name."""
        parts = [] if population is None else list(_hashes(population))
        hashes = np.concatenate(parts) if parts else np.zeros(0, np.uint64)
        self._order = np.argsort(hashes)
        self._sorted = hashes[self._order]

    def ids(self, hashes: UInt64s) -> Int64s:
        """The listeners whose names have these hashes."""
        if len(self._sorted) == 0:
            return np.full(len(hashes), NO_LISTENER, np.int64)
        at = np.minimum(np.searchsorted(self._sorted, hashes), len(self._sorted) - 1)
        return np.where(self._sorted[at] == hashes, self._order[at], NO_LISTENER)

    def ids_of(self, names: pa.StringArray) -> Int64s:
        """The listeners of these names."""
        return self.ids(hash_strings(names))


class HashedNames:
    """Stands in for listeners where runs name theirs differently: a number made of the name itself."""

    def ids(self, hashes: UInt64s) -> Int64s:
        """A number for each name."""
        return (hashes >> np.uint64(64 - _LISTENER_BITS)).view(np.int64)

    def ids_of(self, names: pa.StringArray) -> Int64s:
        """A number for each name."""
        return self.ids(hash_strings(names))


def names_of(populations: Iterable[ListenerNames]) -> NameLookup:
    """Tells the listeners of these populations; by the names themselves where they are named differently."""
    found = list(populations)
    if len({population.naming for population in found}) > 1:
        return HashedNames()
    return KnownNames(max(found, key=lambda population: population.users, default=None))


def _hashes(population: ListenerNames) -> Iterable[UInt64s]:
    for start in range(0, population.users, _CHUNK):
        ids = np.arange(start, min(start + _CHUNK, population.users), dtype=np.int64)
        yield hash_strings(user_names(ids, population.seed, population.labels))
