"""What the producers of a pipeline have written down: how much of its time is served, and what became of the events.

In: manifests, those too that a producer wrote on its way before it was killed. Out: figures.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

COUNTS = ("planned", "delivered", "failed", "dropped", "unfinished")


@dataclass(frozen=True, slots=True)
class Account:
    """What one manifest says.

    Attributes:
        path: the manifest.
        is_final: the run has ended by itself; else it was killed, or goes on.
        served_s: seconds of its schedule that were served.
        exit_reason: "duration", "interrupted early", "error" …; "running" where it is not final.
        counts: COUNTS → events.
    """

    path: Path
    is_final: bool
    served_s: float
    exit_reason: str
    counts: dict[str, int]

    @property
    def is_over(self) -> bool:
        """Whether the run did all that it was to do: its time was up. One that somebody else stopped goes on anew."""
        return self.is_final and self.exit_reason == "duration"


def account_of(path: Path) -> Account | None:
    """What the manifest at this path says; None where there is none, since its run never began."""
    try:
        content: dict[str, Any] = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return None
    said = content["summary"]
    counts = {name: int(said[name]) for name in COUNTS}
    return Account(path, "reached" not in content, float(said["elapsed_s"]), said["exit_reason"], counts)


def accounts_of(paths: Iterable[Path]) -> list[Account]:
    """What these manifests say, of those that are there."""
    return [account for path in paths if (account := account_of(path)) is not None]
