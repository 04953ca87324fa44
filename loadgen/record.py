"""The record of a run: its manifest, the summary that --json prints, and the ledger of a test with Locust.

One schema for all that write or read them: `write` writes a record whole or not at all, `read` reads a manifest of any
version up to MANIFEST_VERSION, or a summary, and validates it. What older versions did not write is None or empty.
With the settings, the seed and the versions in a manifest every event of the run can be generated again; with the
fingerprint a topic or a folder can be compared with it.
"""

import math
import os
import platform
import re
from codecs import BOM_UTF8
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from loadgen.config.names import EncodingName
from loadgen.errors import ManifestError, OutputUnwritable
from loadgen.event import N_VIRTUAL_SHARDS, PAGES, Int64s
from loadgen.files import write_whole
from loadgen.histogram import N_BUCKETS, Histogram, Sparse
from loadgen.ledger import Fingerprint, Outcome, Tally
from loadgen.progress import Progress

MANIFEST_VERSION = 3
"""Version 1 has no planned events by virtual shard, version 2 has no progress of the sinks."""
LEDGER_VERSION = 1
MANIFEST_START = b'{"manifest_version":'
"""What a manifest starts with, white space apart."""
NAME_IT = "name the file that loadgen run wrote (loadgen_runs/<run id>.json)"
MOST_BYTES = 256 << 20
MOST_WINDOWS = 20_000
_MOST = 10**18
_PACKAGES = ("loadgen", "numpy", "pyarrow", "confluent-kafka", "orjson", "faker")


def finite(value: float, digits: int = 3) -> float | None:
    """The value as JSON has it: rounded; None for nan and inf."""
    return round(value, digits) if math.isfinite(value) else None


def _hexadecimal(total: str) -> str:
    if not re.fullmatch("[0-9a-f]{16}", total):
        raise ValueError(f"{total[:40]!r} is not 16 hexadecimal digits")
    return total


Whole = Annotated[int, Field(ge=-_MOST, le=_MOST)]
Count = Annotated[int, Field(ge=0, le=_MOST)]
Events = Annotated[int, Field(ge=0, le=10**15)]
Seed = Annotated[int, Field(ge=0, lt=2**64)]
Number = Annotated[float, Field(ge=-1e18, le=1e18, allow_inf_nan=False)]
Amount = Annotated[float, Field(ge=0, le=1e18, allow_inf_nan=False)]
Moment = Annotated[int, Field(ge=0, le=7_258_118_400_000)]
"""Milliseconds since 1970, up to the year 2200."""


class Part(BaseModel):
    """A part of a record: immutable, strict in its types; unknown fields are ignored."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", hide_input_in_errors=True, defer_build=True)


class Percentiles(Part):
    """Durations in milliseconds; None where nothing was measured."""

    p50: Amount | None = None
    p90: Amount | None = None
    p99: Amount | None = None
    p999: Amount | None = None
    max: Amount | None = None


class HistogramRecord(Part):
    """A histogram of durations: its filled buckets."""

    buckets: list[Annotated[int, Field(ge=0, lt=N_BUCKETS)]]
    counts: list[Events]
    sum_s: Amount = 0.0
    max_s: Amount = 0.0

    @classmethod
    def of(cls, histogram: Histogram | Sparse) -> Self:
        """The record of this histogram."""
        sparse = Sparse.of(histogram) if isinstance(histogram, Histogram) else histogram
        # the sum of a difference of histograms may be a rounding error below zero
        values = {"sum_s": max(0.0, float(sparse.sum_s)), "max_s": float(sparse.max_s)}
        return cls(buckets=sparse.buckets.tolist(), counts=sparse.counts.tolist(), **values)

    @model_validator(mode="after")
    def _each_bucket_has_a_count(self) -> Self:
        if len(self.buckets) != len(self.counts) or sorted(set(self.buckets)) != self.buckets:
            raise ValueError("must have as many counts as buckets, and buckets in ascending order")
        return self


class Counts(Part):
    """Outcomes of the events of a sink, or of a worker's sink."""

    planned: Count
    delivered: Count
    failed: Count = 0
    dropped: Count = 0
    unfinished: Count = 0
    aborted: Count = 0


