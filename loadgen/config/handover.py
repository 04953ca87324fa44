"""What a verb that starts other verbs as processes gives them by their environment, and not on a command line.

In: this process's variables, Kafka options, which may hold passwords. Out: variables for the child.
"""

from collections.abc import Mapping

from loadgen.config.layers import OPTION_PREFIX, OTHER_VARIABLES, PREFIX
from loadgen.config.secrets import KafkaOptions


def environment(given: Mapping[str, str], options: KafkaOptions) -> dict[str, str]:
    """The environment of a child: this process's without its settings, which the child is told by flags, and options.

    Args:
        given: this process's own.
        options: of the user.
    """
    kept = {name: value for name, value in given.items() if not name.startswith(PREFIX) or name in OTHER_VARIABLES}
    lines = [f"{name}={value}" for name, value in options.items() if "\n" not in value]
    if lines:
        kept[OPTION_PREFIX.rstrip("_")] = "\n".join(lines)
    for name, value in options.items():
        if "\n" in value:  # a key in PEM
            kept[OPTION_PREFIX + name.upper().replace(".", "_")] = value
    return kept
