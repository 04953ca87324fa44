"""A run that ended before its end says how far it came, of what it was asked for, and why."""

from typing import Any

import pytest

from loadgen.config import RunSettings
from loadgen.runner.verdict import cut_short

DAY_MS = 86_400_000


@pytest.mark.parametrize(
    ("asked", "reason", "said"),
    [
        ({"duration": 1.0}, "terminated early", "stopped after 12.0 s of 60.0 s: SIGTERM"),
        ({"duration": 1.0}, "hung up early", "stopped after 12.0 s of 60.0 s: SIGHUP, its terminal was closed"),
        ({"events": 1000}, "interrupted early", "stopped after 12.0 s, with 72 of 1,000 events: Ctrl-C"),
        (
            {"events": 1000, "shard": "1/4"},
            "error",
            "stopped after 12.0 s, with 72 of shard 1/4's part of 1,000 events: an error",
        ),
        (
            {"start": 0, "end": DAY_MS},
            "threshold",
            "stopped after 12.0 s, at 1970-01-01 06:00:00 of a window that ends 1970-01-02 00:00:00: "
            "a threshold was broken, and says abort",
        ),
        ({"continuous": True}, "reader gone", "stopped after 12.0 s: the reader of its output closed it"),
    ],
)
def test_how_far_it_came_is_said_in_what_it_was_asked_for(asked: dict[str, Any], reason: str, said: str) -> None:
    settings = RunSettings.from_public({"users": 100, **asked})
    assert cut_short(settings, reason, 12.0, 72, DAY_MS // 4) == said


def test_what_never_began_says_so() -> None:
    settings = RunSettings.from_public({"users": 100, "duration": 1.0})
    assert cut_short(settings, "interrupted early", None) == "stopped before its first event: Ctrl-C"
