"""Rows as the bytes of a file, by the ending of its name."""

import io

import pyarrow as pa
import pyarrow.parquet as pq

from loadgen.container import SYNC_BYTES, blocks, header
from loadgen.files import Compression

ROWS = ("parquet", "avro")


def as_file(table: pa.Table, suffix: str, codec: Compression | None = None) -> bytes:
    """A Parquet file, uncompressed, or an Avro container file."""
    if suffix == "avro":
        sync = bytes(range(SYNC_BYTES))
        return header(table.schema, codec, sync) + b"".join(blocks(table, codec, sync))
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()
