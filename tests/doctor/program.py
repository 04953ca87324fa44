"""Run the real `loadgen doctor`, and see what it leaves behind."""

import subprocess
from pathlib import Path
from typing import Any

import orjson

from tests.runner.program import start_program


def start(folder: Path, *flags: str, env: dict[str, str] | None = None) -> "subprocess.Popen[Any]":
    """Start it, with its temporary files in a folder of the test's."""
    (folder / "tmp").mkdir(exist_ok=True)
    variables = {"TMPDIR": str(folder / "tmp"), **(env or {})}
    return start_program(folder, "doctor", "--json", *flags, env=variables, text=True)


def end(process: "subprocess.Popen[Any]", timeout_s: float = 120.0) -> tuple[int, dict[str, str], str]:
    """Wait for the end: exit code, check → status, what was shown."""
    out, said = process.communicate(timeout=timeout_s)
    found = orjson.loads(out) if out.strip() else {"checks": []}
    return process.returncode, {one["name"]: one["status"] for one in found["checks"]}, said


def visited(folder: Path, *flags: str, env: dict[str, str] | None = None) -> tuple[int, dict[str, str], str]:
    """Start it, and wait for the end."""
    return end(start(folder, *flags, env=env))


def left_in(folder: Path) -> list[str]:
    """What is in this folder, but for the folder of temporary files itself."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path != folder / "tmp")
