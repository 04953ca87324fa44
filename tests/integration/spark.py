"""Jobs of Spark, each in a small Spark of its own."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.integration.local import ROOT

SMALL = {
    "spark.master": "local[2]",
    "spark.driver.memory": "1g",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",  # half the time, for short jobs
    "spark.ui.enabled": "false",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.sql.shuffle.partitions": "2",
}


def submit(folder: Path, job: Path, *words: str, jars: Sequence[Path] = ()) -> "subprocess.CompletedProcess[str]":
    """Run a job to its end.

    Args:
        folder: its working folder.
        job: a script.
        words: its arguments.
        jars: that it needs besides Spark's own.
    """
    conf = [word for name, value in SMALL.items() for word in ("--conf", f"{name}={value}")]
    conf += ["--jars", ",".join(map(str, jars))] if jars else []
    program = shutil.which("spark-submit", path=str(Path(sys.executable).parent))
    assert program is not None
    command = [program, *conf, str(job), *words]
    python = {"PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable}
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "SPARK_LOCAL_DIRS": str(folder),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYTHONWARNINGS": "ignore::FutureWarning",  # it says one of pandas, which it does not need here
        **python,
    }
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=220, check=False
    )