class ShardCounts(Part):
    """Events by virtual shard; the JSON key "slices" is the number of virtual shards."""

    slices: int = N_VIRTUAL_SHARDS
    count: list[Events]

    @classmethod
    def of(cls, count: Int64s) -> "ShardCounts":
        """The record of int64[N_VIRTUAL_SHARDS]."""
        return ShardCounts(slices=N_VIRTUAL_SHARDS, count=count.tolist())

    def counts(self) -> Int64s:
        """int64[N_VIRTUAL_SHARDS]."""
        return np.array(self.count, np.int64)

    @model_validator(mode="after")
    def _has_each_shard(self) -> Self:
        if self.slices != N_VIRTUAL_SHARDS or len(self.count) != N_VIRTUAL_SHARDS:
            raise ValueError(f"counts that are not of {N_VIRTUAL_SHARDS} slices")
        return self


class FingerprintRecord(ShardCounts):
    """A fingerprint; the total of each virtual shard as 16 hexadecimal digits."""

    total: list[Annotated[str, AfterValidator(_hexadecimal)]]

    @classmethod
    def from_fingerprint(cls, fingerprint: Fingerprint) -> Self:
        """The record of this fingerprint."""
        total = [f"{total:016x}" for total in fingerprint.total.tolist()]
        return cls(slices=N_VIRTUAL_SHARDS, count=fingerprint.count.tolist(), total=total)

    def fingerprint(self) -> Fingerprint:
        """The fingerprint."""
        return Fingerprint(self.counts(), np.array([int(total, 16) for total in self.total], np.uint64))

    @model_validator(mode="after")
    def _has_each_total(self) -> Self:
        if len(self.total) != N_VIRTUAL_SHARDS:
            raise ValueError(f"totals that are not of {N_VIRTUAL_SHARDS} slices")
        return self


class ProgressRecord(Part):
    """A sink's `Progress`, as `Progress.as_json` writes it."""

    partitions: Count
    ended: list[str]
    absent: list[str]
    ahead: list[str]
    complete: bool
    aborted: list[Count] = []

    def progress(self) -> Progress:
        """The progress; raises ValueError where its texts are no numbers."""
        return Progress.from_json(self.model_dump())


class SinkRecord(Counts):
    """The ledger of one sink; aborted_fingerprint: of its aborted events, where there are any."""

    bytes: Count = 0
    by_page: dict[str, dict[str, Count]] = {}
    ack: HistogramRecord | None = None
    intended_to_ack: HistogramRecord | None = None
    fingerprint: FingerprintRecord | None = None
    aborted_fingerprint: FingerprintRecord | None = None
    progress: ProgressRecord | None = None

    @classmethod
    def of(cls, tally: Tally, progress: Progress | None = None, pages: Sequence[str] = PAGES.names) -> Self:
        """The record of this tally, with the sink's progress where there is one; pages: the names of the run's."""
        by_page = zip(Outcome, tally.by_page[:, : len(pages)].tolist(), strict=True)
        record = cls(
            **tally.counts(),
            bytes=tally.bytes_delivered,
            by_page={outcome.name.lower(): dict(zip(pages, row, strict=True)) for outcome, row in by_page},
            ack=HistogramRecord.of(tally.ack_s),
            intended_to_ack=HistogramRecord.of(tally.intended_to_ack_s),
            fingerprint=FingerprintRecord.from_fingerprint(tally.fingerprint),
        )
        further: dict[str, Part] = {}
        if tally.aborted.count.any():
            further["aborted_fingerprint"] = FingerprintRecord.from_fingerprint(tally.aborted)
        if progress is not None:
            further["progress"] = ProgressRecord(**progress.as_json())
        return record.model_copy(update=further)


class WorkerRecord(Part):
    """The ledger of one worker."""

    index: Count
    restarts: Count = 0
    repeated_possibly: Count = 0
    sinks: dict[str, Counts] = {}


class ThresholdRecord(Part):
    """A threshold and its result, see `loadgen.runner.thresholds.ThresholdResult`; ms and events per second."""

    expr: str
    passed: bool
    value: Number | None = None
    limit: Number | None = None
    worst: Number | None = None
    unit: str = ""
    at_s: Number | None = None
    worst_at_s: Number | None = None


class StallRecord(Part):
    """A stretch in which nothing was delivered although events were due, seconds after the start."""

    from_s: Number
    to_s: Number
    due: Count = 0


