"""`loadgen dashboard`: a live page of what listeners do."""

from loadgen.cli.command import Verb
from loadgen.config import DashboardSettings


def _start(settings: DashboardSettings) -> int:
    """Show what is stored, or what a topic holds, on a live page: http://127.0.0.1:5001.

    The page refreshes itself every 5 seconds, works without internet, and only this machine can open it unless --host
    says otherwise. /health says in JSON how things are. A store or topic that is not there yet is waited for.
    """
    from loadgen.dashboard import main

    return main(settings)


verb = Verb(
    DashboardSettings,
    _start,
    "loadgen dashboard",
    "loadgen dashboard --store hdfs://localhost:8020/music_events --port 8080",
    "loadgen dashboard --brokers localhost:9092 --topic music-streaming-events",
)
