"""`loadgen doctor`: what works here, what does not, and what to do about it."""

from loadgen.cli.command import Verb
from loadgen.config import DoctorSettings


def _start(settings: DoctorSettings) -> int:
    """Check what loadgen needs, from Python to a hundred events all the way through, one line each.

    ✓ works, ✗ does not (the next step is in the line below), – was not asked for or could not be tried. Leaves nothing
    behind: what it makes (a topic, a consumer group, files) it removes. Ends with 1 where anything does not work.
    """
    from loadgen.doctor import main

    return main(settings)


verb = Verb(
    DoctorSettings,
    _start,
    "loadgen doctor",
    "loadgen doctor --brokers localhost:9092 --store hdfs://localhost/music_events",
)
