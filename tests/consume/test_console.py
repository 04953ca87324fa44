"""What a person is told of a consumer."""

import io

from loadgen.consume.totals import LOG_EVERY_S, ConsumeConsole, ConsumeTotals


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def totals(n_events: int) -> ConsumeTotals:
    return ConsumeTotals(n_events=n_events, n_files=3, n_dead=2, lags={0: 1000, 1: 234})


def test_progress_is_a_log_line_now_and_then_where_nobody_watches() -> None:
    stream = io.StringIO()
    screen = ConsumeConsole(stream=stream)
    for tenth in range(310):
        screen.progress(totals(tenth * 100), tenth / 10)
    lines = stream.getvalue().splitlines()
    assert len(lines) == int(31 / LOG_EVERY_S)
    assert lines[0] == "00:10  10,000 events stored  1,000/s  consumer lag 1,234  3 files  2 dead letters"


def test_nothing_new_is_not_logged_again() -> None:
    stream = io.StringIO()
    screen = ConsumeConsole(stream=stream)
    for second in range(100):
        screen.progress(totals(0), float(second))
    assert len(stream.getvalue().splitlines()) == 1


def test_progress_is_one_live_line_on_a_terminal() -> None:
    stream = Terminal()
    screen = ConsumeConsole(stream=stream)
    for second in range(5):
        screen.progress(totals(second * 1000), float(second))
    assert "4,000 events stored" in stream.getvalue()
    screen.closing(totals(4000), 5.0, "idle")
    assert "800.0 events/s over 5.0 s; ended: idle" in stream.getvalue()


def test_quiet_keeps_notes_and_the_closing_table() -> None:
    stream = io.StringIO()
    screen = ConsumeConsole(quiet=True, stream=stream)
    screen.settings([("group", "g")])
    screen.progress(totals(1), 100.0)
    assert stream.getvalue() == ""
    screen.note("look here")
    screen.closing(totals(1), 5.0, "idle")
    assert "look here" in stream.getvalue()
    assert "dead letters" in stream.getvalue()


def test_trouble_is_said_once_until_it_is_over_everywhere() -> None:
    stream = io.StringIO()
    screen = ConsumeConsole(stream=stream)
    for partition, problem in ((0, "full"), (1, "full"), (0, "full"), (0, ""), (1, "full"), (1, ""), (1, "")):
        screen.trouble(partition, problem)
    assert stream.getvalue().splitlines() == [
        "full",
        "Nothing is lost: what is not stored is read again until it is.",
        "everything can be stored again",
    ]
