"""Who of a shard's listeners is online: listeners come and go while the simulation runs, as somebody else decides.

In: how many listeners of each taste are to be online. Out: the events of those that are. A listener that comes begins a
session at once; from then on it behaves as in a shard, one session after another. One that goes says nothing any more;
when it comes again, it begins a session with a number that it has never had. So `itemInSession` has no gaps, no session
is taken up twice, and no listener is in two sessions at once.

    taste       mainstream           indie      mixed           in each the first n are online:
    listeners   ■ ■ ■ ■ ■ □ □ □ □    ■ ■ □ □    ■ ■ ■ ■ □ □     who came last goes first

A listener's events depend on (settings, catalogue, seed, user id) and on when it came: not on the shard.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from loadgen.event import NO_TRACK, Int64s
from loadgen.rng import N_SLOTS, SLOT_BITS, draw, field16
from loadgen.simulate.calendar import Calendar
from loadgen.simulate.choice import Songs
from loadgen.simulate.model import Model
from loadgen.simulate.shard import Shard
from loadgen.simulate.state import ITEM_MASK, ONE_ITEM, SESSION_BIT, first_words
from loadgen.simulate.world import SimulationSettings

TASTES = ("mainstream", "indie", "mixed")
"""In the order of `Listeners.taste`."""
ARRIVAL_MS = 1000
"""Listeners that come together begin within this simulated time, because people never act in the same millisecond."""
SESSIONS_PER_TOKEN = 10_000
"""A shard that is made again, after its worker has died, numbers its sessions from the next multiple of this."""
MAX_FENCING_TOKEN = 99
NEVER_MS = 1 << 60
Bools = npt.NDArray[np.bool_]


class DynamicPopulation(Shard):
    """A shard of which a part is online.

    Attributes:
        online: how many listeners of each taste are.
        most: how many there are.
    """

    def __init__(
        self,
        settings: SimulationSettings,
        catalog: Songs,
        user_ids: Int64s,
        model: Model | None = None,
        fencing_token: int = 0,
    ) -> None:
        """Draw the listeners, all of them offline.

        Args:
            settings, catalog, user_ids, model: see `Shard`.
            fencing_token: how often the same listeners have been simulated before in this run, 0..MAX_FENCING_TOKEN.
        """
        super().__init__(settings, catalog, user_ids, model)
        self._first_session = fencing_token * SESSIONS_PER_TOKEN + 1
        self._per_listener = self.events_per_s / max(1, len(user_ids))
        self._rows = [np.flatnonzero(self.listeners.taste == taste) for taste in range(len(TASTES))]
        self.most = tuple(len(rows) for rows in self._rows)
        self.online = (0,) * len(TASTES)
        self._set_due(np.full(len(user_ids), NEVER_MS, np.int64))

    def attend(self, wanted: Sequence[int]) -> bool:
        """Let this many of each taste be online, or all there are; whether that changed anything.

        Args:
            wanted: a number for each of TASTES.
        """
        target = tuple(min(max(0, n), most) for n, most in zip(wanted, self.most, strict=True))
        if target == self.online:
            return False
        due_ms = self._calendar.due_ms
        for rows, before, after in zip(self._rows, self.online, target, strict=True):
            due_ms[rows[after:before]] = NEVER_MS
            self._come(rows[before:after], due_ms)
        self.online = target
        self._set_due(due_ms)
        return True

    def active(self, at_ms: int) -> int:
        """How many are online: in a session, or about to begin the next."""
        return sum(self.online)

    def _come(self, rows: Int64s, due_ms: Int64s) -> None:
        """Let these begin a session; one that they were in, or that a former worker numbered, is left behind."""
        if len(rows) == 0:
            return
        moving = self._records.gather(rows, due_ms[rows])
        session, has_begun = moving.word >> SESSION_BIT, (moving.word & ITEM_MASK) != ONE_ITEM
        session = np.maximum(session + has_begun, self._first_session)
        bits = draw(moving.key, (session << SLOT_BITS).view(np.uint64))  # item 0: no event has drawn these
        tracks, page = self._tables.tracks.take(field16(bits, 0)), self._tables.first_page.take(field16(bits, 1))
        words = first_words(session, tracks.astype(np.int64), page)
        nothing = np.zeros(len(rows), np.int32)
        self._records.scatter(rows, words, nothing + np.int32(NO_TRACK), nothing)
        due_ms[rows] = self.now_ms + field16(bits, 2) * ARRIVAL_MS // N_SLOTS

    def _set_due(self, due_ms: Int64s) -> None:
        """Begin a new calendar: the old one still has those who went."""
        self.events_per_s = self._per_listener * sum(self.online)
        self._calendar = Calendar(due_ms, self._per_listener * len(due_ms))
