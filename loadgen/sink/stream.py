"""One output for all workers: a file or stdout.

Each worker's `StreamSink` hands chunks of whole lines to the coordinator, whose `OutputFile` writes them one after
another. So lines never mix, which several processes writing to one pipe could not promise.
"""

import os
import stat
import time
from collections import deque
from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np

from loadgen.errors import ReaderGone, SinkError
from loadgen.event import Int64s, UInt8s, UInt16s, UInt32s
from loadgen.files import Bytes, compressed, compression_of, unwritable, write_all
from loadgen.ledger import Outcome
from loadgen.progress import Progress
from loadgen.sink import EncodedBatch
from loadgen.sink.in_flight import NO_OFFSET, InFlight, InFlightCounts, SentBatch, SentRun

INSTEAD_OF_A_FOLDER = "that is a folder: name a file, or leave --output out to write files by date"
CHUNK_BYTES = 1 << 20
"""A chunk holds about so much: enough that a message costs nothing, little enough that the coordinator stays small."""
MAX_CHUNKS = 128
"""Chunks on their way: few enough that the acknowledgements fit into the pipe, which rules out a deadlock."""
MAX_IN_FLIGHT_BYTES = 8 << 20
MAX_SEND = 16_384
FLUSH_S = 0.005
FRAME_AGE_S = 0.5
STDOUT = 1


class StreamSink(InFlightCounts):
    """Hands lines to the coordinator; an event is delivered once the coordinator acknowledges that it is written."""

    name = "stream"

    def __init__(
        self,
        hand_over: Callable[[memoryview, int], None],
        completed: Int64s | None = None,
        before: Progress | None = None,
    ) -> None:
        """Begin empty.

        Args:
            hand_over: takes a chunk of whole lines and the number of its events; may block while the coordinator is
                busy; OSError means that the coordinator is gone.
            completed: int64[1], what a predecessor had completed; None for a fresh start.
            before: `progress` of the same snapshot.
        """
        self._hand_over = hand_over
        self._in_flight = InFlight(1, completed, before)
        self._chunks: deque[SentRun] = deque()

    def partitions(self, key_hash: UInt32s, page: UInt8s) -> UInt16s:
        """There is one."""
        return np.zeros(len(key_hash), np.uint16)

    def room(self) -> int:
        """How many events `send` takes; 0 while the coordinator has much to write."""
        is_full = len(self._chunks) >= MAX_CHUNKS or self._in_flight.n_bytes >= MAX_IN_FLIGHT_BYTES
        return 0 if is_full else MAX_SEND

    def send(self, lines: EncodedBatch) -> None:
        """Hand over all events, in chunks.

        Raises:
            SinkError: the coordinator is gone; the rest of the events failed.
        """
        for start, stop in _cuts(lines):
            try:
                self._hand_over(lines[start:stop].buffer(), stop - start)
            except OSError as error:
                rest = lines[start:]
                self._in_flight.skip(0, rest.page, rest.virtual_shard, Outcome.FAILED, rest.crowd)
                raise SinkError(f"the coordinator takes no more lines: {error}; start the run again") from error
            run = SentRun(0, SentBatch.of(lines[start:stop]), 0, stop - start)
            self._in_flight.accept(run)
            self._chunks.append(run)

    def drop(self, lines: EncodedBatch) -> None:
        """Count events as dropped that the schedule gave up."""
        self._in_flight.skip(0, lines.page, lines.virtual_shard, Outcome.DROPPED, lines.crowd)

    def acknowledge(self, n_events: int) -> None:
        """The oldest chunk is written; it has n_events.

        Raises:
            ValueError: the oldest chunk has another number of events.
        """
        run = self._chunks.popleft()
        if n_events != len(run):
            raise ValueError(f"the oldest chunk has {len(run)} events, got an acknowledgement of {n_events}")
        self._in_flight.watermark(run, NO_OFFSET)
        self._in_flight.count_arrived()

    def poll(self, timeout_s: float) -> None:
        """Nothing to do: acknowledgements come with the coordinator's other messages."""

    def flush(self, timeout_s: float) -> None:
        """Give the coordinator a moment; its acknowledgements come by `acknowledge`, between the calls."""
        if self.tally.in_flight:
            time.sleep(min(timeout_s, FLUSH_S))

    def close(self) -> None:
        """What the coordinator has not acknowledged is unfinished."""
        self._in_flight.resolve(0, np.full(self.tally.in_flight, Outcome.UNFINISHED, np.uint8))
        self._chunks.clear()

    def marks(self) -> dict[str, int]:
        """There are no files of its own."""
        return {}

    def round_trip_s(self) -> float:
        """There is no broker."""
        return float("nan")


