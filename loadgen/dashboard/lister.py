"""Listing a store again and again, so that it never costs more than a small part of the time, whatever is stored.

In: a store; days in which something was new. Out: files that may be new.

Two kinds of listing. A full one walks all days; it is due when 20 times as long has passed as the last one took, so
it takes at most a twentieth of the time: every 2 s for some thousand files, every few minutes for some million. A
quick one, in between, lists only the days in which something new was found last, and the day after the latest: where
events are of now, what is new is there. It is due every second, or after 5 times its own duration. What arrives late
for an old day is seen by the next full one.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from loadgen.store import Store, StoredFile
from loadgen.store.layout import day_folder, day_of

FULL_EVERY_S, FULL_SHARE = 2.0, 20.0
QUICK_EVERY_S, QUICK_SHARE = 1.0, 5.0
N_DAYS = 3
"""So many days, those with the latest news, are listed by a quick listing."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A listing: files in days' folders, and whether these are all."""

    files: list[tuple[int, StoredFile]]
    is_full: bool


@dataclass(slots=True)
class _Pace:
    """When a kind of listing is due."""

    every_s: float
    share: float
    next_s: float = field(default=float("-inf"))

    def took(self, began_s: float, ended_s: float) -> None:
        self.next_s = ended_s + max(self.every_s, self.share * (ended_s - began_s))


class Lister:
    """Lists a store when it is time to."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        """The first listing is due at once, and is a full one."""
        self._store, self._clock = store, clock
        self._full, self._quick = _Pace(FULL_EVERY_S, FULL_SHARE), _Pace(QUICK_EVERY_S, QUICK_SHARE)
        self._days: dict[int, None] = {}

    def news(self, day: int) -> None:
        """Something new was found in this day."""
        self._days.pop(day, None)
        self._days[day] = None
        while len(self._days) > N_DAYS:
            del self._days[next(iter(self._days))]

    def hurry(self) -> None:
        """Let the next listing be a full one, and due at once."""
        self._full.next_s = float("-inf")

    def listing(self) -> Listed | None:
        """A listing; None where none is due. Raises StoreError; it is then due again after the usual time."""
        began_s = self._clock()
        is_full = began_s >= self._full.next_s
        pace = self._full if is_full else self._quick
        if began_s < pace.next_s:
            return None
        try:
            files = self._store.files() if is_full else self._recent()
            found = [(day, file) for file in files if (day := day_of(file.path)) is not None]
        finally:
            for done in (self._full, self._quick) if is_full else (self._quick,):
                done.took(began_s, self._clock())
        return Listed(found, is_full)

    def _recent(self) -> Iterable[StoredFile]:
        days = {*self._days, *([max(self._days) + 1] if self._days else [])}
        return (file for day in sorted(days) for file in self._store.files(day_folder(day)))
