"""The checks before a part of a pipeline is started.

In: settings. Out: a `PipelineContext`; or an error that names every obstacle with its next step.
"""

import os
import secrets
import time
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from loadgen.config import PipelineSettings
from loadgen.consume.commits import TopicIdentity
from loadgen.consume.prepare import check_store, new_writer_id
from loadgen.errors import LoadgenError, OutputUnwritable, UsageError
from loadgen.hosts import listen
from loadgen.kafka.check import check_topic, create_topic
from loadgen.kafka.consumer_options import check_consumer_options, identity_of
from loadgen.kafka.options import KafkaSettings, options_of
from loadgen.kafka.producer_options import check_options
from loadgen.kafka.topic_reader import end_offsets
from loadgen.runner.machine import available_bytes, check_memory
from loadgen.store import Store, open_store

RUNS = Path("loadgen_runs")


@dataclass(frozen=True, slots=True)
class PipelineContext:
    """The checked surroundings of the parts.

    Attributes:
        folder: for the manifests and logs of this pipeline.
        source: the topic's identity in the store.
        begins: Kafka partition → the offset before which there is no event of this pipeline.
        is_shared: whether others may produce to the topic, because the brokers are not the pipeline's own.
    """

    folder: Path
    kafka: KafkaSettings
    n_partitions: int
    source: TopicIdentity
    begins: dict[int, int]
    store: Store
    group: str
    is_shared: bool


def prepare(settings: PipelineSettings, embedded_address: str | None, note: Callable[[str], None]) -> PipelineContext:
    """Check everything, concurrently.

    Args:
        embedded_address: of the test broker, if there is one.

    Raises:
        LoadgenError: all obstacles.
    """
    store = open_store(settings.store)
    options = options_of(settings.kafka_option, settings.kafka_config)
    kafka = KafkaSettings(embedded_address or str(settings.brokers), settings.topic, options)
    group = settings.group or f"loadgen-pipeline-{zlib.crc32(f'{kafka.topic} {store.url}'.encode()):08x}"
    with ThreadPoolExecutor(4) as pool:
        topic = pool.submit(_topic, settings, kafka, group, note)
        others = [
            pool.submit(check_store, store, new_writer_id()),
            pool.submit(lambda: listen(settings.host, settings.port, "--port P or --host").close()),
            pool.submit(check_memory, settings.users, settings.workers, available_bytes()),
        ]
    _raise_all([topic.exception(), *(other.exception() for other in others)])
    n_partitions = topic.result()
    identity = identity_of(kafka)
    source = TopicIdentity(identity.cluster_id, kafka.topic, identity.topic_id)
    begins, is_shared = end_offsets(kafka, n_partitions), embedded_address is None
    return PipelineContext(_new_folder(), kafka, n_partitions, source, begins, store, group, is_shared)


def _raise_all(errors: Sequence[BaseException | None]) -> None:
    """Raise one error with the messages of all; an error that is not a LoadgenError goes first."""
    problems = [error for error in errors if error is not None]
    for error in problems:
        if not isinstance(error, LoadgenError):
            raise error
    if problems:
        kind = UsageError if all(isinstance(error, UsageError) for error in problems) else LoadgenError
        raise kind("\n".join(map(str, problems)))


def _topic(settings: PipelineSettings, kafka: KafkaSettings, group: str, note: Callable[[str], None]) -> int:
    """The number of partitions of the topic, which is created if the settings say so."""
    check_options(kafka)
    check_consumer_options(kafka, group)
    if settings.create_topic:
        or_fewer = "replication_factor" not in settings.model_fields_set
        n_copies = create_topic(kafka, settings.partitions, settings.replication_factor, or_fewer=or_fewer)
        if n_copies < settings.replication_factor:
            note(f"topic {kafka.topic} is made with replication factor {n_copies}: there are no more brokers")
    return check_topic(kafka)


def _new_folder() -> Path:
    """loadgen_runs/pipeline-20261122-101500-3fa9."""
    folder = RUNS / f"pipeline-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(2)}"
    try:
        os.makedirs(folder)
    except OSError as error:
        raise OutputUnwritable(
            f"{folder}, for manifests and logs, cannot be made ({error.strerror}); start in a folder that you may write"
        ) from error
    return folder
