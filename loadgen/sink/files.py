"""JSON lines in folders by date: FOLDER/year=2026/month=11/day=22/events_<writer>.jsonl[.gz|.zst].

In: lines; an event's own time (UTC) chooses the folder. Out: files to which whole lines are appended, at least every
half second, so that `tail -f` follows them. Every worker writes files of its own.

Exactly once through a crash of a worker: `marks` says how long each file was at the moment of a snapshot; the successor
gets that and cuts its predecessor's files back to it, then sends again what came after.
"""

import os
import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from loadgen.event import DAY_MS, Int64s, UInt8s, UInt16s, UInt32s
from loadgen.files import Bytes, Compression, compressed, unwritable, write_all
from loadgen.ledger import Outcome, Tally
from loadgen.progress import Progress
from loadgen.sink import EncodedBatch
from loadgen.sink.in_flight import SentColumns, count_delivered

MAX_OPEN_FILES = 8
"""Events come in the order of time, so few days are open at once; a backfill passes through many."""
WRITE_BYTES: dict[Compression | None, int] = {None: 1 << 18, "gz": 1 << 20, "zst": 1 << 20}
"""So much is collected before it is written: compression needs larger pieces to be worth it."""
WRITE_AGE_S = 0.5
MAX_SEND = 65_536
"""Events taken at a time."""


class _DayFile(NamedTuple):
    """Events of one day, held back until there are enough of them."""

    data: Bytes
    sent: SentColumns
    order: Int64s
    """The position of each among all events held back, in the order of sending."""


