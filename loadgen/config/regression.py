"""What must not change between two runs: `p99(latency) > +10%`, read from text.

    FIGURE OP CHANGE

    FIGURE  as thresholds name them: p50, p90, p99, p99.9 or max of a latency; a count; rate, target
    OP      < <= > >=
    CHANGE  by which share of A's value B's is higher: +10%, -5%

In: such a text. Out: a `Regression`, or BadValue. Nothing is compared here.
"""

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from loadgen.config.threshold import COUNTS, MOST_CHARACTERS, RATES, Figure, figure_named
from loadgen.config.values import BadValue

EXAMPLE = "write for example 'p99(latency) > +10%' or 'rate < -5%'"
OPS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_EXPR = re.compile(r"([^<>=!]+)(<=|>=|<|>)\s*([+-]?[0-9]{1,6}(?:\.[0-9]{1,6})?)\s*%")
_KEYS = {"rate": "achieved_per_s", "target": "target_per_s"}
_PERCENTILES = {0.5: "p50", 0.9: "p90", 0.99: "p99", 0.999: "p999"}


@dataclass(frozen=True, slots=True)
class Regression:
    """A change that fails a comparison.

    Attributes:
        expr: as the user wrote it.
        key: the figure, by its name among those that are compared.
        op: how the change is compared with the limit.
        limit: a share of A's value: 0.1 is +10%.
    """

    expr: str
    key: str
    op: str
    limit: float

    def __str__(self) -> str:
        return self.expr

    def is_met(self, change: float) -> bool:
        """Whether this change fails the comparison."""
        return OPS[self.op](change, self.limit)


def regression(value: Any) -> Regression:
    """The regression that a text means; BadValue says what is wrong with it."""
    if isinstance(value, Regression):
        return value
    text = " ".join(value.split()) if isinstance(value, str) else ""
    match = _EXPR.fullmatch(text) if len(text) <= MOST_CHARACTERS else None
    if match is None:
        raise BadValue("must be FIGURE OP CHANGE, OP one of < <= > >=, CHANGE a percentage", EXAMPLE)
    return Regression(text, _key(figure_named(match[1].strip())), match[2], float(match[3]) / 100)


def _key(figure: Figure) -> str:
    if figure.name in (*COUNTS, *RATES):
        return _KEYS.get(figure.name, figure.name)
    name = "max" if figure.name == "max" else _PERCENTILES.get(round(figure.quantile, 9))
    if not figure.of or name is None:
        rule = "must name a figure that is in the files of both runs"
        step = f"take p50, p90, p99, p99.9 or max of a latency, or one of {', '.join((*COUNTS, *RATES))}"
        raise BadValue(rule, step)
    return f"{figure.of}_ms.{name}"
