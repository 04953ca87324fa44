"""How far a pipeline is: what its parent knows, and the dashboard, a process of its own, cannot see in the store.

In: figures of the pipeline. Out: a file that is whole at any time; and what it says, as long as that is of now.
"""

import os
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

FRESH_S = 10.0
"""What was said longer ago is not shown: a pipeline that lives says it every second."""


@dataclass(frozen=True, slots=True)
class Flow:
    """Figures of a pipeline, from its own start on; None is not known.

    Attributes:
        sent: events that the topic has acknowledged.
        stored: events that are stored and published.
        lag: consumer lag, messages.
        is_timed: whether an event's time is the wall-clock time at which it was due, so that its latency can be told.
        is_over: whether these are the last figures: the pipeline has ended.
        said_s: when this was so, seconds since 1970.
    """

    sent: int | None
    stored: int | None
    lag: int | None
    is_timed: bool
    is_over: bool
    said_s: float

    def write(self, path: Path) -> None:
        """Put it into this file, in place of what is there. Raises OSError."""
        beside = path.with_name(f".{path.name}")
        beside.write_bytes(orjson.dumps(asdict(self)))
        os.replace(beside, path)


def read_flow(path: Path, now_s: float) -> Flow | None:
    """What the file says; None where it says nothing, or nothing of now."""
    try:
        flow = Flow(**orjson.loads(path.read_bytes()))
    except (OSError, orjson.JSONDecodeError, TypeError):
        return None
    return flow if flow.is_over or abs(now_s - flow.said_s) <= FRESH_S else None
