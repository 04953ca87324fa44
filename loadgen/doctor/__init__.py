"""Finds out what works here, what does not, and the next step: `loadgen doctor`.

`checks` examines this computer and the store, each check with a deadline; `broker` examines Kafka, `registry` a schema
registry; `round_trip` sends events all the way, and in each encoding to a topic and back. `doctor` runs them in turn
and removes what they have created.
"""

import os
import sys

from loadgen.config import DoctorSettings
from loadgen.signals import exit_code_of

EXIT_DONE, EXIT_FAILED = 0, 1


def main(settings: DoctorSettings) -> int:
    """Check everything and print the findings.

    Returns:
        The exit code: 0 all that was asked for works, 1 something does not; stopped: 128 + the signal's number.

    Raises:
        LoadgenError: the Kafka options or the URL of the store are none.
    """
    from loadgen.doctor.checks import Mark, stuck
    from loadgen.doctor.doctor import Doctor

    doctor = Doctor(settings)
    try:
        doctor.examine()
        code = EXIT_FAILED if any(found.mark is Mark.BAD for found in doctor.found) else EXIT_DONE
    except KeyboardInterrupt as stopped:
        code = exit_code_of(stopped)
    doctor.conclude()
    if stuck():  # a check that hangs must not keep the program
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code
