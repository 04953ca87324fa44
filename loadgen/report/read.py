"""What a run was, read from its manifest, or from the object that `loadgen run --json` printed.

Bytes of a file, or a manifest's dict, go in; a `Run` comes out, every figure of which has its type and its range. What
older versions did not write is None or empty. What cannot be used is a ManifestError with its next step.
"""

from codecs import BOM_UTF8
from pathlib import Path
from typing import Annotated, Any

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from loadgen.errors import ManifestError
from loadgen.histogram import N_BUCKETS

MANIFEST_VERSION = 3
"""The latest that is understood."""
MOST_BYTES = 64 << 20
MOST_WINDOWS = 20_000
_MOST = 10**18
_NAME_IT = "name the file that loadgen run wrote (loadgen_runs/<run id>.json), or what loadgen run --json printed"

Whole = Annotated[int, Field(ge=-_MOST, le=_MOST)]
Count = Annotated[int, Field(ge=0, le=_MOST)]
Number = Annotated[float, Field(ge=-1e18, le=1e18, allow_inf_nan=False)]
Amount = Annotated[float, Field(ge=0, le=1e18, allow_inf_nan=False)]


class Read(BaseModel):
    """Something that was read: immutable, exact in its types; what is not known is passed over."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", hide_input_in_errors=True, defer_build=True)


class Percentiles(Read):
    """Durations in milliseconds; None where nothing was measured."""

    p50: Amount | None = None
    p90: Amount | None = None
    p99: Amount | None = None
    p999: Amount | None = None
    max: Amount | None = None


class Counts(Read):
    """How the events of a sink, or of a worker's sink, ended."""

    planned: Count
    delivered: Count
    failed: Count = 0
    dropped: Count = 0
    unfinished: Count = 0


class HistogramRecord(Read):
    """A histogram of durations, as `loadgen.histogram.Sparse` writes it."""

    buckets: list[Annotated[int, Field(ge=0, lt=N_BUCKETS)]]
    counts: list[Annotated[int, Field(ge=0, le=10**15)]]
    sum_s: Amount = 0.0
    max_s: Amount = 0.0

    @model_validator(mode="after")
    def _each_bucket_has_a_count(self) -> "HistogramRecord":
        if len(self.buckets) != len(self.counts) or sorted(set(self.buckets)) != self.buckets:
            raise ValueError("must have as many counts as buckets, and buckets in ascending order")
        return self


class WindowRecord(Read):
    """What happened between two moments, seconds after the start; see `loadgen.runner.history.WindowRecord`."""

    start_s: Number
    end_s: Number
    offered_s: Number | None = None
    scheduled: Number | None = None
    planned: Whole
    delivered: Whole
    failed: Whole = 0
    dropped: Whole = 0
    unfinished: Whole = 0
    cpu_s: Number = 0.0
    in_flight: Whole = 0
    active: Whole = 0
    schedule_lag_ms: Percentiles = Percentiles()
    ack_ms: Percentiles = Percentiles()
    intended_to_ack_ms: Percentiles = Percentiles()

    @property
    def length_s(self) -> float:
        """Seconds."""
        return self.end_s - self.start_s

    @property
    def asking_s(self) -> float:
        """For how long of it events were offered, seconds; after that they are only waited for."""
        return self.length_s if self.offered_s is None else max(0.0, self.offered_s)

    @property
    def middle_s(self) -> float:
        """Seconds after the start."""
        return (self.start_s + self.end_s) / 2

    @model_validator(mode="after")
    def _has_a_length(self) -> "WindowRecord":
        if self.end_s - self.start_s < 1e-3:
            raise ValueError("must end a millisecond after its start, or later")
        return self


class SinkRecord(Counts):
    """The ledger of one sink."""

    bytes: Count = 0
    by_page: dict[str, dict[str, Count]] = {}
    ack: HistogramRecord | None = None
    intended_to_ack: HistogramRecord | None = None


class WorkerRecord(Read):
    """The ledger of one worker."""

    index: Count
    restarts: Count = 0
    repeated_possibly: Count = 0
    sinks: dict[str, Counts] = {}


class ThresholdRecord(Read):
    """What was demanded of the run, and what it was; see `loadgen.runner.thresholds.Judged`."""

    expr: str
    passed: bool
    value: Number | None = None
    limit: Number | None = None
    worst: Number | None = None
    unit: str = ""
    at_s: Number | None = None
    worst_at_s: Number | None = None


class StallRecord(Read):
    """A stretch in which nothing was delivered although events were due, seconds after the start."""

    from_s: Number
    to_s: Number
    due: Count = 0


class Measured(Read):
    """The histograms of the run without its warm-up."""

    schedule_lag: HistogramRecord | None = None
    ack: HistogramRecord | None = None
    intended_to_ack: HistogramRecord | None = None


