"""What `verify` needs of the manifest of a run: settings from which every event can be generated again, how many events
of each virtual shard were planned, and the fingerprint of those that were delivered to the kind of place that is read.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import ValidationError

from loadgen.config import RunSettings
from loadgen.config.names import OWN_SINKS
from loadgen.encode.encodings import RegisteredSchema
from loadgen.errors import LoadgenError, ManifestError, UsageError
from loadgen.event import Int64s
from loadgen.evolve.match import own_schema
from loadgen.fingerprint import run_key
from loadgen.formats import Format, field_of, format_of
from loadgen.kafka.message import MessageSpec
from loadgen.kafka.topics import Topics, topics_of_pages
from loadgen.ledger import Fingerprint
from loadgen.progress import Progress
from loadgen.record import MANIFEST_VERSION, NAME_IT, RunRecord, first_problem, read, versions
from loadgen.simulate.behaviour import Behaviour
from loadgen.verifier.worker_progress import read_planned

PlaceKind = Literal["topic", "store", "folder", "file"]
_SINKS: dict[PlaceKind, tuple[str, ...]] = {
    "topic": ("kafka",),
    "store": ("kafka", "files"),
    "folder": ("files", "stream", "kafka"),
    "file": ("stream", "files", "kafka"),
}
"""Which ledger of a run fits, the best first. Files may have been read from a topic by another consumer."""
_LACKS = {
    1: "does not say how many events of each virtual shard were planned, nor how far each sink came",
    2: "does not say how far each sink came",
}
"""What the manifests of former versions do not say, without which nothing can be proved."""
_UNFIT = (KeyError, TypeError, ValueError, OverflowError, AttributeError, RecursionError, LoadgenError)


@dataclass(frozen=True, eq=False)
class ManifestSpec:
    """What one manifest says.

    Attributes:
        path: the manifest. run_id: the run's name. settings: of the run; its secrets are lost. behaviour: how its
        listeners behaved. digest: of its catalogue. faker: the version of Faker that built the catalogue. planned:
        int64[N_VIRTUAL_SHARDS], events of each virtual shard that were planned: a prefix of the virtual shard's own
        sequence. delivered: the fingerprint of those that arrived. sink: the name of the ledger that `delivered` is
        from. progress: how far that sink came: which of the planned events may be absent. t0_wall_ms: the schedule's
        zero, ms since 1970; None where the run never started. repeated_possibly: events that the run itself may have
        sent twice. schema: of the messages in Kafka; None where they are JSON without one. key_schema_id: of their keys
        in Avro. was_killed: the manifest is the last that the run wrote on its way; it was killed, or goes on. topics:
        those of a topic map; None where there is none. only: the one of them that is compared; None: all are. crowds:
        the behaviour of each crowd of its listeners; empty where they are one. aborted: the fingerprint of the events
        in transactions that were aborted on purpose. with_aborted: these are to be there, too: `delivered` has them.
    """

    path: Path
    run_id: str
    settings: RunSettings
    behaviour: Behaviour
    digest: str
    faker: str
    planned: Int64s
    delivered: Fingerprint
    sink: str
    progress: Progress
    t0_wall_ms: int | None
    repeated_possibly: int
    schema: RegisteredSchema | None = None
    key_schema_id: int | None = None
    was_killed: bool = False
    topics: Topics | None = None
    only: str | None = None
    crowds: tuple[Behaviour, ...] = ()
    aborted: Fingerprint = field(default_factory=Fingerprint)
    with_aborted: bool = False

    def uncommitted(self) -> "ManifestSpec":
        """What read_uncommitted readers see: aborted events, too."""
        delivered = Fingerprint()
        for part in (self.delivered, self.aborted):
            delivered.merge(part)
        return replace(self, delivered=delivered, with_aborted=True)

    @cached_property
    def wire_format(self) -> Format:
        """What its events look like where they are read."""
        own = self.schema.own if self.schema and self.sink == "kafka" else None
        return own.reading if own else self.settings.wire_format

    @property
    def n_delivered(self) -> int:
        """Events that are to be there: those that arrived, or of them those in the one topic that is compared."""
        if self.topics is None or self.only is None:
            return int(self.delivered.count.sum())
        first = int(self.topics.firsts[at := self.topics.names.index(self.only)])
        stop = first + self.topics.n_partitions[at]
        n_aborted = int(self.progress.aborted[first:stop].sum()) if self.with_aborted else 0
        return self.progress.n_delivered(first, stop) + n_aborted

    @cached_property
    def messages(self) -> MessageSpec:
        """Its keys and headers."""
        return MessageSpec.of(self.settings, self.key_schema_id)

    @cached_property
    def changed_fields(self) -> list[str]:
        """Fields of keys and headers that a user's own schema leaves out, or may write in another way than these."""
        own = self.schema.own if self.schema and self.sink == "kafka" else None
        if own is None:
            return []
        as_they_are = {(one.name, one.source, one.type) for one in own.reading.fields if one.type != "float"}
        return [
            field.name
            for field in self.messages.fields
            if field.is_optional or (field.name, field.source, field.type) not in as_they_are
        ]

    @property
    def undelivered(self) -> Int64s:
        """Events of each virtual shard that were planned and did not arrive for certain: int64[N_VIRTUAL_SHARDS]."""
        known = self.delivered.count if self.with_aborted else self.delivered.count + self.aborted.count
        missing: Int64s = np.maximum(self.planned - known, 0)
        return missing

    @property
    def key(self) -> np.uint64:
        """Of the hashes in its fingerprint."""
        return run_key(self.settings.seed, self.timeless)

    @property
    def timeless(self) -> bool:
        """Whether the times of its events cannot be made again, see RunSettings.timeless."""
        return self.settings.timeless

    @property
    def shuffled(self) -> bool:
        """Whether its events leave in another order than they happen."""
        return bool(self.settings.impair.late or self.settings.impair.reorder)