class GroupRecord(Part):
    """A consumer group that was watched.

    Attributes:
        lag, behind_s: messages that it had not committed when the run ended, and how long the first of them had waited.
        most_lag, most_behind_s: the most of the run.
        catch_up_s: how long after the load it had committed all of it; None where that was not seen.
        error: why `lag` and `behind_s` are older than the end; None where they are not.
    """

    name: str
    lag: Count
    behind_s: Amount
    most_lag: Count
    most_behind_s: Amount
    catch_up_s: Amount | None = None
    error: str | None = None


class FarEndRecord(Part):
    """What came out of the system under test.

    Attributes:
        topic: in which it was looked for.
        seen: events of the run that were seen there.
        lost: delivered, and not seen when the wait for them was over; None where that is not known: the wait was cut
            short, or events ended otherwise than delivered and may have been seen.
        repeated: messages that carried an event again, also one that a worker which died may have sent twice.
        late: events seen later than --watch-late after they were due.
        unrecognised: messages that carried no event of the run, or not its header.
        reader_busy: the share of its time in which the reader was busy, 0..1.
        error: why the reader failed; then, and where not all was waited for, lost, repeated and late are None.
    """

    topic: str
    seen: Count = 0
    lost: Count | None = None
    repeated: Count | None = None
    late: Count | None = None
    unrecognised: Count = 0
    reader_busy: Amount = 0.0
    error: str | None = None


class RecordingRecord(Part):
    """What `loadgen replay` read, see `loadgen.replay.records.ReadCounts`."""

    read: Count = 0
    broken: Count = 0
    without_time: Count = 0
    without_value: Count = 0
    skipped: Count = 0
    late: Count = 0
    passes: Count = 0
    named: list[str] = []


class CrowdRecord(Counts):
    """A crowd of the run: counts of the whole run; rates and latencies after the warm-up, while it was on."""

    name: str
    users: Count
    target_per_s: Number | None = None
    achieved_per_s: Amount = 0.0
    ack_ms: Percentiles = Percentiles()
    intended_to_ack_ms: Percentiles = Percentiles()


class CrowdSpan(Part):
    """What happened to the events of a crowd between two moments."""

    planned: Whole = 0
    delivered: Whole = 0
    failed: Whole = 0
    dropped: Whole = 0
    unfinished: Whole = 0
    ack_ms: Percentiles = Percentiles()
    intended_to_ack_ms: Percentiles = Percentiles()


class Summary(Counts):
    """The object that `loadgen run --json` prints: counts of the whole run, rates and latencies after the warm-up."""

    repeated_possibly: Count = 0
    bytes: Count = 0
    elapsed_s: Amount
    cpu_s: Amount = 0.0
    target_per_s: Number | None = None
    achieved_per_s: Amount
    schedule_lag_ms: Percentiles = Percentiles()
    ack_ms: Percentiles = Percentiles()
    intended_to_ack_ms: Percentiles = Percentiles()
    limited_by: str = ""
    seed: Seed | None = None
    manifest: str = ""
    exit_reason: str = ""
    restarts: Count = 0
    impaired: dict[str, Count] = {}
    sinks: dict[str, Counts] = {}
    scheduled: Number | None = None
    measured_from_s: Amount | None = 0.0
    stalls: list[StallRecord] = []
    thresholds: list[ThresholdRecord] = []
    groups: list[GroupRecord] = []
    end_to_end_ms: Percentiles = Percentiles()
    far_end: FarEndRecord | None = None
    crowds: list[CrowdRecord] = []
    cut_short: str | None = None
    recording: RecordingRecord | None = None


class Span(Part):
    """What happened between two moments, seconds after the start; see `loadgen.runner.history.Window`."""

    start_s: Number = 0.0
    end_s: Number = 0.0
    offered_s: Number | None = None
    scheduled: Number | None = None
    planned: Whole = 0
    delivered: Whole = 0
    failed: Whole = 0
    dropped: Whole = 0
    unfinished: Whole = 0
    aborted: Whole = 0
    n_bytes: Whole = 0
    cpu_s: Number = 0.0
    in_flight: Whole = 0
    active: Whole = 0
    schedule_lag_ms: Percentiles = Percentiles()
    ack_ms: Percentiles = Percentiles()
    intended_to_ack_ms: Percentiles = Percentiles()
    lag: dict[str, Count] = {}
    behind_s: dict[str, Amount] = {}
    catch_up_s: Amount | None = None
    end_to_end_ms: Percentiles = Percentiles()
    crowds: dict[str, CrowdSpan] = {}


