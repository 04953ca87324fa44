"""Results on stdout, as text or one JSON object; and what every command shows a person on stderr.

In: text and figures. Out: on a terminal a line that changes in place; elsewhere log lines, each a line however long. A
reader of stdout that stops early causes no traceback.
"""

import os
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, TextIO

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from loadgen.histogram import Histogram, Sparse


def say(text: str) -> None:
    """Print text as it is; what the reader's encoding lacks becomes a question mark."""
    if sys.stdout is None:  # it was closed before the program began
        return
    try:
        sys.stdout.buffer.write(text.encode(sys.stdout.encoding or "utf-8", errors="replace"))
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that the end of the process is quiet too


def say_json(value: dict[str, Any] | list[Any]) -> None:
    """Print a value as one line of JSON."""
    import orjson

    say(orjson.dumps(value).decode() + "\n")


class Terminal:
    """A console with a live line below what it prints."""

    def __init__(self, quiet: bool = False, stream: TextIO | None = None) -> None:
        """Begin; writes to stderr where no stream is given."""
        self.console = Console(file=stream or sys.stderr, highlight=False)
        self.console.soft_wrap = not self.console.is_terminal  # a log line stays one line
        self.quiet = quiet
        self._live: Live | None = None

    @property
    def is_terminal(self) -> bool:
        """Whether a line can change in place."""
        return self.console.is_terminal

    def note(self, message: str) -> None:
        """A line that a person should read."""
        self.console.print(Text(message))

    def settings(self, rows: Iterable[tuple[str, str]]) -> None:
        """The resolved settings, one line each."""
        if self.quiet:
            return
        table = Table(box=None, show_header=False, pad_edge=False)
        table.add_column(style="bold")
        table.add_column(overflow="fold")
        for name, value in rows:
            table.add_row(name, Text(value))
        self.console.print(table)

    def line(self, text: str) -> None:
        """How far it is: in place of the line before on a terminal, below it elsewhere."""
        if not self.is_terminal:
            self.note(text)
            return
        if self._live is None:
            self._live = Live(console=self.console, auto_refresh=False, transient=True)
            self._live.start()
        self._live.update(Text(text), refresh=True)

    def end_line(self) -> None:
        """Take the live line away."""
        if self._live is not None:
            self._live.stop()
            self._live = None


def clock(seconds: float) -> str:
    """A length of time: 02:05, 1:02:05."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes:02}:{rest:02}"


def percentiles(histogram: Histogram | Sparse) -> str:
    """The median, the 99th percentile and the most, in ms; a dash where nothing was recorded."""
    found = histogram.summary_ms()
    return "–" if found["p50"] is None else f"{found['p50']:,.1f} / {found['p99']:,.1f} / {found['max']:,.1f} ms"


def utc(ms: int, timespec: str = "seconds") -> str:
    """A time as a person reads it: 2026-11-22T10:15:00Z."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec=timespec).replace("+00:00", "Z")
