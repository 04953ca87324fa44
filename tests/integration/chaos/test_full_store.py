"""A store without room: the consumer waits, and goes on by itself when there is room again."""

import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.integration.chaos.programs import ROOT, Loadgen
from tests.integration.chaos.scale import some
from tests.integration.chaos.scene import RATE_PER_S, Scene, sleep_s
from tests.integration.local import Local
from tests.runner.program import wait_until

FLAGS = ("-b", "400", "--rotate-interval", "0.5s")
PER_TRY_S = 6.0
BACK_S = 60.0
MIB = 1 << 20
HDFS_JARS = ROOT / "build" / "services" / "lib" / "hdfs"


def fill_and_free(scene: Scene, consumer: Loadgen, fill: Callable[[], None], free: Callable[[], None]) -> None:
    """Take the room away and give it back, in the midst of the consumer's work; see that it stopped, and went on."""
    scene.wait_for_progress(500)
    for _ in range(some(0.15)):
        sleep_s(scene.dice, 0.0, 1.0)
        fill()
        before = scene.position()
        sleep_s(scene.dice, 2.0, 4.0)
        assert consumer.runs, consumer.shown
        assert scene.position() <= before + 2000, "the store was not full"
        free()
        scene.wait_for_progress(1000, BACK_S)
    consumer.terminate()
    code, _, shown = consumer.end()
    assert code == 0, shown
    scene.finish()


def produce(scene: Scene) -> Loadgen:
    """A producer and a consumer."""
    scene.produce(int((5 + some(0.15) * PER_TRY_S) * RATE_PER_S))
    return scene.consume(*FLAGS)


@pytest.mark.parametrize("quota", ["SpaceQuota", "Quota"])  # of bytes, of names
def test_a_consumer_waits_for_a_quota_to_be_lifted(far_scene: Scene, hdfs: Local, quota: str) -> None:
    consumer = produce(far_scene)
    folder = urlsplit(far_scene.url).path
    fill_and_free(
        far_scene,
        consumer,
        lambda: administer(hdfs, f"-set{quota}", "1", folder),
        lambda: administer(hdfs, f"-clr{quota}", folder),
    )


def administer(hdfs: Local, *words: str) -> None:
    """`hdfs dfsadmin`, without Hadoop's scripts."""
    java = f"{os.environ['JAVA_HOME']}/bin/java" if os.environ.get("JAVA_HOME") else "java"
    path = f"{hdfs.data / 'hdfs' / 'conf'}:{HDFS_JARS}/*"
    done = subprocess.run(
        [java, "-cp", path, "org.apache.hadoop.hdfs.tools.DFSAdmin", *words], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 24 MiB where the store goes."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("needs root, who may mount a small disk; a limit on the size of files is tried without")
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "loadgen", str(disk)], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"may not mount a small disk: {done.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_consumer_waits_for_room_on_a_full_disk(scene: Scene, small_disk: Path) -> None:
    scene.url = str(small_disk / "store")
    scene.__post_init__()
    ballast = small_disk / "ballast"

    def fill() -> None:
        left = scene.dice.choice([0, 4096, 20_000, 200_000])
        with ballast.open("wb") as file:
            room = shutil.disk_usage(small_disk).free
            os.posix_fallocate(file.fileno(), 0, max(4096, room - left))

    fill_and_free(scene, produce(scene), fill, ballast.unlink)


def test_a_consumer_waits_for_a_limit_on_the_size_of_files_to_be_lifted(scene: Scene) -> None:
    consumer = produce(scene)
    wait_until(lambda: scene.position() > 0)

    def limit(n_bytes: int) -> None:
        resource.prlimit(consumer.process.pid, resource.RLIMIT_FSIZE, (n_bytes, resource.RLIM_INFINITY))

    fill_and_free(scene, consumer, lambda: limit(16_384), lambda: limit(resource.RLIM_INFINITY))
