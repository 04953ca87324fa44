"""A scrape gives every metric that is defined, with the values of the totals."""

import math
from collections.abc import Iterator

import numpy as np
import pytest

from loadgen import __version__
from loadgen.consume.totals import ConsumeCollector, ConsumeTotals, summary
from loadgen.metrics import CONSUME_METRICS, PROCESS_METRICS
from loadgen.metrics_endpoint import expose
from tests.scrape import scrape, served


def some_totals() -> ConsumeTotals:
    totals = ConsumeTotals(n_read=110, n_events=100, n_dead=7, n_files=9, n_bytes=12_345, n_rebalances=2, n_retries=3)
    totals.publish_s.record(np.array([0.02, 0.3]))
    totals.latest_ms = 1_767_571_200_500
    totals.lags = {0: 5, 11: 0}
    totals.unstored = {0: 25, 11: 3}
    totals.next_offsets = {11: 8, 0: 102}
    totals.reading_s = 2.0
    return totals


@pytest.fixture
def collector() -> ConsumeCollector:
    return ConsumeCollector("songs", "keepers")


@pytest.fixture
def url(collector: ConsumeCollector) -> Iterator[str]:
    with served(collector) as address:
        yield address


def test_every_defined_metric_is_exposed_with_its_kind_help_and_labels(collector: ConsumeCollector, url: str) -> None:
    collector.watch(some_totals(), 10.0)
    families = scrape(url)
    assert families.keys() == {metric.name for metric in (*CONSUME_METRICS, *PROCESS_METRICS)}
    for metric in (*CONSUME_METRICS, *PROCESS_METRICS):
        family = families[metric.name]
        assert (family.type, family.documentation) == (metric.kind, metric.help)
        assert {frozenset(sample.labels) - {"le"} for sample in family.samples} == {frozenset(metric.labels)}


def test_the_values_are_those_of_the_totals(collector: ConsumeCollector, url: str) -> None:
    collector.watch(some_totals(), 10.0)
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in scrape(url).values()
        for sample in family.samples
    }
    expected = {
        ("loadgen_consumer_lag_messages", "0"): 5,
        ("loadgen_consumer_lag_messages", "11"): 0,
        ("loadgen_unstored_messages", "0"): 25,
        ("loadgen_unstored_messages", "11"): 3,
        ("loadgen_consumed_messages_total",): 110,
        ("loadgen_published_events_total",): 100,
        ("loadgen_published_files_total",): 9,
        ("loadgen_published_bytes_total",): 12_345,
        ("loadgen_dead_letters_total",): 7,
        ("loadgen_rebalances_total",): 2,
        ("loadgen_store_retries_total",): 3,
        ("loadgen_last_event_timestamp_seconds",): 1_767_571_200.5,
        ("loadgen_consumer_elapsed_seconds",): 10.0,
        ("loadgen_publish_seconds_count",): 2,
        ("loadgen_publish_seconds_bucket", "0.03"): 1,
    }
    assert {name: samples[name] for name in expected} == expected
    assert samples["loadgen_publish_seconds_sum",] == pytest.approx(0.32)


def test_the_labels_say_what_is_consumed_and_as_whom(url: str) -> None:
    (sample,) = scrape(url)["loadgen_consumer_info"].samples
    assert (sample.value, sample.labels["topic"], sample.labels["group"]) == (1, "songs", "keepers")
    assert sample.labels["version"] == __version__


def test_a_scrape_before_the_first_event_is_answered(url: str) -> None:
    (sample,) = scrape(url)["loadgen_last_event_timestamp_seconds"].samples
    assert math.isnan(sample.value)


def test_a_port_that_is_taken_is_no_reason_not_to_work(collector: ConsumeCollector, url: str) -> None:
    said: list[str] = []
    port = int(url.rpartition(":")[2].partition("/")[0])
    assert not expose(collector, "127.0.0.1", port, said.append)
    assert f"port {port}" in said[0]
    assert "--metrics-port" in said[0]


def test_the_summary_has_what_scripts_ask_for() -> None:
    found = summary(some_totals(), 10.0, "idle")
    assert (found["events"], found["events_per_s"], found["reading_s"]) == (100, 10.0, 2.0)
    assert found["partitions"] == {"0": 102, "11": 8}
    assert list(found["partitions"]) == ["0", "11"]
    assert (found["publish_ms"]["p50"], found["exit_reason"]) == (pytest.approx(20, rel=0.01), "idle")
