"""AnalyzeSettings: everything that `loadgen analyze` can be told."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator

from loadgen.config import names, rules, values
from loadgen.config.rules import Problem
from loadgen.config.settings import shared
from loadgen.config.settings.base import AROUND, WHERE, WHERE_FROM, Flag, Here, Settings
from loadgen.config.values import BadValue

DEFAULT_OUT = Path("analysis")


def _stores(value: Any) -> tuple[str, ...]:
    found = names.stores(value)
    if not found:
        raise BadValue("must name at least one store or file", "write for example music_events")
    return found


class AnalyzeSettings(Settings):
    """The settings of `loadgen analyze`.

    `since_ms` and `until_ms` are times of events, milliseconds since 1970: those from `since_ms` on and before
    `until_ms` count; None is no limit.
    """

    verb: ClassVar[str] = "analyze"

    stores: Annotated[
        tuple[str, ...],
        BeforeValidator(_stores),
        Flag(
            "stores",
            "STORE…",
            "Folders that loadgen consume or loadgen run wrote (a path, file:///PATH, hdfs://HOST:PORT/PATH), or "
            "single files: .jsonl, .jsonl.gz, .jsonl.zst, .parquet. Default: music_events.",
            WHERE_FROM,
            is_word=True,
        ),
    ] = (shared.DEFAULT_STORE,)
    since_ms: shared.Since = None
    until_ms: shared.Until = None

    out: Annotated[
        Path,
        BeforeValidator(names.path),
        Flag("out", "DIR", "Folder for the report, the tables and the charts. Default: analysis.", WHERE),
    ] = DEFAULT_OUT
    top: Annotated[
        int,
        BeforeValidator(values.count(1, 1000, "10")),
        Flag("top", "N", "How many names the lists of the report have.", AROUND),
    ] = 10
    charts: Annotated[
        bool, BeforeValidator(values.switch), Flag("charts", "", "Draw charts; --no-charts leaves them out.", AROUND)
    ] = True
    config: shared.Config = None
    json_summary: Annotated[
        shared.JsonSummary, Here("Print the figures as one JSON object to stdout, in place of the report.")
    ] = False
    quiet: shared.Quiet = False

    def broken_rules(self) -> Iterator[Problem]:
        """An interval has an inside."""
        yield from rules.of_interval(self.since_ms, self.until_ms)
