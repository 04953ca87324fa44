"""Everything that is checked and made ready before the first worker starts, so that what can fail fails at once.

Settings go in; a `Plan` comes out, or an error with its next step: memory, behaviour, catalogue, topic, outputs.
"""

import secrets
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace

import numpy as np

from loadgen.config import RunSettings
from loadgen.config.names import EncodingName, page_topics
from loadgen.config.values import say_duration
from loadgen.encode.encoding import format_in
from loadgen.encode.encodings import RegisteredSchema, full_name, schema_text
from loadgen.encode.own import OwnSchema
from loadgen.encode.tracks import domains_of, open_track_parts
from loadgen.errors import BrokerUnreachable, RegistryError, UsageError
from loadgen.evolve.match import own_schema
from loadgen.extensions import check_portable, name_of
from loadgen.files import check_writable
from loadgen.formats import Format
from loadgen.kafka.check import check_topic, create_topic
from loadgen.kafka.errors import TRANSACTIONAL_ID
from loadgen.kafka.message import MessageSpec
from loadgen.kafka.options import KafkaSettings, options_of
from loadgen.kafka.producer_options import check_options
from loadgen.kafka.registry import KINDS, Registry, RegistrySettings, subject_of
from loadgen.kafka.topic_config import check_config, check_times, smallest_batches
from loadgen.kafka.topic_reader import end_offsets
from loadgen.kafka.topics import Topics, topics_of_pages
from loadgen.report import check_report
from loadgen.runner.console import RunConsole
from loadgen.runner.machine import available_bytes, check_memory
from loadgen.runner.messages import Plan, SimulationPlan
from loadgen.runner.outputs import encodings_of, transactional_id
from loadgen.runner.time_bounds import natural_rates, time_bounds
from loadgen.simulate.crowds import labels_of
from loadgen.simulate.feed import crowd_parts, offered
from loadgen.simulate.model import Expected, Model
from loadgen.simulate.pacers import check_pacer, find_pacer
from loadgen.simulate.shapes import MOST_S
from loadgen.sink.simple import make_sink
from loadgen.stream import catalog_of, crowds_of, simulation_of


def new_run_id() -> str:
    """A name for the run that sorts by time and meets no other: 20261122-101500-3fa9."""
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(2)}"


def check_files(settings: RunSettings) -> None:
    """Find out early whether all files of a run can be written.

    Raises:
        OutputUnwritable: the first that cannot.
    """
    check_writable(settings.manifest_path("").parent, "name another place for the manifest with --manifest PATH")
    for folder in (settings.folder, settings.percentile_log):
        if folder is not None:
            check_writable(folder)
    if settings.report is not None:
        check_report(settings.report)


