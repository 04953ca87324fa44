"""The dashboard Pipeline: from the run through Kafka and the consumer into the store (HDFS, or a folder)."""

from grafana.board import Board
from grafana.panels import distribution, lines, row, stat, table
from grafana.queries import CONSUMER, RUN, or_zero, percentiles

_PRODUCED = RUN.now("loadgen_events_total", outcome="delivered", sink="kafka")
_READ, _STORED = "loadgen_consumed_messages_total", "loadgen_published_events_total"
_FILES, _BYTES = "loadgen_published_files_total", "loadgen_published_bytes_total"
_LAG, _UNSTORED = CONSUMER.now("loadgen_consumer_lag_messages"), CONSUMER.now("loadgen_unstored_messages")
_LATEST = CONSUMER.now("loadgen_last_event_timestamp_seconds")
_STORED_5M = f"sum({CONSUMER.now('instance:loadgen_published_events:rate5m')})"
_ALERTS = CONSUMER.now("ALERTS", alertstate="firing")

PIPELINE = Board(
    "pipeline",
    "Pipeline",
    "From the run through Kafka and the consumer into HDFS or a folder: what waits, what is stored, how fresh it is.",
    {
        "consumer": ("consumer at", "loadgen_consumer_elapsed_seconds"),
        "instance": ("run at", "loadgen_elapsed_seconds"),
    },
    (
        stat(
            "Consumer lag",
            "Messages in the topic that no consumer has read yet.",
            "short",
            (f"sum({_LAG})", "consumer lag"),
        ),
        stat(
            "Not stored yet",
            "Messages in the topic that are not in the store yet, read or not.",
            "short",
            (f"sum({_UNSTORED})", "not stored"),
        ),
        stat(
            "Read",
            "Messages read per second.",
            "eps",
            (f"sum({CONSUMER.per_s(_READ)})", "read"),
        ),
        stat(
            "Stored",
            "Events stored per second, mean of five minutes: files are published once a minute or so.",
            "eps",
            (_STORED_5M, "stored"),
        ),
        stat(
            "Behind the clock",
            "How old the newest event is that was read, by its own time; below zero where simulated time runs ahead.",
            "s",
            (f"time() - max({_LATEST} > 0)", "behind"),
        ),
        stat(
            "Dead letters",
            "Messages that are no events, in the time shown.",
            "short",
            (f"sum({CONSUMER.in_all('loadgen_dead_letters_total')})", "dead letters"),
            bad_from=1,
        ),
        stat(
            "Consumers",
            "Consumers that answer now.",
            "short",
            (f"count({CONSUMER.now('loadgen_consumer_elapsed_seconds')})", "consumers"),
        ),
        stat(
            "Alerts",
            "Alerts of these consumers that fire now. Each says what to do next: see Alerting, or Prometheus.",
            "short",
            (or_zero(f"count({_ALERTS})"), "firing"),
            bad_from=1,
        ),
        row("From the run to the store"),
        lines(
            "Produced, read, stored",
            "Events per second: delivered to Kafka by the runs, read by the consumers, and in the store.",
            "eps",
            (f"sum(rate({_PRODUCED}[$__rate_interval]))", "produced"),
            (f"sum({CONSUMER.per_s(_READ)})", "read"),
            (_STORED_5M, "stored, mean of 5 min"),
            dashed="produced",
            h=9,
        ),
        lines(
            "Produced and stored, in all",
            "Events since the start of each program. Stored stays below produced by what is under way, and by "
            "what was in the topic before.",
            "short",
            (f"sum({_PRODUCED})", "produced"),
            (f"sum({CONSUMER.now(_READ)})", "read"),
            (f"sum({CONSUMER.now(_STORED)})", "stored"),
            dashed="produced",
            h=9,
        ),
        lines(
            "Consumer lag by partition",
            "Messages in each partition of the topic that are not read yet.",
            "short",
            (f"sum by (partition) ({_LAG})", "partition {{partition}}"),
            stacked=True,
        ),
        lines(
            "Not stored yet, by partition",
            "Messages in each partition that are not in the store yet: a saw, which falls when files are published.",
            "short",
            (f"sum by (partition) ({_UNSTORED})", "partition {{partition}}"),
            stacked=True,
        ),
        lines(
            "Freshness",
            "How far the newest event that was read is behind the clock, and behind the newest one that the runs have "
            "made, by the events' own times.",
            "s",
            (f"time() - max by (instance) ({_LATEST} > 0)", "{{instance}} behind the clock"),
            (f"max({RUN.now('loadgen_simulated_timestamp_seconds')}) - max({_LATEST} > 0)", "behind the runs"),
            least=None,
        ),
        lines(
            "Read by consumer",
            "Messages read per second by each consumer of the group.",
            "eps",
            (f"sum by (instance) ({CONSUMER.per_s(_READ)})", "{{instance}}"),
            stacked=True,
        ),
        row("Into the store"),
        lines(
            "Bytes stored",
            "Bytes per second of the files that were published.",
            "Bps",
            (f"sum by (instance) ({CONSUMER.per_s(_BYTES)})", "{{instance}}"),
            w=8,
        ),
        lines(
            "Files stored",
            "Files published per second, those of dead letters included.",
            "short",
            (f"sum by (instance) ({CONSUMER.per_s(_FILES)})", "{{instance}}"),
            w=8,
        ),
        lines(
            "Size of files",
            "Mean size of the files published. Small ones burden HDFS: raise --batch-size and --rotate-interval.",
            "bytes",
            (f"sum({CONSUMER.per_s(_BYTES)}) / (sum({CONSUMER.per_s(_FILES)}) > 0)", "mean"),
            w=8,
        ),
        lines(
            "Time to publish",
            "From the end of a batch to its files under their names.",
            "s",
            *percentiles(CONSUMER, "loadgen_publish_seconds"),
        ),
        distribution(
            "Time to publish, distribution",
            "Publications per second in each range of time.",
            f"sum by (le) ({CONSUMER.per_s('loadgen_publish_seconds_bucket')})",
            counted="short",
        ),
        row("What goes wrong"),
        lines(
            "Dead letters",
            "Messages per second that are no events; they are kept in _dead_letters.",
            "eps",
            (f"sum by (instance) ({CONSUMER.per_s('loadgen_dead_letters_total')})", "{{instance}}"),
            w=8,
        ),
        lines(
            "Store retries",
            "Times that a partition was begun again, in the last moments: the store failed, or another wrote it.",
            "short",
            (f"sum(increase({CONSUMER.now('loadgen_store_retries_total')}[$__rate_interval]))", "retries"),
            w=8,
        ),
        lines(
            "Rebalances",
            "Times that the group has assigned its partitions again, in the last moments.",
            "short",
            (
                f"sum by (instance) (increase({CONSUMER.now('loadgen_rebalances_total')}[$__rate_interval]))",
                "{{instance}}",
            ),
            w=8,
        ),
        row("Consumers"),
        lines(
            "CPU",
            "Cores that each consumer keeps busy.",
            "short",
            (CONSUMER.per_s("process_cpu_seconds_total"), "{{instance}}"),
        ),
        lines(
            "Memory",
            "Resident memory of each consumer; it stays the same however large the lag is.",
            "bytes",
            (CONSUMER.now("process_resident_memory_bytes"), "{{instance}}"),
        ),
        table(
            "What is consumed",
            "The consumers of this moment, one line each.",
            CONSUMER.now("loadgen_consumer_info"),
            {"instance": "at", "topic": "topic", "group": "group", "version": "loadgen"},
        ),
    ),
)
