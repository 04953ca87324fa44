"""How many events there were in each second of the last hour, by the events' own time.

In: times of events, in any order. Out: events in the last 60 s, and in each of the last 60 minutes. The hour ends with
the newest event that was seen, not now: what is simulated or filled in later has a clock of its own.
"""

import numpy as np

from loadgen.event import Int64s

N_MINUTES = 60
N_SECONDS = 60 * N_MINUTES
NOTHING_S = -1


class Window:
    """Counts by second: int64[N_SECONDS], of which the last is that of the newest event.

    Exact whatever the order: an event that lies outside when it comes would lie outside later, too.
    """

    def __init__(self) -> None:
        """Empty."""
        self._counts = np.zeros(N_SECONDS, np.int64)
        self._newest_s = NOTHING_S

    def add(self, times_ms: Int64s) -> None:
        """Count events (int64, milliseconds since 1970, not negative)."""
        if len(times_ms) == 0:
            return
        seconds = times_ms // 1000
        self._move_to(int(seconds.max()))
        places = seconds - (self._newest_s - N_SECONDS + 1)
        self._counts += np.bincount(places[places >= 0], minlength=N_SECONDS)

    def last_minute(self) -> int:
        """Events in the 60 seconds that end with the newest event's."""
        return int(self._counts[-60:].sum())

    def minutes(self) -> tuple[int, list[int]]:
        """The first minute's begin (milliseconds since 1970), and the events of each of N_MINUTES whole minutes.

        The newest event lies in the last of them, which may go on."""
        newest = max(self._newest_s, 0)
        first_s = (newest // 60 - N_MINUTES + 1) * 60
        unknown = first_s - (newest - N_SECONDS + 1)  # the window begins so many seconds before
        counts = np.concatenate([self._counts[unknown:], np.zeros(unknown, np.int64)])
        return first_s * 1000, [int(count) for count in counts.reshape(N_MINUTES, 60).sum(axis=1)]

    def _move_to(self, newest_s: int) -> None:
        by = newest_s - self._newest_s
        if by <= 0:
            return
        if by < N_SECONDS:
            self._counts[:-by] = self._counts[by:].copy()
            self._counts[-by:] = 0
        else:
            self._counts[:] = 0
        self._newest_s = newest_s