class WindowRecord(Span):
    """One window of the history."""

    start_s: Number
    end_s: Number
    planned: Whole
    delivered: Whole

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
    def _has_a_length(self) -> Self:
        if round(self.end_s - self.start_s, 6) < 1e-3:
            raise ValueError("must end a millisecond after its start, or later")
        return self


class MeasuredRecord(Span):
    """The run without its warm-up, with its histograms."""

    schedule_lag: HistogramRecord | None = None
    ack: HistogramRecord | None = None
    intended_to_ack: HistogramRecord | None = None
    end_to_end: HistogramRecord | None = None


class CatalogRecord(Part):
    """The catalogue that the run used."""

    digest: str
    tracks: Count | None = None
    name: str | None = None


class TopicRecord(Part):
    """A topic of a topic map: its partitions at the start of the run, and the pages whose events go there."""

    name: str
    partitions: Annotated[int, Field(ge=1)]
    pages: list[str]


class RunRecord(Part):
    """A run. Of what `loadgen run --json` printed, only `summary` is known, and `is_summary` is true.

    Attributes:
        settings: of the run, without its secrets.
        fields: the definition of its format, see `Format.definition`; empty where the version that wrote it kept none.
        encoding, schema_id, subject, schema_text: of the messages in Kafka; the last three are None for "json".
        key_schema_id, key_subject: of keys in Avro.
        topics: those of a topic map. The progress of the sink "kafka" counts their partitions through, in this order,
            and the hashes in its fingerprint are those of `Topics.hashes`. Empty where one topic has all events.
        behaviour, crowd_behaviours: how its listeners behave; of several crowds each, and the first of them alone.
        planned: events planned by virtual shard: a prefix of the virtual shard's own sequence.
        schedule_lag: of the whole run; `measured` leaves the warm-up out.
        reached: the file of the workers' own counts, beside a manifest that was written while the run went on: the run
            was killed, or goes on. None in the manifest of a run that has ended.
        path: the file that it was read from.
    """

    manifest_version: Count = 0
    run_id: str = ""
    seed: Seed | None = None
    start_ms: Whole | None = None
    format: str = ""
    fields: list[dict[str, Any]] = []
    encoding: EncodingName = "json"
    schema_id: Count | None = None
    subject: str | None = None
    schema_text: str | None = None
    key_schema_id: Count | None = None
    key_subject: str | None = None
    topics: list[TopicRecord] = []
    settings: dict[str, Any] = {}
    behaviour: dict[str, Any] = {}
    crowd_behaviours: dict[str, dict[str, Any]] = {}
    versions: dict[str, str] = {}
    machine: dict[str, str | int | float | None] = {}
    catalog: CatalogRecord | None = None
    t0_wall_ms: Moment | None = None
    summary: Summary
    planned: ShardCounts | None = None
    sinks: dict[str, SinkRecord] = {}
    workers: list[WorkerRecord] = []
    schedule_lag: HistogramRecord | None = None
    measured: MeasuredRecord | None = None
    error: str | None = None
    history: Annotated[list[WindowRecord], Field(max_length=MOST_WINDOWS)] = []
    reached: str | None = None
    path: str = Field(default="", exclude=True)
    is_summary: bool = Field(default=False, exclude=True)

    @property
    def name(self) -> str:
        """The run's id; of a run without one, the file's name."""
        return self.run_id or Path(self.summary.manifest or self.path).stem

    @property
    def is_replay(self) -> bool:
        """Whether its events were recorded."""
        return "sources" in self.settings

    @property
    def is_complete(self) -> bool:
        """Whether the run served its whole duration; one that was stopped, killed, or goes on did not."""
        return self.reached is None and self.summary.exit_reason == "duration"

    @property
    def primary_sink(self) -> SinkRecord | None:
        """The ledger of the first sink, Kafka's before files'."""
        return next(iter(self.sinks.values()), None)

    def spread(self, latency: str) -> HistogramRecord | None:
        """The histogram of one of the four latencies, without the warm-up where that is known."""
        found: HistogramRecord | None = getattr(self.measured, latency, None)
        if found is None:
            found = self.schedule_lag if latency == "schedule_lag" else getattr(self.primary_sink, latency, None)
        return found


