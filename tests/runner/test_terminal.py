"""On a terminal the building of the catalogue is a bar and the progress one live line."""

import io

from rich.console import Console

from loadgen.runner.console import RunConsole
from loadgen.runner.totals import Totals


def screen_on_terminal() -> tuple[RunConsole, io.StringIO]:
    stream = io.StringIO()
    console = RunConsole(60.0, None, stream=stream)
    console.console = Console(file=stream, force_terminal=True, width=120)
    return console, stream


def test_building_the_catalogue_shows_a_bar_that_goes_away() -> None:
    console, stream = screen_on_terminal()
    for share in (0.0, 0.5, 1.0):
        console.preparing(share, "naming the tracks")
    assert "naming the tracks" in stream.getvalue()
    assert "100%" in stream.getvalue()
    assert "━" in stream.getvalue()


def test_progress_is_one_line_that_is_drawn_over() -> None:
    console, stream = screen_on_terminal()
    for second in range(1, 4):
        console.progress(Totals(), float(second))
    assert stream.getvalue().count("active users") == 3
    assert stream.getvalue().count("\x1b[2K") >= 2  # each erases the one before
