"""Compression in pieces that can each be read alone, and streams that read many of them.

In: bytes, file names, files. Out: gzip members or zstd frames; what they held.
"""

import os
from typing import Any, BinaryIO, Literal

import pyarrow as pa

from loadgen.disk import Bytes

Compression = Literal["gz", "zst"]

_CODECS: dict[Compression, tuple[str, int]] = {"gz": ("gzip", 1), "zst": ("zstd", 1)}
"""Codec and level. Higher levels cost more than they save: gzip 4 takes half as long again for a tenth less."""


def compression_of(path: str | os.PathLike[str]) -> Compression | None:
    """How a file of this name is compressed: by its ending."""
    ending = os.path.splitext(path)[1][1:]
    return ending if ending in ("gz", "zst") else None  # type: ignore[return-value]  # narrowed by the test


def compressed(data: Bytes, how: Compression) -> Bytes:
    """A complete gzip member or zstd frame: pieces may follow each other, and each can be read without the next."""
    name, level = _CODECS[how]
    piece: Bytes = pa.Codec(name, level).compress(data, asbytes=True)
    return piece


def decompressed(file: BinaryIO, how: Compression) -> Any:
    """A pyarrow stream of what a file's members or frames hold, one after another; `read` of it raises OSError."""
    return pa.CompressedInputStream(pa.PythonFile(file, "r"), _CODECS[how][0])
