"""Listening statistics of stored events: `loadgen analyze`.

In: settings. Out: a report on stdout; the report, tables and charts in a folder; an exit code.

`files` finds what to read, also on HDFS; `events` turns the formats into rows; `tally` reads every event once and
counts combinations; `figures` computes the metrics from these; `output` writes text, JSON and CSV, `charts` draws;
`console` shows the progress.
"""

import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from loadgen.analyze import charts, output
from loadgen.analyze.console import note_gaps, progress
from loadgen.analyze.figures import ListeningFigures, figures_of
from loadgen.analyze.tally import CombinationCounts, EventReading
from loadgen.config import AnalyzeSettings
from loadgen.errors import NotThere
from loadgen.files import check_writable
from loadgen.formats import known_formats
from loadgen.store.event_files import Interval, batches
from loadgen.terminal import Terminal, say, say_json

EXIT_DONE, EXIT_FAILED = 0, 1


def main(settings: AnalyzeSettings) -> int:
    """Read, count, write and print.

    Returns:
        The exit code: 0 if every file was read, 1 if not or if no line is an event.

    Raises:
        LoadgenError: there is nothing to read, or the output cannot be written.
    """
    began_s = time.time()
    terminal = Terminal(settings.quiet)
    check_writable(settings.out)  # before the reading, which may take hours
    if settings.charts:
        threading.Thread(target=charts.prepare, name="charts", daemon=True).start()
    figures, reading, reading_s = read(settings, terminal)
    stamp = time.strftime("%Y%m%d_%H%M%S", time.gmtime(began_s))
    summary: dict[str, Any] = figures.as_json() | {
        "files": reading.n_files,
        "bytes": reading.done_bytes,
        "failed_files": reading.failed,
        "reading_s": round(reading_s, 3),
    }
    report = _write(settings, stamp, figures, summary)
    elapsed_s = round(time.time() - began_s, 3)
    if settings.json_summary:
        say_json(summary | {"elapsed_s": elapsed_s})
    else:
        say(report)
    # where no line is an event, all may lie outside of an interval
    is_all = settings.since_ms is None and settings.until_ms is None
    n_non_events = figures.unreadable if is_all and not figures.events else 0
    note_gaps(terminal, reading.failed, figures.events, n_non_events)
    if not settings.quiet:
        terminal.note(f"written: {settings.out}/music_stats_{stamp}*")
    return EXIT_FAILED if reading.failed or n_non_events else EXIT_DONE


def read(settings: AnalyzeSettings, terminal: Terminal) -> tuple[ListeningFigures, EventReading, float]:
    """Read everything and count.

    Returns:
        The metrics, what was read, and the seconds it took.

    Raises:
        LoadgenError: there is nothing to read, or not enough memory and disk.
    """
    known = known_formats(settings.format, note=terminal.note)
    interval = Interval(settings.since_ms, settings.until_ms)
    found = batches(settings.stores, interval)
    if not found:
        raise NotThere(_nothing(settings))
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix=".tmp_", dir=settings.out) as spill:
        tally = CombinationCounts(interval, Path(spill), known)
        try:
            with progress(terminal, "reading", tally.share):
                tally.read(found)
            tally.finish()
            return figures_of(tally.ask, settings.top), tally.reading, time.monotonic() - began_s
        finally:
            tally.close()


def _nothing(settings: AnalyzeSettings) -> str:
    """The message if there is no file."""
    of_time, step = " of that time", "give an earlier --since or a later --until"
    if settings.since_ms is None and settings.until_ms is None:
        of_time = ""
        step = "make events with loadgen run --duration 1m, or name another store: loadgen analyze STORE"
    return f"there is no file of events{of_time} in {', '.join(settings.stores)}; {step}"


def _write(settings: AnalyzeSettings, stamp: str, figures: ListeningFigures, summary: dict[str, Any]) -> str:
    report = output.report_of(figures, f"loadgen analyze {' '.join(settings.stores)}", settings.top)
    files = {f"_{name}.csv": text.encode() for name, text in output.tables_of(figures).items()}
    output.write(settings.out, stamp, {".txt": report.encode(), ".json": output.as_json(summary), **files})
    if settings.charts:
        pictures = {f"_{name}.png": content for name, content in charts.charts_of(figures).items()}
        output.write(settings.out, stamp, pictures)
    return report
