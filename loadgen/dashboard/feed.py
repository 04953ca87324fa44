"""The process that reads and counts, so that the one which answers never waits for it.

In: where events come from. Out: snapshots of all figures, as JSON, at least once a second, through a pipe.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Protocol

import orjson

from loadgen.dashboard.aggregates import Aggregates
from loadgen.dashboard.latency import Latency
from loadgen.dashboard.reading import CHUNK_BYTES, Content
from loadgen.dashboard.rows import Normaliser, Piece
from loadgen.dashboard.state import Anew, State
from loadgen.dashboard.topic import Begin
from loadgen.errors import LoadgenError, described
from loadgen.kafka.options import KafkaSettings
from loadgen.signals import ignore

SAY_S = 1.0
TURN_S = 0.1
MINUTE_S = 60.0


@dataclass(frozen=True, slots=True)
class Origin:
    """Where events come from: a topic where `kafka` is there, else the store. It may hold secrets: pipes only."""

    store: str | None = None
    kafka: KafkaSettings | None = None
    begin: Begin = "recent"


class Source(Protocol):
    """What a feed reads; `StoredEvents` and `TopicEvents` are some."""

    state: State
    name: str

    @property
    def unread(self) -> int | None:
        """Messages that are there and were not read yet; None where that is not known, or they are no messages."""

    def contents(self) -> Iterator[Content | Anew]:
        """What is new; may wait a little, never raises where the source does not answer."""

    def close(self) -> None:
        """Let go of it."""


class Feed:
    """Reads, counts, and says so."""

    def __init__(
        self,
        source: Source,
        say: Callable[[bytes], None],
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Begin.

        Args:
            source: what to read.
            say: takes a snapshot.
            clock: seconds, monotonic.
            now: seconds since 1970; latency goes by it.
        """
        self._source, self._say, self._clock, self._now = source, say, clock, now
        self._normaliser = Normaliser()
        self._aggregates = Aggregates()
        self._lines: list[bytes] = []
        self._n_bytes = 0
        self._arrived: deque[tuple[float, int]] = deque()
        self._latency, self._is_caught_up = Latency(), False
        self._said_s = float("-inf")

    def turn(self) -> None:
        """Take in what is new, with a snapshot every second, and one at the end if it is time."""
        for content in self._source.contents():
            if isinstance(content, Anew):
                self._aggregates, self._lines, self._n_bytes = Aggregates(), [], 0
                self._latency, self._is_caught_up = Latency(), False
            elif isinstance(content, bytes):
                self._lines.append(content)
                self._n_bytes += len(content)
                if self._n_bytes >= CHUNK_BYTES:
                    self._count_lines()
            else:
                for piece in self._normaliser.of_table(content):
                    self._count(piece)
            self._say_if_due()
        self._count_lines()
        self._is_caught_up |= self._source.state.status == "ok"
        self._say_if_due()

    def snapshot(self) -> dict[str, Any]:
        """All there is to say."""
        state, latency = self._source.state.as_json(), self._latency.percentiles(self._now())
        return {
            "state": state,
            "name": self._source.name,
            "arrived_last_minute": self._last_minute(),
            "unread": self._source.unread,
            "latency": None if latency is None else latency._asdict(),
            "figures": self._aggregates.figures(),
        }

    def _count_lines(self) -> None:
        """Many small files are counted at once: each call of DuckDB costs some milliseconds."""
        lines, self._lines, self._n_bytes = b"".join(self._lines), [], 0
        for piece in self._normaliser.of_lines(lines) if lines else ():
            self._count(piece)

    def _count(self, piece: Piece) -> None:
        self._aggregates.add(piece)
        self._arrived.append((self._clock(), piece.rows.num_rows))
        if self._is_caught_up:  # what was there before it came to be read has not been on its way for so long
            self._latency.add(piece.rows["ts_ms"].to_numpy(), self._now())

    def _last_minute(self) -> int:
        while self._arrived and self._arrived[0][0] < self._clock() - MINUTE_S:
            self._arrived.popleft()
        return sum(n_events for _, n_events in self._arrived)

    def _say_if_due(self) -> None:
        now_s = self._clock()
        if now_s - self._said_s >= SAY_S:
            self._said_s = now_s
            self._say(orjson.dumps(self.snapshot()))


def source_of(origin: Origin) -> Source:
    """The source; nothing is asked of it yet. Raises UsageError for a URL that is none."""
    if origin.kafka is not None:
        from loadgen.dashboard.topic import TopicEvents

        return TopicEvents(origin.kafka, origin.begin)
    from loadgen.dashboard.stored import StoredEvents
    from loadgen.store import open_store

    return StoredEvents(open_store(origin.store or ""))


def main(pipe: Connection, origin: Origin) -> None:
    """Read and count until the other end of the pipe is closed."""
    ignore()  # signals may reach all processes: the one that answers ends this one
    source = source_of(origin)
    feed = Feed(source, pipe.send_bytes)
    try:
        while not pipe.poll(TURN_S):
            feed.turn()
    except (BrokenPipeError, EOFError, ConnectionResetError):
        pass
    except Exception as error:  # of any kind: the other process is the one that can say it
        said = str(error) if isinstance(error, LoadgenError) else described(error)
        with suppress(OSError):
            pipe.send_bytes(orjson.dumps({"failed": said}))
    finally:
        source.close()
