"""The dashboard Throughput: what a run offers, what is delivered, and what it costs."""

from grafana.board import Board
from grafana.panels import lines, row, stat, table
from grafana.queries import RUN, or_zero

_DELIVERED = RUN.per_s("loadgen_events_total", outcome="delivered")
_OF_WORST_SINK = f"min by (instance) (sum by (instance, sink) ({_DELIVERED}))"
_LOST = RUN.in_all("loadgen_events_total", outcome="failed|dropped")
_OFFERED = f"sum({RUN.now('loadgen_target_events_per_second')} >= 0)"
_ALERTS = RUN.now("ALERTS", alertstate="firing")
_SPENT = RUN.per_s("loadgen_worker_time_seconds_total")

THROUGHPUT = Board(
    "throughput",
    "Throughput",
    "What a run offers, what is delivered, and what it costs.",
    {"instance": ("run at", "loadgen_elapsed_seconds")},
    (
        stat(
            "Throughput",
            "Events delivered per second, by sink.",
            "eps",
            (f"sum by (sink) ({_DELIVERED})", "{{sink}}"),
        ),
        stat(
            "Offered load",
            "Events per second that the schedule asks for now; no value where a run goes as fast as it can.",
            "eps",
            (_OFFERED, "offered"),
        ),
        stat(
            "Target reached",
            "Throughput of the slowest sink as a share of the offered load.",
            "percentunit",
            (f"sum({_OF_WORST_SINK}) / sum({RUN.per_s('loadgen_events_scheduled_total')})", "reached"),
            good_from=0.95,
        ),
        stat(
            "Failed or dropped",
            "Events that did not arrive, in the time shown.",
            "short",
            (f"sum({_LOST})", "failed or dropped"),
            bad_from=1,
        ),
        stat(
            "Active users",
            "Listeners that are in a session now.",
            "short",
            (f"sum({RUN.now('loadgen_active_users')})", "active users"),
        ),
        stat(
            "Workers running",
            "Worker processes that make events now.",
            "short",
            (f"sum({RUN.now('loadgen_worker_up')})", "workers"),
        ),
        stat(
            "Running for",
            "Wall-clock time since the start of the longest run.",
            "s",
            (f"max({RUN.now('loadgen_elapsed_seconds')})", "elapsed"),
        ),
        stat(
            "Alerts",
            "Alerts of these runs that fire now. Each says what to do next: see Alerting, or Prometheus.",
            "short",
            (or_zero(f"count({_ALERTS})"), "firing"),
            bad_from=1,
        ),
        row("Events"),
        lines(
            "Offered load and throughput",
            "What the schedule asks for, what was made, what was delivered. A gap between the lines is a shortfall.",
            "eps",
            (_OFFERED, "offered load"),
            (f"sum by (sink) ({RUN.per_s('loadgen_events_planned_total')})", "planned for {{sink}}"),
            (f"sum by (sink) ({_DELIVERED})", "delivered to {{sink}}"),
            dashed="offered load",
            h=9,
        ),
        lines(
            "Throughput by run",
            "Events per second of each run, as it says itself, of the last half second.",
            "eps",
            (RUN.now("loadgen_achieved_events_per_second"), "{{instance}}"),
            stacked=True,
            h=9,
        ),
        lines(
            "Events by page",
            "Delivered events per second, by the page that caused them.",
            "eps",
            (f"max by (page) (sum by (page, sink) ({_DELIVERED}))", "{{page}}"),
            stacked=True,
        ),
        lines(
            "Events by outcome",
            "How events ended. Anything but delivered is worth a look.",
            "eps",
            (f"sum by (sink, outcome) ({RUN.per_s('loadgen_events_total')})", "{{sink}} {{outcome}}"),
        ),
        lines(
            "Bytes delivered",
            "Bytes of values per second, before compression.",
            "Bps",
            (f"sum by (sink) ({RUN.per_s('loadgen_delivered_bytes_total')})", "{{sink}}"),
        ),
        lines(
            "Spoilt or repeated",
            "Events spoilt on purpose (--impair), and those that may have been sent twice because a worker died.",
            "eps",
            (f"sum by (kind) ({RUN.per_s('loadgen_impaired_events_total')})", "{{kind}}"),
            (f"sum({RUN.per_s('loadgen_possibly_repeated_events_total')})", "possibly repeated"),
        ),
        row("Crowds"),
        lines(
            "Throughput by crowd",
            "Delivered events per second of each [[run.crowd]]; no value where all listeners are one crowd.",
            "eps",
            (f"sum by (crowd) ({RUN.per_s('loadgen_crowd_events_total', outcome='delivered')})", "{{crowd}}"),
            stacked=True,
        ),
        lines(
            "Latency by crowd, p99",
            "From the time an event of the crowd was due to its delivery report.",
            "s",
            (RUN.quantile(0.99, "loadgen_crowd_intended_to_ack_seconds", "crowd"), "{{crowd}}"),
        ),
        lines(
            "Planned and not delivered, by crowd",
            "Events of each crowd per second that were offered, less those delivered: in flight, failed or dropped.",
            "eps",
            (
                f"sum by (crowd) ({RUN.per_s('loadgen_crowd_events_planned_total')}) - sum by (crowd) "
                f"({RUN.per_s('loadgen_crowd_events_total', outcome='delivered')})",
                "{{crowd}}",
            ),
            least=None,
            w=24,
        ),
        row("Listeners and time"),
        lines(
            "Active users",
            "Listeners that are in a session.",
            "short",
            (RUN.now("loadgen_active_users"), "{{instance}}"),
        ),
        lines(
            "Simulated time ahead of the clock",
            "How far the newest event's time is ahead of the wall clock; below zero it is behind.",
            "s",
            (f"{RUN.now('loadgen_simulated_timestamp_seconds')} - time()", "{{instance}}"),
            least=None,
        ),
        row("Workers"),
        lines(
            "Where the workers' time goes",
            "Making events (generate), handing them to sinks (send), waiting for room in a full queue (full), waiting "
            "for the schedule (idle). Without idle the generator is at its limit; with full the sink is.",
            "percentunit",
            (f"sum by (activity) ({_SPENT}) / ignoring (activity) group_left () sum({_SPENT})", "{{activity}}"),
            stacked=True,
        ),
        lines(
            "CPU by worker",
            "Cores that each worker keeps busy.",
            "short",
            (RUN.per_s("loadgen_worker_cpu_seconds_total"), "{{instance}} worker {{worker}}"),
            stacked=True,
        ),
        lines(
            "CPU per event",
            "CPU time of all workers for one delivered event.",
            "s",
            (
                f"sum({RUN.per_s('loadgen_worker_cpu_seconds_total')}) / max(sum by (sink) ({_DELIVERED}))",
                "CPU per event",
            ),
            w=8,
        ),
        lines(
            "Workers running and restarted",
            "Workers that make events, and how many were started again in the last moments.",
            "short",
            (f"sum({RUN.now('loadgen_worker_up')})", "running"),
            (f"sum(increase({RUN.now('loadgen_worker_restarts_total')}[$__rate_interval]))", "restarted"),
            w=8,
        ),
        lines(
            "Memory of the coordinator",
            "Resident memory of the process that has the endpoint; the workers have their own.",
            "bytes",
            (RUN.now("process_resident_memory_bytes"), "{{instance}}"),
            w=8,
        ),
        row("Runs"),
        table(
            "What runs",
            "The runs of this moment, one line each.",
            RUN.now("loadgen_run_info"),
            {
                "instance": "at",
                "run_id": "run",
                "rate": "rate",
                "shape": "shape",
                "users": "listeners",
                "workers": "workers",
                "shard": "shard",
                "format": "format",
                "seed": "seed",
                "version": "loadgen",
            },
        ),
    ),
)
