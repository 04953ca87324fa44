"""The fingerprint from the consumer's side: lines in, the hash of each event out, field by field."""

from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from loadgen.event import N_VIRTUAL_SHARDS, UInt64s
from loadgen.fingerprint import NO_KEY, hash_floats, hash_integers, hash_null, hash_texts, mix
from loadgen.ledger import Fingerprint

INTEGERS = {"ts", "userId", "sessionId", "status", "itemInSession", "age", "song_popularity"}
DECIMALS = {"length", "duration"}


def hashes_of(records: list[dict[str, Any]], key: np.uint64 = NO_KEY) -> UInt64s:
    """The hash of each event, with the key of its run: uint64[n]."""
    totals = np.zeros(len(records), np.uint64)
    for name in {name for record in records for name in record}:
        rows = [row for row, record in enumerate(records) if record.get(name) is not None]
        totals[rows] += _terms(name, [records[row][name] for row in rows], key)
        nulls = [row for row, record in enumerate(records) if name in record and record[name] is None]
        totals[nulls] += hash_null(name)
    return mix(totals)


def _terms(name: str, values: list[Any], key: np.uint64) -> UInt64s:
    if name == "timestamp":
        times = np.array([value.removesuffix("+00:00") for value in values], "datetime64[ms]")
        return hash_integers(name, times.astype(np.int64), key)
    if name in INTEGERS:  # a track's terms are the same for all runs: they are kept with the catalogue
        return hash_integers(name, np.array(values, np.int64), NO_KEY if name == "song_popularity" else key)
    if name in DECIMALS:
        return hash_floats(name, np.array(values, np.float64))
    return hash_texts(name, pa.array(values, pa.string()))


def fingerprint_of(lines: list[bytes], key: np.uint64 = NO_KEY) -> Fingerprint:
    """The fingerprint of lines of the formats that carry the user id."""
    records = [orjson.loads(line) for line in lines]
    found = Fingerprint()
    found.add(np.array([record["userId"] % N_VIRTUAL_SHARDS for record in records], np.uint16), hashes_of(records, key))
    return found
