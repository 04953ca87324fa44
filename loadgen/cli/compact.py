"""`loadgen compact`: a store's small files, merged day by day."""

from loadgen.cli.command import Verb
from loadgen.config import CompactSettings


def _start(settings: CompactSettings) -> int:
    """Merge the small files of past days in a store that loadgen consume writes.

    Who reads the store meanwhile sees each event once. It may be killed at any time, and may run beside consumers.
    """
    from loadgen.consume.compact import main

    return main(settings)


verb = Verb(
    CompactSettings,
    _start,
    "loadgen compact music_events",
    "loadgen compact hdfs://localhost:8020/music_events --until 2026-03-01",
)
