"""loadgen: listeners of a music-streaming service, simulated, and the events they cause offered to Kafka and files.

The path of an event, one folder or file a line:

    cli/                 commands and flags, nothing else
    config/              settings: flag > LOADGEN_* variable > TOML file > default; every problem at once
    runner/              coordinator, workers, pacing, totals: the one place that sees all stages, and reads a clock
    simulate/            listeners → pages → tracks → EventBatch; pure: no Kafka, no clock, no process
    encode/              EventBatch → lines of JSON, byte for byte as orjson writes them; → Arrow record batches
    sink/                lines → Kafka, one file, date folders; what became of each event
    kafka/               how to reach Kafka, what it refuses, and a broker in memory
    consume/             topic → store: each event once, whatever is killed; one small file for many, later
    store/               where events are kept for good: a folder or HDFS, published whole or not at all
    verifier/            the manifest: what was delivered, and its fingerprint; was it lost, repeated or altered?
    report/              a manifest, or two → one page of figures and charts
    analyze/             what is stored → report, tables, charts
    realism/             events against published figures: 20 targets, each with its source
    dashboard/           what is stored, or the topic → a live page
    pipeline/            producer, consumer and dashboard: started, watched, drained and verified together
    scenarios/           Locust drives listeners, in one process or on many machines
    doctor/              what works, what does not, and what to do about it
    stream.py            the one place where events are made: run, Locust, verify and the library read it
    library.py           what `import loadgen` gives: events, run, verify
    event.py             what an event is: columns, pages
    formats.py           the wire formats as data: their fields, and where each comes from
    fingerprint.py       the 64-bit hash of an event, on columns
    ledger.py            planned = delivered + failed + dropped + unfinished
    histogram.py         mergeable histograms of durations
    metrics.py           every metric, defined once
    metrics_endpoint.py  metrics and what they say now → Prometheus
    places.py            where listeners live: cities, countries, time zones
    terminal.py          notes, settings and one live line on stderr; results on stdout
    progress.py          how far a run came in each partition: which events may be absent, by position
    hosts.py             which Host and Origin headers a server on this machine answers to
    signals.py           which signals end a command in good order, and the exit code of each
    digest.py            BLAKE2 of large arrays, by all cores
    files.py             whole writes, compressed streams, and what can go wrong with a file, in words
    imports.py           what importing NumPy, Arrow and matplotlib must not do
    errors.py            the exceptions, as a tree
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loadgen.library import LoadgenError, RunResult, UsageError, VerifyResult, events, run, verify

__version__ = "0.1.0"
__all__ = ["LoadgenError", "RunResult", "UsageError", "VerifyResult", "__version__", "events", "run", "verify"]


def __getattr__(name: str) -> Any:
    """Import the library when one of its names is first used: `import loadgen` itself takes no time."""
    if name not in __all__:
        raise AttributeError(f"module 'loadgen' has no attribute {name!r}")
    from loadgen import library

    return getattr(library, name)
