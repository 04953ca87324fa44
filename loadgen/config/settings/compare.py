"""CompareSettings: everything that `loadgen compare` can be told."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, PlainSerializer, PlainValidator

from loadgen.config import names
from loadgen.config.regression import Regression, regression
from loadgen.config.rules import Problem
from loadgen.config.settings import load, shared
from loadgen.config.settings.base import AROUND, Flag, Here, Needed, Settings
from loadgen.config.threshold import expressions
from loadgen.config.values import BadValue

WHAT = "What is compared"
NEXT_STEP = "name two files that loadgen run wrote: A.json B.json"
NEEDED = Needed("compare needs two runs", NEXT_STEP, "A.json\nB.json")


def _runs(value: Any) -> tuple[Path, ...]:
    found = names.paths(value)
    if len(found) != 2:
        raise BadValue("must name two files", NEXT_STEP)
    return found


class CompareSettings(Settings):
    """The settings of `loadgen compare`: two files, each a manifest or what `loadgen run --json` printed."""

    verb: ClassVar[str] = "compare"

    runs: Annotated[
        tuple[Path, ...],
        BeforeValidator(_runs),
        Flag(
            "runs",
            "A.json B.json",
            "Two runs: manifests (loadgen_runs/<run id>.json), or files with what loadgen run --json printed.",
            WHAT,
            is_word=True,
            needed=NEEDED,
        ),
    ]

    fail_if: Annotated[
        tuple[Annotated[Regression, PlainValidator(regression), PlainSerializer(str, return_type=str)], ...],
        BeforeValidator(expressions),
        Flag(
            "fail-if",
            "EXPR",
            "Exit with code 1 where B differs from A like this: 'p99(latency) > +10%', 'rate < -5%', 'failed > +0%'; "
            "may be given many times.",
            WHAT,
        ),
    ] = ()
    config: shared.Config = None
    json_summary: Annotated[shared.JsonSummary, Here("Print the figures as one JSON object to stdout.")] = False
    report: Annotated[load.Report, Here("Write one page with both runs laid over each other.", AROUND)] = None

    def broken_rules(self) -> Iterator[Problem]:
        """The page does not replace what it is made from."""
        if self.report in self.runs:
            values = {"report": self.report, "runs": " ".join(map(str, self.runs))}
            yield Problem("report must be another file than the runs", values, "name another file: compared.html")
