"""Reads many records side by side: a position in each, moved forward field by field, all of them in one step.

In: a binary array with a record in each row. Out: columns of numbers and texts. A record that cannot be read keeps its
first fault, and is not read on; the others are not affected.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from loadgen.event import Int64s, UInt8s, UInt64s
from loadgen.fingerprint import words_of

_WORD_BYTES = 8
_PADDING = 3 * _WORD_BYTES
"""Zeros behind the data, so that whatever begins in it can be looked at."""
_HIGH_BITS, _LOW_BITS = np.uint64(0x8080808080808080), np.uint64(0x7F7F7F7F7F7F7F7F)
_GATHER = (
    (np.uint64(0x007F007F007F007F), np.uint64(1)),
    (np.uint64(0x00003FFF00003FFF), np.uint64(2)),
    (np.uint64(0x000000000FFFFFFF), np.uint64(4)),
)
"""Brings the seven low bits of each byte together: to 14, 28, 56 bits (mask of the lower half, shift)."""
_LONG_BYTES = 4096
"""Spans longer than this are copied one by one: what a step costs is small beside it."""
_CUT_OFF = "ends within {}"
Bools = npt.NDArray[np.bool_]
Rows = Int64s | slice
ALL = slice(None)


class Cursor:
    """A position in each record.

    Attributes:
        at, ends: int64[n], the position, and where the record ends.
    """

    def __init__(self, records: pa.Array, skip: int | Int64s = 0) -> None:
        """Begin at the start of each record.

        Args:
            records: binary or large binary, none null.
            skip: how many bytes at the start are no part of it: one number, or int64[n].
        """
        records = records.cast(pa.large_binary())
        _, offsets_buffer, data = records.buffers()
        offsets = np.frombuffer(offsets_buffer, np.int64)[records.offset : records.offset + len(records) + 1]
        n_bytes = data.size if data else 0
        self._data = np.zeros(n_bytes + _PADDING, np.uint8)
        self._data[:n_bytes] = np.frombuffer(data or b"", np.uint8)
        self._words = words_of(self._data)
        self.ends = offsets[1:].copy()
        self.at = offsets[:-1] + skip
        self._fault = np.zeros(len(records), np.int16)
        self._reasons = [""]
        self._clip(ALL, "its header")

    @property
    def is_good(self) -> Bools:
        """Which records have no fault so far."""
        is_good: Bools = self._fault == 0
        return is_good

    @property
    def faults(self) -> dict[int, str]:
        """By row: why its record cannot be read."""
        return {row: self._reasons[self._fault[row]] for row in np.flatnonzero(self._fault).tolist()}

    def fail(self, rows: Rows, is_wrong: Bools, reason: str) -> None:
        """Give up those of these rows that are wrong."""
        if is_wrong.any():
            chosen = np.arange(len(self.at))[rows][is_wrong]
            self._fault[chosen] = np.where(self._fault[chosen] == 0, len(self._reasons), self._fault[chosen])
            self._reasons.append(reason)
            self.at[chosen] = self.ends[chosen]

    def finish(self) -> None:
        """Give up those records that go on behind their last field."""
        self.fail(ALL, self.at < self.ends, "goes on behind its last field")

    def words(self, rows: Rows) -> UInt64s:
        """The next eight bytes, little-endian; what lies behind the record is not masked."""
        found: UInt64s = self._words[self.at[rows]]
        return found

    def skip(self, rows: Rows, lengths: int | Int64s, what: str) -> None:
        """Move forward by these numbers of bytes."""
        self.at[rows] += lengths
        self._clip(rows, what)

    def bytes(self, rows: Rows, what: str) -> UInt8s:
        """The next byte."""
        found: UInt8s = self._data[self.at[rows]]
        self.skip(rows, 1, what)
        return found

    def varints(self, rows: Rows, what: str) -> UInt64s:
        """The next varint."""
        at = self.at[rows]
        values: UInt64s = self._data[at].astype(np.uint64)
        if values.max(initial=0) < 0x80:  # of one byte, each
            self.skip(rows, 1, what)
            return values
        words = self._words[at]
        stops = ~words & _HIGH_BITS
        below = (stops & (~stops + np.uint64(1))) - np.uint64(1)  # all bits of the number
        lengths = (np.bitwise_count(below).astype(np.int64) + 1) >> 3
        values = words & below & _LOW_BITS
        for mask, shift in _GATHER:
            values = (values & mask) | ((values >> shift) & (mask << shift * np.uint64(7)))
        is_long = stops == 0
        if is_long.any():
            self._read_long(rows, is_long, at, values, lengths, what)
        self.skip(rows, lengths, what)
        return values

    def _read_long(self, rows: Rows, is_long: Bools, at: Int64s, values: UInt64s, lengths: Int64s, what: str) -> None:
        """Add what stands in the ninth and tenth byte of a varint."""
        ninth, tenth = (self._data[at[is_long] + place].astype(np.uint64) for place in (8, 9))
        goes_on = ninth >= 0x80
        values[is_long] |= (ninth & np.uint64(0x7F)) << np.uint64(56)
        values[is_long] |= np.where(goes_on, tenth << np.uint64(63), np.uint64(0))
        lengths[is_long] += np.where(goes_on, 2, 1)
        is_wrong = is_long.copy()
        is_wrong[is_long] = goes_on & (tenth > 1)
        self.fail(rows, is_wrong, f"has a number of more than 64 bits as {what}")

    def integers(self, rows: Rows, what: str) -> Int64s:
        """The next varint as an integer with a sign, as Avro has it."""
        values = self.varints(rows, what)
        return (values >> np.uint64(1)).view(np.int64) ^ -(values & np.uint64(1)).view(np.int64)

    def doubles(self, rows: Rows, what: str) -> npt.NDArray[np.float64]:
        """The next float64."""
        found = self.words(rows).view(np.float64)
        self.skip(rows, _WORD_BYTES, what)
        return found

    def floats(self, rows: Rows, what: str) -> npt.NDArray[np.float64]:
        """The next float32."""
        found = (self.words(rows) & np.uint64(0xFFFFFFFF)).astype(np.uint32).view(np.float32)
        self.skip(rows, 4, what)
        with np.errstate(invalid="ignore"):  # a signalling NaN is a NaN like any other
            return found.astype(np.float64)

    def spans(self, rows: Rows, lengths: Int64s, what: str) -> tuple[Int64s, Int64s]:
        """Where the next `lengths` bytes begin, and how many there are: none where the record is too short."""
        is_wrong = (lengths < 0) | (lengths > self.ends[rows] - self.at[rows])
        if is_wrong.any():
            self.fail(rows, is_wrong, _CUT_OFF.format(what))
            lengths = np.where(is_wrong, 0, lengths)
        starts = self.at[rows].copy()
        self.at[rows] += lengths
        return starts, lengths

    def binary(self, starts: Int64s, lengths: Int64s, is_there: Bools) -> pa.BinaryArray:
        """The bytes of these spans; null where they are not there.

        Written eight bytes of each at a time, the ends of long spans first: what one writes beyond its end, a later one
        overwrites.
        """
        offsets = np.zeros(len(starts) + 1, np.int32)
        np.cumsum(lengths, out=offsets[1:])
        data = np.zeros(int(offsets[-1]) + _WORD_BYTES, np.uint8)
        words = words_of(data)
        by_words = np.where(lengths > _LONG_BYTES, 0, lengths)
        for done in range(int(by_words.max(initial=0) - 1) // _WORD_BYTES * _WORD_BYTES, -1, -_WORD_BYTES):
            rows: Any = np.flatnonzero(by_words > done)
            words[offsets[rows] + done] = self._words[starts[rows] + done]
        for row in np.flatnonzero(lengths > _LONG_BYTES).tolist():
            data[offsets[row] : offsets[row + 1]] = self._data[starts[row] : starts[row] + lengths[row]]
        validity = None if is_there.all() else pa.py_buffer(np.packbits(is_there, bitorder="little"))
        buffers = [validity, pa.py_buffer(offsets), pa.py_buffer(data)]
        return pa.Array.from_buffers(pa.binary(), len(starts), buffers)

    def _clip(self, rows: Rows, what: str) -> None:
        self.fail(rows, self.at[rows] > self.ends[rows], _CUT_OFF.format(what))