class Summary(Counts):
    """The object that `loadgen run --json` prints."""

    repeated_possibly: Count = 0
    bytes: Count = 0
    elapsed_s: Amount
    cpu_s: Amount = 0.0
    scheduled: Number | None = None
    target_per_s: Amount | None = None
    achieved_per_s: Amount
    schedule_lag_ms: Percentiles = Percentiles()
    ack_ms: Percentiles = Percentiles()
    intended_to_ack_ms: Percentiles = Percentiles()
    limited_by: str = ""
    exit_reason: str = ""
    cut_short: str | None = None
    seed: Count | None = None
    manifest: str = ""
    restarts: Count = 0
    impaired: dict[str, Count] = {}
    sinks: dict[str, Counts] = {}
    thresholds: list[ThresholdRecord] = []
    stalls: list[StallRecord] = []
    measured_from_s: Amount | None = 0.0


class Run(Read):
    """A run. Of what `loadgen run --json` printed, only `summary` is known, and `is_summary` is true.

    Attributes:
        reached: the manifest is the last that the run wrote on its way; it was killed, or goes on.
    """

    manifest_version: Count = 0
    run_id: str = ""
    seed: Count | None = None
    t0_wall_ms: Annotated[int, Field(ge=0, le=7_258_118_400_000)] | None = None
    settings: dict[str, Any] = {}
    versions: dict[str, str] = {}
    machine: dict[str, str | int | float | None] = {}
    summary: Summary
    sinks: dict[str, SinkRecord] = {}
    workers: list[WorkerRecord] = []
    schedule_lag: HistogramRecord | None = None
    measured: Measured | None = None
    history: Annotated[list[WindowRecord], Field(max_length=MOST_WINDOWS)] = []
    error: str | None = None
    reached: str | None = None
    path: str = ""
    is_summary: bool = False

    @property
    def name(self) -> str:
        """The run's id; of a run that did not say it, the file's name."""
        return self.run_id or Path(self.summary.manifest or self.path).stem

    @property
    def headline(self) -> SinkRecord | None:
        """The ledger of the first sink, Kafka's before files'."""
        return next(iter(self.sinks.values()), None)

    def spread(self, latency: str) -> HistogramRecord | None:
        """The histogram of "schedule_lag", "ack" or "intended_to_ack", without the warm-up where that is known."""
        found: HistogramRecord | None = getattr(self.measured, latency, None)
        if found is None:
            found = self.schedule_lag if latency == "schedule_lag" else getattr(self.headline, latency, None)
        return found


def run_of(manifest: dict[str, Any], path: str) -> Run:
    """The run that this manifest tells of.

    Args:
        manifest: as it was, or will be, written.
        path: where it is.

    Raises:
        ManifestError: it is none, or of a version that is not known yet.
    """
    return _run(orjson.loads(orjson.dumps(manifest)), path)


def read_run(path: Path) -> Run:
    """The run that this file tells of: a manifest, or what `loadgen run --json` printed.

    Raises:
        ManifestError: see `run_of`; or it cannot be read, or is no JSON.
    """
    try:
        with path.open("rb") as stream:
            text = stream.read(MOST_BYTES + 1)
    except OSError as error:
        raise ManifestError(f"{path} must be readable: {error.strerror}; check the path") from error
    if len(text) > MOST_BYTES:
        raise ManifestError(f"{path} must be at most {MOST_BYTES >> 20} MiB, got more; {_NAME_IT}")
    try:
        content = orjson.loads(text.removeprefix(BOM_UTF8))
    except ValueError as error:
        raise ManifestError(f"{path} must be JSON as loadgen run wrote it, got {error}; {_NAME_IT}") from error
    return _run(content, str(path))


def _run(content: Any, path: str) -> Run:
    if not isinstance(content, dict):
        raise ManifestError(f"{path} must be one JSON object, got {type(content).__name__}; {_NAME_IT}")
    is_summary = "summary" not in content and "manifest_version" not in content
    given = {"summary": content} if is_summary else content
    number = given.get("manifest_version")
    if isinstance(number, int) and number > MANIFEST_VERSION:
        step = "read it with the version of loadgen that wrote it"
        raise ManifestError(f"{path} must be a manifest of version {MANIFEST_VERSION} at most, got {number}; {step}")
    try:
        return Run.model_validate({**given, "path": path, "is_summary": is_summary})
    except ValidationError as error:
        raise ManifestError(f"{path} must be as loadgen run wrote it, got {_why(error)}; {_NAME_IT}") from error


def _why(error: ValidationError) -> str:
    """The first thing that is wrong, in a line."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(str(part)[:40] for part in first["loc"])
    return f"{place}: {first['msg']}" if place else str(first["msg"])
