"""Everything that is checked and made ready before the first message is read, so that what can fail fails at once.

In: settings. Out: a store that takes files and a topic that is there; or an error with its next step.
"""

import socket
import threading
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from os import getpid
from secrets import token_hex

from loadgen.config import ConsumeSettings
from loadgen.consume.commits import TopicIdentity
from loadgen.consume.temporary_file import RollingPolicy
from loadgen.container import nameable
from loadgen.decoder import Schemas, registry_of
from loadgen.errors import StoreError, StoreUnreachable
from loadgen.formats import OWN, KnownFormats, known_formats
from loadgen.kafka.check import check_topic
from loadgen.kafka.consumer_options import check_consumer_options, identity_of
from loadgen.kafka.options import KafkaSettings, options_of
from loadgen.store import Store, open_store
from loadgen.store.layout import TMP

STORE_S = 10.0
"""Longest wait for a store that does not answer."""
AGAIN_S = 0.5
FIRST_ID = 1
"""A schema registry that is asked for it shows that it answers, whether it has it or not."""


@dataclass(frozen=True, slots=True)
class PreparedConsumer:
    """What a consumer starts from.

    Attributes:
        kafka: where to read.
        n_partitions: of the topic.
        source: what the topic is known by in the store.
        store: where events go; it takes files.
        writer_id: names this process in the store.
        known: the formats of records.
        schemas: of a schema registry; None where there is none.
    """

    kafka: KafkaSettings
    n_partitions: int
    source: TopicIdentity
    store: Store
    writer_id: str
    known: KnownFormats
    schemas: Schemas | None


def prepare(settings: ConsumeSettings, pool: Executor, note: Callable[[str], None]) -> PreparedConsumer:
    """Check and prepare a consumer; note: says which installed formats cannot be used.

    Raises:
        LoadgenError: the first thing that stands in the way.
    """
    options = options_of(settings.kafka_option, settings.kafka_config)
    kafka = KafkaSettings(settings.brokers, settings.topic, options, reading=True)
    check_consumer_options(kafka, settings.group)
    store = open_store(settings.store)
    writer_id = new_writer_id()
    trying = pool.submit(check_store, store, writer_id)  # while Kafka is asked
    n_partitions = check_topic(kafka)
    identity = identity_of(kafka)
    schemas = _schemas(settings)
    needs_formats = schemas is not None or settings.file_format != "jsonl"
    known = known_formats(settings.format, settings.field, note) if needs_formats else OWN
    if settings.file_format == "avro":
        known = nameable(known, note)
    trying.result()
    source = TopicIdentity(identity.cluster_id, settings.topic, identity.topic_id)
    return PreparedConsumer(kafka, n_partitions, source, store, writer_id, known, schemas)


def _schemas(settings: ConsumeSettings) -> Schemas | None:
    """The schemas of a registry that answers; raises RegistryError where it does not."""
    registry = registry_of(settings.schema_registry, settings.registry_option, settings.registry_config)
    if registry is None:
        return None
    schemas = Schemas(registry)
    schemas.fetch(FIRST_ID)
    return schemas


def new_writer_id() -> str:
    """A name for this process that no other one has: host-pid-3fa9c1."""
    host = socket.gethostname().split(".")[0].replace("/", "-")
    return f"{host}-{getpid()}-{token_hex(3)}"


def check_store(store: Store, writer_id: str, timeout_s: float = STORE_S) -> None:
    """Write a file, move it, remove it.

    Raises:
        StoreError: the store does not take it; one that does not answer, or is starting, is asked again until the time
            is over.
    """
    failed: list[StoreError] = []
    done = threading.Event()

    def try_it() -> None:
        while not done.is_set():
            try:
                _write_and_remove(store, f"{TMP}/probe_{writer_id}")
                failed.clear()
                done.set()
            except StoreUnreachable as error:
                failed[:] = [error]
                done.wait(AGAIN_S)
            except StoreError as error:
                failed[:] = [error]
                done.set()

    threading.Thread(target=try_it, daemon=True).start()  # one that hangs must not keep the process alive
    answered = done.wait(timeout_s)
    done.set()
    if failed:
        raise failed[0]
    if not answered:
        raise StoreUnreachable(
            f"the store {store.url} did not answer within {timeout_s:g} s; is it running, and is the address right? "
            "Name another with --store"
        )


def _write_and_remove(store: Store, path: str) -> None:
    store.write(path, b"loadgen was here\n")
    store.rename(path, f"{path}.moved")
    store.remove(f"{path}.moved")


def rolling_policy(settings: ConsumeSettings, known: KnownFormats) -> RollingPolicy:
    """When files are published, and what they are like; known: the formats of records."""
    return RollingPolicy(
        batch_size=settings.batch_size,
        max_bytes=settings.max_file_bytes,
        interval_s=0.0 if settings.mode == "realtime" else settings.rotate_interval_s,
        compress=settings.compress,
        file_format=settings.file_format,
        known=known,
    )


def setting_rows(settings: ConsumeSettings, ready: PreparedConsumer) -> list[tuple[str, str]]:
    """What the user is shown first: the resolved settings, one row each."""
    size = f"{settings.batch_size:,} events, {settings.max_file_bytes / (1 << 20):g} MiB"
    publish = "what each poll brings" if settings.mode == "realtime" else f"{size} or {settings.rotate_interval_s:g} s"
    kind = settings.file_format + ("" if settings.compress == "none" else f", {settings.compress}")
    until = "until stopped"
    if settings.until_idle_s is not None:
        until = f"until nothing has come for {settings.until_idle_s:g} s"
    return [
        ("from", f"{ready.kafka.brokers}, topic {ready.kafka.topic} ({ready.n_partitions} partitions)"),
        ("group", settings.group),
        ("to", f"{ready.store.url}, {kind}, by {settings.partition_by} date"),
        ("source", ready.source.tag),
        ("publish", f"{publish} of a partition" if settings.mode == "batch" else publish),
        ("for", until),
    ]
