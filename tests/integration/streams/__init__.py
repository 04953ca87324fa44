"""An application of Kafka Streams, the system under test: compiled once, started, stopped, killed.

In: brokers, two topics, what is wrong with it. Out: a process that copies one to the other.
"""

import hashlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.integration.local import ROOT, jars_of
from tests.runner.program import wait_until

SOURCE = Path(__file__).with_name("CopyEvents.java")


def classes() -> Path:
    """The folder with the compiled application, whose name changes with its source."""
    folder = ROOT / "build/streams" / hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]
    if not folder.exists():
        jars, half = jars_of("streams"), folder.with_name(f"{folder.name}.{os.getpid()}")
        compiler = next(jar for jar in jars if jar.name.startswith("ecj-"))
        words = ["-17", "-cp", os.pathsep.join(map(str, jars)), "-d", str(half), str(SOURCE)]
        done = subprocess.run(["java", "-jar", str(compiler), *words], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        try:
            half.rename(folder)
        except OSError:  # another process was faster
            assert folder.exists()
    return folder


@contextmanager
def copying(
    folder: Path, brokers: str, name: str, source: str, target: str, *, most_per_s: int = 0, wrong_every: int = 0
) -> Iterator["subprocess.Popen[str]"]:
    """Run the application, whose topics are there; see CopyEvents.java. It is killed at the end.

    Args:
        folder: for its state and its log.
        name: of the application, which is its consumer group.
    """
    path = os.pathsep.join([str(classes()), *map(str, jars_of("streams"))])
    java = ["java", "-Xmx192m", "-XX:TieredStopAtLevel=1", f"-Djava.io.tmpdir={folder}", "-cp", path, "CopyEvents"]
    words = [brokers, name, source, target, str(most_per_s), str(wrong_every)]
    with (folder / f"{name}.log").open("w") as log:
        process = subprocess.Popen([*java, *words], stdout=log, stderr=log, text=True)
    try:
        said = folder / f"{name}.log"
        wait_until(lambda: process.poll() is not None or "RUNNING" in said.read_text(), 60.0)
        assert process.poll() is None, said.read_text()
        yield process
    finally:
        process.kill()
        process.wait(30)
