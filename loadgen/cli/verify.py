"""`loadgen verify`: manifests against what is in a topic, a store, or files."""

from loadgen.cli.command import Verb
from loadgen.config import VerifySettings


def _start(settings: VerifySettings) -> int:
    """Compare what runs delivered with what is in a topic, in a store, or in files.

    Tells which events were lost, repeated, altered, never planned or out of order; ends with exit code 1 if any was.
    The place is one of --brokers (with --topic), --store and --files; one on the command line goes before another in a
    variable or a file.
    """
    from loadgen.prove.verify import main

    return main(settings)


verb = Verb(
    VerifySettings,
    _start,
    "loadgen verify loadgen_runs/r1.json --brokers localhost:9092",
    "loadgen verify loadgen_runs/r1.json --store hdfs://localhost:8020/music_events",
    "loadgen verify m0.json m1.json --files music_events/*/*/*/*.jsonl",
)
