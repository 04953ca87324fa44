"""Lines for the tests of sinks: small, all different, told apart by a hash of their bytes."""

import time

import numpy as np
import pyarrow as pa

from loadgen.event import N_VIRTUAL_SHARDS
from loadgen.kafka.partition import hash_of_ids
from loadgen.sink import EncodedBatch

T0_MS = 1_764_547_200_000
N_PAGES = 9


def make_lines(n: int, first: int = 0, users: int = 500, step_ms: int = 1, pad: int = 60) -> EncodedBatch:
    """Events number first .. first + n of a fixed sequence, over so many listeners."""
    numbers = np.arange(first, first + n, dtype=np.int64)
    user_id = numbers * 7919 % users
    ts_ms = T0_MS + numbers * step_ms
    values = [
        b'{"ts":%d,"userId":%d,"n":%d,"pad":"%s"}\n' % (ts, user, number, b"x" * (number % pad))
        for ts, user, number in zip(ts_ms.tolist(), user_id.tolist(), numbers.tolist(), strict=True)
    ]
    return EncodedBatch(
        lines=pa.array(values, pa.binary()),
        user_id=user_id,
        ts_ms=ts_ms,
        page=(numbers % N_PAGES).astype(np.uint8),
        virtual_shard=(user_id % N_VIRTUAL_SHARDS).astype(np.uint16),
        hash=np.array([hash_of(value.rstrip()) for value in values], np.uint64),
        due_ns=np.full(n, time.monotonic_ns(), np.int64),
        key_hash=hash_of_ids(user_id),
    )


def hash_of(value: bytes) -> int:
    """A 64-bit hash of a line without its newline."""
    return hash(value) & (2**64 - 1)
