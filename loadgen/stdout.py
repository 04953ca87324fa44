"""Results on stdout: text, or one JSON object.

In: what a verb found. Out: nothing more to do: whoever reads it may stop early, and is not answered with a traceback.
"""

import os
import sys
from typing import Any


def say(text: str) -> None:
    """Print text as it is; what the reader's encoding lacks becomes a question mark."""
    if sys.stdout is None:  # it was closed before the program began
        return
    try:
        sys.stdout.buffer.write(text.encode(sys.stdout.encoding or "utf-8", errors="replace"))
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that the end of the process is quiet too


def say_json(value: dict[str, Any] | list[Any]) -> None:
    """Print a value as one line of JSON."""
    import orjson

    say(orjson.dumps(value).decode() + "\n")
