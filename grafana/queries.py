"""Selectors of PromQL, so that each query names only what is its own: a metric, and labels.

In: a metric as it is exposed, labels by name ("failed|dropped" is either). Out: text for a query, restricted to the
instances that are chosen at the top of the dashboard.
"""

from dataclasses import dataclass

QUANTILES = (0.5, 0.9, 0.99)


@dataclass(frozen=True, slots=True)
class Instances:
    """The instances that one variable of a dashboard chooses."""

    variable: str

    def now(self, metric: str, **labels: str) -> str:
        """The present value of a gauge."""
        operators = {name: "=~" if "|" in text else "=" for name, text in labels.items()}
        pairs = [f'{name}{operators[name]}"{text}"' for name, text in labels.items()]
        wanted = ",".join([*pairs, f'instance=~"${self.variable}"'])
        return f"{metric}{{{wanted}}}"

    def per_s(self, metric: str, **labels: str) -> str:
        """How fast a counter grows, as fine as the panel can show it."""
        return f"rate({self.now(metric, **labels)}[$__rate_interval])"

    def in_all(self, metric: str, **labels: str) -> str:
        """By how much a counter has grown in the time shown."""
        return f"increase({self.now(metric, **labels)}[$__range])"

    def quantile(self, share: float, histogram: str, *by: str) -> str:
        """A percentile of a histogram: of all instances together, for each value of these labels."""
        return f"histogram_quantile({share}, sum by ({', '.join(['le', *by])}) ({self.per_s(f'{histogram}_bucket')}))"

    def mean(self, histogram: str, *by: str) -> str:
        """The mean of a histogram's values; the same."""
        of_each = f" by ({', '.join(by)}) " if by else ""
        parts = (f"sum{of_each}({self.per_s(f'{histogram}_{part}')})" for part in ("sum", "count"))
        return " / ".join(parts)


RUN, CONSUMER = Instances("instance"), Instances("consumer")


def percentiles(instances: Instances, histogram: str, *by: str) -> list[tuple[str, str]]:
    """Queries and legends for p50, p90 and p99 of a histogram, by these labels."""
    behind = "".join(f" {{{{{label}}}}}" for label in by)
    return [(instances.quantile(share, histogram, *by), f"p{share * 100:g}{behind}") for share in QUANTILES]


def or_zero(query: str, **labels: str) -> str:
    """The query, or 0 with these labels where it finds nothing."""
    zero = "vector(0)"
    for name, text in labels.items():
        zero = f'label_replace({zero}, "{name}", "{text}", "", "")'
    return f"{query} or on () {zero}"
