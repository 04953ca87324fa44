"""Simulates the listeners of a music-streaming service, and offers their events to Kafka and files.

The way of one event from a shard of the listeners to the broker, through three classes: an `EventBatch` (columns), an
`OutgoingBatch` (the same with due times) and an `EncodedBatch` (bytes):

 1. simulate/shard.py    `Shard.step` moves the listeners whose next event is due, and returns an `EventBatch`
 2. simulate/feed.py     `Feed.next_batch` steps a shard by windows, keeps to quotas, and makes an `OutgoingBatch` of it
 3. simulate/impair.py   `Impairer.impair` delays, repeats or marks events, if the settings say so
 4. stream.py            `ShardStream.next` adds the due times of the schedule, and the wall-clock times of events
 5. encode/lines.py      `Encoder.encode`, called by `ShardStream.encode`: lines and hashes, an `EncodedBatch`
 6. runner/worker.py     `Batches.next` does all this one batch ahead, in a thread
 7. runner/send_loop.py  `SendLoop.turn` sends what is due, as far as the sinks have room
 8. runner/outputs.py    `ResumeFilter.unsent` leaves out what the predecessor of a restarted worker has sent
 9. sink/kafka.py        `KafkaSink.send` sorts events by partition, and gives them to the producer of librdkafka
10. sink/in_flight.py    keeps what was accepted until delivery reports, by watermark, give each event its outcome

The folders and files:

    cli/                 commands and flags, nothing else
    config/              settings: flag > LOADGEN_* variable > TOML file > default; all problems at once
    runner/              coordinator, workers, pacing, totals: sees all stages, and is the only place that reads a clock
    simulate/            listeners → pages → tracks → EventBatch; pure: no Kafka, no clock, no process
    encode/              EventBatch → JSON, byte for byte as orjson writes it, Avro, Protobuf; → Arrow record batches
    decode/              records of Avro and Protobuf → columns
    sink/                lines → Kafka, one file, date folders; the outcome of each event
    kafka/               connections to Kafka and to a schema registry, their errors, a broker in memory
    consume/             topic → store: each event once, even after crashes; compaction of small files
    store/               where events are kept: a folder or HDFS, each file published whole or not at all
    verifier/            the manifest, and the comparison: was an event lost, repeated or altered?
    report/              a manifest, or two → one page of metrics and charts
    replay/              recorded events of anyone, in the order of their times
    analyze/             stored events → report, tables, charts
    realism/             events against published facts: 20 targets, each with its source
    dashboard/           a store or a topic → a live page
    pipeline/            producer, consumer and dashboard: started, restarted, drained and verified together
    scenarios/           Locust drives listeners, in one process or on many machines
    doctor/              checks of the environment, each with the next step
    stream.py            the only place where events are generated: run, Locust, verify and the library read it
    evolve/              a user's own schema, matched with the fields of the run's format
    decoder.py           values of a topic → lines and tables, by the schemas of a registry
    container.py         tables → Avro container files, and back
    library.py           the public names: events, run, verify
    event.py             the columns and pages of an event
    formats.py           the wire formats as data: their fields, and the source of each
    json_text.py         columns → JSON, byte for byte as orjson writes it
    binary.py            columns → bytes: varints, and pieces joined row by row
    cursor.py            bytes → columns: all records read side by side, field by field
    drawn.py             values of fields that are drawn: from weights, a distribution, or Faker
    rng.py               random numbers as a hash of seed, listener and step
    extensions.py        what other packages add: found by name, or by an entry point
    fingerprint.py       the 64-bit hash of an event, on columns
    ledger.py            planned = delivered + aborted + failed + dropped + unfinished
    transactions.py      which events make a transaction, and which transactions are aborted
    histogram.py         mergeable histograms of durations
    metrics.py           every metric, defined once
    metrics_endpoint.py  the metrics and their current values → Prometheus
    places.py            the places of listeners: cities, countries, time zones
    terminal.py          notes, settings and one live line on stderr; results on stdout
    record.py            the record of a run: one schema of manifests, summaries and ledgers, read and written
    progress.py          the progress of a run by partition: which events may be absent, by position
    calls.py             calls of libraries that may hang, with deadlines
    hosts.py             the Host and Origin headers that a server on this machine accepts
    signals.py           the signals that end a command in good order, and the exit code of each
    digest.py            BLAKE2 of large arrays, by all cores
    files.py             atomic writes, compressed streams, and errors of files in words
    imports.py           the side effects that importing NumPy, Arrow and matplotlib must not have
    errors.py            the exceptions, as a tree
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loadgen.library import LoadgenError, RunResult, UsageError, VerifyResult, events, run, verify
    from loadgen.simulate.pacers import Pacer
    from loadgen.sink.simple import EncodedBatch, SimpleSink, Sink, SinkContext, StartableSink

__version__ = "0.1.0"
__all__ = [
    "Drawn",
    "EncodedBatch",
    "Field",
    "Format",
    "LoadgenError",
    "Pacer",
    "Page",
    "RunResult",
    "SimpleSink",
    "Sink",
    "SinkContext",
    "Source",
    "StartableSink",
    "UsageError",
    "VerifyResult",
    "__version__",
    "events",
    "run",
    "verify",
]
_MODULES = dict.fromkeys(("EncodedBatch", "SimpleSink", "Sink", "SinkContext", "StartableSink"), "loadgen.sink.simple")
_MODULES |= {"Pacer": "loadgen.simulate.pacers"}
_MODULES |= dict.fromkeys(("Drawn", "Field", "Format", "Page", "Source"), "loadgen.formats")


def __getattr__(name: str) -> Any:
    """Import the library when one of its names is first used: `import loadgen` itself takes no time."""
    if name not in __all__:
        raise AttributeError(f"module 'loadgen' has no attribute {name!r}")
    return getattr(import_module(_MODULES.get(name, "loadgen.library")), name)
