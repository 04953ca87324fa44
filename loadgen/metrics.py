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


EVENTS_PLANNED = Metric("loadgen_events_planned", "counter", "Events that the schedule asked for.", ("sink",))
EVENTS = Metric("loadgen_events", "counter", "Events by how they ended and by page.", ("sink", "outcome", "page"))
BYTES = Metric("loadgen_delivered_bytes", "counter", "Value bytes of delivered events, uncompressed.", ("sink",))
IN_FLIGHT = Metric("loadgen_in_flight_events", "gauge", "Events accepted by a sink, no report yet.", ("sink",))
ACK = Metric("loadgen_ack_seconds", "histogram", "From the send to the delivery report.", ("sink",))
INTENDED_TO_ACK = Metric(
    "loadgen_intended_to_ack_seconds", "histogram", "From the scheduled time to the delivery report.", ("sink",)
)
SCHEDULE_LAG = Metric("loadgen_schedule_lag_seconds", "histogram", "From the scheduled time to the send.")
ACTIVE_USERS = Metric("loadgen_active_users", "gauge", "Listeners that are in a session.")
TARGET_RATE = Metric("loadgen_target_events_per_second", "gauge", "Offered load of the schedule; NaN without one.")
ACHIEVED_RATE = Metric("loadgen_achieved_events_per_second", "gauge", "Throughput since the start of the run.")
ROUND_TRIP = Metric("loadgen_broker_round_trip_seconds", "gauge", "99th percentile of the last second, slowest worker.")
WORKER_UP = Metric("loadgen_worker_up", "gauge", "1 while the worker runs.", ("worker",))
WORKER_RESTARTS = Metric("loadgen_worker_restarts", "counter", "Times that the worker was started again.", ("worker",))
CPU = Metric("loadgen_cpu_seconds", "counter", "CPU time of all workers.")
SIMULATED_TIME = Metric("loadgen_simulated_timestamp_seconds", "gauge", "Time of the latest event, seconds since 1970.")
ELAPSED = Metric("loadgen_elapsed_seconds", "gauge", "Wall-clock time since the start of the run.")

RUN_METRICS = (
    EVENTS_PLANNED,
    EVENTS,
    BYTES,
    IN_FLIGHT,
    ACK,
    INTENDED_TO_ACK,
    SCHEDULE_LAG,
    ACTIVE_USERS,
    TARGET_RATE,
    ACHIEVED_RATE,
    ROUND_TRIP,
    WORKER_UP,
    WORKER_RESTARTS,
    CPU,
    SIMULATED_TIME,
    ELAPSED,
)

CONSUMER_LAG = Metric(
    "loadgen_consumer_lag_messages", "gauge", "Messages in the topic that are not read yet.", ("partition",)
)
CONSUMED = Metric("loadgen_consumed_messages", "counter", "Messages read, those included that were read again.")
PUBLISHED_EVENTS = Metric("loadgen_published_events", "counter", "Events stored.")
PUBLISHED_FILES = Metric("loadgen_published_files", "counter", "Files stored, those of dead letters included.")
PUBLISHED_BYTES = Metric("loadgen_published_bytes", "counter", "Bytes of the files stored.")
PUBLISH = Metric("loadgen_publish_seconds", "histogram", "From the end of a batch to its files under their names.")
DEAD_LETTERS = Metric("loadgen_dead_letters", "counter", "Messages that are no events, stored in _dead_letters.")
REBALANCES = Metric("loadgen_rebalances", "counter", "Times that the group has shared out its partitions anew.")
STORE_RETRIES = Metric(
    "loadgen_store_retries", "counter", "Times that a partition was begun anew: the store failed, or another wrote it."
)
LAST_EVENT = Metric(
    "loadgen_last_event_timestamp_seconds", "gauge", "Time of the latest event read, seconds since 1970; NaN before."
)
CONSUMER_ELAPSED = Metric("loadgen_consumer_elapsed_seconds", "gauge", "Wall-clock time since the consumer's start.")

CONSUME_METRICS = (
    CONSUMER_LAG,
    CONSUMED,
    PUBLISHED_EVENTS,
    PUBLISHED_FILES,
    PUBLISHED_BYTES,
    PUBLISH,
    DEAD_LETTERS,
    REBALANCES,
    STORE_RETRIES,
    LAST_EVENT,
    CONSUMER_ELAPSED,
)

BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper edges of the exposed histograms; the program's own have 1 % resolution."""
