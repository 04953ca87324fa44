"""A temporary file of a lane, written in the background, in order.

In: lines, from the consumer's thread, which never waits for the store. Out: a closed file, or the error that it met.
Each file is written by one task of the shared pool at a time and no task waits for another one, so the pool cannot
stand still however few threads it has; different files are written and closed at the same time.
"""

from collections import deque
from concurrent.futures import Executor, Future
from contextlib import suppress
from enum import Enum
from threading import Lock

from loadgen.consume.encoders import Encoder, encoder_of
from loadgen.consume.rotation import Budget, Rotation
from loadgen.errors import StoreError
from loadgen.store import Store

CHUNK_EVENTS = 2048
"""Events that are joined at a time: what is joined once more into a piece is in the processor's cache then."""


class _Order(Enum):
    """What else than lines is to be done with a file."""

    CLOSE = 0
    DROP = 1


class Spool:
    """A temporary file.

    Attributes:
        path: where it is.
        n_events: lines added.
        first, last: their offsets.
        closed: done when the file is closed (the result is its length in bytes) or has failed.
    """

    def __init__(
        self, store: Store, path: str, rotation: Rotation, pool: Executor, budget: Budget, *, is_dead: bool = False
    ) -> None:
        """Nothing is made in the store before there is a piece to write; dead letters are lines that people read."""
        self.path = path
        self.n_events = 0
        self.first = self.last = -1
        self.closed: Future[int] = Future()
        self._store, self._rotation, self._pool, self._budget = store, rotation, pool, budget
        self._is_dead = is_dead
        self._encoder: Encoder | None = None
        self._chunks: list[bytes] = []
        self._gathered_bytes = 0
        self._queue: deque[bytes | _Order] = deque()
        self._queued_bytes = 0
        self._running = self._dropped = False
        self._lock = Lock()

    @property
    def size_bytes(self) -> int:
        """About how long the file is: what is not written yet counts uncompressed."""
        return self._gathered_bytes + self._queued_bytes + (self._encoder.n_bytes if self._encoder else 0)

    def add(self, values: list[bytes], first: int, last: int) -> None:
        """Append lines (without newlines) of these offsets."""
        for start in range(0, len(values), CHUNK_EVENTS):
            self._gather(b"\n".join(values[start : start + CHUNK_EVENTS]))
        self.n_events += len(values)
        self.first = first if self.first < 0 else self.first
        self.last = last

    def write_out(self) -> None:
        """Send what is gathered on its way."""
        if self._chunks:
            self._chunks.append(b"")
            piece = b"\n".join(self._chunks)
            self._chunks, self._gathered_bytes = [], 0
            self._put(piece)

    def close(self) -> None:
        """Write what is left and close the file, in the background; see `closed`."""
        self.write_out()
        self._put(_Order.CLOSE)

    def drop(self) -> None:
        """Give the file up and remove it, in the background. Not for files that a commit record may name."""
        self._dropped = True
        self._budget.hold(-self._gathered_bytes)
        self._chunks, self._gathered_bytes = [], 0
        self._put(_Order.DROP)

    def _gather(self, chunk: bytes) -> None:
        self._chunks.append(chunk)
        self._gathered_bytes += len(chunk) + 1
        self._budget.hold(len(chunk) + 1)
        if self._gathered_bytes >= self._rotation.piece_bytes:
            self.write_out()

    def _put(self, item: bytes | _Order) -> None:
        with self._lock:
            self._queue.append(item)
            self._queued_bytes += len(item) if isinstance(item, bytes) else 0
            if self._running:
                return
            self._running = True
        self._pool.submit(self._run)

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._queue:
                    self._running = False
                    return
                item = self._queue.popleft()
            self._do(item)

    def _do(self, item: bytes | _Order) -> None:
        try:
            if item is _Order.DROP:
                self._give_up(StoreError(f"{self.path} was given up"))
            elif not self.closed.done() and not self._dropped:
                self._carry_out(item)
        except Exception as error:  # whatever it is, the lane raises it in the consumer's thread
            self._give_up(error)
        finally:
            if isinstance(item, bytes):
                self._let_go(len(item))

    def _let_go(self, n_bytes: int) -> None:
        with self._lock:
            self._queued_bytes -= n_bytes
        self._budget.hold(-n_bytes)

    def _carry_out(self, item: bytes | _Order) -> None:
        if self._encoder is None:
            writer = self._store.create(self.path)
            self._encoder = encoder_of(writer, self._rotation, plain=self._is_dead)
        if isinstance(item, bytes):
            self._encoder.write(item)
        else:
            self._encoder.close()
            self.closed.set_result(self._encoder.n_bytes)

    def _give_up(self, error: Exception) -> None:
        if not self.closed.done():
            self.closed.set_exception(error)
            if self._encoder is not None:
                self._encoder.abandon()
        if self._encoder is not None:
            with suppress(StoreError):
                self._store.remove(self.path)
