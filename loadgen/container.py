"""Tables to Avro container files, and back.

A file begins with its schema and the codec of its blocks; a block says how many records it has and how long it is, and
ends in the file's sync marker.

In: tables with the columns of `loadgen.store.table`. Out: blocks of BLOCK_RECORDS; the readers of Avro know such files.
Read are these files and those of others whose fields have a single value or null each, as tables
with times as in JSON. Few records in a block let a reader go through many blocks side by side.
"""

import bz2
import io
import json
import lzma
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loadgen.binary import Texts, doubles, integers_of, join, lengths_of, literal, packed, tagged, varints, zigzag
from loadgen.decode.avro import AvroColumn, columns_of, decode
from loadgen.decode.blocks import split
from loadgen.decode.columns import as_stored
from loadgen.files import Compression, compressed, decompressed
from loadgen.formats import KnownFormats
from loadgen.store import Store, StoredFile
from loadgen.store.layout import OF_ROWS, PublishedFile
from loadgen.store.read import damaged, parquet_tables

MAGIC = b"Obj\x01"
SYNC_BYTES = 16
BLOCK_RECORDS = 256
WINDOW_BYTES = 16 << 20
"""So much of a file is decoded at a time."""
MOST_BYTES = 1 << 31
"""Of a block; a length beyond it is damage."""
CODECS: dict[Compression | None, str] = {None: "null", "gz": "deflate", "zst": "zstandard"}
_TYPES: dict[pa.DataType, str] = {pa.int64(): "long", pa.float64(): "double", pa.string(): "string"}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NULL, _VALUE = b"\x00", b"\x02"
"""The branches of a union of null and something else."""


def nameable(known: KnownFormats, note: Callable[[str], None]) -> KnownFormats:
    """Those of the formats and fields whose names Avro allows; note: says which others are kept as text."""
    formats = tuple(one for one in known.formats if all(map(_NAME.fullmatch, one.names)))
    fields = tuple(one for one in known.fields if _NAME.fullmatch(one.name))
    names = {one.name for one in known.formats} | {one.name for one in known.fields}
    for name in sorted(names - {one.name for one in formats} - {one.name for one in fields}):
        note(f"{name}: Avro allows no '.' and '-' in names; records that have them are kept as JSON, in `raw`")
    return KnownFormats(formats, fields)


def schema_of(table: pa.Schema) -> str:
    """The Avro schema of a table: each field is null or a value; `ts` is of the logical type timestamp-millis."""
    fields = []
    for column in table:
        kind = {"type": "long", "logicalType": "timestamp-millis"} if column.name == "ts" else _TYPES[column.type]
        fields.append({"name": column.name, "type": ["null", kind], "default": None})
    return json.dumps({"type": "record", "name": "Event", "namespace": "loadgen", "fields": fields})


def header(table: pa.Schema, codec: Compression | None, sync: bytes) -> bytes:
    """The start of a file with these columns; sync: its marker, random."""
    entries = {"avro.schema": schema_of(table), "avro.codec": CODECS[codec]}
    found = b"".join(_bytes(name.encode()) + _bytes(text.encode()) for name, text in entries.items())
    return MAGIC + _long(len(entries)) + found + _long(0) + sync


def blocks(table: pa.Table, codec: Compression | None, sync: bytes) -> Iterator[bytes]:
    """The rows of a table with the columns of the file's header."""
    if len(table) == 0:
        return
    pieces = chain.from_iterable(_pieces(column.combine_chunks()) for column in table.columns)
    records = join(pa.repeat(literal(b""), len(table)), *pieces)
    edges = [*range(0, len(records), BLOCK_RECORDS), len(records)]
    _, offsets, data = records.buffers()
    ends = np.frombuffer(offsets, np.int32)[edges].tolist()
    for at, (begin, end) in enumerate(pairwise(ends)):
        block = _packed(data[begin:end].to_pybytes(), codec)
        yield _long(edges[at + 1] - edges[at]) + _bytes(block) + sync


def _pieces(values: pa.Array) -> list[Texts]:
    """The values of a column, each behind its branch."""
    if values.null_count == len(values):
        return [literal(_NULL)]
    if pa.types.is_string(values.type):
        texts = values.fill_null("").cast(pa.binary())
        return [_of_values(values, packed(tagged(_VALUE, varints(lengths_of(texts) << np.uint64(1))))), texts]
    filled = values.fill_null(0)
    runs = [doubles(filled.to_numpy())] if pa.types.is_floating(values.type) else varints(zigzag(integers_of(filled)))
    return [_of_values(values, packed(tagged(_VALUE, runs)))]


def _of_values(values: pa.Array, pieces: pa.BinaryArray) -> pa.BinaryArray:
    return pc.if_else(values.is_valid(), pieces, literal(_NULL)) if values.null_count else pieces


def _long(value: int) -> bytes:
    found: bytes = packed(varints(zigzag(np.array([value], np.int64))))[0].as_py()
    return found


def _bytes(data: bytes) -> bytes:
    return _long(len(data)) + data


def _packed(data: bytes, codec: Compression | None) -> bytes:
    if codec == "gz":
        deflate = zlib.compressobj(1, wbits=-zlib.MAX_WBITS)
        return deflate.compress(data) + deflate.flush()
    return data if codec is None else bytes(compressed(data, codec))


