"""`loadgen run`: simulate and produce."""

from typing import Any

from loadgen.cli.command import Verb
from loadgen.config import RunSettings


def _start(settings: RunSettings) -> int:
    """Simulate listeners and produce their events."""
    from loadgen.run import main

    return main(settings)


def _expects(settings: RunSettings) -> dict[str, Any]:
    """What this run will do on average, for --dry-run."""
    from loadgen.run.prepare import expected_of

    return expected_of(settings).as_json()


verb = Verb(
    RunSettings,
    _start,
    "loadgen run --users 50000 --workers 8 --duration 30m",
    "loadgen run --brokers localhost:9092 --create-topic --users 50k --rate 100k/s",
    "loadgen run --start 2026-01-01 --end 2026-02-01 --output january.jsonl.zst",
    expects=_expects,
)