class DateFolderSink:
    """Appends each event to its day's file; an event is delivered once the kernel has its line."""

    name = "files"

    def __init__(
        self,
        folder: str | os.PathLike[str],
        writer_name: str,
        compress: Compression | None = None,
        *,
        completed: Int64s | None = None,
        before: Progress | None = None,
        resume: dict[str, int] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin a run, or go on where a predecessor's snapshot was taken.

        Args:
            folder: the root of the date folders; made where missing.
            writer_name: unique to the run and the worker, such as `20261122-101500-ab12_w03`.
            compress: None, "gz" or "zst"; each piece of about 1 MB can be read alone.
            completed: int64[1], from the predecessor's snapshot; None for a fresh start.
            before: `progress` of the same snapshot.
            resume: `marks()` of the same snapshot; files of this writer are cut back to it, others of its are removed.
            clock: seconds, monotonic.

        Raises:
            OutputUnwritable: a predecessor's file cannot be cut back.
        """
        self.tally = Tally()
        self.completed = np.zeros(1, np.int64) if completed is None else completed.copy()
        self._progress = Progress.start(1, before)
        self._folder = Path(folder)
        self._file_name = f"events_{writer_name}.jsonl" + (f".{compress}" if compress else "")
        self._compress = compress
        self._clock = clock
        self._held: defaultdict[int, list[_DayFile]] = defaultdict(list)
        self._held_bytes = self._n_held = 0
        self._held_since = 0.0
        self._length_bytes: dict[str, int] = {}
        self._open_files: OrderedDict[str, int] = OrderedDict()
        if resume is not None:
            self._cut_back(resume)

    @property
    def progress(self) -> Progress:
        """See `Sink`."""
        return self._progress.flush()

    def partitions(self, key_hash: UInt32s, page: UInt8s) -> UInt16s:
        """There is one."""
        return np.zeros(len(key_hash), np.uint16)

    def room(self) -> int:
        """There is always room: a full disk is an error, and a slow one makes `send` slow."""
        return MAX_SEND

    def send(self, lines: EncodedBatch) -> None:
        """Accept all events; they are written once there are enough of them, or by `poll` after half a second.

        Raises:
            OutputUnwritable: disk full and the like; what is not in a file as a whole line failed.
        """
        if not self._held:
            self._held_since = self._clock()
        for day, part, positions in _by_day(lines):
            data = part.buffer()
            self._held[day].append(_DayFile(data, SentColumns.of(part, len(data)), self._n_held + positions))
            self._held_bytes += len(data)
        self._n_held += len(lines)
        self.tally.in_flight += len(lines)
        if self._held_bytes >= WRITE_BYTES[self._compress]:
            self._write_held()

    def drop(self, lines: EncodedBatch) -> None:
        """Count events as dropped that the schedule gave up; what was sent before is written first."""
        self.flush(0.0)
        self.tally.complete(Outcome.DROPPED, lines.page, lines.crowd)
        self.completed[0] += len(lines)
        self._progress.advance(0, lines.virtual_shard, np.full(len(lines), Outcome.DROPPED, np.uint8))

    def poll(self, timeout_s: float) -> None:
        """Write what has waited for half a second; raises as `send` does."""
        if self._held and self._clock() - self._held_since >= WRITE_AGE_S:
            self._write_held()

    def flush(self, timeout_s: float) -> None:
        """Write everything; raises as `send` does."""
        if self._held:
            self._write_held()

    def close(self) -> None:
        """Write everything and close the files; raises as `send` does."""
        try:
            self.flush(0.0)
        finally:
            while self._open_files:
                os.close(self._open_files.popitem()[1])

    def marks(self) -> dict[str, int]:
        """The length of each file of this writer, bytes; belongs to `completed` of the same moment."""
        return dict(self._length_bytes)

    def round_trip_s(self) -> float:
        """There is no broker."""
        return float("nan")

    def _write_held(self) -> None:
        held, self._held = self._held, defaultdict(list)
        n_held, self._held_bytes, self._n_held = self._n_held, 0, 0
        virtual_shard, outcome = np.empty(n_held, np.uint16), np.full(n_held, Outcome.DELIVERED, np.uint8)
        days = iter(held.items())
        try:
            for day, parts in days:
                order = np.concatenate([part.order for part in parts])
                sent = SentColumns.concat([part.sent for part in parts])
                virtual_shard[order] = sent.virtual_shard
                n_before = self.tally.count(Outcome.DELIVERED)
                try:
                    self._append(self._path(day), b"".join(part.data for part in parts), sent)
                finally:  # an append that raises has delivered the first few
                    outcome[order[self.tally.count(Outcome.DELIVERED) - n_before :]] = Outcome.FAILED
        finally:
            for _, parts in days:  # some are left only where an append raised
                for part in parts:
                    virtual_shard[part.order], outcome[part.order] = part.sent.virtual_shard, Outcome.FAILED
                    self._fail(part.sent)
            self._progress.advance(0, virtual_shard, outcome)

    def _append(self, path: str, data: bytes, sent: SentColumns) -> None:
        piece = compressed(data, self._compress) if self._compress else data
        try:
            write_all(self._fd(path), piece)
        except OSError as error:
            self._keep_whole_lines(path, data, sent)
            raise unwritable(path, error) from error
        self._length_bytes[path] += len(piece)
        self._deliver(sent)

    def _keep_whole_lines(self, path: str, data: bytes, sent: SentColumns) -> None:
        """After a failed write: cut off the broken end; the lines that are whole count as delivered."""
        fd = self._open_files.get(path)
        n_written = 0 if fd is None else os.fstat(fd).st_size - self._length_bytes[path]
        n_kept = 0 if self._compress else data.rfind(b"\n", 0, n_written) + 1
        n_lines = data.count(b"\n", 0, n_kept)
        if fd is not None:
            self._length_bytes[path] += n_kept
            os.ftruncate(fd, self._length_bytes[path])
        self._deliver(sent.take(slice(0, n_lines), n_kept))
        self._fail(sent.take(slice(n_lines, None), len(data) - n_kept))

    def _deliver(self, sent: SentColumns) -> None:
        count_delivered(self.tally, sent)
        self._end(len(sent))

    def _fail(self, sent: SentColumns) -> None:
        self.tally.complete(Outcome.FAILED, sent.page, sent.crowd)
        self._end(len(sent))

    def _end(self, n_events: int) -> None:
        self.tally.in_flight -= n_events
        self.completed[0] += n_events

    def _path(self, day: int) -> str:
        year, month, day_of_month = str(np.datetime64(day, "D")).split("-")
        return str(self._folder / f"year={year}" / f"month={month}" / f"day={day_of_month}" / self._file_name)

    def _fd(self, path: str) -> int:
        """The open file of this path; the one unused for longest is closed where there are too many."""
        if path in self._open_files:
            self._open_files.move_to_end(path)
            return self._open_files[path]
        if len(self._open_files) >= MAX_OPEN_FILES:
            os.close(self._open_files.popitem(last=False)[1])
        fd = self._open_file(path)
        self._open_files[path] = fd
        return fd

    def _open_file(self, path: str) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        if path not in self._length_bytes:
            flags |= os.O_EXCL  # a second run under the same name would mix its events into this one's
            os.makedirs(os.path.dirname(path), exist_ok=True)
        fd = os.open(path, flags, 0o666)
        self._length_bytes.setdefault(path, 0)
        return fd

    def _cut_back(self, lengths: dict[str, int]) -> None:
        for path in map(str, self._folder.glob(f"year=*/month=*/day=*/{self._file_name}")):
            try:
                if path in lengths:
                    os.truncate(path, lengths[path])
                else:
                    os.remove(path)
            except OSError as error:
                raise unwritable(path, error) from error
        self._length_bytes = dict(lengths)


def _by_day(lines: EncodedBatch) -> Iterator[tuple[int, EncodedBatch, Int64s]]:
    """Day (days since 1970, UTC), its lines in the order of sending, and their positions among all."""
    if len(lines) == 0:
        return
    day = lines.ts_ms // DAY_MS
    if day[0] == day[-1] and (day == day[0]).all():
        yield int(day[0]), lines, np.arange(len(lines))
        return
    for one in np.unique(day):
        positions = np.flatnonzero(day == one)
        yield int(one), lines.take(positions), positions
