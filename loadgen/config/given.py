"""What was given to a verb, each setting from its highest layer.

In: layers, the highest first: flags, variables, the parts of a file. Out: a value and an origin for each field named in
any of them, and the problems found on the way.
"""

from dataclasses import dataclass, field
from typing import Any

from loadgen.config.kafka_properties import problem
from loadgen.config.secrets import KafkaOptions, kafka_options
from loadgen.config.settings.base import Settings
from loadgen.config.values import BadValue

Layer = list[tuple[str, Any, str]]
"""Of each setting: field name, value as it was given, origin."""


@dataclass
class Given:
    """What was given so far.

    Attributes:
        kind: the verb's class of settings.
        values: field name → the value as it was given.
        origins: field name → "from --users", "from LOADGEN_USERS" …
        problems: one line each.
    """

    kind: type[Settings]
    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def take(self, layer: Layer) -> None:
        """Take a layer in, below those before it."""
        ruled_out = self._ruled_out()
        for name, value, origin in layer:
            if name == "kafka_option":
                self._take_options(value, origin)
            elif name not in self.values and name not in ruled_out:
                self.values[name] = value
                self.origins[name] = origin

    def _ruled_out(self) -> set[str]:
        """The fields whose place another one has taken: see `Settings.one_of`."""
        named = [group for group in self.kind.one_of if group[0] in self.values]
        return {name for group in self.kind.one_of if named and group not in named for name in group}

    def _take_options(self, value: Any, origin: str) -> None:
        """Kafka options are merged name by name."""
        try:
            options = kafka_options(value)
        except BadValue as bad:
            self.problems.append(f"kafka_option {bad.rule} ({origin}); {bad.next_step}")
            return
        wrong = [problem(name, text, origin) for name, text in options.items()]
        self.problems += [line for line in wrong if line]
        higher = self.values.get("kafka_option", KafkaOptions())
        self.values["kafka_option"] = KafkaOptions({**options, **higher})
        self.origins["kafka_option"] = f"{self.origins['kafka_option']}, {origin}" if higher else origin
