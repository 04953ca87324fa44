"""The dashboard Latency & lag: how long events take, and whose share it is."""

from grafana.board import Board
from grafana.panels import distribution, lines, row, stat, states
from grafana.queries import RUN, or_zero, percentiles

_LATENCY, _ACK, _LAG = "loadgen_intended_to_ack_seconds", "loadgen_ack_seconds", "loadgen_schedule_lag_seconds"
_IN_FLIGHT = f"sum by (sink) ({RUN.now('loadgen_in_flight_events')})"
_BROKEN = f"max by (threshold) ({RUN.now('loadgen_threshold_broken')})"
_OFFERED = f"max by (instance) ({RUN.now('loadgen_events_planned_total')})"

LATENCY = Board(
    "latency",
    "Latency & lag",
    "How long events take, and whose share it is: the generator's or the sink's.",
    {"instance": ("run at", "loadgen_elapsed_seconds")},
    (
        stat(
            "Latency, p99",
            "From the time an event was due to its delivery report: what a user of the pipeline would have waited.",
            "s",
            (RUN.quantile(0.99, _LATENCY, "sink"), "{{sink}}"),
            w=4,
        ),
        stat(
            "Send to report, p99",
            "From the send to the delivery report: the broker's or the disk's share of the latency.",
            "s",
            (RUN.quantile(0.99, _ACK, "sink"), "{{sink}}"),
            w=4,
        ),
        stat(
            "Schedule lag, p99",
            "From the time an event was due to its send: the generator's share of the latency.",
            "s",
            (RUN.quantile(0.99, _LAG), "schedule lag"),
            bad_from=1,
            w=4,
        ),
        stat(
            "In flight",
            "Events that a sink has accepted and not reported on yet: how full its queue is.",
            "short",
            (_IN_FLIGHT, "{{sink}}"),
            w=4,
        ),
        stat(
            "Broker round trip, p99",
            "Of the last second, in the slowest worker; no value without Kafka.",
            "s",
            (f"max({RUN.now('loadgen_broker_round_trip_seconds')})", "round trip"),
            w=4,
        ),
        stat(
            "Thresholds broken",
            "Of those that the runs were given with --threshold.",
            "short",
            (or_zero(f"sum({_BROKEN})"), "broken"),
            bad_from=1,
            w=4,
        ),
        row("Latency"),
        lines(
            "Latency",
            "From the time an event was due to its delivery report, so that an overloaded run cannot hide its queue.",
            "s",
            *percentiles(RUN, _LATENCY, "sink"),
            h=9,
        ),
        distribution(
            "Latency, distribution",
            "Delivery reports per second in each range of latency, all sinks.",
            f"sum by (le) ({RUN.per_s(f'{_LATENCY}_bucket')})",
            h=9,
        ),
        lines(
            "Send to report",
            "From the send to the delivery report.",
            "s",
            *percentiles(RUN, _ACK, "sink"),
        ),
        lines(
            "Mean latency and its parts",
            "Mean time of an event: from due to report, from send to report, from due to send.",
            "s",
            (RUN.mean(_LATENCY, "sink"), "latency {{sink}}"),
            (RUN.mean(_ACK, "sink"), "send to report {{sink}}"),
            (RUN.mean(_LAG), "schedule lag"),
        ),
        lines(
            "Latency by run, p99",
            "From due to report, all sinks of each run: which of several machines is slow.",
            "s",
            (RUN.quantile(0.99, _LATENCY, "instance"), "{{instance}}"),
        ),
        states(
            "Thresholds",
            "What was given with --threshold, and when it was broken.",
            (or_zero(_BROKEN, threshold="none given"), "{{threshold}}"),
            words={0: ("kept", "green"), 1: ("broken", "red")},
        ),
        row("Lag"),
        lines(
            "Schedule lag",
            "How far behind its schedule the generator sends. It grows where the machine or a full queue is the limit.",
            "s",
            *percentiles(RUN, _LAG),
        ),
        distribution(
            "Schedule lag, distribution",
            "Events per second in each range of schedule lag.",
            f"sum by (le) ({RUN.per_s(f'{_LAG}_bucket')})",
        ),
        lines(
            "Events behind the schedule",
            "Events that the schedule has asked for and that are not made yet.",
            "short",
            (
                f"sum by (instance) ({RUN.now('loadgen_events_scheduled_total')}) - {_OFFERED}",
                "{{instance}}",
            ),
            least=None,
            w=8,
        ),
        lines(
            "Events in flight",
            "Accepted by a sink, no delivery report yet.",
            "short",
            (_IN_FLIGHT, "{{sink}}"),
            w=8,
        ),
        lines(
            "Broker round trip",
            "99th percentile of the last second, slowest worker.",
            "s",
            (RUN.now("loadgen_broker_round_trip_seconds"), "{{instance}}"),
            w=8,
        ),
    ),
)
