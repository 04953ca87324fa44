"""The patterns that read expressions find what is wrong in them."""

import pytest

from tests.deploy.promql import is_balanced, known_labels, labels_of, metrics_of, names, unknown


def test_a_misspelt_series_is_unknown_and_a_counter_has_its_suffix() -> None:
    assert unknown("sum(rate(loadgen_evnts_total[1m])) / up") == {"loadgen_evnts_total"}
    assert unknown("loadgen_events") == {"loadgen_events"}
    assert unknown("instance:loadgen_published_events:rate7m") == {"instance:loadgen_published_events:rate7m"}
    assert unknown('loadgen_ack_seconds_bucket{sink="loadgen_kafka"} or ALERTS') == set()


def test_what_a_recorded_series_is_made_of_counts_too() -> None:
    expression = "sum(instance:loadgen_consumed_messages:rate1m)"
    assert names(expression) == {"instance:loadgen_consumed_messages:rate1m"}
    assert {metric.exposed for metric in metrics_of(expression)} == {"loadgen_consumed_messages_total"}


def test_labels_are_found_where_they_select_group_and_match() -> None:
    expression = 'sum by (le, sink) (loadgen_ack_seconds_bucket{job="a",instance!~"b"}) / on (worker) group_left () up'
    assert labels_of(expression) == {"le", "sink", "job", "instance", "worker"}
    assert labels_of(expression) - known_labels(expression) == {"worker"}


@pytest.mark.parametrize("expression", ["sum(rate(a[1m])", 'a{b="c}', "a[1m)", "a}{"])
def test_what_is_open_is_found(expression: str) -> None:
    assert not is_balanced(expression)
    assert is_balanced('sum(rate(a{b="("}[1m]))')
