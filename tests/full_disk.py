"""A disk that is full when half of a file is written."""

import errno
import io
import os
from pathlib import Path
from typing import Any

import pytest


class _FullFile(io.FileIO):
    def write(self, content: Any, /) -> int:
        super().write(content[: len(content) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def fill_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each file that is opened to be written take half of what it is given, and then fail."""
    real_open = Path.open

    def opened(self: Path, mode: str = "r", *args: Any, **options: Any) -> Any:
        return _FullFile(self, "w") if mode == "wb" else real_open(self, mode, *args, **options)

    monkeypatch.setattr(Path, "open", opened)
