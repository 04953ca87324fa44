"""Break lines on purpose: what a consumer has to survive.

Lines and a mask go in; the lines come out with the chosen ones broken in one of four ways, chosen by the event's hash.
A broken line still ends in its one newline. It has no fields: its hash is that of its bytes without the newline.
"""

import re
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

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


BREAKS: tuple[Callable[[bytes], bytes], ...] = (_truncated, _time_as_words, _not_json, _bad_utf8)


def malform(lines: pa.BinaryArray, hashes: UInt64s, is_broken: npt.NDArray[np.bool_]) -> tuple[pa.BinaryArray, UInt64s]:
    """Break the lines where `is_broken` says so; their hashes change with them."""
    (positions,) = np.nonzero(is_broken)
    if len(positions) == 0:
        return lines, hashes
    # a loop over events, but only over the few that are to be broken
    whole = zip(lines.take(pa.array(positions)).to_pylist(), hashes[positions].tolist(), strict=True)
    broken = pa.array([BREAKS[code % len(BREAKS)](line[:-1]) for line, code in whole], pa.binary())
    hashes = hashes.copy()
    hashes[positions] = hash_strings(broken)
    ended = pc.binary_join_element_wise(broken, b"\n", b"")
    return pc.replace_with_mask(lines, pa.array(is_broken), ended), hashes
