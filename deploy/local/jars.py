"""Java, and the jars that pom.xml names, as they are needed.

In: pom.xml, Maven Central or Maven's local cache. Out: build/services/lib/PROFILE, resolved again when
pom.xml has changed.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
LIB = HERE.parents[1] / "build" / "services" / "lib"
POM = HERE / "pom.xml"
MARK = "pom.sha256"
JAVA_VERSION = 17
UNPACKED = ("registry",)
"""Services that come as an archive."""


class ServiceError(Exception):
    """Something the user can mend; the message says how."""


def find_java() -> str:
    """The path of a java that can run the services.

    Raises:
        ServiceError: there is none, or it is too old.
    """
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home, "bin", "java")) if home else shutil.which("java") or ""
    if not java or not Path(java).exists():
        raise ServiceError(
            f"Kafka, HDFS and the schema registry need Java {JAVA_VERSION} or newer, found none; install it "
            f"(Debian and Ubuntu: apt install openjdk-{JAVA_VERSION}-jre-headless) or set JAVA_HOME"
        )
    shown = subprocess.run([java, "-version"], capture_output=True, text=True).stderr
    version = re.search(r'version "(\d+)', shown)
    if version is None or int(version.group(1)) < JAVA_VERSION:
        found = shown.partition("\n")[0] or "nothing that says its version"
        raise ServiceError(
            f"Kafka, HDFS and the schema registry need Java {JAVA_VERSION} or newer, {java} is {found}; "
            "install it, or set JAVA_HOME"
        )
    return java


def find_jars(name: str) -> Path:
    """The folder with the jars of a service; resolves them the first time and after pom.xml has changed.

    Of several processes that ask at once one gets them, and the others wait for it.

    Raises:
        ServiceError: Maven is missing, or cannot get them.
    """
    folder, digest = LIB / name, hashlib.sha256(POM.read_bytes()).hexdigest()
    if not _is_of(folder, digest):
        LIB.mkdir(parents=True, exist_ok=True)
        with (LIB / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not _is_of(folder, digest):
                _replace(folder, digest)
    return folder


def _is_of(folder: Path, digest: str) -> bool:
    """Whether a folder has the jars that the pom.xml with this digest names."""
    mark = folder / MARK
    return mark.exists() and mark.read_text() == digest


def _replace(folder: Path, digest: str) -> None:
    new = folder.with_suffix(".new")
    _resolve(folder.name, new)
    (new / MARK).write_text(digest)
    shutil.rmtree(folder, ignore_errors=True)
    new.rename(folder)


def _resolve(name: str, folder: Path) -> None:
    mvn = shutil.which("mvn")
    if mvn is None:
        raise ServiceError(
            f"the jars of {name} are not in {LIB} yet, and Maven, which gets them, is not installed; "
            "install it (Debian and Ubuntu: apt install maven)"
        )
    print(f"getting the jars of {name} with Maven, once", file=sys.stderr)
    shutil.rmtree(folder, ignore_errors=True)
    goal = ["dependency:unpack-dependencies" if name in UNPACKED else "dependency:copy-dependencies"]
    # the notes of what is unpacked belong to the folder: kept elsewhere, they would outlive it, and nothing be unpacked
    goal += ["-DincludeScope=runtime", f"-DoutputDirectory={folder}", f"-DmarkersDirectory={folder / '.unpacked'}"]
    done = subprocess.run([mvn, "-B", "-q", "-ntp", "-f", str(POM), "-P", name, *goal], capture_output=True, text=True)
    if done.returncode:
        raise ServiceError(
            f"Maven could not get the jars of {name}; is Maven Central reachable, or a mirror set in "
            f"~/.m2/settings.xml?\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
        )
