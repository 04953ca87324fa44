"""Outputs that cannot be written, said in words and found out before the run.

In: paths, OSErrors. Out: OutputUnwritable with the path, the reason and the next step.
"""

import errno
import os
import tempfile
from pathlib import Path

from loadgen.disk import reason
from loadgen.errors import OutputUnwritable

_NEXT_STEPS = {errno.EISDIR: "that is a folder: name a file, or leave --output out to write files by date"}


def unwritable(path: str | os.PathLike[str], error: OSError) -> OutputUnwritable:
    """The error to show to the user: which path, why, and what to do."""
    return OutputUnwritable(f"cannot write {os.fspath(path)!r}: {reason(error, _NEXT_STEPS.get(error.errno or 0))}")


def check_writable(folder: str | os.PathLike[str]) -> None:
    """Find out before the run whether files can be written in a folder, which is made where missing.

    Raises:
        OutputUnwritable: with the path, the reason and the next step.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"\n")
            probe.flush()
    except OSError as error:
        raise unwritable(folder, error) from error