def _unsnapped(data: bytes) -> bytes:
    """Snappy's bytes begin with the length of what is in them; Avro adds a checksum of four bytes."""
    n_bytes, shift = 0, 0
    for byte in data[:5]:
        n_bytes, shift = n_bytes | (byte & 0x7F) << shift, shift + 7
        if byte < 0x80:
            break
    found: bytes = pa.Codec("snappy").decompress(data[:-4], n_bytes, asbytes=True)
    return found


_UNPACK: dict[str, Callable[[bytes], bytes]] = {
    "null": lambda data: data,
    "deflate": lambda data: zlib.decompress(data, -zlib.MAX_WBITS),
    "zstandard": lambda data: bytes(decompressed(io.BytesIO(data), "zst").read()),
    "snappy": _unsnapped,
    "bzip2": bz2.decompress,
    "xz": lzma.decompress,
}
DAMAGE = (
    *(ValueError, LookupError, TypeError, AttributeError, RecursionError, ArithmeticError),
    *(EOFError, OSError, zlib.error, lzma.LZMAError, pa.ArrowException),
)
"""What reading raises of a file that is none, or not whole."""


@dataclass(frozen=True, slots=True)
class Container:
    """What stands at the start of a file.

    Attributes:
        columns: the fields of its records.
        codec: of its blocks.
        sync: its marker.
        begin: where its first block begins.
    """

    columns: tuple[AvroColumn, ...]
    codec: str
    sync: bytes
    begin: int

    @classmethod
    def of(cls, opened: BinaryIO) -> "Container":
        """Read it; raises one of DAMAGE."""
        if opened.read(len(MAGIC)) != MAGIC:
            raise ValueError("it is no Avro container file")
        entries = {}
        while n_entries := _read_long(opened):
            if n_entries < 0:  # its length in bytes follows
                _read_long(opened)
            for _ in range(abs(n_entries)):
                name = _read(opened, _read_long(opened))
                entries[name] = _read(opened, _read_long(opened))
        codec = entries.get(b"avro.codec", b"null").decode()
        if codec not in _UNPACK:
            raise ValueError(f"its codec must be one of {', '.join(_UNPACK)}, got {codec!r}")
        sync = _read(opened, SYNC_BYTES)
        return cls(columns_of(entries[b"avro.schema"].decode()), codec, sync, opened.tell())

    @property
    def schema(self) -> pa.Schema:
        """The columns of its tables."""
        return as_stored(decode(pa.array([], pa.binary()), self.columns).table).schema

    def blocks(self, opened: BinaryIO, position: int) -> Iterator[tuple[int, bytes, int]]:
        """Number of records, bytes and end of each block from this position on."""
        opened.seek(position)
        while (first := opened.read(1)) != b"":
            n_records = _read_long(opened, first)
            data = _read(opened, _read_long(opened))
            if _read(opened, SYNC_BYTES) != self.sync or n_records < 0:
                raise ValueError("a block is not followed by the file's sync marker")
            yield n_records, data, opened.tell()

    def tables(self, opened: BinaryIO, position: int = 0) -> Iterator[tuple[pa.Table, int]]:
        """The records from this position on, that of a block or 0, as tables, and where each ends."""
        counts: list[int] = []
        held: list[bytes] = []
        n_bytes = 0
        end = 0
        for n_records, data, end in self.blocks(opened, position or self.begin):
            if n_records == 0:
                continue
            held.append(_UNPACK[self.codec](data))
            if n_records > len(held[-1]):
                raise ValueError(f"a block of {len(held[-1])} bytes has {n_records} records")
            counts.append(n_records)
            n_bytes += len(held[-1])
            if n_bytes >= WINDOW_BYTES:
                yield self._table(counts, held), end
                counts, held, n_bytes = [], [], 0
        if counts:
            yield self._table(counts, held), end

    def _table(self, counts: list[int], held: list[bytes]) -> pa.Table:
        records = split(pa.array(held, pa.large_binary()), np.array(counts, np.int64), self.columns)
        found = decode(records, self.columns)
        for fault in found.faults.values():
            raise ValueError(f"a record {fault}")
        return as_stored(found.table)


def _read_long(opened: BinaryIO, first: bytes = b"") -> int:
    value, shift = 0, 0
    while shift < 70:
        (byte,) = first or _read(opened, 1)
        value, shift, first = value | (byte & 0x7F) << shift, shift + 7, b""
        if byte < 0x80:
            return value >> 1 ^ -(value & 1)
    raise ValueError("a number has more than 64 bits")


def _read(opened: BinaryIO, n_bytes: int) -> bytes:
    if not 0 <= n_bytes <= MOST_BYTES:
        raise ValueError(f"a length of {n_bytes} bytes is out of bounds")
    data = opened.read(n_bytes)
    if len(data) < n_bytes:
        raise ValueError("it ends within a block")
    return data


def container_tables(store: Store, path: str, position: int = 0) -> Iterator[tuple[pa.Table, int]]:
    """The records of a container file, from a position on: tables, and where each ends.

    Raises:
        StoreError: it cannot be read, or is damaged, or has fields with more than one value.
    """
    with store.open(path) as opened:
        try:
            yield from Container.of(opened).tables(opened, position)
        except DAMAGE as error:
            raise damaged(store, path, error) from error


def row_tables(store: Store, file: StoredFile | PublishedFile) -> Iterator[pa.Table]:
    """The rows of a Parquet file or an Avro container file; raises StoreError as their readers do."""
    assert file.path.endswith(OF_ROWS)
    if file.path.endswith(".parquet"):
        yield from parquet_tables(store, file)
    else:
        yield from (table for table, _ in container_tables(store, file.path))
