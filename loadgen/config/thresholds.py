"""Thresholds of a run and of a comparison, read from text.

`p99(ack) < 50ms over 30s` is what a run must keep, a `Threshold`:

    FIGURE OP VALUE [over DURATION] [abort]

    FIGURE  pNN, mean or max of a latency: p99(ack), p99.9(intended_to_ack), max(schedule_lag)
            planned, delivered, failed, dropped, unfinished, aborted; rate, target (events per second); in_flight,
            active
            lag(GROUP), behind(GROUP): messages and time that a consumer group is behind; catch_up: time after the load
            lost, repeated, late: events at the far end of the system under test; p99(end_to_end) from there
            of one crowd: p99(latency, crowd=NAME), failed(crowd=NAME), rate(crowd=NAME), target(crowd=NAME)
    OP      < <= > >= == !=
    VALUE   50ms, 10k, 100k/s; FIGURE; 0.99 * FIGURE; 1% * FIGURE

`p99(latency) > +10%` is a change that fails a comparison of two runs, a `Regression`:

    FIGURE OP CHANGE

    FIGURE  as above: p50, p90, p99, p99.9 or max of a latency; a count; rate, target
    OP      < <= > >=
    CHANGE  of B relative to A: +10%, -5%

In: such a text. Out: one of the two, or BadValue. Nothing is measured or compared here.
"""

import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from loadgen.config.values import BadValue, did_you_mean, duration

END_TO_END = "end_to_end"
_NAMES = ("ack", "intended_to_ack", "schedule_lag", END_TO_END)
LATENCIES = {name: name for name in _NAMES} | {"latency": "intended_to_ack"}
COUNTS = ("planned", "delivered", "failed", "dropped", "unfinished", "aborted")
RATES = ("rate", "target")
GAUGES = ("in_flight", "active")
OF_GROUPS = ("lag", "behind")
OF_FAR_END = ("lost", "repeated", "late")
AFTER_THE_RUN = ("catch_up", *OF_FAR_END)
"""What is known once the load is over, and what it caused was waited for."""
MOST_S = 3600.0
"""The longest `over`, which bounds the number of windows in memory."""
MOST_CHARACTERS = 200
EXAMPLE = "write for example 'p99(ack) < 50ms over 30s', 'rate >= 0.99 * target' or 'failed == 0'"

_EXPR = re.compile(r"([^<>=!]+)(<=|>=|==|!=|<|>)([^<>=!]+)")
_TAIL = re.compile(r"(.*?)(?:\s+over\s+(\S+))?(?:\s+(abort))?")
_CALL = re.compile(r"([a-z0-9_.]+)\s*\(\s*([a-z_]+)\s*\)")
_CROWD = re.compile(r"(?:\(|,)\s*crowd\s*[:=]\s*([A-Za-z0-9][A-Za-z0-9_.-]{0,39})\s*\)")
"""The end of a figure that is of one crowd."""
_EQUALS = re.compile(r"(\bcrowd\s*)=(?!=)")
OF_CROWDS = ("ack", "intended_to_ack")
"""The latencies that are known of each crowd."""
_OF_GROUP = re.compile(r"(lag|behind)\s*\(\s*([^()]*[^()\s])\s*\)")
_PERCENTILE = re.compile(r"p(?:([0-9]{1,2}(?:\.[0-9]{1,6})?)|(9[0-9])([0-9]{1,4}))")
_NUMBER = r"([0-9][0-9_]{0,17}(?:\.[0-9]{1,9})?)"
_QUANTITY = re.compile(_NUMBER + r"\s*([A-Za-zµ/%]*)")
_TIME_UNITS_S = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0}
_FACTORS = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9}
_PER = {"": 1.0, "/s": 1.0, "/min": 60.0, "/h": 3600.0}
_UNITS = {
    "time": _TIME_UNITS_S,
    "rate": {factor + per: n / of for factor, n in _FACTORS.items() for per, of in _PER.items()},
    "count": _FACTORS,
}
_WRITTEN = {"time": "50ms, 200us or 2s", "rate": "100k/s or 2500", "count": "0, 500 or 10k"}
_NOUNS = {"time": "a time", "rate": "a number of events per second", "count": "a number"}


@dataclass(frozen=True, slots=True)
class Figure:
    """A metric that thresholds may name.

    Attributes:
        name: "rate", "failed" …; of a latency "mean", "max" or "pNN".
        of: the latency: "ack", "intended_to_ack", "schedule_lag" or "end_to_end"; empty for other metrics.
        quantile: 0..1 for a percentile, else nan.
        group: the consumer group of "lag" and "behind"; empty for other metrics.
        crowd: the crowd whose events are meant; empty for those of all.
    """

    name: str
    of: str = ""
    quantile: float = math.nan
    group: str = ""
    crowd: str = ""

    @property
    def kind(self) -> str:
        """Its unit: "time" (seconds), "rate" (events per second) or "count"."""
        is_time = self.of or self.name in ("behind", "catch_up")
        return "time" if is_time else "rate" if self.name in RATES else "count"

    @property
    def is_gauge(self) -> bool:
        """Whether it is the state of a moment, which is judged every second."""
        return self.name in (*GAUGES, *OF_GROUPS)

    @property
    def of_far_end(self) -> bool:
        """Whether it is known of what comes out of the system under test."""
        return self.of == END_TO_END or self.name in OF_FAR_END

    def __str__(self) -> str:
        of = ", ".join(filter(None, (self.of, self.group, self.crowd and f"crowd={self.crowd}")))
        return f"{self.name}({of})" if of else self.name


