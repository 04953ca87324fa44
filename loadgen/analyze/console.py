"""What the user of `loadgen analyze` sees while it reads, all of it on stderr: a bar, or a line every two seconds.

In: a share, 0..1. Out: text.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from loadgen.terminal import Terminal, clock

EVERY_S = 2.0
N_SHOWN = 5
"""So many files that could not be read are named."""
BAR_EVERY_S = 0.2


@contextmanager
def progress(terminal: Terminal, what: str, share: Callable[[], float]) -> Iterator[None]:
    """Show how far something is, as long as it lasts.

    Args:
        terminal: where.
        what: a short name of what is done.
        share: how much is done, 0..1; asked by another thread.
    """
    done = threading.Event()
    show = _bar if terminal.is_terminal else _lines
    thread = threading.Thread(target=show, args=(terminal, what, share, done), name="progress", daemon=True)
    if not terminal.quiet:
        thread.start()
    try:
        yield
    finally:
        done.set()
        if not terminal.quiet:
            thread.join()


def note_gaps(terminal: Terminal, failed: Mapping[str, str], n_events: int, n_strange: int = 0) -> None:
    """Say what the figures are without: files that could not be read, with the reasons; or everything.

    `n_strange`: lines, where none of them is an event.
    """
    for file, why in list(failed.items())[:N_SHOWN]:
        terminal.note(f"could not read {file}: {why}")
    if failed:
        terminal.note(f"{len(failed):,} files could not be read: the figures are without them")
    if n_strange:
        terminal.note(f"none of {n_strange:,} lines is an event: events are JSON objects with ts or timestamp")
    elif not n_events and not failed:
        terminal.note("no event was found: is it the right place, and the right --since and --until?")


def _bar(terminal: Terminal, what: str, share: Callable[[], float], done: threading.Event) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=terminal.console, transient=True) as bar:
        task = bar.add_task(what, total=1.0)
        while not done.wait(BAR_EVERY_S):
            bar.update(task, completed=share())


def _lines(terminal: Terminal, what: str, share: Callable[[], float], done: threading.Event) -> None:
    began_s = time.monotonic()
    while not done.wait(EVERY_S):
        terminal.note(f"{clock(time.monotonic() - began_s)}  {what}: {share():.0%}")
