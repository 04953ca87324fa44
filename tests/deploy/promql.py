"""What an expression of PromQL speaks of, read with plain patterns: the metrics, the labels.

In: an expression. Out: names. It does not parse: promtool and Prometheus do, in tests/integration.
"""

import re

from loadgen.metrics import CONSUME_METRICS, PROCESS_METRICS, RUN_METRICS, Metric
from tests.deploy.files import RECORDED

METRICS = (*RUN_METRICS, *CONSUME_METRICS, *PROCESS_METRICS)
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
SERIES = {metric.name + suffix: metric for metric in METRICS for suffix in SUFFIXES[metric.kind]}
OF_PROMETHEUS = {"ALERTS": {"alertname", "alertstate", "severity"}, "up": set[str]()}
OF_ALL = {"instance", "job"}
_NAME = re.compile(r"(?<![\w:$\"])(?:\w+:)?(?:loadgen|process)_[\w:]+|\bALERTS\b|\bup\b")
_STRING = re.compile(r'"[^"]*"')
_GROUPED = re.compile(r"\b(?:by|on|ignoring|group_left) \(([^)]*)\)")


def names(expression: str) -> set[str]:
    """The series that an expression asks for."""
    return set(_NAME.findall(_STRING.sub('""', expression)))


def unknown(expression: str) -> set[str]:
    """Those of them that nothing makes."""
    return names(expression) - {*SERIES, *RECORDED, *OF_PROMETHEUS}


def metrics_of(expression: str) -> set[Metric]:
    """The metrics behind them, those that recorded series are made of included."""
    found = {SERIES[name] for name in names(expression) & set(SERIES)}
    return found.union(*(metrics_of(RECORDED[name]) for name in names(expression) & set(RECORDED)))


def labels_of(expression: str) -> set[str]:
    """The labels that an expression selects, groups or matches by."""
    selected = re.findall(r'(\w+)(?:=~|!=|!~|=)"', expression)
    grouped = [name for group in _GROUPED.findall(expression) for name in group.split(", ") if name]
    return {*selected, *grouped}


def known_labels(expression: str) -> set[str]:
    """The labels that the series of an expression can have."""
    of_metrics = {label for metric in metrics_of(expression) for label in metric.labels}
    of_others = {label for name in names(expression) & set(OF_PROMETHEUS) for label in OF_PROMETHEUS[name]}
    computed = {"le", "quantile"} if "quantile" in expression or "_bucket" in expression else set()
    return of_metrics | of_others | computed | OF_ALL


def is_balanced(expression: str) -> bool:
    """Whether each bracket is closed by its like, and each quote by another."""
    pairs, open_ones = {")": "(", "]": "[", "}": "{"}, []
    for sign in _STRING.sub("", expression):
        if sign in pairs.values():
            open_ones.append(sign)
        elif sign in pairs and (not open_ones or open_ones.pop() != pairs[sign]):
            return False
    return not open_ones and '"' not in _STRING.sub("", expression)
