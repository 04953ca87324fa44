"""Runs to verify: made once as by the program, spoilt by tests, and verified in this process."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from loadgen.config import VerifySettings
from loadgen.verifier.report import VerifyReport
from loadgen.verifier.verify import verify
from tests.runner.program import run_here

START = ("--start", "2026-01-05", "--seed", "5")


@dataclass(frozen=True)
class Run:
    """A run that is over.

    Attributes:
        manifest: its manifest.
        lines: what it wrote, in order, without newlines.
    """

    manifest: Path
    lines: list[bytes]


def ran(folder: Path, *flags: str) -> Path:
    """Run in this folder; the manifest's path."""
    code, summary, shown = run_here(folder, *START, "--quiet", *flags)
    assert code == 0, shown
    return folder / str(summary["manifest"])


def one_file(folder: Path, *flags: str, events: int = 4000, users: int = 300) -> Run:
    """A run into one file, by one worker, so that its lines are in the order of time."""
    size = ("--events", str(events), "--users", str(users), "--workers", "1")
    manifest = ran(folder, "--output", "events.jsonl", "--rate", "max", *size, *flags)
    return Run(manifest, (folder / "events.jsonl").read_bytes().splitlines())


def verified(*manifests: Path, show: int = 5, **place: Any) -> VerifyReport:
    """Verify; `place` is files=, store= or brokers= and topic=."""
    given = {"manifests": [str(path) for path in manifests], "show": show, "quiet": True, **place}
    return verify(VerifySettings.model_validate(given), lambda *_: None)


def verified_lines(run: Run, lines: list[bytes], folder: Path, *more: Path, **settings: Any) -> VerifyReport:
    """Verify these lines against the run's manifest."""
    path = folder / "spoilt.jsonl"
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return verified(run.manifest, *more, files=[os.fspath(path)], **settings)


def counts_of(report: VerifyReport) -> dict[str, int]:
    """What is wrong, without the zeros."""
    return {kind: number for kind, number in report.findings.counts.items() if number}


def is_broken(line: bytes) -> bool:
    """Whether a line is no record with a time."""
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        return True
    return not (isinstance(record.get("ts"), int) or record.get("timestamp", "").startswith("20"))
