"""Every metric of the program, defined once: name, kind, labels and what it says.

The endpoints fill them from cumulative snapshots at the moment of a scrape; nothing is counted twice.
"""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric; counters are exposed with the suffix _total."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()

    @property
    def exposed(self) -> str:
        """The name by which Prometheus knows it; a histogram's series have _bucket, _sum and _count behind it."""
        return f"{self.name}_total" if self.kind == "counter" else self.name


RUN_INFO = Metric(
    "loadgen_run_info",
    "gauge",
    "Always 1: the labels say what runs.",
    ("run_id", "version", "format", "seed", "shard", "users", "workers", "rate", "shape"),
)
RUN_START = Metric(
    "loadgen_run_start_timestamp_seconds", "gauge", "When the schedule began, seconds since 1970; NaN before."
)
ELAPSED = Metric("loadgen_elapsed_seconds", "gauge", "Wall-clock time since the start of the run.")
EVENTS_SCHEDULED = Metric(
    "loadgen_events_scheduled", "counter", "Events that the schedule asked for; absent without one."
)
EVENTS_PLANNED = Metric("loadgen_events_planned", "counter", "Events that were made and offered to a sink.", ("sink",))
EVENTS = Metric("loadgen_events", "counter", "Events by how they ended and by page.", ("sink", "outcome", "page"))
IMPAIRED = Metric("loadgen_impaired_events", "counter", "Events spoilt on purpose, by --impair.", ("kind",))
REPEATED = Metric(
    "loadgen_possibly_repeated_events", "counter", "Events that a worker that died may have sent twice, at most."
)
BYTES = Metric("loadgen_delivered_bytes", "counter", "Value bytes of delivered events, uncompressed.", ("sink",))
IN_FLIGHT = Metric(
    "loadgen_in_flight_events", "gauge", "Events accepted by a sink, no report yet: how full its queue is.", ("sink",)
)
ACK = Metric("loadgen_ack_seconds", "histogram", "From the send to the delivery report.", ("sink",))
INTENDED_TO_ACK = Metric(
    "loadgen_intended_to_ack_seconds", "histogram", "From the scheduled time to the delivery report.", ("sink",)
)
SCHEDULE_LAG = Metric("loadgen_schedule_lag_seconds", "histogram", "From the scheduled time to the send.")
ACTIVE_USERS = Metric("loadgen_active_users", "gauge", "Listeners that are in a session.")
TARGET_RATE = Metric(
    "loadgen_target_events_per_second", "gauge", "Offered load that the schedule asks for now; NaN without one."
)
ACHIEVED_RATE = Metric(
    "loadgen_achieved_events_per_second", "gauge", "Throughput now, between the last two reports of each worker."
)
ROUND_TRIP = Metric(
    "loadgen_broker_round_trip_seconds", "gauge", "99th percentile of the last second, slowest worker; NaN if unknown."
)
WORKER_UP = Metric(
    "loadgen_worker_up", "gauge", "1 while the worker makes events, 0 while it is built and after it.", ("worker",)
)
WORKER_RESTARTS = Metric("loadgen_worker_restarts", "counter", "Times that the worker was started again.", ("worker",))
WORKER_CPU = Metric(
    "loadgen_worker_cpu_seconds", "counter", "CPU time of the worker, all its incarnations.", ("worker",)
)
WORKER_TIME = Metric(
    "loadgen_worker_time_seconds",
    "counter",
    "Where the workers' time went: generate, send, full (waiting for room in a queue), idle (for the schedule).",
    ("activity",),
)
THRESHOLD_BROKEN = Metric(
    "loadgen_threshold_broken", "gauge", "1 where this --threshold is broken by now, else 0.", ("threshold",)
)
CROWD_PLANNED = Metric(
    "loadgen_crowd_events_planned",
    "counter",
    "Events of a crowd that were offered to the first sink; absent without crowds.",
    ("crowd",),
)
CROWD_EVENTS = Metric(
    "loadgen_crowd_events",
    "counter",
    "Events of a crowd by how they ended in the first sink.",
    ("crowd", "outcome"),
)
CROWD_LATENCY = Metric(
    "loadgen_crowd_intended_to_ack_seconds",
    "histogram",
    "From the scheduled time of a crowd's events to their delivery reports.",
    ("crowd",),
)
GROUP_LAG = Metric(
    "loadgen_group_lag_messages",
    "gauge",
    "Messages that a group of --watch-group has not committed.",
    ("group", "partition"),
)
GROUP_BEHIND = Metric(
    "loadgen_group_behind_seconds",
    "gauge",
    "How long the first message that such a group has not committed has been in the topic.",
    ("group", "partition"),
)
END_TO_END = Metric(
    "loadgen_end_to_end_seconds", "histogram", "From the scheduled time to arrival at the topic of --watch-topic."
)
FAR_END = Metric(
    "loadgen_far_end_events",
    "counter",
    "Messages of that topic: events seen, those of them that were late, repeated or unrecognised ones.",
    ("kind",),
)
FAR_END_MISSING = Metric(
    "loadgen_far_end_missing_events", "gauge", "Events that are delivered and have not come out of the system yet."
)
SIMULATED_TIME = Metric("loadgen_simulated_timestamp_seconds", "gauge", "Time of the latest event, seconds since 1970.")

