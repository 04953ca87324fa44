"""Options as Locust would read them, and engines for tests."""

import time
from argparse import Namespace
from collections.abc import Callable

from locust.argument_parser import get_empty_argument_parser

from loadgen.runner.console import RunConsole
from loadgen.runner.prepare import prepare
from loadgen.scenarios.engine import Engine, EngineShard
from loadgen.scenarios.lease_table import Lease
from loadgen.scenarios.settings import add_options, settings_of

TOPIC = "music-streaming-events"


def options(*words: str) -> Namespace:
    """These options of Locust's command line."""
    parser = get_empty_argument_parser(add_help=False)
    add_options(parser)
    found: Namespace = parser.parse_args(["--tracks", "10558", *words])
    return found


def engine(address: str, *words: str, part: EngineShard | None = None, lease: Lease | None = None) -> Engine:
    """An engine that produces to this embedded broker."""
    part = part or EngineShard()
    settings = settings_of(options(*words), part)
    return Engine(prepare(settings, RunConsole(None, None, quiet=True), address), part, lease or Lease())


def turn_until(machine: Engine, condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    """Turn an engine until something is so."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, "turned in vain"
        time.sleep(0.0 if machine.turn() else 0.005)
