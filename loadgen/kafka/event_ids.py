"""The header by which an event is recognised behind the system under test.

In: of each event its place (virtual shard, and position in that virtual shard's sequence) and when it is due. Out: a
text that says both, and back:

    x rrrrrrrr vv pppppppp dddddddddddddddd     35 bytes; all but the x are hexadecimal digits
      run      virtual shard, position, due: time.monotonic_ns() of this host

It is text because some systems take every header for text, and begins with a letter because Kafka Connect would take
digits for a number. A place is the same for each incarnation of a worker, so what was sent twice is recognised.
"""

import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Self

import numpy as np
import pyarrow as pa

from loadgen.event import N_VIRTUAL_SHARDS, Int64s, UInt16s, rank_within

HEADER = "loadgen-event"
_ROW = np.dtype([("run", ">u4"), ("virtual_shard", "u1"), ("position", ">u4"), ("due_ns", ">i8")])
"""One byte is enough for a virtual shard."""
N_BYTES = 1 + 2 * _ROW.itemsize
_NO_HEADER = bytes(N_BYTES)
NO_RUN = -1
_LETTER = ord("x")
_DIGITS = np.frombuffer(b"".join(b"%02x" % byte for byte in range(256)), np.uint16)
"""The two digits of each byte."""
_NO_BYTE = 256
_BYTES = np.full(1 << 16, _NO_BYTE, np.uint16)
"""The byte of each two digits."""
_BYTES[_DIGITS] = np.arange(256)


def run_tag(run_id: str) -> int:
    """A number below 2**32 by which events of a run are told from those of others."""
    return zlib.crc32(run_id.encode())


def without_ids(headers: list[tuple[str, bytes]] | None) -> list[tuple[str, bytes]] | None:
    """The headers of a message but for this one; None where it has no others."""
    return [one for one in headers or () if one[0] != HEADER] or None


class Positions:
    """Counts the events of each virtual shard."""

    def __init__(self) -> None:
        self._next = np.zeros(N_VIRTUAL_SHARDS, np.int64)

    def of(self, virtual_shard: UInt16s) -> Int64s:
        """The positions of the next events, int64[n]; virtual_shard: of each, in the order of leaving."""
        ranks, counts = rank_within(virtual_shard, N_VIRTUAL_SHARDS)
        ranks += self._next[virtual_shard]
        self._next += counts
        return ranks


@dataclass(frozen=True, slots=True)
class EventIds:
    """Which events some messages are; all int64 of one length.

    Attributes:
        virtual_shard, position: their places.
        due_ns: when each was due, time.monotonic_ns().
    """

    virtual_shard: Int64s
    position: Int64s
    due_ns: Int64s

    def __len__(self) -> int:
        return len(self.due_ns)

    def headers(self, run: int) -> pa.BinaryArray:
        """The header's value for each event of the run with this tag; not of fixed size, which costs ten times as much
        to convert to Python."""
        rows = np.empty(len(self), _ROW)
        rows["run"] = run
        rows["virtual_shard"], rows["position"], rows["due_ns"] = self.virtual_shard, self.position, self.due_ns
        texts = np.empty((len(self), N_BYTES), np.uint8)
        texts[:, 0] = _LETTER
        texts[:, 1:] = _DIGITS[rows.view(np.uint8).reshape(len(self), _ROW.itemsize)].view(np.uint8)
        ends = np.arange(len(self) + 1, dtype=np.int32) * N_BYTES
        return pa.Array.from_buffers(pa.binary(), len(self), [None, pa.py_buffer(ends), pa.py_buffer(texts)])

    @classmethod
    def read(cls, values: Sequence[bytes], run: int) -> Self:
        """The events of the run with this tag among those of these headers."""
        ids, runs = cls.read_all(values)
        rows = np.flatnonzero(runs == run)
        return ids if len(rows) == len(ids) else ids.take(rows)

    @classmethod
    def read_all(cls, values: Sequence[bytes]) -> tuple[Self, Int64s]:
        """The events of these headers, and the tags of their runs, int64: NO_RUN where it is no such header."""
        if set(map(len, values)) != {N_BYTES}:
            values = [value if len(value) == N_BYTES else _NO_HEADER for value in values]
        texts = np.frombuffer(b"".join(values), np.uint8).reshape(len(values), N_BYTES)
        found = _BYTES[np.ascontiguousarray(texts[:, 1:]).view(np.uint16)]
        rows = found.astype(np.uint8).view(_ROW)[:, 0]
        is_one = (texts[:, 0] == _LETTER) & (found.max(axis=1, initial=0) < _NO_BYTE)
        ids = cls(*(rows[name].astype(np.int64) for name in ("virtual_shard", "position", "due_ns")))
        return ids, np.where(is_one, rows["run"].astype(np.int64), NO_RUN)

    def take(self, rows: Int64s) -> Self:
        """Those in these rows."""
        return type(self)(self.virtual_shard[rows], self.position[rows], self.due_ns[rows])


def header_values(headers: Sequence[Any]) -> list[bytes]:
    """The value of this header of each message, empty where it has none.

    Most often it is the last one of all, which needs no Python loop.

    Args:
        headers: what a consumer gives for each: None, or a list of (name, value).
    """
    with suppress(TypeError, IndexError):  # some have no headers
        last = list(map(itemgetter(-1), headers))
        if set(map(itemgetter(0), last)) == {HEADER}:
            values: list[bytes] = list(map(itemgetter(1), last))
            if None not in values:
                return values
    return [dict(pairs or ()).get(HEADER) or b"" for pairs in headers]
