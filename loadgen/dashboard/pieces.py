"""Where compressed members or frames end, so that a file that still grows can be read as far as it is whole.

In: the bytes of a file from the begin of a member (gzip) or frame (zstd) on. Out: what the whole ones among them hold,
and how many bytes they are. A torn one at the end is left for later.
"""

import io
import zlib

from loadgen.errors import StoreError
from loadgen.files import Compression, decompressed

_GZIP = 31
"""What zlib calls the format of gzip."""
_ZSTD_MAGIC = 0xFD2FB528
_SKIPPABLE = 0x184D2A50
_RLE = 1


def whole_pieces(data: bytes, how: Compression) -> tuple[int, bytes]:
    """The length of the whole members or frames at the begin of the data, and what they hold.

    Raises:
        StoreError: it is not compressed that way, or damaged.
    """
    try:
        return _gzip(data) if how == "gz" else _zstd(data)
    except (zlib.error, OSError) as error:
        raise StoreError(f"what should be compressed ({how}) is not, or is damaged: {error}") from error


def _gzip(data: bytes) -> tuple[int, bytes]:
    n_bytes, found = 0, []
    while n_bytes < len(data):
        member = zlib.decompressobj(_GZIP)
        content = member.decompress(data[n_bytes:])
        if not member.eof:
            break
        n_bytes = len(data) - len(member.unused_data)
        found.append(content)
    return n_bytes, b"".join(found)


def _zstd(data: bytes) -> tuple[int, bytes]:
    n_bytes = 0
    while (end := _frame_end(data, n_bytes)) is not None:
        n_bytes = end
    if n_bytes == 0:
        return 0, b""
    return n_bytes, bytes(decompressed(io.BytesIO(data[:n_bytes]), "zst").read())


def _frame_end(data: bytes, start: int) -> int | None:
    """Where the frame that begins here ends (RFC 8878, 3.1); None where it goes on behind the data."""
    magic = int.from_bytes(data[start : start + 4], "little")
    if len(data) < start + 9:  # no frame is shorter
        return None
    if magic & ~0xF == _SKIPPABLE:
        end = start + 8 + int.from_bytes(data[start + 4 : start + 8], "little")
        return end if end <= len(data) else None
    if magic != _ZSTD_MAGIC:
        raise OSError(f"a frame of zstd does not begin with {data[start : start + 4].hex()}")
    return _blocks_end(data, start)


def _blocks_end(data: bytes, start: int) -> int | None:
    descriptor = data[start + 4]
    is_single, has_checksum = descriptor >> 5 & 1, descriptor >> 2 & 1
    content_size = (is_single, 2, 4, 8)[descriptor >> 6]
    at = start + 5 + (1 - is_single) + (0, 1, 2, 4)[descriptor & 3] + content_size
    is_last = False
    while not is_last:
        if at + 3 > len(data):
            return None
        header = int.from_bytes(data[at : at + 3], "little")
        is_last = bool(header & 1)
        at += 3 + (1 if header >> 1 & 3 == _RLE else header >> 3)
    at += 4 * has_checksum
    return at if at <= len(data) else None
