"""Plans of small runs, made as the program makes them."""

import io
from typing import Any

from loadgen.config import RunSettings
from loadgen.runner.console import RunConsole
from loadgen.runner.messages import SimulationPlan
from loadgen.runner.prepare import prepare
from tests.runner.program import TRACKS

START_MS = 1_767_571_200_000  # 2026-01-05


def plan_of(**settings: Any) -> SimulationPlan:
    """The plan of a run of one worker with these settings, by their keys; it writes nowhere unless told to."""
    is_told = {"folder", "output", "brokers", "sink"} & settings.keys()
    given = {"users": 200, "workers": 1, "start": START_MS, "rate": "max", "tracks": TRACKS, "discard": not is_told}
    return prepare(RunSettings.from_public({**given, **settings}), RunConsole(None, None, True, io.StringIO()), None)
