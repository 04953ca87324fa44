"""The settings of a load test: what is measured and what must be kept, each declared once, as in shared.py."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, PlainValidator

from loadgen.config import names, values
from loadgen.config.settings.base import AROUND, HOW_MUCH, Flag, or_none
from loadgen.config.shape_files import NAMED, shape_spec
from loadgen.config.shapes import ShapeSpec
from loadgen.config.thresholds import Threshold, expressions, threshold
from loadgen.config.values import BadValue

MEASURED = "What is measured and must be kept"


def _page(value: Any) -> Path:
    path = names.path(value)
    if path.suffix.lower() not in (".html", ".htm", ""):
        raise BadValue("is one page, so it must end in .html", "write for example run.html")
    return path


Shape = Annotated[
    ShapeSpec | None,
    PlainValidator(lambda value: None if value is None else shape_spec(value)),
    PlainSerializer(lambda spec: spec and spec.public()),
    Flag(
        "shape",
        "NAME|FILE",
        f"Offered rate over time, as high as --rate: {', '.join(NAMED)}; or a .toml file of phases, or a .csv file of "
        "seconds,events_per_s.",
        HOW_MUCH,
    ),
]
Preview = Annotated[
    bool,
    BeforeValidator(values.switch),
    Flag("preview", "", "Draw the offered rate over time, and end: nothing is sent.", AROUND),
]
FindMaxRate = Annotated[
    bool,
    BeforeValidator(values.switch),
    Flag(
        "find-max-rate",
        "",
        "Search the highest rate that keeps every --threshold (by default, the schedule): trials of --duration (10s), "
        "from --rate (1k/s) upwards.",
        HOW_MUCH,
    ),
]

Thresholds = Annotated[
    tuple[Annotated[Threshold, PlainValidator(threshold), PlainSerializer(str, return_type=str)], ...],
    BeforeValidator(expressions),
    Flag(
        "threshold",
        "EXPR",
        "What the run must keep, or it ends with exit code 1: 'p99(ack) < 50ms over 30s', 'rate >= 0.99 * target', "
        "'failed == 0 abort'; may be given many times.",
        MEASURED,
    ),
]
WarmUp = Annotated[
    float,
    BeforeValidator(values.duration(1, 0, 86400, "10 (seconds) or 2m")),
    Flag("warm-up", "S", "Leave the first S seconds out of rates, latencies and thresholds.", MEASURED),
]
PercentileLog = Annotated[
    Path | None,
    or_none(names.path),
    Flag(
        "percentile-log",
        "DIR",
        "Write schedule_lag.hgrm, ack.hgrm and intended_to_ack.hgrm into this folder, for HdrHistogram's plotter.",
        MEASURED,
    ),
]
Report = Annotated[
    Path | None,
    or_none(_page),
    Flag("report", "FILE.html", "Write one page of figures and charts, which needs no network to open.", MEASURED),
]
