"""When a listener comes back: the end of a session goes in, the start of the next comes out.

`OnlineGaps` are short, as in a load test; `EverydayGaps` follow the listener's own activity and local time.
"""

from typing import Protocol

import numpy as np
import numpy.typing as npt

from loadgen.event import Int64s, Listeners
from loadgen.simulate.day_curve import DayCurve
from loadgen.simulate.pace import Pace
from loadgen.simulate.state import age_band
from loadgen.simulate.tables import exponential
from loadgen.simulate.world import SimulationSettings

LONGEST_GAP_DAYS = 3650.0
LEAST_PLAYS_PER_DAY = 1e-3
MOST_BUSY = 0.9
"""Nobody listens more than this share of the time, however many plays a day were drawn."""
_DAY_MS = 86_400_000.0


class Gaps(Protocol):
    """The time between a listener's sessions."""

    def next_ms(self, end_ms: Int64s, rows: Int64s, bits32: Int64s) -> Int64s:
        """When the next session begins, after a session (or any moment without one) that ended at end_ms.

        Args:
            end_ms: int64[n], ms since 1970.
            rows: the listeners' positions in the shard.
            bits32: 32 random bits each.
        """

    def busy_prob(self, at_ms: int, rows: Int64s, bands: Int64s) -> npt.NDArray[np.float64]:
        """The probability that a listener is in a session at this moment: float64[n]."""

    def events_per_s(self, bands: Int64s) -> float:
        """Events a second of all listeners, on average; bands[n_listeners] are their age bands."""


class OnlineGaps:
    """Exponential gaps with the mean that the behaviour gives."""

    def __init__(self, settings: SimulationSettings, pace: Pace) -> None:
        self._mean_ms = 1000.0 * settings.behaviour.online.gap_mean_s
        self._pace = pace

    def next_ms(self, end_ms: Int64s, rows: Int64s, bits32: Int64s) -> Int64s:
        """See Gaps."""
        return end_ms + 1 + (exponential(bits32) * self._mean_ms).astype(np.int64)

    def busy_prob(self, at_ms: int, rows: Int64s, bands: Int64s) -> npt.NDArray[np.float64]:
        """See Gaps."""
        session_ms = self._pace.session_ms
        return np.asarray((session_ms / (session_ms + self._mean_ms))[bands], np.float64)

    def events_per_s(self, bands: Int64s) -> float:
        """See Gaps."""
        per_session_ms = self._pace.session_ms + self._mean_ms
        per_listener = 1000.0 * self._pace.events_per_session / per_session_ms
        return float(np.bincount(bands, minlength=len(per_listener)) @ per_listener)


class EverydayGaps:
    """A Poisson process over the local week, as busy as the listener is."""

    def __init__(self, settings: SimulationSettings, pace: Pace, listeners: Listeners) -> None:
        self._pace = pace
        self._listeners = listeners
        self._curve = DayCurve(settings.behaviour.everyday, settings.start_ms)
        self._session_days = pace.session_ms / _DAY_MS
        self._tracks_per_session = pace.tracks_per_session

    def next_ms(self, end_ms: Int64s, rows: Int64s, bits32: Int64s) -> Int64s:
        """See Gaps."""
        bands = age_band(self._listeners.age.take(rows))
        days = np.minimum(exponential(bits32) / self._rate_per_day(rows, bands), LONGEST_GAP_DAYS)
        return self._curve.after(end_ms, self._listeners.city.take(rows), days)

    def busy_prob(self, at_ms: int, rows: Int64s, bands: Int64s) -> npt.NDArray[np.float64]:
        """See Gaps: by the rate at which sessions began half a session earlier."""
        session_days = self._session_days[bands]
        began_ms = at_ms - (session_days * (0.5 * _DAY_MS)).astype(np.int64)
        shape = self._curve.shape(began_ms, self._listeners.city.take(rows))
        load = self._rate_per_day(rows, bands) * shape * session_days
        return np.asarray(load / (1.0 + load), np.float64)

    def events_per_s(self, bands: Int64s) -> float:
        """See Gaps."""
        plays_per_day = float(self._listeners.plays_per_day.sum(dtype=np.float64))
        return plays_per_day / self._pace.tracks_per_session * self._pace.events_per_session / 86_400.0

    def _rate_per_day(self, rows: Int64s, bands: Int64s) -> npt.NDArray[np.float64]:
        """Sessions begun per day of being away, so that the mean is plays_per_day although listening takes time too."""
        plays_per_day = self._listeners.plays_per_day.take(rows).astype(np.float64)
        sessions = np.maximum(plays_per_day, LEAST_PLAYS_PER_DAY) * (1.0 / self._tracks_per_session)
        return sessions / (1.0 - np.minimum(sessions * self._session_days.take(bands), MOST_BUSY))


def gaps_of(settings: SimulationSettings, pace: Pace, listeners: Listeners) -> Gaps:
    """The gaps that the settings' presence asks for."""
    if settings.presence == "online":
        return OnlineGaps(settings, pace)
    return EverydayGaps(settings, pace, listeners)
