"""`loadgen analyze`: figures, tables and charts of what is stored."""

from loadgen.cli.command import Verb
from loadgen.config import AnalyzeSettings


def _start(settings: AnalyzeSettings) -> int:
    """Say what is in the events that are stored: a report on stdout; and in --out the report, tables and charts.

    Reads JSON lines, compressed or not, and Parquet, in all three formats, also mixed. What is read may be larger than
    the memory. --since and --until leave out the days that they do not touch.
    """
    from loadgen.analyze import main

    return main(settings)


verb = Verb(
    AnalyzeSettings,
    _start,
    "loadgen analyze",
    "loadgen analyze hdfs://localhost:8020/music_events --since -7d --out week",
    "loadgen analyze events.jsonl.gz more.parquet --json --no-charts",
)
