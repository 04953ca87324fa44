"""`loadgen realism`: events against published figures."""

from loadgen.cli.command import Verb
from loadgen.config import RealismSettings


def _start(settings: RealismSettings) -> int:
    """Compute 20 statistics of any events, and say of each whether it is where published data are.

    Reads files, stores or a topic, in all three formats, also mixed. What a format cannot tell is said, and fails
    nothing: listen names no level and no age. A target that needs more listeners or days says so, and fails nothing.
    Ends with exit code 1 if a target was missed. All targets take weeks of everyday listening:
    loadgen run --presence everyday --users 10000 --start 2026-01-05 --end 2026-03-06.
    """
    from loadgen.realism import main

    return main(settings)


verb = Verb(
    RealismSettings,
    _start,
    "loadgen realism events.jsonl",
    "loadgen realism hdfs://localhost:8020/music_events --report realism.html",
    "loadgen realism --brokers localhost:9092 --topic plays --json",
)