def prepare(settings: RunSettings, console: RunConsole, embedded_address: str | None) -> SimulationPlan:
    """Check and prepare a run: all but its files.

    Args:
        settings: what the user asked for.
        console: shows the building of a catalogue.
        embedded_address: of the embedded broker, where there is one.

    Raises:
        LoadgenError: the first thing that stands in the way.
    """
    _check_pace(settings)
    key_schema_text = MessageSpec.of(settings).key_schema
    sinks = {name_of(sink): make_sink(sink) for sink in settings.sink}
    check_memory(settings.users // settings.shard.count, settings.workers, available_bytes())
    simulation = simulation_of(settings)
    wire_format = _wire_format(settings)
    catalog, pages = catalog_of(settings, console.preparing), simulation.behaviour.page_table.names
    crowds, own_text, own = crowds_of(settings, catalog), _own_text(settings), None
    if own_text is not None:
        domains = domains_of(catalog, labels_of(catalog, simulation, crowds))
        own = own_schema(settings.encoding, own_text, wire_format, domains)
    kafka, topics, topic_ends = kafka_of(settings, console, embedded_address, pages)  # may make topics
    schema = _schema(settings, wire_format, own_text, own)
    key_schema = None
    if key_schema_text is not None:
        key_schema = _registered(settings, "avro", [f"{topic}-key" for topic in settings.topics], key_schema_text)
    model = Model.of(simulation, catalog)
    if kafka is not None and embedded_address is None:
        bounds = time_bounds(settings, natural_rates(simulation, model, crowds), time.time() * 1000)
        for topic in settings.topics:
            check_times(replace(kafka, topic=topic), bounds, console.note)
    plan = SimulationPlan(
        run_id=new_run_id(),
        settings=settings,
        simulation=simulation,
        model=model,
        catalog_path=catalog.path,
        catalog_digest=catalog.digest,
        kafka=kafka,
        topic_ends=topic_ends,
        stream=settings.output is not None,
        sinks=sinks,
        schema=schema,
        key_schema=key_schema,
        topics=topics,
        crowds=crowds,
    )
    for encoding in encodings_of(plan):
        open_track_parts(
            catalog, format_in(encoding, wire_format), encoding
        )  # made once, before many workers want them
    return plan


def _own_text(settings: RunSettings) -> str | None:
    """The text of the user's own schema, if there is one.

    Raises:
        UsageError: it cannot be read.
    """
    if settings.schema_file is None:
        return None
    try:
        return settings.schema_file.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise UsageError(
            f"--schema must be a file with a schema, got {str(settings.schema_file)!r}: {reason}; name another"
        ) from error


def _schema(
    settings: RunSettings, wire_format: Format, own_text: str | None, own: OwnSchema | None
) -> RegisteredSchema | None:
    """The schema of the run's messages, registered, or looked up; None for JSON without one.

    Raises:
        UsageError: a field's name is not possible in the encoding.
        RegistryError: the registry is away, or refuses.
    """
    text = schema_text(settings.encoding, wire_format) if own_text is None else own_text
    if text is None:
        return None
    name, strategy = own.name if own else full_name(settings.encoding, wire_format), settings.subject_name
    subjects = [subject_of(strategy, topic, name) for topic in settings.topics]
    return replace(_registered(settings, settings.encoding, subjects, text), own=own)


def _registered(settings: RunSettings, encoding: EncodingName, subjects: list[str], text: str) -> RegisteredSchema:
    """A schema, registered under these subjects, or looked up; raises RegistryError."""
    assert settings.schema_registry is not None  # a rule of the settings
    options = options_of(settings.registry_option, settings.registry_config)
    subjects = list(dict.fromkeys(subjects))
    with closing(Registry(RegistrySettings(settings.schema_registry, options))) as registry:
        ask = registry.register if settings.register_schema else registry.look_up
        ids = {ask(subject, text, KINDS[encoding]) for subject in subjects}
    if len(ids) > 1:
        raise RegistryError(
            f"the same schema must have one id under {', '.join(subjects)}, got {', '.join(map(str, sorted(ids)))}; "
            "use --subject-name record"
        )
    return RegisteredSchema(encoding, ids.pop(), ", ".join(subjects), text)


def _wire_format(settings: RunSettings) -> Format:
    """The format of the run, with all values that are drawn."""
    wire_format = settings.wire_format
    try:
        _ = wire_format.definition
    except ValueError as error:
        raise UsageError(f"--field: {error}") from error
    return wire_format


def _check_pace(settings: RunSettings) -> None:
    """A pacer must keep its rules, and a run that a number of events ends must get there."""
    if settings.pacer is not None:
        if not isinstance(settings.pacer, str):
            check_portable("pacer", settings.pacer)
        check_pacer(find_pacer(settings.pacer), settings.curve, settings.duration_s, settings.events)
    shape = None if settings.unpaced else offered(settings)
    if shape is None or settings.events is None or settings.duration_s is not None:
        return
    if not np.isfinite(shape.invert(settings.events - 1)):
        if settings.crowd:
            raise UsageError(
                f"the crowds must offer --events {settings.events:,} before all have stopped or are silent, got "
                f"{float(shape.integral(MOST_S)):,.0f}; add --duration, or leave a stop out"
            )
        raise UsageError(
            f"{_kind(settings)} {settings.curve} must offer --events {settings.events:,} before it ends in silence, "
            f"got {float(shape.integral(MOST_S)):,.0f}; add --duration, or let it end above 0"
        )


def _kind(settings: RunSettings) -> str:
    return "shape" if settings.pacer is None else "pacer"


def expected_of(settings: RunSettings) -> Expected:
    """What a run will do on average; builds the catalogue where there is none.

    Raises:
        LoadgenError: the behaviour is wrong, or there is no such catalogue.
    """
    simulation, catalog = simulation_of(settings), catalog_of(settings)
    if settings.crowd:
        return Expected.together([(crowd.simulation, crowd.model) for crowd in crowds_of(settings, catalog)])
    return Expected.of(simulation, Model.of(simulation, catalog))


def kafka_of(
    settings: RunSettings, console: RunConsole, embedded_address: str | None, pages: Sequence[str]
) -> tuple[KafkaSettings | None, Topics | None, dict[int, int] | None]:
    """Where to produce, the topics of a topic map, and the ends of their partitions; pages: the names of the run's."""
    brokers = embedded_address or settings.brokers
    if brokers is None:
        return None, None, None
    of_pages = None if settings.topic_map is None else topics_of_pages(page_topics(settings.topic_map), pages)
    options = options_of(settings.kafka_option, settings.kafka_config)
    each = [KafkaSettings(brokers, topic, options) for topic in settings.topics]
    check_options(each[0], TRANSACTIONAL_ID if settings.transactional else "")
    if of_pages is None and embedded_address is not None:
        return each[0], None, None
    n_partitions = {kafka.topic: _n_partitions(kafka, settings, console, embedded_address) for kafka in each}
    topics = None if of_pages is None else Topics.mapped(of_pages, n_partitions)
    if embedded_address is not None:
        return each[0], topics, None
    kafka = smallest_batches([check_config(kafka, console.note) for kafka in each])
    try:
        ends = [end_offsets(kafka, n_partitions[kafka.topic]) for kafka in each]
    except BrokerUnreachable:
        return kafka, topics, None
    return kafka, topics, dict(enumerate(end for of_topic in ends for _, end in sorted(of_topic.items())))


def _n_partitions(
    kafka: KafkaSettings, settings: RunSettings, console: RunConsole, embedded_address: str | None
) -> int:
    """How many partitions a topic has, which is made where that is asked for."""
    if settings.create_topic and embedded_address is None:
        is_default = "replication_factor" not in settings.model_fields_set
        behind_ms = 0.0 if settings.timestamps == "wall" else time.time() * 1000 - settings.start_ms
        n_copies = settings.replication_factor
        copies = create_topic(kafka, settings.partitions, n_copies, or_fewer=is_default, behind_ms=behind_ms)
        if copies < n_copies:
            console.note(f"topic {kafka.topic} is made with replication factor {copies}: there are no more brokers")
        return settings.partitions
    return check_topic(kafka)


def setting_rows(settings: RunSettings, plan: SimulationPlan) -> list[tuple[str, str]]:
    """What the user is shown first: the resolved settings, one row each."""
    from loadgen.terminal import utc

    schema, key_schema = plan.schema, plan.key_schema
    how_long = [
        say_duration(settings.duration_s) if settings.duration_s is not None else "",
        f"{settings.events:,} events" if settings.events is not None else "",
        f"simulated {utc(settings.start_ms)} to {utc(settings.end_ms)}" if settings.end_ms is not None else "",
        "until stopped" if settings.continuous else "",
    ]
    shape = None if settings.unpaced else offered(settings)
    pace = "as fast as possible" if settings.unpaced else f"{settings.rate} at speed {settings.speed:g}"
    if shape is not None:
        pace = f"{shape.peak_per_s:,g} events/s" + (
            f" at most, {_kind(settings)} {settings.curve}" if settings.curve else ""
        )
    return [
        ("run", plan.run_id),
        ("seed", str(settings.seed)),
        ("listeners", f"{settings.users:,} ({settings.presence}), shard {settings.shard}"),
        ("workers", str(settings.workers)),
        *_crowd_rows(settings),
        ("rate", pace),
        ("start", f"{utc(settings.start_ms)} simulated"),
        ("for", ", ".join(filter(None, how_long))),
        (
            "format",
            _format_in_words(settings),
        ),
        *([("encoding", f"{schema.name}, schema {schema.id} of {schema.subject}")] if schema else []),
        *([("keys", f"avro, schema {key_schema.id} of {key_schema.subject}")] if key_schema else []),
        *([("warm-up", f"{settings.warm_up_s:g} s, left out of the figures")] if settings.warm_up_s else []),
        *(("must keep", str(threshold)) for threshold in settings.threshold),
        *place_rows(settings, plan),
    ]


def _crowd_rows(settings: RunSettings) -> list[tuple[str, str]]:
    """A row for each crowd: its listeners, its behaviour, its load, and when it is on."""
    rows = []
    for crowd, (_, n_users) in zip(settings.crowd, crowd_parts(settings, None), strict=True):
        words = [f"{n_users:,} listeners", crowd.behaviour or crowd.profile or settings.behaviour or settings.profile]
        words += [] if crowd.rate_per_s is None else [f"{crowd.rate_per_s:,g} events/s"]
        words += [] if crowd.shape is None else [f"shape {crowd.shape.name}"]
        words += [f"from {say_duration(crowd.start_s)}"] if crowd.start_s else []
        words += [] if crowd.stop_s is None else [f"until {say_duration(crowd.stop_s)}"]
        rows.append((f"crowd {crowd.name}", ", ".join(words)))
    return rows


def _format_in_words(settings: RunSettings) -> str:
    fields = [field if isinstance(field, str) else field.name for field in settings.field]
    return " + ".join([settings.format, *fields])


def place_rows(settings: RunSettings, plan: Plan) -> list[tuple[str, str]]:
    """Where the events go."""
    rows = []
    if plan.kafka is not None:
        where = f"topic {plan.kafka.topic}" if settings.topic_map is None else f"topics {settings.topic_map}"
        rows.append(("to Kafka", f"{plan.kafka.brokers}, {where}"))
    if settings.transactional:
        ids = f"transactional ids {transactional_id(plan.run_id, settings.shard.index, 0)}, …"
        aborted = f", {settings.abort_prob:.3g} of them aborted" if settings.abort_prob else ""
        rows.append(("in", f"transactions of {settings.transaction_events:,} events{aborted}; {ids}"))
    if settings.output is not None:
        rows.append(("to file", "stdout" if str(settings.output) == "-" else str(settings.output)))
    if settings.folder is not None:
        hint = "" if plan.kafka else "  (for Kafka: --brokers HOST:PORT --topic NAME)"
        rows.append(("to folder", f"{settings.folder}, JSON lines by date{hint}"))
    rows += [("to sink", name) for name in plan.sinks]
    if settings.discard:
        rows.append(("to", "nowhere (--discard)"))
    return rows
