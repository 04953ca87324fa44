"""The wire format of a schema registry: what it writes in front of a record, and how that is read.

A message that a registry's serializer wrote begins with a zero byte and the id of its schema in four bytes, big-endian.
In Protobuf a list of indexes follows that picks the message of the schema, a single zero for the first.
"""

import struct

import numpy as np
import pyarrow as pa

from loadgen.config.names import EncodingName
from loadgen.cursor import ALL, Cursor
from loadgen.event import Int64s

HEADER_BYTES = 5
NO_SCHEMA, CUT_OFF = -1, -2
_FIRST_MESSAGE = b"\0"
_INDEXES = "its message indexes"


def header(name: EncodingName, schema_id: int) -> bytes:
    """What stands before a record.

    Args:
        name: of its encoding.
        schema_id: as the registry gave it.
    """
    return struct.pack(">bI", 0, schema_id) + (_FIRST_MESSAGE if name == "protobuf" else b"")


def schema_ids(messages: pa.Array) -> Int64s:
    """The id of the schema of each message; NO_SCHEMA where it has no header, CUT_OFF where it ends within it.

    Args:
        messages: binary or large binary, none null.
    """
    cursor = Cursor(messages)
    words = cursor.words(ALL)
    ids = (words >> np.uint64(8)).astype(np.uint32).byteswap().astype(np.int64)
    n_bytes = cursor.ends - cursor.at
    begins = ((words & np.uint64(0xFF)) == 0) & (n_bytes > 0)
    return np.where(begins, np.where(n_bytes < HEADER_BYTES, CUT_OFF, ids), NO_SCHEMA)


def header_lengths(messages: pa.Array) -> Int64s:
    """How many bytes header and indexes have of each Protobuf message that is the first of its schema; else NO_SCHEMA.

    Args:
        messages: binary or large binary with headers, none null.
    """
    cursor = Cursor(messages, HEADER_BYTES)
    starts = cursor.at - HEADER_BYTES
    n_indexes = cursor.integers(ALL, _INDEXES)
    one = np.flatnonzero(n_indexes == 1)  # 1, 0 is written as 0 alone, but may be written out
    index = np.zeros(len(starts), np.int64)
    index[one] = cursor.integers(one, _INDEXES)
    is_first = cursor.is_good & ((n_indexes == 0) | (n_indexes == 1)) & (index == 0)
    return np.where(is_first, cursor.at - starts, NO_SCHEMA)
