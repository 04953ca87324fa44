"""`loadgen compare`: two runs side by side."""

from loadgen.cli.command import Verb
from loadgen.config import CompareSettings


def _start(settings: CompareSettings) -> int:
    """Compare two runs: rates, latencies, CPU, what became of the events, and the settings that differ.

    Says of each figure by how much B differs from A, and whether that is better or worse; a change of up to 5% counts
    as noise. --fail-if makes a change an error, for CI.
    """
    from loadgen.report.compare import main

    return main(settings)


verb = Verb(
    CompareSettings,
    _start,
    "loadgen compare loadgen_runs/r1.json loadgen_runs/r2.json",
    "loadgen compare before.json after.json --report compared.html",
    "loadgen compare before.json after.json --json",
)
