"""Lines for the tests of sinks: small, all different, told apart by a hash of their bytes."""

import time

import numpy as np
import pyarrow as pa

from loadgen.event import N_VIRTUAL_SHARDS, Int64s
from loadgen.sink import EncodedBatch

T0_MS = 1_764_547_200_000
N_PAGES = 9


def make_lines(n: int, first: int = 0, users: int = 500, step_ms: int = 1, pad: int = 60) -> EncodedBatch:
    """Events number first .. first + n of a fixed sequence, over so many listeners."""
    numbers = np.arange(first, first + n, dtype=np.int64)
    row = (numbers * 7919 % users).astype(np.int32)
    ts_ms = T0_MS + numbers * step_ms
    values = [
        b'{"ts":%d,"userId":%d,"n":%d,"pad":"%s"}\n' % (ts, user, number, b"x" * (number % pad))
        for ts, user, number in zip(ts_ms.tolist(), row.tolist(), numbers.tolist(), strict=True)
    ]
    return EncodedBatch(
        lines=pa.array(values, pa.binary()),
        row=row,
        user_id=row.astype(np.int64),
        ts_ms=ts_ms,
        page=(numbers % N_PAGES).astype(np.uint8),
        virtual_shard=(row % N_VIRTUAL_SHARDS).astype(np.uint16),
        hash=np.array([hash_of(value.rstrip()) for value in values], np.uint64),
        due_ns=np.full(n, time.monotonic_ns(), np.int64),
    )


def hash_of(value: bytes) -> int:
    """A 64-bit hash of a line without its newline."""
    return hash(value) & (2**64 - 1)


def user_ids(users: int = 500) -> Int64s:
    """The listeners of `make_lines`, by row."""
    return np.arange(users, dtype=np.int64)
