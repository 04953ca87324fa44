"""Break records on purpose: what a consumer has to survive.

Records and a mask go in; the records come out with the chosen ones broken in a way that the event's hash chooses. A
broken line still ends in its one newline. A broken record has no fields: its hash is that of its bytes without the
newline. The header of a registry's wire format stays; one of the ways in which Avro and Protobuf break is without it.
"""

import re
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from loadgen.encode.encoding import Encoding
from loadgen.encode.text import JSON_LINES, Json
from loadgen.event import UInt64s
from loadgen.fingerprint import hash_strings

_TIME = re.compile(rb'("ts"|"timestamp"):[^,]+')
"""The field that holds the time; inside a text its quotes would have backslashes, so it is found nowhere else."""


def _truncated(line: bytes) -> bytes:
    return line[: len(line) // 2]


def _time_as_words(line: bytes) -> bytes:
    return _TIME.sub(rb'\1:"yesterday"', line, count=1)


def _not_json(line: bytes) -> bytes:
    return line.replace(b'"', b"'")


def _bad_utf8(line: bytes) -> bytes:
    return line.replace(b':"', b':"\xff\xfe', 1)


def _cut_short(record: bytes) -> bytes:
    """Without its last byte, the last value is not whole; a Protobuf message cut elsewhere may be a whole one."""
    return record[:-1]


Break = Callable[[bytes], bytes]
BREAKS: tuple[Break, ...] = (_truncated, _time_as_words, _not_json, _bad_utf8)
NO_MAGIC = b"\xff"
"""In place of the first byte of the wire format."""


def _broken(record: bytes, code: int, encoding: Encoding) -> bytes:
    """A record, without what ends it, broken in a way that its hash chooses."""
    header, body = record[: len(encoding.opening)], record[len(encoding.opening) :]
    if isinstance(encoding, Json):
        return header + BREAKS[code % len(BREAKS)](body)
    return header + _cut_short(body) if code % 2 else NO_MAGIC + record[1:]


def malform(
    lines: pa.BinaryArray, hashes: UInt64s, is_broken: npt.NDArray[np.bool_], encoding: Encoding = JSON_LINES
) -> tuple[pa.BinaryArray, UInt64s]:
    """Break the records, each ending in a newline, where `is_broken` says so; their hashes change with them."""
    (positions,) = np.nonzero(is_broken)
    if len(positions) == 0:
        return lines, hashes
    # a loop over events, but only over the few that are to be broken
    whole = zip(lines.take(pa.array(positions)).to_pylist(), hashes[positions].tolist(), strict=True)
    broken = pa.array([_broken(line[:-1], code, encoding) for line, code in whole], pa.binary())
    hashes = hashes.copy()
    hashes[positions] = hash_strings(broken)
    ended = pc.binary_join_element_wise(broken, b"\n", b"")
    return pc.replace_with_mask(lines, pa.array(is_broken), ended), hashes