@dataclass(frozen=True, slots=True)
class Threshold:
    """A metric and its limit: factor, or factor * reference.

    Attributes:
        factor: seconds, events per second or a number, by the metric's kind; without unit if there is a reference.
        over_s: length of the rolling window, whole seconds; None for the whole run.
        abort: whether the run ends when it is broken.
    """

    expr: str
    figure: Figure
    op: str
    factor: float
    reference: Figure | None = None
    over_s: float | None = None
    abort: bool = False

    def __str__(self) -> str:
        return self.expr

    @property
    def figures(self) -> tuple[Figure, ...]:
        """All metrics that it names."""
        return (self.figure,) if self.reference is None else (self.figure, self.reference)

    @property
    def window_s(self) -> float | None:
        """The length of the window that is judged; None for the whole run. A gauge is judged every second."""
        return self.over_s or (1.0 if self.figure.is_gauge else None)

    @property
    def stays_broken(self) -> bool:
        """Whether it stays broken once it is: an upper limit of a metric that only grows."""
        grows = self.figure.name in (*COUNTS, "max")
        return grows and self.op in ("<", "<=", "==") and self.reference is None


def threshold(value: Any) -> Threshold:
    """The threshold of a text. Raises BadValue."""
    if isinstance(value, Threshold):
        return value
    text = " ".join(value.split()) if isinstance(value, str) else ""
    match = _EXPR.fullmatch(_EQUALS.sub(r"\1:", text)) if len(text) <= MOST_CHARACTERS else None
    tail = _TAIL.fullmatch(match[3]) if match else None
    if match is None or tail is None:
        raise BadValue("must be FIGURE OP VALUE [over DURATION] [abort], OP one of < <= > >= == !=", EXAMPLE)
    figure = figure_named(match[1].strip())
    factor, reference = _value(tail[1].strip(), figure)
    over_s = None if tail[2] is None else _over_s(tail[2])
    found = Threshold(text, figure, match[2], factor, reference, over_s, tail[3] is not None)
    after = [one.name for one in found.figures if one.name in AFTER_THE_RUN]
    if over_s is not None and after:
        step = f"write '{figure} {match[2]} {tail[1].strip()}' alone"
        raise BadValue(f"{after[0]} is known after the run", step)
    if found.abort and found.window_s is None and not found.stays_broken:
        rule = "must say over DURATION where it says abort, but for the upper limit of a count or of a max"
        raise BadValue(rule, f"write for example '{text.removesuffix(' abort')} over 10s abort'")
    return found


def expressions(value: Any) -> Any:
    """The single texts of a list, or of a text with ';' as separator."""
    parts = value if isinstance(value, list | tuple) else [value]
    found = []
    for part in parts:
        pieces = [piece.strip() for piece in part.split(";")] if isinstance(part, str) else [part]
        found += [piece for piece in pieces if piece != ""] or pieces[:1]
    return found


def _over_s(text: str) -> float:
    try:
        return float(math.ceil(duration(1, 1, MOST_S, "30s or 5m")(text)))
    except BadValue as bad:
        raise BadValue(f"must say over what time: that {bad.rule}", bad.next_step) from None


def figure_named(text: str) -> Figure:
    """The metric of this name. Raises BadValue."""
    of_crowd = _CROWD.search(text)
    if of_crowd:
        return _of_crowd(text[: of_crowd.start()], of_crowd[1])
    if text in (*COUNTS, *RATES, *GAUGES, *AFTER_THE_RUN):
        return Figure(text)
    of_group = _OF_GROUP.fullmatch(text)
    if of_group:
        return Figure(of_group[1], group=of_group[2])
    call = _CALL.fullmatch(text)
    if call and call[2] in LATENCIES:
        of = LATENCIES[call[2]]
        if call[1] in ("mean", "max"):
            return Figure(call[1], of)
        percent = _percent(call[1])
        if percent is not None:
            return Figure(call[1], of, percent / 100)
    raise BadValue("must name figures that there are", _nearest(text))


def _of_crowd(text: str, crowd: str) -> Figure:
    """The metric of one crowd; text: without the crowd, and so without the closing bracket where it has one."""
    figure = figure_named(f"{text})" if "(" in text else text)
    if figure.name not in (*COUNTS, *RATES) and figure.of not in OF_CROWDS:
        known = f"pNN, mean or max of ack or latency; {', '.join((*COUNTS, *RATES))}"
        raise BadValue(f"must name a figure that each crowd has, not {figure}", f"there are {known}")
    return replace(figure, crowd=crowd)