RUN_METRICS = tuple(one for one in tuple(globals().values()) if isinstance(one, Metric))
"""All metrics above."""

CONSUMER_INFO = Metric(
    "loadgen_consumer_info", "gauge", "Always 1: the labels say what is consumed.", ("version", "topic", "group")
)
CONSUMER_ELAPSED = Metric("loadgen_consumer_elapsed_seconds", "gauge", "Wall-clock time since the consumer's start.")
CONSUMER_LAG = Metric(
    "loadgen_consumer_lag_messages", "gauge", "Messages in the topic that are not read yet.", ("partition",)
)
UNSTORED = Metric(
    "loadgen_unstored_messages", "gauge", "Messages in the topic that are not stored yet, read or not.", ("partition",)
)
CONSUMED = Metric("loadgen_consumed_messages", "counter", "Messages read, those included that were read again.")
PUBLISHED_EVENTS = Metric("loadgen_published_events", "counter", "Events stored.")
PUBLISHED_FILES = Metric("loadgen_published_files", "counter", "Files stored, those of dead letters included.")
PUBLISHED_BYTES = Metric("loadgen_published_bytes", "counter", "Bytes of the files stored.")
PUBLISH = Metric("loadgen_publish_seconds", "histogram", "From the end of a batch to its files under their names.")
DEAD_LETTERS = Metric("loadgen_dead_letters", "counter", "Messages that are no events, stored in _dead_letters.")
REBALANCES = Metric("loadgen_rebalances", "counter", "Times that the group has assigned its partitions again.")
STORE_RETRIES = Metric(
    "loadgen_store_retries", "counter", "Times that a partition was begun again: the store failed, or another wrote it."
)
LAST_EVENT = Metric(
    "loadgen_last_event_timestamp_seconds", "gauge", "Time of the latest event read, seconds since 1970; NaN before."
)

CONSUME_METRICS = tuple(one for one in tuple(globals().values()) if isinstance(one, Metric) and one not in RUN_METRICS)
"""All metrics between `RUN_METRICS` and here."""

PROCESS_METRICS = (
    Metric("process_cpu_seconds", "counter", "Total user and system CPU time spent in seconds."),
    Metric("process_start_time_seconds", "gauge", "Start time of the process since unix epoch in seconds."),
    Metric("process_resident_memory_bytes", "gauge", "Resident memory size in bytes."),
    Metric("process_virtual_memory_bytes", "gauge", "Virtual memory size in bytes."),
    Metric("process_open_fds", "gauge", "Number of open file descriptors."),
    Metric("process_max_fds", "gauge", "Maximum number of open file descriptors."),
)
"""What prometheus_client says of the process that has the endpoint: a consumer, or a run's coordinator."""

_STEPS, _DECADES_S = (1, 1.5, 2, 3, 5, 7), (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
_LAST_S = (100.0, 150.0, 200.0, 300.0)
BUCKETS_S = (*(float(round(step * decade_s, 5)) for decade_s in _DECADES_S for step in _STEPS), *_LAST_S)
"""Upper edges of the exposed histograms, 100 µs to 5 minutes: 43 series of each. A percentile that is read from them is
off by at most the width of a bucket, a third to two thirds of its value; the program's own histograms have 1 %."""