def read_promises(paths: Iterable[Path], place: PlaceKind) -> list[ManifestSpec]:
    """Read manifests.

    Raises:
        ManifestError: one cannot be read, is none, was written by another version, or is given twice.
    """
    found = [spec_of(read(path), place) for path in paths]
    seen: dict[tuple[str, str], Path] = {}
    for spec in found:
        name = (spec.run_id, str(spec.settings.shard))
        if name in seen:
            raise ManifestError(
                f"each manifest must be given once, got run {spec.run_id} in {seen[name]} and in {spec.path}; "
                "leave one of them out"
            )
        seen[name] = spec.path
    return found


def spec_of(record: RunRecord, place: PlaceKind) -> ManifestSpec:
    """What the record of a run says of the events at a kind of place; raises ManifestError as `read_promises` does."""
    _check_version(record)
    _check_format(record)
    try:
        return _spec(record, place)
    except ManifestError:
        raise
    except _UNFIT as error:
        why = first_problem(error) if isinstance(error, ValidationError) else str(error).partition("\n")[0]
        said = why or type(error).__name__
        raise ManifestError(f"manifest {record.path} must be as loadgen run wrote it, got {said}; {NAME_IT}") from error


def _check_version(record: RunRecord) -> None:
    path, number = record.path, record.manifest_version
    if record.is_summary:
        raise ManifestError(f"{path} must be a manifest, got what loadgen run --json printed; {NAME_IT}")
    if record.is_replay:
        sources = ", ".join(map(str, record.settings["sources"]))
        raise ManifestError(
            f"manifest {path} must be of loadgen run, got that of a replay of {sources}: its events were recorded, and "
            "cannot be made again from a seed; its own ledger says what was delivered (loadgen replay --json)"
        )
    if number != MANIFEST_VERSION:
        lacks = f", which {_LACKS[number]}: nothing can be proved from it" if number in _LACKS else ""
        raise ManifestError(
            f"manifest {path} must have version {MANIFEST_VERSION}, got {number}{lacks}; "
            "verify it with the version of loadgen that wrote it, or run again"
        )
    written, mine = record.versions.get("loadgen", "none"), versions()["loadgen"]
    if written != mine and "unknown" not in (written, mine):
        raise ManifestError(
            f"manifest {path} must be from this version of loadgen ({mine}), got {written!r}: another version may make "
            f"other events; verify it with `pip install loadgen=={written}`"
        )


def _check_format(record: RunRecord) -> None:
    """The format that is installed here must be the one that the run had."""
    fields = record.settings.get("field", [])
    try:
        found = format_of(
            str(record.settings.get("format", "activity")),
            [one if isinstance(one, str) else field_of(one) for one in fields],
        ).definition
    except UsageError as error:
        raise ManifestError(f"the format of run {record.run_id} is needed to verify it: {error}") from error
    except _UNFIT as error:
        raise ManifestError(
            f"manifest {record.path} must be as loadgen run wrote it, got {error}; {NAME_IT}"
        ) from error
    if not record.fields or record.fields == found:
        return
    without = [[{**field, "digest": ""} for field in fields] for fields in (record.fields, found)]
    if without[0] == without[1]:
        name = next(one["name"] for one, other in zip(record.fields, found, strict=True) if one != other)
        step = f"use the versions that its manifest names: pip install faker=={record.versions.get('faker')}"
        raise ManifestError(f"field {name!r} of run {record.run_id} must draw the run's values, got others; {step}")
    names = [{field["name"]: field for field in fields} for fields in (record.fields, found)]
    name = next((name for name in {**names[0], **names[1]} if names[0].get(name) != names[1].get(name)), None)
    what = "the order of its fields" if name is None else f"field {name!r}"
    raise ManifestError(
        f"format {record.format} must be as it was in run {record.run_id}, got another definition of {what}; install "
        "the version of its package that the run had"
    )


