"""The progress of reading, on stderr: a bar on a terminal, else a line every two seconds.

In: the share that is done, 0..1. Out: text.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from loadgen.terminal import Terminal, clock

EVERY_S = 2.0
N_SHOWN = 5
"""The number of unreadable files that are named."""
BAR_EVERY_S = 0.2


@contextmanager
def progress(terminal: Terminal, what: str, share: Callable[[], float]) -> Iterator[None]:
    """Show the progress of the work in the `with` block.

    Args:
        share: returns the share that is done, 0..1; called by another thread.
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


def note_gaps(terminal: Terminal, failed: Mapping[str, str], n_events: int, n_non_events: int = 0) -> None:
    """Print what is missing from the metrics: unreadable files with the reasons; or everything.

    `n_non_events`: the number of lines, if none is an event.
    """
    for file, why in list(failed.items())[:N_SHOWN]:
        terminal.note(f"could not read {file}: {why}")
    if failed:
        terminal.note(f"{len(failed):,} files could not be read: the figures are without them")
    if n_non_events:
        terminal.note(f"none of {n_non_events:,} lines is an event: events are JSON objects with ts or timestamp")
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
