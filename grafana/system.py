"""The dashboard System under test: how far what reads the topic is behind, and what comes out of it."""

from grafana.board import Board
from grafana.panels import lines, row, stat
from grafana.queries import RUN, percentiles

_LAG, _BEHIND = RUN.now("loadgen_group_lag_messages"), RUN.now("loadgen_group_behind_seconds")
_DELIVERED = RUN.per_s("loadgen_events_total", outcome="delivered")

SYSTEM = Board(
    "system",
    "System under test",
    "How far the groups of --watch-group are behind what the runs deliver, and what comes out at --watch-topic.",
    {"instance": ("run at", "loadgen_elapsed_seconds")},
    (
        stat(
            "Lag",
            "Messages that a group has not committed, all partitions.",
            "short",
            (f"sum by (group) ({_LAG})", "{{group}}"),
            w=8,
        ),
        stat(
            "Time behind",
            "How long the first message that a group has not committed has been in the topic.",
            "s",
            (f"max by (group) ({_BEHIND})", "{{group}}"),
            w=8,
        ),
        stat("Delivered", "Events that the topic acknowledges.", "eps", (f"sum({_DELIVERED})", "delivered"), w=8),
        row("Groups"),
        lines(
            "Lag",
            "Messages that a group has not committed. It grows as long as the group is slower than the load.",
            "short",
            (f"sum by (group) ({_LAG})", "{{group}}"),
        ),
        lines(
            "Time behind",
            "How long the first message that a group has not committed has been in the topic.",
            "s",
            (f"max by (group) ({_BEHIND})", "{{group}}"),
        ),
        lines(
            "Delivered and committed",
            "Events per second that come into the topic, and that a group commits: what is delivered less what the lag "
            "grows by.",
            "eps",
            (f"sum({_DELIVERED})", "delivered"),
            (
                f"sum by (group) (sum by (instance) ({_DELIVERED}) - on (instance) group_right () "
                f"sum by (instance, group) (deriv({_LAG}[$__rate_interval])))",
                "{{group}}",
            ),
            dashed="delivered",
        ),
        lines(
            "Lag by partition",
            "One that lies far above the others has more events than they, or nobody who reads it.",
            "short",
            (_LAG, "{{group}} {{partition}}"),
        ),
        row("Far end"),
        lines(
            "End to end",
            "From the time an event was due to its arrival at the topic of --watch-topic.",
            "s",
            *percentiles(RUN, "loadgen_end_to_end_seconds"),
        ),
        lines(
            "Delivered and come out",
            "Events per second that the system under test is given, and that come out of it.",
            "eps",
            (f"sum({_DELIVERED})", "delivered"),
            (f"sum({RUN.per_s('loadgen_far_end_events_total', kind='seen')})", "came out"),
            dashed="delivered",
        ),
        lines(
            "Not come out yet",
            "Events that are delivered and were not seen yet: on their way, or lost.",
            "short",
            (f"sum({RUN.now('loadgen_far_end_missing_events')})", "missing"),
        ),
        lines(
            "Late, repeated, unrecognised",
            "Messages per second that came later than --watch-late, came again, or lack the header of an event.",
            "eps",
            (
                f"sum by (kind) ({RUN.per_s('loadgen_far_end_events_total', kind='late|repeated|unrecognised')})",
                "{{kind}}",
            ),
        ),
    ),
)
