"""Libraries that are imported do without pandas, without threads of OpenBLAS, and without noise."""

import os
import subprocess
import sys


def said_by(code: str, **variables: str) -> str:
    """What a process of the program writes that runs this, to either stream."""
    env = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"} | variables
    code = f"import loadgen.__main__\n{code}"
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    return done.stdout + done.stderr


def test_a_home_that_is_read_only_makes_no_noise_whatever_draws() -> None:
    assert said_by("import matplotlib.font_manager", MPLCONFIGDIR="/proc/nowhere") == ""


def test_pandas_is_not_to_be_found_and_openblas_has_one_thread() -> None:
    code = (
        "import os, numpy\n"
        "try: import pandas\n"
        "except ModuleNotFoundError: print('no pandas')\n"
        "print(os.environ['OPENBLAS_NUM_THREADS'])"
    )
    assert said_by(code) == "no pandas\n1\n"


def test_the_library_leaves_the_imports_of_its_host_alone() -> None:
    code = "import sys, os; before = list(sys.meta_path); import loadgen.runner.forkserver, loadgen.cli; "
    code += "print(sys.meta_path == before, 'OPENBLAS_NUM_THREADS' in os.environ)"
    env = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout == "True False\n"
