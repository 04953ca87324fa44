"""What the endpoints of the parts say, added up; and the ports that they get."""

import socket

from loadgen.consume.endpoint import ConsumeCollector
from loadgen.consume.totals import Totals
from loadgen.metrics_endpoint import serve
from loadgen.pipeline.figures import Counter, Figures, reserve_port


def test_a_consumers_figures_are_those_of_its_endpoint() -> None:
    collector = ConsumeCollector("songs", "g")
    collector.watch(Totals(n_events=1234, lags={0: 5, 1: 6}), 1.0)
    with reserve_port(0) as reserved:
        port = reserved.getsockname()[1]
        figures = Figures()
        figures.ask((port, 0), (port, 0))
        assert (figures.stored.total, figures.lag) == (0, None)
        server = serve(collector, "127.0.0.1", port)  # though the port is reserved
        try:
            figures.ask((port, 0), (port, 0))
        finally:
            server.shutdown()
            server.server_close()
    assert (figures.sent.total, figures.stored.total, figures.lag) == (0, 1234, 11)


def test_two_who_want_the_same_port_get_two() -> None:
    with reserve_port(0) as first:
        wanted = first.getsockname()[1]
        first.listen(1)
        with reserve_port(wanted) as second:
            assert second.getsockname()[1] != wanted


def test_a_port_that_is_free_is_given() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        wanted = probe.getsockname()[1]
    with reserve_port(wanted) as reserved:
        assert reserved.getsockname()[1] == wanted


def test_a_count_goes_on_where_the_life_before_ended() -> None:
    counter = Counter()
    for life, value in ((0, 10), (0, None), (1, None), (1, 4), (3, 2)):
        counter.take(life, value)
    assert counter.total == 16


def test_what_no_part_has_told_is_not_known_and_the_end_is_certain() -> None:
    figures = Figures()
    flow = figures.flow(is_timed=True, is_over=False)
    assert (flow.sent, flow.stored, flow.lag) == (None, None, None)
    figures.sent.take(0, 10)
    figures.sent.take(1, None)
    assert figures.flow(is_timed=True, is_over=False).sent == 10
    figures.sent.take(1, 5)
    figures.sent.settle(17)
    figures.sent.take(1, None)
    figures.lag = 3
    flow = figures.flow(is_timed=False, is_over=True)
    assert (flow.sent, flow.lag, flow.is_timed, flow.is_over) == (17, None, False, True)
