"""A live page of what listeners do: `loadgen dashboard`.

In: settings. Out: a page over HTTP until a signal.

Of two processes, one reads and counts: `stored` (by `reading`) or `topic` returns records, each once; `rows` normalises
them; `aggregates` (with `play_durations`) counts them. The other one answers: `answers` makes JSON of the latest
snapshot, `server` is HTTP, `static` the page. `feed` connects the two.
"""

import sys

from loadgen.config import DashboardSettings
from loadgen.config.names import url
from loadgen.signals import exit_code, reason_of
from loadgen.terminal import say_json


def main(settings: DashboardSettings) -> int:
    """Serve the page until a signal.

    Returns:
        The exit code: 0 after SIGTERM or SIGHUP, 130 after Ctrl-C.

    Raises:
        LoadgenError: the port is taken, or an option or URL is wrong; not for a store or topic that does not answer.
    """
    from loadgen.dashboard.feed import Link, origin_of, place_of
    from loadgen.formats import known_formats
    from loadgen.hosts import listen

    origin = origin_of(settings)

    def note(text: str) -> None:
        if not settings.quiet:
            _note(text)

    known_formats(settings.format, note=note)  # says what cannot be used; another process reads
    with listen(settings.host, settings.port) as bound:
        link = Link(origin, note)
        link.start()
        try:
            from loadgen.dashboard.answers import Answers
            from loadgen.dashboard.server import app_of, serve

            app = app_of(Answers(link.latest, place_of(settings), flow=settings.flow), settings.host)
            port = bound.getsockname()[1]
            where = url(settings.host, port)
            _note(f"dashboard: {where}")
            if settings.json_summary:
                say_json({"url": where, "port": port})
            number = serve(app, bound)
        finally:
            link.close()
    return exit_code(reason_of(number, is_early=False))


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