def _cuts(lines: EncodedBatch) -> Iterator[tuple[int, int]]:
    """Where to cut lines so that each piece has about CHUNK_BYTES: (start, stop) positions."""
    n_pieces = min(len(lines), -(-len(lines.buffer()) // CHUNK_BYTES))
    return pairwise(np.linspace(0, len(lines), n_pieces + 1).astype(int).tolist())


class OutputFile:
    """The coordinator's end: writes chunks to one file, compressed as its name says, or to stdout.

    Attributes:
        n_written: events whose lines are in the file for certain. Compressed data is written in pieces of about 1 MB,
            or every half second when `poll` is called, so it can be behind what was given to `write`.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open the file, empty; `-` is stdout.

        Raises:
            OutputUnwritable: with the path, the reason and the next step.
        """
        self.n_written = 0
        self._path = path
        self._compression = compression_of(path)
        self._piece = bytearray()
        self._n_piece = 0
        self._piece_since = 0.0
        self._fd = STDOUT if path == "-" else self._open()
        self._is_regular = path != "-" and stat.S_ISREG(os.fstat(self._fd).st_mode)

    def _open(self) -> int:
        try:
            return os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        except IsADirectoryError as error:
            raise unwritable(self._path, error, INSTEAD_OF_A_FOLDER) from error
        except OSError as error:
            raise unwritable(self._path, error) from error

    def write(self, chunk: Bytes, n_events: int) -> None:
        """Append a chunk of whole lines.

        Raises:
            ReaderGone: stdout or the named pipe has no reader any more (`| head` has seen enough).
            OutputUnwritable: disk full and the like; the file ends after its last complete write.
        """
        if self._compression is None:
            self._append(chunk, n_events)
            return
        if not self._piece:
            self._piece_since = time.monotonic()
        self._piece += chunk
        self._n_piece += n_events
        if len(self._piece) >= CHUNK_BYTES:
            self._write_piece()

    def poll(self) -> None:
        """Write out a compressed piece that has waited for half a second."""
        if self._piece and time.monotonic() - self._piece_since >= FRAME_AGE_S:
            self._write_piece()

    def close(self) -> None:
        """Write what is held back and close the file; raises as `write` does. Closing twice is allowed."""
        try:
            if self._piece:
                self._write_piece()
        finally:
            if self._fd > STDOUT:
                os.close(self._fd)
            self._fd = -1

    def _write_piece(self) -> None:
        assert self._compression is not None
        piece, n_events, self._piece, self._n_piece = self._piece, self._n_piece, bytearray(), 0
        self._append(compressed(piece, self._compression), n_events)

    def _append(self, data: Bytes, n_events: int) -> None:
        start = os.lseek(self._fd, 0, os.SEEK_CUR) if self._is_regular else 0
        try:
            write_all(self._fd, data)
        except BrokenPipeError as error:
            raise ReaderGone(f"the reader of {os.fspath(self._path)!r} has closed it; the run ends here") from error
        except OSError as error:
            if self._is_regular:
                os.ftruncate(self._fd, start)  # no half line, no half piece
            raise unwritable(self._path, error) from error
        self.n_written += n_events