def _percent(text: str) -> float | None:
    """99.9 of p999 and of p99.9; None where it is no percentile, or 0 or 100."""
    match = _PERCENTILE.fullmatch(text)
    if match is None:
        return None
    percent = float(match[1] or f"{match[2]}.{match[3]}")
    return percent if 0 < percent < 100 else None


def _nearest(text: str) -> str:
    if text.startswith(("p100(", "p0(")):
        return f"a percentile is between 0 and 100: the largest is max({text.partition('(')[2]}"
    if text in ("mean", "max") or _percent(text) is not None:
        return f"say of what: {text}(ack), {text}(intended_to_ack) or {text}(schedule_lag)"
    if text in OF_GROUPS:
        return f"say of which consumer group: {text}(NAME)"
    if "crowd" in text:
        return f"say which crowd, and of which figure: p99(latency, crowd=NAME), failed(crowd=NAME); {EXAMPLE}"
    if text in LATENCIES:
        return f"say which figure of it: p99({text}), mean({text}) or max({text})"
    calls = [f"{name}({of})" for of in LATENCIES for name in ("p50", "p90", "p95", "p99", "p999", "mean", "max")]
    plain = (*COUNTS, *RATES, *GAUGES, *AFTER_THE_RUN)
    known = f"pNN, mean or max of {', '.join(LATENCIES)}; {', '.join(plain)}; lag or behind of a consumer group"
    step = did_you_mean(text, [*plain, *calls], f"there are {known}")
    return f"there is no {text[:40]!r}: {step}"


def _value(text: str, figure: Figure) -> tuple[float, Figure | None]:
    """The limit of a metric: a number, or a factor and another metric."""
    left, times, right = (part.strip() for part in text.partition("*"))
    if not times:
        if text[:1].isdigit():
            return _quantity(text, figure), None
        return 1.0, _same_kind(figure_named(text), figure)
    number, name = (left, right) if left[:1].isdigit() else (right, left)
    match = _QUANTITY.fullmatch(number)
    if match is None or match[2] not in ("", "%"):
        raise BadValue("must have a plain number or a percentage beside the *", "write for example 0.99 * target")
    return float(match[1].replace("_", "")) / (100 if match[2] else 1), _same_kind(figure_named(name), figure)


def _same_kind(reference: Figure, figure: Figure) -> Figure:
    if reference.kind != figure.kind:
        theirs, ours = _NOUNS[reference.kind], _NOUNS[figure.kind]
        raise BadValue(f"must compare like with like: {figure} is {ours}, {reference} is {theirs}", EXAMPLE)
    return reference


def _quantity(text: str, figure: Figure) -> float:
    match, units = _QUANTITY.fullmatch(text), _UNITS[figure.kind]
    if match is None or match[2] not in units:
        rule = f"must hold {figure} against {_NOUNS[figure.kind]}"
        raise BadValue(rule, f"write for example {_WRITTEN[figure.kind]}")
    return float(match[1].replace("_", "")) * units[match[2]]


REGRESSION_EXAMPLE = "write for example 'p99(latency) > +10%' or 'rate < -5%'"
COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_REGRESSION = re.compile(r"([^<>=!]+)(<=|>=|<|>)\s*([+-]?[0-9]{1,6}(?:\.[0-9]{1,6})?)\s*%")
_KEYS = {"rate": "achieved_per_s", "target": "target_per_s"}
_PERCENTILES = {0.5: "p50", 0.9: "p90", 0.99: "p99", 0.999: "p999"}


@dataclass(frozen=True, slots=True)
class Regression:
    """A change that fails a comparison.

    Attributes:
        key: the metric's name in comparisons.
        limit: as a share of A's value: 0.1 is +10%.
    """

    expr: str
    key: str
    op: str
    limit: float

    def __str__(self) -> str:
        return self.expr

    def is_met(self, change: float) -> bool:
        """Whether this change fails the comparison."""
        return COMPARISONS[self.op](change, self.limit)


def regression(value: Any) -> Regression:
    """The regression of a text. Raises BadValue."""
    if isinstance(value, Regression):
        return value
    text = " ".join(value.split()) if isinstance(value, str) else ""
    match = _REGRESSION.fullmatch(text) if len(text) <= MOST_CHARACTERS else None
    if match is None:
        raise BadValue("must be FIGURE OP CHANGE, OP one of < <= > >=, CHANGE a percentage", REGRESSION_EXAMPLE)
    return Regression(text, _key(figure_named(match[1].strip())), match[2], float(match[3]) / 100)


def _key(figure: Figure) -> str:
    if figure.crowd:
        raise BadValue("must name a figure of the whole run", f"leave out crowd={figure.crowd}")
    if figure.name in (*COUNTS, *RATES):
        return _KEYS.get(figure.name, figure.name)
    name = "max" if figure.name == "max" else _PERCENTILES.get(round(figure.quantile, 9))
    if not figure.of or name is None:
        rule = "must name a figure that is in the files of both runs"
        step = f"take p50, p90, p99, p99.9 or max of a latency, or one of {', '.join((*COUNTS, *RATES))}"
        raise BadValue(rule, step)
    return f"{figure.of}_ms.{name}"
