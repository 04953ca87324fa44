"""`loadgen pipeline`: producer, consumer and dashboard, started and stopped together."""

from loadgen.cli.command import Verb
from loadgen.config import PipelineSettings


def _start(settings: PipelineSettings) -> int:
    """Start producer, consumer and dashboard together, and stop them together without losing an event.

    Needs nothing installed: without --brokers the events go through a test broker in memory, and without --store into
    the folder ./music_events. Goes on until Ctrl-C unless there is --duration. A part that dies is started again. At
    the end everything that was sent is stored, and the verdict says whether each event is there once.
    """
    from loadgen.pipeline import main

    return main(settings)


verb = Verb(
    PipelineSettings,
    _start,
    "loadgen pipeline --duration 1m",
    "loadgen pipeline --users 50k --store /tmp/listeners --port 8080",
    "loadgen pipeline --brokers kafka:9092 --store hdfs://namenode/music_events",
)
