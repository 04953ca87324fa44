"""Metrics are named as Prometheus wants it, and the README's table says of each what the code says."""

import re
from itertools import pairwise
from pathlib import Path

import pytest

from loadgen.metrics import BUCKETS_S, CONSUME_METRICS, PROCESS_METRICS, RUN_METRICS, Metric

README = (Path(__file__).parents[1] / "README.md").read_text()
HEADER = "| metric | type | labels | command | meaning |\n"
COMMANDS = {"run": RUN_METRICS, "consume": CONSUME_METRICS, "run, consume": PROCESS_METRICS}
METRICS = [metric for metrics in COMMANDS.values() for metric in metrics]
UNITS = (
    "seconds",
    "bytes",
    "events",
    "messages",
    "files",
    "letters",
    "users",
    "retries",
    "restarts",
    "rebalances",
    "fds",
)


def row_of(metric: Metric, command: str) -> str:
    """The line of the README's table that explains this metric."""
    labels = ", ".join(metric.labels) or "–"
    return f"| `{metric.exposed}` | {metric.kind} | {labels} | {command} | {metric.help} |"


def test_the_readme_has_a_line_for_each_metric_and_none_for_what_is_not_there() -> None:
    assert README.count(HEADER) == 1
    lines = README.partition(HEADER)[2].partition("\n\n")[0].splitlines()[1:]
    assert lines == [row_of(metric, command) for command, metrics in COMMANDS.items() for metric in metrics]


def test_no_name_is_given_twice() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_names_and_labels_are_as_prometheus_wants_them(metric: Metric) -> None:
    assert re.fullmatch(r"(loadgen|process)_[a-z]+(_[a-z]+)*", metric.name)
    assert not metric.name.endswith(("_total", "_bucket", "_sum", "_count", "_ms", "_milliseconds"))
    assert not {"le", "quantile", "job", "instance", "type"} & set(metric.labels)
    assert (metric.exposed == metric.name) == (metric.kind != "counter")
    assert re.fullmatch(r"[A-Z0-9].*\.", metric.help)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_counters_say_what_they_count_and_times_are_in_seconds(metric: Metric) -> None:
    if metric.kind == "counter":
        assert any(unit in metric.name for unit in UNITS)
    if metric.kind == "histogram":
        assert metric.name.endswith("_seconds")


def test_buckets_reach_from_100_microseconds_to_minutes_and_are_few() -> None:
    assert (BUCKETS_S[0], BUCKETS_S[-1]) == (0.0001, 300.0)
    assert len(BUCKETS_S) == 40
    assert all(below < above <= 1.7 * below for below, above in pairwise(BUCKETS_S))
    assert all(isinstance(edge_s, float) for edge_s in BUCKETS_S)  # "1.0" on the wire, as Prometheus 3 writes it