def _spec(record: RunRecord, place: PlaceKind) -> ManifestSpec:
    name = _sink(record, place)
    sink, planned, catalog = record.sinks[name], record.planned, record.catalog
    fingerprint, progress = sink.fingerprint, sink.progress
    if planned is None or catalog is None or fingerprint is None or progress is None:
        needed = {"planned": planned, "catalog": catalog, "fingerprint": fingerprint, "progress": progress}
        raise ValueError(f"no field {next(field for field, value in needed.items() if value is None)!r}")
    settings, schema = RunSettings.from_public(record.settings), _schema(record)
    if schema is not None and settings.schema_file is not None:
        schema = replace(schema, own=own_schema(schema.name, schema.text, settings.wire_format))
        if name == "kafka":
            _check_own(record, schema, place)
    spec = ManifestSpec(
        path=Path(record.path),
        run_id=record.run_id,
        settings=settings,
        behaviour=Behaviour.of(record.behaviour),
        digest=catalog.digest,
        faker=record.versions["faker"],
        planned=_with_reached(record, planned.counts()),
        delivered=fingerprint.fingerprint(),
        sink=name,
        progress=progress.progress(),
        t0_wall_ms=record.t0_wall_ms,
        repeated_possibly=record.summary.repeated_possibly,
        schema=schema,
        key_schema_id=record.key_schema_id,
        was_killed=record.reached is not None,
        topics=_topics(record) if name == "kafka" else None,
        crowds=tuple(Behaviour.of(record.crowd_behaviours[crowd.name]) for crowd in settings.crowd),
        aborted=sink.aborted_fingerprint.fingerprint() if sink.aborted_fingerprint else Fingerprint(),
    )
    if (spec.delivered.count + spec.aborted.count > spec.planned).any():
        raise ValueError("more events delivered than planned")
    if spec.key_schema_id is None and spec.messages.key_schema is not None:
        raise ValueError("keys in Avro without the id of their schema")
    return spec


def _check_own(record: RunRecord, schema: RegisteredSchema, place: PlaceKind) -> None:
    """What a user's own schema left out may be needed to prove the run; raises ManifestError."""
    assert schema.own is not None
    if not schema.own.is_provable:
        raise ManifestError(
            f"the schema of run {record.run_id} must have what tells events apart, and their time, to be verified: "
            "userId, sessionId, itemInSession as integers and ts, or user and timestamp; run again with these"
        )
    if schema.own.unproved and place != "topic":
        names = ", ".join(map(repr, schema.own.unproved))
        raise ManifestError(
            f"the schema of run {record.run_id} adds {names}, which only the topic is compared with; verify it by "
            "--brokers and --topic"
        )


def _schema(record: RunRecord) -> RegisteredSchema | None:
    if record.encoding == "json":
        return None
    if record.schema_id is None or record.schema_text is None:
        raise ValueError("an encoding without its schema")
    return RegisteredSchema(record.encoding, record.schema_id, record.subject or "", record.schema_text)


def _topics(record: RunRecord) -> Topics | None:
    """The topics of its map."""
    if not record.topics:
        return None
    wanted = {page: topic.name for topic in record.topics for page in topic.pages}
    of_pages = topics_of_pages(wanted, Behaviour.of(record.behaviour).page_table.names)
    return Topics.mapped(of_pages, {topic.name: topic.partitions for topic in record.topics})


def _with_reached(record: RunRecord, planned: Int64s) -> Int64s:
    """Events planned by virtual shard; of a run that was killed, those that its workers counted last."""
    if record.reached is None:
        return planned
    return np.maximum(planned, read_planned(Path(record.path).parent / Path(record.reached).name))


def _sink(record: RunRecord, place: PlaceKind) -> str:
    for name in _SINKS[place]:
        if name in record.sinks:
            return name
    of_others = [name for name in record.sinks if name not in OWN_SINKS]
    if of_others and place in ("folder", "file"):
        return of_others[0]
    flags = {"kafka": "--brokers", "files": "--files or --store", "stream": "--files"}
    flags |= {name: f"--files (JSON lines that {name} wrote)" for name in of_others}
    fitting = [flags[name] for name in record.sinks if name in flags]
    step = (
        f"compare it by {' or '.join(fitting)}"
        if fitting
        else "it wrote nowhere (--discard), there is nothing to compare"
    )
    raise ManifestError(
        f"manifest {record.path} must be of a run that wrote to such a place, got {list(record.sinks)}; {step}"
    )
