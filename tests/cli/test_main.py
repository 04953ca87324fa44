"""The program around its commands: what is said while they are imported, and how it ends when all is said."""

import signal
import subprocess
import sys

import pytest

PROGRAM = "import sys, loadgen.__main__ as program; sys.modules['loadgen.cli'] = {}; sys.exit(program.main())"
BROKEN = """
class Broken:
    def __getattr__(self, name):
        raise {}
"""
HANGING = """
import signal, threading, time
def hang():
    deadline_s = time.monotonic() + 5
    while signal.getsignal(signal.SIGHUP) == signal.SIG_DFL and time.monotonic() < deadline_s:
        time.sleep(0.01)
    print("listening", flush=True)
    time.sleep(60)
class Hanging:
    def main(self):
        threading.Thread(target=hang).start()
        return 3
"""


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        ("MemoryError()", 1, "error: the system gives no more memory;"),
        ("ImportError('libarrow.so: failed to map segment from shared object')", 1, "error: the system gives no more"),
        ("ImportError('no such module')", 1, "Traceback"),
        ("KeyboardInterrupt()", 130, ""),
    ],
)
def test_what_stops_the_import_of_the_verbs_is_said_or_a_broken_installation(error: str, code: int, said: str) -> None:
    program = BROKEN.format(error) + PROGRAM.format("Broken()")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr[: len(said) or None]) == (code, said)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_thread_that_hangs_when_all_is_said_does_not_keep_a_signal_from_ending_the_program(
    number: signal.Signals,
) -> None:
    command = [sys.executable, "-c", HANGING + PROGRAM.format("Hanging()")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "listening\n"
        program.send_signal(number)
        assert program.stderr is not None
        assert (program.wait(20), program.stderr.read()) == (3, "")
