"""What a pipeline shows: the sums of its metrics, the ports of its parts, the live line."""

import socket
import time
from pathlib import Path
from unittest.mock import Mock

import pytest

from loadgen.config import PipelineSettings
from loadgen.consume.commits import TopicIdentity
from loadgen.consume.totals import ConsumeCollector, ConsumeTotals
from loadgen.kafka.options import KafkaSettings
from loadgen.metrics_endpoint import serve
from loadgen.pipeline.console import PipelineConsole, PipelineMetrics, RestartCounter, reserve_port
from loadgen.pipeline.prepare import PipelineContext
from loadgen.store.local import LocalStore


def test_a_consumers_figures_are_those_of_its_endpoint() -> None:
    collector = ConsumeCollector("songs", "g")
    collector.watch(ConsumeTotals(n_events=1234, lags={0: 5, 1: 6}), 1.0)
    with reserve_port(0) as reserved:
        port = reserved.getsockname()[1]
        metrics = PipelineMetrics()
        metrics.scrape((port, 0), (port, 0))
        assert (metrics.stored.total, metrics.lag) == (0, None)
        server = serve(collector, "127.0.0.1", port)  # though the port is reserved
        try:
            metrics.scrape((port, 0), (port, 0))
        finally:
            server.shutdown()
            server.server_close()
    assert (metrics.sent.total, metrics.stored.total, metrics.lag) == (0, 1234, 11)


@pytest.mark.parametrize(("is_alone", "sent"), [(True, 900), (False, 857)])
def test_what_is_stored_has_been_sent_unless_others_send_too(
    monkeypatch: pytest.MonkeyPatch, is_alone: bool, sent: int
) -> None:
    texts = {
        1: 'loadgen_events_total{outcome="delivered"} 857.0\n',
        2: "loadgen_published_events_total 900.0\n",
    }
    monkeypatch.setattr("loadgen.pipeline.console.scrape", texts.__getitem__)
    metrics = PipelineMetrics(is_alone)
    metrics.scrape((1, 0), (2, 0))
    flow = metrics.flow(is_timed=True, is_over=False)
    assert (flow.sent, flow.stored) == (sent, 900)


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
    counter = RestartCounter()
    for incarnation, value in ((0, 10), (0, None), (1, None), (1, 4), (3, 2)):
        counter.take(incarnation, value)
    assert counter.total == 16


def test_what_no_part_has_told_is_not_known_and_the_end_is_certain() -> None:
    metrics = PipelineMetrics()
    flow = metrics.flow(is_timed=True, is_over=False)
    assert (flow.sent, flow.stored, flow.lag) == (None, None, None)
    metrics.sent.take(0, 10)
    metrics.sent.take(1, None)
    assert metrics.flow(is_timed=True, is_over=False).sent == 10
    metrics.sent.take(1, 5)
    metrics.sent.settle(17)
    metrics.sent.take(1, None)
    metrics.lag = 3
    flow = metrics.flow(is_timed=False, is_over=True)
    assert (flow.sent, flow.lag, flow.is_timed, flow.is_over) == (17, None, False, True)


def clocks(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], **settings: float | bool) -> list[str]:
    """The clock in each line of a pipeline that starts for 20 s, produces for 70 s and then ends for 30 s."""
    now_s, metrics = [100.0], PipelineMetrics()
    monkeypatch.setattr(time, "monotonic", lambda: now_s[0])
    console = PipelineConsole(PipelineSettings.model_validate(settings))
    for tick in range(1, 13):
        now_s[0] += 10.0
        metrics.sent.latest = int(tick > 1)
        console.progress(metrics, "storing what was sent" if tick > 9 else "")
    return [line.split("  ")[0] for line in capsys.readouterr().err.splitlines()]


def test_how_long_a_pipeline_goes_on_is_shown_as_it_was_typed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = Mock(spec=TopicIdentity)
    context = PipelineContext(tmp_path, KafkaSettings("b:1", "t"), 4, source, {}, LocalStore(str(tmp_path)), "g", True)
    PipelineConsole(PipelineSettings.from_public({"duration": "1m30s"})).start(context)
    assert "10,000 listeners, natural rate, 1m30s" in capsys.readouterr().err


def test_the_clock_does_not_count_beyond_the_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = clocks(monkeypatch, capsys, duration_min=1)
    assert shown[:4] == ["00:00 of 01:00", "00:00 of 01:00", "00:10 of 01:00", "00:20 of 01:00"]
    assert shown[7:] == ["01:00 of 01:00"] * 5


def test_without_a_duration_the_clock_stands_still_while_the_rest_is_stored(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = clocks(monkeypatch, capsys, continuous=True)
    assert shown[7:] == ["01:00", "01:10", "01:20", "01:20", "01:20"]
