"""A scrape gives every metric that is defined, in Prometheus's format, with the values of the totals."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from prometheus_client.metrics_core import Metric as Family

from loadgen import metrics
from loadgen.event import PAGES
from loadgen.histogram import Histogram
from loadgen.kafka.far_end import FarEndReport
from loadgen.kafka.group_lag import GroupLag, PartitionLag
from loadgen.ledger import CrowdTally, Outcome, Tally
from loadgen.metrics import BUCKETS_S, PROCESS_METRICS, RUN_METRICS
from loadgen.metrics_endpoint import serve
from loadgen.runner.endpoint import RunCollector
from loadgen.runner.messages import Seconds, Snapshot, empty_snapshot
from loadgen.runner.totals import Rates, Totals, WorkerReports
from tests.scrape import scrape, served

LAGS_S = np.array([0.00042, 0.0032, 0.0032, 0.72, 61.0])  # none on an edge, nor half of it


@dataclass
class WorkerHandle(WorkerReports):
    index: int
    ready: bool = True


def incarnation(cpu_s: float) -> Snapshot:
    snapshot = empty_snapshot()
    snapshot.cpu_s = cpu_s
    return snapshot


def finished() -> Snapshot:
    snapshot = empty_snapshot()
    snapshot.done = True
    return snapshot


@dataclass
class StandInTeam:
    members: list[WorkerHandle]


PAGE_NAMES = (*PAGES.names, "Lyrics")
"""With one that the behaviour adds."""
INFO = ("20261122-101500-3fa9", "0.1.0", "full", "7", "0/1", "1000", "3", "500", "ramp")


def some_totals() -> Totals:
    tally = Tally(bytes_delivered=12_345, in_flight=6)
    tally.by_page[:] = np.arange(tally.by_page.size).reshape(tally.by_page.shape)
    tally.ack_s.record(LAGS_S / 2)
    tally.intended_to_ack_s.record(LAGS_S)
    tally.crowds = CrowdTally.of(1)
    tally.crowds.plan(np.zeros(6, np.uint8))
    tally.crowds.complete(Outcome.DELIVERED, np.zeros(5, np.uint8))
    tally.crowds.intended_to_ack_s.record(LAGS_S, np.zeros(5, np.uint8))
    totals = Totals({"kafka": tally, "files": Tally()}, active=99, simulated_ms=1_767_571_200_500, cpu_s=2.5)
    totals.schedule_lag_s.record(LAGS_S)
    totals.round_trip_s = 0.125
    totals.rates, totals.scheduled = Rates(delivered_per_s=470.5, target_per_s=480.5), 5000.25
    totals.impaired, totals.repeated_possibly = {"late": 4}, 8
    totals.seconds = Seconds(1.5, 2.5, 3.5, 4.5)
    totals.far_end = FarEndReport(seen=5, repeated=2, late=1, unrecognised=3)
    totals.far_end.latency_s.record(np.array([0.5] * 5))
    return totals


@pytest.fixture
def collector() -> RunCollector:
    restarted = WorkerHandle(1, ready=False, finalized=[incarnation(1.0), incarnation(2.0)], last=incarnation(0.5))
    team = StandInTeam([WorkerHandle(0, last=incarnation(2.5)), restarted, WorkerHandle(2, last=finished())])
    broken = {"failed == 0": True, "p99(ack) < 50ms": False}
    groups = {"app": GroupLag(0.0, {0: PartitionLag(7, 1.5), 1: PartitionLag(0, 0.0)})}
    return RunCollector(team, INFO, PAGE_NAMES, lambda: broken, lambda: groups, ("fans",))  # type: ignore[arg-type]


@pytest.fixture
def url(collector: RunCollector) -> Iterator[str]:
    with served(collector) as address:
        yield address


def value(families: dict[str, Family], name: str, **labels: str) -> float:
    family = next(family for family in families.values() if any(sample.name == name for sample in family.samples))
    (found,) = [sample.value for sample in family.samples if sample.name == name and sample.labels == labels]
    return float(found)


def test_every_defined_metric_is_exposed_with_its_kind_help_and_labels(collector: RunCollector, url: str) -> None:
    collector.watch(some_totals(), 10.0)
    families = scrape(url)
    assert families.keys() == {metric.name for metric in (*RUN_METRICS, *PROCESS_METRICS)}
    for metric in (*RUN_METRICS, *PROCESS_METRICS):
        family = families[metric.name]
        assert (family.type, family.documentation) == (metric.kind, metric.help)
        assert {frozenset(sample.labels) - {"le"} for sample in family.samples} == {frozenset(metric.labels)}


def test_the_values_are_those_of_the_totals(collector: RunCollector, url: str) -> None:
    totals = some_totals()
    collector.watch(totals, 10.0)
    families = scrape(url)
    tally = totals.tallies["kafka"]
    for outcome in Outcome:
        for row, page in enumerate(PAGE_NAMES):
            labels = {"sink": "kafka", "outcome": outcome.name.lower(), "page": page}
            assert value(families, "loadgen_events_total", **labels) == tally.by_page[outcome, row]
    assert value(families, "loadgen_events_planned_total", sink="kafka") == tally.planned
    assert value(families, "loadgen_events_planned_total", sink="files") == 0
    assert value(families, "loadgen_delivered_bytes_total", sink="kafka") == 12_345
    assert value(families, "loadgen_in_flight_events", sink="kafka") == 6
    assert value(families, "loadgen_active_users") == 99
    assert value(families, "loadgen_crowd_events_planned_total", crowd="fans") == 6
    assert value(families, "loadgen_crowd_events_total", crowd="fans", outcome="delivered") == 5
    assert value(families, "loadgen_crowd_intended_to_ack_seconds_count", crowd="fans") == 5
    assert value(families, "loadgen_group_lag_messages", group="app", partition="0") == 7
    assert value(families, "loadgen_group_behind_seconds", group="app", partition="0") == 1.5
    for kind, n_events in (("seen", 5), ("repeated", 2), ("late", 1), ("unrecognised", 3)):
        assert value(families, "loadgen_far_end_events_total", kind=kind) == n_events
    assert value(families, "loadgen_far_end_missing_events") == tally.count(Outcome.DELIVERED) - 5
    assert value(families, "loadgen_end_to_end_seconds_count") == 5
    assert value(families, "loadgen_events_scheduled_total") == 5000.25
    assert value(families, "loadgen_target_events_per_second") == 480.5
    assert value(families, "loadgen_achieved_events_per_second") == 470.5
    assert value(families, "loadgen_impaired_events_total", kind="late") == 4
    assert value(families, "loadgen_impaired_events_total", kind="drop") == 0
    assert value(families, "loadgen_possibly_repeated_events_total") == 8
    assert value(families, "loadgen_broker_round_trip_seconds") == 0.125
    assert value(families, "loadgen_simulated_timestamp_seconds") == 1_767_571_200.5
    assert value(families, "loadgen_elapsed_seconds") == 10.0


def test_each_worker_is_told_of(collector: RunCollector, url: str) -> None:
    collector.watch(some_totals(), 10.0)
    families = scrape(url)

    def of_each(name: str) -> list[float]:
        return [value(families, name, worker=str(index)) for index in range(3)]

    assert of_each("loadgen_worker_up") == [1, 0, 0]
    assert of_each("loadgen_worker_restarts_total") == [0, 2, 0]
    assert of_each("loadgen_worker_cpu_seconds_total") == [2.5, 3.5, 0]
    spent = {"generate": 1.5, "send": 2.5, "full": 3.5, "idle": 4.5}
    assert {name: value(families, "loadgen_worker_time_seconds_total", activity=name) for name in spent} == spent


def test_what_runs_and_which_thresholds_are_broken_is_in_labels(collector: RunCollector, url: str) -> None:
    families = scrape(url)
    assert value(families, "loadgen_run_info", **dict(zip(metrics.RUN_INFO.labels, INFO, strict=True))) == 1
    assert value(families, "loadgen_threshold_broken", threshold="failed == 0") == 1
    assert value(families, "loadgen_threshold_broken", threshold="p99(ack) < 50ms") == 0


def test_the_start_of_a_run_stays_where_it_was(collector: RunCollector, url: str) -> None:
    assert math.isnan(value(scrape(url), "loadgen_run_start_timestamp_seconds"))
    collector.watch(some_totals(), 0.0)  # the workers have been told when to start, and it is not yet so late
    assert math.isnan(value(scrape(url), "loadgen_run_start_timestamp_seconds"))
    collector.watch(some_totals(), 10.0)
    start_s = value(scrape(url), "loadgen_run_start_timestamp_seconds")
    assert start_s == pytest.approx(time.time() - 10, abs=5)
    collector.watch(some_totals(), 11.0)
    assert value(scrape(url), "loadgen_run_start_timestamp_seconds") == start_s


def test_a_run_without_a_schedule_has_none_to_show(collector: RunCollector, url: str) -> None:
    totals = some_totals()
    totals.scheduled = totals.rates.target_per_s = math.nan
    collector.watch(totals, 10.0)
    families = scrape(url)
    assert families["loadgen_events_scheduled"].samples == []
    assert math.isnan(value(families, "loadgen_target_events_per_second"))


def test_a_counter_does_not_fall_when_a_worker_dies_with_events_in_flight(collector: RunCollector, url: str) -> None:
    totals = some_totals()
    collector.watch(totals, 10.0)
    before = value(scrape(url), "loadgen_events_planned_total", sink="kafka")
    fewer = some_totals()
    fewer.tallies["kafka"].in_flight = 0
    fewer.impaired, fewer.scheduled = {}, 4999.0
    collector.watch(fewer, 10.1)
    families = scrape(url)
    assert value(families, "loadgen_events_planned_total", sink="kafka") == before > fewer.tallies["kafka"].planned
    assert value(families, "loadgen_events_scheduled_total") == 5000.25
    assert value(families, "loadgen_impaired_events_total", kind="late") == 4


def test_counters_and_only_counters_end_in_total(collector: RunCollector, url: str) -> None:
    collector.watch(some_totals(), 10.0)
    for family in scrape(url).values():
        names = {sample.name for sample in family.samples}
        expected = {
            "counter": {f"{family.name}_total"},
            "gauge": {family.name},
            "histogram": {f"{family.name}_bucket", f"{family.name}_sum", f"{family.name}_count"},
        }
        assert names == expected[family.type]


def test_histogram_buckets_are_cumulative_and_count_what_lies_below_their_edges(
    collector: RunCollector, url: str
) -> None:
    totals = some_totals()
    collector.watch(totals, 10.0)
    families = scrape(url)
    for name, values_s, labels in (
        ("loadgen_schedule_lag_seconds", LAGS_S, {}),
        ("loadgen_ack_seconds", LAGS_S / 2, {"sink": "kafka"}),
        ("loadgen_intended_to_ack_seconds", LAGS_S, {"sink": "kafka"}),
    ):
        buckets = [
            (float(sample.labels["le"]), sample.value)
            for sample in families[name].samples
            if sample.name.endswith("_bucket") and labels.items() <= sample.labels.items()
        ]
        assert [edge for edge, _ in buckets] == [*BUCKETS_S, math.inf]
        assert [count for _, count in buckets[:-1]] == [(values_s <= edge).sum() for edge in BUCKETS_S]
        assert all(before <= after for (_, before), (_, after) in pairwise(buckets))
        assert buckets[-1][1] == value(families, f"{name}_count", **labels) == len(values_s)
        assert value(families, f"{name}_sum", **labels) == pytest.approx(values_s.sum())


@pytest.mark.parametrize("edge_s", BUCKETS_S)
def test_a_value_well_below_an_edge_is_in_its_bucket_and_one_well_above_is_not(
    collector: RunCollector, edge_s: float
) -> None:
    lag = Histogram()
    lag.record(np.array([edge_s * 0.98, edge_s * 1.02]))  # the program's own buckets are up to 1/64 wide
    collector.watch(Totals(schedule_lag_s=lag), 1.0)
    family = next(family for family in collector.collect() if family.name == metrics.SCHEDULE_LAG.name)
    (count,) = [sample.value for sample in family.samples if sample.labels.get("le") == str(edge_s)]
    assert count == 1


def test_a_scrape_before_the_first_totals_is_answered(collector: RunCollector, url: str) -> None:
    families = scrape(url)
    assert value(families, "loadgen_elapsed_seconds") == 0.0
    assert math.isnan(value(families, "loadgen_broker_round_trip_seconds"))
    assert value(families, "loadgen_schedule_lag_seconds_count") == 0


def test_counters_only_grow_as_totals_do(collector: RunCollector, url: str) -> None:
    found = []
    for delivered in (1, 5, 5):
        totals = some_totals()
        totals.tallies["kafka"].by_page[Outcome.DELIVERED, 0] += delivered
        collector.watch(totals, 1.0)
        found.append(value(scrape(url), "loadgen_events_total", sink="kafka", outcome="delivered", page="Home"))
    assert found == [1.0, 5.0, 5.0]


def test_a_port_that_is_taken_is_an_error(collector: RunCollector, url: str) -> None:
    port = int(url.rpartition(":")[2].partition("/")[0])
    with pytest.raises(OSError, match="in use"):
        serve(collector, "127.0.0.1", port)
