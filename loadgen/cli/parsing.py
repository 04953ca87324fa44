"""Reads a command line to its end, whatever is wrong with it.

In: the words after the command. Out: the flags that are understood, the positional words, and a line for each problem,
so that all of them can be reported together. A flag of Kafka's own tools, the Java client or kcat is answered with the
flag that does the same here, or with what to do instead.

Source: --help of kafka-console-producer, kafka-console-consumer, kafka-producer-perf-test, kafka-consumer-perf-test,
kafka-topics, kafka-consumer-groups, kafka-configs and kcat.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import typer
from typer.core import TyperCommand

from loadgen.config.kafka_options import java_options, properties
from loadgen.config.masks import hidden
from loadgen.config.settings import ALL
from loadgen.errors import UsageError

PROBLEMS = "loadgen.problems"
"""The context's key for the problems of the command line, which are reported with those of the settings."""
MANY = "loadgen.many"
"""The context's key for the flags that take several words."""


class GatheringCommand(TyperCommand):
    """A command that goes on parsing after a wrong flag."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse what is right; ctx.meta gets a line for each flag whose value is missing or superfluous."""
        args = spread(args, ctx.obj[MANY])
        try:
            return super().parse_args(ctx, list(args))
        except typer.TyperException as error:
            flag = str(getattr(error, "option_name", ""))
            wrong = [place for place, word in enumerate(args) if word.partition("=")[0] == flag]
            if not wrong:
                raise UsageError(f"{error.format_message()}; see loadgen {ctx.info_name} --help") from None
            ctx.meta.setdefault(PROBLEMS, []).append(value_line(flag, args[wrong[-1]], ctx.info_name))
        return self.parse_args(ctx, args[: wrong[-1]] + args[wrong[-1] + 1 :])

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The usage line after the command."""
        words = [str(param.metavar) for param in self.params if param.param_type_name == "argument"]
        return [str(self.options_metavar), *words]


def value_line(flag: str, word: str, command: str) -> str:
    """The line for a flag without its value, or with one that it does not take (--json=4)."""
    if "=" in word:
        return f"{flag} must stand alone, got {hidden(repr(word[:80]))}; write {flag} to switch it on"
    return f"{flag} must have a value, got none; write {flag} VALUE, see loadgen {command} --help"


def spread(args: Sequence[str], many: Iterable[str]) -> list[str]:
    """The words with `--files a b` rewritten as `--files a --files b`, for the flags that take several words."""
    found: list[str] = []
    flag, needs_value = "", False
    for place, word in enumerate(args):
        if needs_value or not flag or word[:1] == "-":
            found.append(word)
        else:
            found += [flag, word]
        if word == "--":
            return found + list(args[place + 1 :])
        if word[:1] == "-" and not needs_value:
            flag = word.partition("=")[0] if word.partition("=")[0] in many else ""
        needs_value = word == flag and not needs_value
    return found


def split_flags(words: Iterable[str]) -> list[tuple[str, bool]]:
    """The words that the parser left, in order, each with whether it is an (unknown) flag.

    The word after an unknown flag is left out because it may be its value."""
    found, may_be_value = [], False
    for word in words:
        is_flag = word.startswith("-")
        if is_flag or not may_be_value:
            found.append((word.partition("=")[0] if is_flag else word, is_flag))
        may_be_value = is_flag and "=" not in word
    return found


SAME = {
    "brokers": "bootstrap-server bootstrap-servers bootstrap.servers broker-list broker server servers kafka "
    "metadata.broker.list zookeeper b",
    "topic": "topics topic-name t",
    "events": "num-records num-messages max-messages messages records record-count num-events count n c",
    "rate": "throughput target-throughput messages-per-second records-per-second rps",
    "kafka-config": "producer.config consumer.config command-config command.config producer-config consumer-config "
    "config-file properties-file client-config admin.config F",
    "kafka-option": "producer-props producer-property producer-properties consumer-property consumer-props "
    "command-property property X",
    "schema-registry": "schema.registry.url schema-registry-url registry registry-url r",
    "group": "group-id group.id consumer-group G",
    "partitions": "num-partitions partition-count",
    "replication-factor": "replicas replication",
    "create-topic": "create",
    "until-idle": "timeout-ms idle-timeout timeout e",
    "workers": "threads num-threads num-fetch-threads",
    "warm-up": "warmup-records warmup num-warmup-records",
    "users": "listeners num-users",
    "folder": "dir directory output-dir",
    "output": "payload-file file o",
    "since": "from-time start-time",
    "until": "to-time end-time",
    "duration": "time run-time",
}
"""Our flag → its names elsewhere."""
INSTEAD = {
    "from-beginning": "a group without offsets begins with the oldest event; leave it out",
    "offset": "a group goes on where it ended; --kafka-option auto.offset.reset=latest begins a new one at the end",
    "record-size": "the size of an event follows from --format; leave it out",
    "message-size": "the size of an event follows from --format; leave it out",
    "print-metrics": "--metrics-port P serves the metrics; leave it out",
    "compression-codec": "write --kafka-option compression.type=NAME",
    "request-required-acks": "write --kafka-option acks=N",
    "sync": "write --kafka-option max.in.flight=1",
    "batch-size": "write --kafka-option batch.size=BYTES",
    "transaction-duration-ms": "--transaction-events N says how large a transaction is; leave it out",
    "transactional-id": "with --transactional each worker has an id of its own; leave it out",
}
_OURS = {other: key for key, others in SAME.items() for other in others.split()}


def renamed(flag: str, known: Sequence[str]) -> str | None:
    """The line for a flag that this command has under another name, or None."""
    ours = f"--{_OURS.get(flag.lstrip('-'), '')}"
    return f"here it is {ours}" if ours in known else None


def instead(flag: str, known: Sequence[str]) -> str | None:
    """What to do instead of another program's flag, or None for an unknown one."""
    word = flag.lstrip("-")
    if word in _OURS:
        commands = [
            f"loadgen {kind.command}" for kind in ALL if _OURS[word] in {one.key for one in kind.flags().values()}
        ]
        return f"--{_OURS[word]} is meant, which belongs to {', '.join(commands)}"
    if word in INSTEAD:
        return INSTEAD[word]
    if word in properties() and "--kafka-option" in known:
        return f"write --kafka-option {word}=VALUE"
    java = java_options().get(word)
    return f"as a --kafka-option of the Java client's: {java}" if java else None
