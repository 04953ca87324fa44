"""The dashboard System under test: how far what reads the topic is behind."""

from grafana.board import Board
from grafana.panels import lines, row, stat
from grafana.queries import RUN

_LAG, _BEHIND = RUN.now("loadgen_group_lag_messages"), RUN.now("loadgen_group_behind_seconds")
_DELIVERED = RUN.per_s("loadgen_events_total", outcome="delivered")

SYSTEM = Board(
    "system",
    "System under test",
    "How far the consumer groups of --watch-group are behind what the runs deliver.",
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
    ),
)