class StressWorkerRecord(Counts):
    """One worker of a test with Locust.

    Attributes:
        shard: "index/count". life: the fencing token. from_s, until_s: of the test, its first and last report.
        end: "running", "drained", "failed" or "lost". possibly_more: events that it may have sent after its last
            report, at most. memory: of its process, MB.
    """

    worker: str
    shard: str
    life: Count
    from_s: Number
    until_s: Number
    end: str
    possibly_more: Count
    error: str | None
    memory: dict[str, float | None] | None


class WorkerEvent(Part):
    """What happened to a worker, and when, seconds of the test."""

    at_s: Number
    worker: str
    what: str


class StressRecord(Part):
    """The ledger of a test with Locust."""

    ledger_version: Count
    seed: Seed
    t0_wall_ms: Moment | None
    users: Count
    cohort: Count
    settings: dict[str, Any]
    versions: dict[str, str]
    machine: dict[str, str | int | float | None]
    summary: Summary
    possibly_more: Count
    sinks: dict[str, SinkRecord]
    workers: list[StressWorkerRecord]
    happened: list[WorkerEvent]
    history: list[WindowRecord]


def versions() -> dict[str, str]:
    """The versions of everything that the events depend on."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # run from a folder that was never installed
            found[package] = "unknown"
    return found


def write(path: Path, record: RunRecord | StressRecord) -> None:
    """Write a record whole or not at all.

    Raises:
        OutputUnwritable: the folder cannot be made or the file not written.
    """
    text = orjson.dumps(record.model_dump(exclude_unset=True), option=orjson.OPT_INDENT_2)
    what, flag = ("manifest", "--manifest") if isinstance(record, RunRecord) else ("ledger", "--ledger")
    try:
        write_whole(path, text)
    except OSError as error:
        raise OutputUnwritable(
            f"{what} {path} cannot be written ({error.strerror}); choose another place with {flag} PATH"
        ) from error


def read(path: Path) -> RunRecord:
    """Read a manifest, or what `loadgen run --json` printed.

    Raises:
        ManifestError: the file cannot be read, is neither, or is of a version that is not known yet.
    """
    try:
        with path.open("rb") as stream:
            is_too_large = os.fstat(stream.fileno()).st_size > MOST_BYTES
            text = b"" if is_too_large else stream.read(MOST_BYTES + 1)
    except OSError as error:
        raise ManifestError(f"{path} must be readable: {error.strerror}; check the path") from error
    if is_too_large or len(text) > MOST_BYTES:
        raise ManifestError(f"{path} must be at most {MOST_BYTES >> 20} MiB, got more; {NAME_IT}")
    return parse(text, str(path))


def parse(text: bytes, path: str) -> RunRecord:
    """The record that these bytes of a file are; raises as `read` does."""
    try:
        content = orjson.loads(text.removeprefix(BOM_UTF8))
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"{path} must be JSON as loadgen run wrote it, got {error}; {NAME_IT}") from error
    if not isinstance(content, dict):
        raise ManifestError(f"{path} must be one JSON object, got {type(content).__name__}; {NAME_IT}")
    if "ledger_version" in content:
        raise ManifestError(f"{path} must be of loadgen run, got the ledger of a test with Locust; {NAME_IT}")
    is_summary = "summary" not in content and "manifest_version" not in content
    given = {"summary": content} if is_summary else content
    number = given.get("manifest_version")
    if isinstance(number, int) and number > MANIFEST_VERSION:
        step = "read it with the version of loadgen that wrote it"
        raise ManifestError(f"{path} must be a manifest of version {MANIFEST_VERSION} at most, got {number}; {step}")
    try:
        return RunRecord.model_validate({**given, "path": path, "is_summary": is_summary})
    except ValidationError as error:
        raise ManifestError(f"{path} must be as loadgen run wrote it, got {first_problem(error)}; {NAME_IT}") from error


def first_problem(error: ValidationError) -> str:
    """The first problem and its place, in a line."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(str(part)[:40] for part in first["loc"])
    return f"{place}: {first['msg']}" if place else str(first["msg"])
