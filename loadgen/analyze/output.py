"""Where the figures go: files in a folder.

In: figures. Out: `music_stats_YYYYMMDD_HHMMSS` with `.txt`, `.json`, `_genres.csv` and so on, each whole or not at all.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from loadgen.disk import Bytes, reason, write_whole
from loadgen.errors import OutputUnwritable

PREFIX = "music_stats"


def prepare(folder: Path) -> None:
    """Make the folder, before hours of reading show that it cannot be. Raises OutputUnwritable."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(13, "no permission to write there")
    except OSError as error:
        raise _unwritable(folder, error) from error


def write(folder: Path, stamp: str, files: Mapping[str, Bytes]) -> None:
    """Write files.

    Args:
        folder: where; it is there.
        stamp: YYYYMMDD_HHMMSS.
        files: what follows the stamp in the file's name → content.

    Raises:
        OutputUnwritable: the folder cannot be written, or the disk is full.
    """
    for ending, content in files.items():
        path = folder / f"{PREFIX}_{stamp}{ending}"
        try:
            write_whole(path, content)
        except OSError as error:
            raise _unwritable(path, error) from error


def as_json(value: dict[str, Any]) -> bytes:
    """The object, as a person reads it."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2) + b"\n"


def _unwritable(path: Path, error: OSError) -> OutputUnwritable:
    return OutputUnwritable(f"cannot write {str(path)!r}: {reason(error)} (see --out)")
