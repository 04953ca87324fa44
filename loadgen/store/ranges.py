"""A file for reading, of something that can read ranges of bytes.

In: a length, and a function that fetches a range. Out: a buffered binary file with seek.
"""

import io
from collections.abc import Callable
from typing import BinaryIO

BUFFER_BYTES = 1 << 20
"""So much is fetched at least: each fetch costs a round trip."""
ALL_BYTES = 8 << 20
"""So much is fetched at a time where everything is wanted."""


def open_ranges(length_bytes: int, fetch: Callable[[int, int], bytes]) -> BinaryIO:
    """The file.

    Args:
        length_bytes: of the whole.
        fetch: gets (start, number of bytes), both inside the whole, and gives just these.
    """
    return io.BufferedReader(_Ranges(length_bytes, fetch), BUFFER_BYTES)


class _Ranges(io.RawIOBase):
    """Fetches what is read, when it is read."""

    def __init__(self, length_bytes: int, fetch: Callable[[int, int], bytes]) -> None:
        self._length_bytes, self._fetch, self._position = length_bytes, fetch, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._length_bytes}[whence]
        if start + offset < 0:
            raise ValueError(f"a position in a file is 0 or more, got {start + offset}")
        self._position = start + offset
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # what BufferedReader gives
        data = self._next(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def readall(self) -> bytes:
        return b"".join(iter(lambda: self._next(ALL_BYTES), b""))

    def _next(self, n_bytes: int) -> bytes:
        n_bytes = min(n_bytes, self._length_bytes - self._position)
        data = self._fetch(self._position, n_bytes) if n_bytes > 0 else b""
        self._position += len(data)
        return data
