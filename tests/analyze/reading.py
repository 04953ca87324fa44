"""What the tests of `loadgen analyze` share: lines of all formats, and the figures of what lies somewhere."""

import tempfile
from pathlib import Path
from typing import Any

from loadgen.analyze import read
from loadgen.config import AnalyzeSettings
from loadgen.terminal import Terminal

GOLDEN = Path(__file__).parents[1] / "golden"
FORMATS = ("activity", "listen", "full")
LINES = {name: (GOLDEN / f"{name}.jsonl").read_bytes().splitlines() for name in FORMATS}
"""A thousand events of each format."""
MIXED = [line for three in zip(*LINES.values(), strict=True) for line in three]


def figures_of(*stores: Path, **settings: Any) -> dict[str, Any]:
    """The figures of these stores and files, all of which can be read."""
    with tempfile.TemporaryDirectory() as out:
        given = AnalyzeSettings(stores=tuple(map(str, stores)), out=Path(out), quiet=True, **settings)
        figures, reading, _ = read(given, Terminal(quiet=True))
        assert (reading.failed, list(Path(out).iterdir())) == ({}, [])
    return figures.as_json()


def wrote(path: Path, lines: list[bytes]) -> Path:
    """A file of these lines, in folders that are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path
