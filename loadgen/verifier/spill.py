"""Events in temporary files, sorted into buckets: what is found and what is expected, held until it is compared.

In: rows of 32 bytes, in any amount. Out: the rows of one bucket, in the order in which they came. Memory is bounded by
one run of rows, and by one bucket while it is looked at.
"""

import errno
import os
import tempfile
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from loadgen.errors import OutputUnwritable
from loadgen.event import Int64s, UInt64s

RUN_ROWS = 1 << 18
N_BUCKETS = 257
"""One for each virtual shard of the listeners, and the last for what cannot be laid to any listener."""
NOWHERE = N_BUCKETS - 1
ROW = np.dtype([("key", "<u8"), ("major", "<i8"), ("minor", "<i8"), ("place", "<u8")])
"""See `ObservedEvents` for key, major and minor; `place` says where it was found, or which of the expected it is."""
Rows = npt.NDArray[np.void]
PLACE_BITS = 40
"""A place is a unit (file, Kafka partition, manifest) << PLACE_BITS, and a number within it."""
NUMBER_MASK = (1 << PLACE_BITS) - 1
MAY_BE_ABSENT = np.uint64(1 << 63)
"""In the place of an expected event: it was not delivered for certain."""


def may_be_absent(places: UInt64s) -> npt.NDArray[np.bool_]:
    """Which of these expected events were not delivered for certain."""
    return places >= MAY_BE_ABSENT


def places_of(unit: int | Int64s, numbers: Int64s) -> UInt64s:
    """Places of these numbers in a unit, or in a unit each."""
    found: UInt64s = ((np.asarray(unit, np.int64) << PLACE_BITS) | numbers).view(np.uint64)
    return found


def rows_of(key: UInt64s, major: Int64s, minor: Int64s, place: UInt64s) -> Rows:
    """Rows of these columns."""
    rows = np.empty(len(key), ROW)
    rows["key"], rows["major"], rows["minor"], rows["place"] = key, major, minor, place
    return rows


class Spill:
    """One temporary file of runs, each sorted by bucket; removed when it is closed, or when the process ends."""

    def __init__(self) -> None:
        self._file: Any = tempfile.TemporaryFile(prefix="loadgen-verify-", buffering=0)  # noqa: SIM115  closed by us
        self._held: list[tuple[npt.NDArray[np.uint16], Rows]] = []
        self._n_held = 0
        self._n_written = 0
        self._runs: list[Int64s] = []
        self.counts = np.zeros(N_BUCKETS, np.int64)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, bucket: npt.NDArray[np.uint16], rows: Rows) -> None:
        """Append rows to their buckets.

        Raises:
            OutputUnwritable: there is no room for temporary files.
        """
        self._held.append((bucket, rows))
        self._n_held += len(rows)
        if self._n_held >= RUN_ROWS:
            self._write()

    def read(self, bucket: int) -> Rows:
        """The rows of a bucket, in the order in which they were added."""
        if self._held:
            self._write()
        parts = [self._part(int(edges[bucket]), int(edges[bucket + 1])) for edges in self._runs]
        return np.concatenate(parts) if parts else np.empty(0, ROW)

    def _part(self, start: int, stop: int) -> Rows:
        data = os.pread(self._file.fileno(), (stop - start) * ROW.itemsize, start * ROW.itemsize)
        return np.frombuffer(data, ROW)

    def _write(self) -> None:
        buckets = np.concatenate([bucket for bucket, _ in self._held])
        rows = np.concatenate([rows for _, rows in self._held])
        self._held, self._n_held = [], 0
        order = np.argsort(buckets, kind="stable")
        counts = np.bincount(buckets, minlength=N_BUCKETS)
        try:
            _write_all(self._file, memoryview(rows[order].tobytes()))
        except OSError as error:
            raise _no_room(error) from error
        self._runs.append(self._n_written + np.append(0, np.cumsum(counts)))
        self._n_written += len(rows)
        self.counts += counts


def _write_all(file: Any, data: memoryview) -> None:
    while data:
        data = data[file.write(data) :]


def _no_room(error: OSError) -> OutputUnwritable:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    step = f"free some space (32 bytes an event are needed){'' if full else ', look at its permissions'}"
    return OutputUnwritable(
        f"cannot write temporary files in {tempfile.gettempdir()}: {error.strerror or error}; {step}, "
        "or set TMPDIR to another folder"
    )
