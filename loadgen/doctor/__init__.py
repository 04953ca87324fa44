"""What works here, what does not, and what to do about it: `loadgen doctor`.

`machine` looks at this computer, `broker` at Kafka, `scratch` at the store, `through` sends events all the way; a
`check` has a deadline, and whatever is made is removed again by `cleanup`.
"""

import os
import sys

from loadgen.config import DoctorSettings
from loadgen.signals import exit_code_of

EXIT_DONE, EXIT_FAILED = 0, 1


def main(settings: DoctorSettings) -> int:
    """Check everything and say it.

    Args:
        settings: complete and valid.

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
    if stuck():  # what does not answer must not keep the program
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code
