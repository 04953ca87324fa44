"""Break lines on purpose: what a consumer has to survive.

Lines and a mask go in; the lines come out with the chosen ones broken in one of four ways, chosen by the event's hash.
A broken line still ends in its one newline, and its hash is that of its bytes, since it has no fields.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from loadgen.event import UInt64s
from loadgen.fingerprint import hash_strings


def _truncated(line: bytes) -> bytes:
    return line[: len(line) // 2]


def _time_as_words(line: bytes) -> bytes:
    key, _, rest = line.partition(b":")
    return key + b':"yesterday"' + rest[rest.find(b",") :]


def _not_json(line: bytes) -> bytes:
    return line.replace(b'"', b"'")


def _bad_utf8(line: bytes) -> bytes:
    return line[:-1] + b"\xff\xfe" + line[-1:]


BREAKS: tuple[Callable[[bytes], bytes], ...] = (_truncated, _time_as_words, _not_json, _bad_utf8)


def malform(
    lines: pa.BinaryArray, hashes: UInt64s, broken: npt.NDArray[np.bool_]
) -> tuple[pa.BinaryArray, UInt64s]:
    """Break the lines where `broken` says so; their hashes change with them."""
    (positions,) = np.nonzero(broken)
    if len(positions) == 0:
        return lines, hashes
    # a loop over events, but only over the few that are to be broken
    spoilt = pa.array(
        [
            BREAKS[int(hashes[position]) % len(BREAKS)](lines[position].as_py()[:-1]) + b"\n"
            for position in positions.tolist()
        ],
        pa.binary(),
    )
    hashes = hashes.copy()
    hashes[positions] = hash_strings(spoilt)
    return pc.replace_with_mask(lines, pa.array(broken), spoilt), hashes
