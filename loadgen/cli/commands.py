"""The commands of the program, one below the other: what each starts, its help, its examples.

The work is named, not imported, so that --help and a wrong flag answer at once.
"""

from typing import Any

from loadgen.cli.command import Command
from loadgen.config import (
    AnalyzeSettings,
    CompactSettings,
    CompareSettings,
    ConsumeSettings,
    DashboardSettings,
    DoctorSettings,
    PipelineSettings,
    RealismSettings,
    ReplaySettings,
    RunSettings,
    VerifySettings,
)


def _expects(settings: RunSettings) -> dict[str, Any]:
    """What this run will do on average, for --dry-run."""
    from loadgen.runner.prepare import expected_of

    return expected_of(settings).as_json()


RUN = Command(
    RunSettings,
    "loadgen.runner",
    "Simulate listeners and produce their events.",
    "loadgen run --users 50000 --workers 8 --duration 30m",
    "loadgen run --brokers localhost:9092 --create-topic --users 50k --rate 100k/s",
    "loadgen run --start 2026-01-01 --end 2026-02-01 --output january.jsonl.zst",
    expects=_expects,
)

REPLAY = Command(
    ReplaySettings,
    "loadgen.runner",
    """Offer recorded events at their own pace, or faster.

    Reads files, a store or a topic in the order of event time, in bounded memory. The values of JSON lines and of
    messages stay as they are, byte for byte; rows of Parquet and Avro become JSON. What has no time, or is broken, is
    counted and named, and not sent. The ledger, latencies and thresholds are those of loadgen run.""",
    "loadgen replay events.jsonl.zst --brokers localhost:9092 --speed 2",
    "loadgen replay music_events --start 10m --loop --brokers localhost:9092",
    "loadgen replay kafka://prod:9092/plays --brokers localhost:9092",
)

CONSUME = Command(
    ConsumeSettings,
    "loadgen.consume",
    """Store the events of a Kafka topic by date, each exactly once, in a folder or on HDFS.

    Events that it reads again after a crash, a rebalance or an outage are not stored again. Consumers of the same
    --group share the partitions of the topic. Records that are not events go to the folder _dead_letters of the store.
    """,
    "loadgen consume --brokers localhost:9092",
    "loadgen consume --brokers localhost:9092 --store hdfs://localhost/music_events",
    "loadgen consume --brokers localhost:9092 --until-idle 10 -b 100k",
)

COMPACT = Command(
    CompactSettings,
    "loadgen.consume.compact",
    """Merge the small files of past days in a store that loadgen consume writes.

    A reader of the store sees each event once meanwhile. It may be killed at any time, and may run beside consumers.
    """,
    "loadgen compact music_events",
    "loadgen compact hdfs://localhost:8020/music_events --until 2026-03-01",
)

VERIFY = Command(
    VerifySettings,
    "loadgen.verifier.verify",
    """Compare what runs delivered with what is in a topic, in a store, or in files.

    Reports which events were lost, repeated, altered, never planned or out of order; ends with exit code 1 if any was.
    The place is one of --brokers (with --topic), --store and --files; one on the command line goes before another in a
    variable or a file.""",
    "loadgen verify loadgen_runs/r1.json --brokers localhost:9092",
    "loadgen verify loadgen_runs/r1.json --store hdfs://localhost:8020/music_events",
    "loadgen verify m0.json m1.json --files music_events/*/*/*/*.jsonl",
)

REALISM = Command(
    RealismSettings,
    "loadgen.realism",
    """Compute 20 statistics of any events, and say of each whether it is where published data are.

    Reads files, stores or a topic, in all three formats, also mixed. What a format cannot tell is said, and fails
    nothing: listen names no level and no age. A target that needs more listeners or days says so, and fails nothing.
    Ends with exit code 1 if a target was missed. All targets take weeks of everyday listening: loadgen run --presence
    everyday --users 10000 --start 2026-01-05 --end 2026-03-06.""",
    "loadgen realism events.jsonl",
    "loadgen realism hdfs://localhost:8020/music_events --report realism.html",
    "loadgen realism --brokers localhost:9092 --topic plays --json",
)

COMPARE = Command(
    CompareSettings,
    "loadgen.report.compare",
    """Compare two runs: rates, latencies, CPU, outcomes of the events, and the settings that differ.

    Shows for each metric by how much B differs from A, and whether that is better or worse; a change of up to 5% counts
    as noise. --fail-if makes a change an error, for CI.""",
    "loadgen compare loadgen_runs/r1.json loadgen_runs/r2.json",
    "loadgen compare before.json after.json --report compared.html",
    "loadgen compare before.json after.json --json",
)

ANALYZE = Command(
    AnalyzeSettings,
    "loadgen.analyze",
    """Say what is in the events that are stored: a report on stdout; and in --out the report, tables and charts.

    Reads JSON lines, compressed or not, Parquet and Avro, in all three formats, also mixed. What is read may be larger
    than the memory. --since and --until leave out the days that they do not touch.""",
    "loadgen analyze",
    "loadgen analyze hdfs://localhost:8020/music_events --since -7d --out week",
    "loadgen analyze events.jsonl.gz more.parquet --json --no-charts",
)

DASHBOARD = Command(
    DashboardSettings,
    "loadgen.dashboard",
    """Show what is stored, or what a topic holds, on a live page: http://127.0.0.1:5001.

    The page refreshes itself every 5 seconds, works without internet, and only this machine can open it unless --host
    says otherwise. /health says in JSON how things are. A store or topic that is not there yet is waited for.""",
    "loadgen dashboard",
    "loadgen dashboard --store hdfs://localhost:8020/music_events --port 8080",
    "loadgen dashboard --brokers localhost:9092 --topic music-streaming-events",
)

PIPELINE = Command(
    PipelineSettings,
    "loadgen.pipeline",
    """Start producer, consumer and dashboard together, and stop them together without losing an event.

    Needs nothing installed: without --brokers the events go through a test broker in memory, and without --store into
    the folder ./music_events. Goes on until Ctrl-C unless there is --duration. A part that dies is started again. At
    the end everything that was sent is stored, and the verdict says whether each event is there once.""",
    "loadgen pipeline --duration 1m",
    "loadgen pipeline --users 50k --store /tmp/listeners --port 8080",
    "loadgen pipeline --brokers kafka:9092 --store hdfs://namenode/music_events",
)

DOCTOR = Command(
    DoctorSettings,
    "loadgen.doctor",
    """Check what loadgen needs, from Python to a hundred events all the way through, one line each.

    ✓ works, ✗ does not (the next step is in the line below), – was not asked for or could not be tried. Leaves nothing
    behind: what it makes (a topic, a consumer group, files) it removes. Ends with 1 where anything does not work.""",
    "loadgen doctor",
    "loadgen doctor --brokers localhost:9092 --store hdfs://localhost/music_events",
)


WITH_SETTINGS: tuple[Command[Any], ...] = tuple(one for one in tuple(globals().values()) if isinstance(one, Command))
"""All commands above."""
