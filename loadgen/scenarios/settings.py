"""loadgen's options of Locust's command line, and the run settings that they mean.

In: Locust's parser, and its result. Out: options with the spelling and help of those of `loadgen run`, each also a
LOADGEN_* variable; `RunSettings`, or one UsageError with all problems. Does not import Locust.
"""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Mapping
from typing import Any

from loadgen.config import RunSettings
from loadgen.config.layers import PREFIX, resolve
from loadgen.config.masks import hidden
from loadgen.config.shape_files import shape_spec
from loadgen.config.thresholds import threshold
from loadgen.config.values import BadValue
from loadgen.errors import UsageError
from loadgen.scenarios.engine import EngineShard

TAKEN_OVER = (
    "brokers", "topic", "topic_map", "create_topic", "partitions", "replication_factor", "kafka_option",
    "kafka_config", "key", "key_type", "header", "cloudevents", "format", "field", "speed", "rate",
    "start_ms", "timestamps", "seed", "tracks", "catalog", "behaviour", "max_lag_s", "threshold", "warm_up_s",
    "drain_timeout_s",
)  # fmt: skip
"""Fields of RunSettings that are options here, too."""
DEFAULTS = {"brokers": "embedded", "timestamps": "wall"}
"""Other defaults than those of `loadgen run`: a first try needs no broker, and simulated time is often compressed."""
LISTENERS = 100_000
MAX_COHORT = 100_000
IN_WEB_UI = ("topic", "speed", "rate", "seed")
_MANY = ("field", "header", "kafka_option", "threshold")


def add_options(parser: ArgumentParser) -> None:
    """Add loadgen's options to Locust's."""
    add: Any = parser.add_argument  # Locust's own, which knows env_var and include_in_web_ui
    for name in TAKEN_OVER:
        flag = RunSettings.flags()[name]
        words: dict[str, Any] = {"dest": name, "help": flag.help.replace("%", "%%"), "default": None}
        words |= {"env_var": PREFIX + flag.key.replace("-", "_").upper(), "include_in_web_ui": name in IN_WEB_UI}
        if name in RunSettings.boolean_flags():
            words |= {"action": "store_true"}
        else:
            words |= {"metavar": flag.metavar, "type": _threshold if name == "threshold" else str}
        if name in _MANY:
            words |= {"action": "append"}
        add(f"--{flag.key}", **words)
    _add_own(add)


def _add_own(add: Any) -> None:
    """The options that only Locust has."""
    about = "Size of the population from which the listeners online are taken, over all workers."
    add("--listeners", type=_number(1, 10_000_000), default=LISTENERS, metavar="N", help=about)
    about = "Listeners for each Locust user: few users can be many listeners."
    add("--cohort", type=_number(1, MAX_COHORT), default=1, metavar="K", help=about)
    about = "Users online over time, as high as --users, in --run-time: ramp, step, spike, soak, sine, or a file."
    add("--shape", type=_shape, default=None, metavar="NAME|FILE", help=about, include_in_web_ui=False)
    about = "How many shards the listeners are cut into; each worker owns one. Default: as many as there are workers."
    add("--shards", type=_number(1, 256), default=None, metavar="N", help=about, include_in_web_ui=False)
    about = "Where to write the ledger of the test (JSON). Default: ./loadgen_runs/<run id>.locust.json."
    add("--ledger", type=str, default=None, metavar="PATH", help=about, include_in_web_ui=False)


def settings_of(options: Namespace, shard: EngineShard) -> RunSettings:
    """The settings of the engine of a shard.

    Raises:
        UsageError: with a line for each problem.
    """
    given = {name: getattr(options, name, None) for name in TAKEN_OVER}
    flags = {**DEFAULTS, **{name: value for name, value in given.items() if not _is_left_out(value)}}
    flags |= {"users": str(options.listeners), "workers": "1", "shard": f"{shard.shard}/{shard.of}"}
    found = resolve(RunSettings, {**flags, "continuous": True, "presence": "online"}, {}).settings
    if isinstance(found.rate, float):
        raise UsageError(f"rate must be natural or max with Locust, got {found.rate:g}; set the load by --users")
    return found


def wrong_in_form(options: Namespace, form: Mapping[str, str]) -> str:
    """What is wrong with the form of Locust's page, with the next step; empty if nothing is."""
    wanted = Namespace(**vars(options))
    try:
        for name, value in form.items():
            if name in _NUMBERS:
                setattr(wanted, name, _NUMBERS[name](value))
            elif name in IN_WEB_UI:
                setattr(wanted, name, value)
        settings_of(wanted, EngineShard(0, 1))
    except (ArgumentTypeError, UsageError) as error:
        return str(error)
    return ""


def _is_left_out(value: Any) -> bool:
    """Whether an option was not given; Locust's page sends empty fields as empty texts."""
    return value in (None, [], False) or (isinstance(value, str) and not value.strip())


def _number(least: int, most: int) -> Any:
    def parse(text: str) -> int:
        try:
            number = int(text.replace("_", ""))
        except ValueError:
            number = least - 1
        if not least <= number <= most:
            raise ArgumentTypeError(f"must be a number {least}..{most:,}, got {text!r}")
        return number

    return parse


def _shape(text: str) -> str:
    try:
        shape_spec(text)
    except BadValue as bad:
        raise ArgumentTypeError(f"{bad.rule}, got {hidden(repr(text))}; {bad.next_step}") from None
    return text


def _threshold(text: str) -> str:
    try:
        threshold(text)
    except BadValue as bad:
        raise ArgumentTypeError(f"{bad.rule}, got {hidden(repr(text))}; {bad.next_step}") from None
    return text


_NUMBERS = {"listeners": _number(1, 10_000_000), "cohort": _number(1, MAX_COHORT)}
