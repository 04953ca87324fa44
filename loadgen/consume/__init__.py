"""Kafka to a store, each event exactly once: `loadgen consume`.

`prepare` checks everything first; `consumer` is the loop; `client` is the member of the consumer group; a `partition`
is recovered, read and recovered again; `records` tells events from other records; a `partition_writer` fills temporary
files and publishes them; `commits` says why no event is lost or stored twice. `totals` reports what happened. `compact`
merges small files.
"""

import sys
import threading
import time
from typing import TYPE_CHECKING

from loadgen.config import ConsumeSettings

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from loadgen.consume.consumer import Consumer, ConsumeResult, Watcher
    from loadgen.consume.prepare import PreparedConsumer
    from loadgen.consume.totals import ConsumeConsole
    from loadgen.kafka.watch import TopicWatch

EXIT_FAILED = 1
THREADS = "consume"
HANGING_S = 10.0
"""Longest wait at the end for a store that does not answer."""
N_THREADS = 16
"""Files are closed in threads: on HDFS each may take half a second of nothing but waiting."""
HELD_BYTES = 20 << 20
"""Memory of all partition writers together; with that of librdkafka, a process stays below 300 MB."""
DAY_S = 86_400
GC_THRESHOLD = 100_000
"""Messages come and go by the ten thousand; looking through them for cycles every 700 costs a tenth of the time."""


def main(settings: ConsumeSettings) -> int:
    """Consume to the end and say how it went.

    Args:
        settings: complete and valid.

    Returns:
        The exit code: 0 everything read is stored, 1 not; stopped and drained cleanly: see `loadgen.signals`.

    Raises:
        LoadgenError: the consumer could not start.
    """
    import gc

    from loadgen.consume.totals import ConsumeConsole

    gc.set_threshold(GC_THRESHOLD)
    screen = ConsumeConsole(settings.quiet)
    result = consume(settings, screen)
    code = report(settings, result, screen)
    if result.error is not None or not are_threads_done(HANGING_S):
        _leave_at_once(code)
    return code


def are_threads_done(timeout_s: float) -> bool:
    """Whether the store's threads end within that time: one that still closes a file of a lost partition may hang."""
    deadline_s = time.monotonic() + timeout_s
    for thread in [one for one in threading.enumerate() if one.name.startswith(f"{THREADS}_")]:
        thread.join(max(0.0, deadline_s - time.monotonic()))
        if thread.is_alive():
            return False
    return True


def _leave_at_once(code: int) -> None:
    """End the process although threads still wait for the store."""
    import os

    sys.stderr.flush()
    os._exit(code)


def consume(settings: ConsumeSettings, screen: "ConsumeConsole") -> "ConsumeResult":
    """Consume to the end.

    Raises:
        LoadgenError: the consumer could not start.
    """
    from concurrent.futures import ThreadPoolExecutor

    from loadgen.consume.prepare import prepare, setting_rows
    from loadgen.kafka.watch import TopicWatch

    pool = ThreadPoolExecutor(N_THREADS, THREADS)
    try:
        ready = prepare(settings, pool, screen.note)
        screen.settings(setting_rows(settings, ready))
        watch = TopicWatch(ready.kafka, ready.source.topic_id)
        watch.start()
        try:
            result = _consumer(settings, ready, screen, pool, watch).run()
        finally:
            watch.close()
        ready.store.close()
        if ready.schemas is not None:
            ready.schemas.close()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    return result


def _consumer(
    settings: ConsumeSettings,
    ready: "PreparedConsumer",
    screen: "ConsumeConsole",
    pool: "Executor",
    watch: "TopicWatch",
) -> "Consumer":
    from loadgen.consume.client import Client, ErrorClassifier
    from loadgen.consume.consumer import Consumer, EndOffsets, Limits
    from loadgen.consume.partition import Partition, PartitionContext
    from loadgen.consume.partition_writer import Budget, PartitionWriter, WriterContext
    from loadgen.consume.prepare import rolling_policy
    from loadgen.consume.waiting import SchemaRequests
    from loadgen.decoder import Decoder
    from loadgen.kafka.consumer_options import begin_of, session_s

    def today() -> int | None:
        return int(time.time() // DAY_S) if settings.partition_by == "ingest" else None

    rolling, budget = rolling_policy(settings, ready.known), Budget(HELD_BYTES)
    of_writers = WriterContext(
        ready.store, ready.source, rolling, ready.writer_id, pool, time.time, budget, watch.confirm
    )
    of_registry = ready.schemas
    schemas = None if of_registry is None else SchemaRequests(of_registry, Decoder(of_registry, ready.known), pool)
    begin = begin_of(ready.kafka)
    client = Client(ready.kafka, settings.group)
    context = PartitionContext(
        client, pool, settings.topic, begin, settings.on_gap, today, screen.note, screen.trouble, schemas
    )

    def new_partition(number: int) -> Partition:
        return Partition(number, PartitionWriter(of_writers, number), context)

    limits = Limits(settings.until_idle_s, settings.drain_timeout_s, session_s(ready.kafka, settings.group))
    errors, ends = ErrorClassifier(client, ready.kafka, screen.note), EndOffsets(client, pool)
    return Consumer(client, errors, ends, new_partition, screen.note, limits, _watchers(settings, screen), watch)


def _watchers(settings: ConsumeSettings, screen: "ConsumeConsole") -> "list[Watcher]":
    """The progress line, and the metrics endpoint unless it is off or its port is taken."""
    if settings.metrics_port == 0:
        return [screen.progress]
    from loadgen.consume.totals import ConsumeCollector
    from loadgen.metrics_endpoint import expose

    collector = ConsumeCollector(settings.topic, settings.group)
    is_exposed = expose(collector, settings.metrics_host, settings.metrics_port, screen.note)
    return [screen.progress, *([collector.watch] if is_exposed else [])]


def report(settings: ConsumeSettings, result: "ConsumeResult", screen: "ConsumeConsole") -> int:
    """Show the closing table, choose the exit code."""
    from loadgen.consume.totals import summary
    from loadgen.signals import exit_code
    from loadgen.terminal import say_json

    screen.closing(result.totals, result.elapsed_s, result.exit_reason)
    if result.error is not None:
        screen.note(f"error: {result.error}")
    if settings.json_summary:
        say_json(summary(result.totals, result.elapsed_s, result.exit_reason))
    if result.error is not None:
        return EXIT_FAILED
    return exit_code(result.exit_reason)
