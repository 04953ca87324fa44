"""Among very many events: one lost, one repeated, one byte changed, two exchanged, one foreign; little memory.

TEST_VERIFY_EVENTS sets how many: 300,000 by default, ten million for the full claim.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from tests.verifier.runs import ran

N_EVENTS = int(os.environ.get("TEST_VERIFY_EVENTS", "300000"))
MOST_BYTES = 500 << 20


def spoilt(lines: Iterator[bytes], named: dict[str, list[bytes]]) -> Iterator[bytes]:
    """The lines with one event of each kind of fault."""
    held: bytes | None = None
    for number, line in enumerate(lines):
        place = number * 10 // N_EVENTS if number * 10 % N_EVENTS < 10 else -1
        if place == 2:
            named["lost"] = [line]
        elif place == 3:
            named["repeated"] = [line]
            yield from (line, line)
        elif place == 5:
            changed = line.replace(b'"status":200', b'"status":201')
            named["altered"] = [line, changed]
            yield changed
        elif place == 6:
            held = line
        elif place == 8:
            named["foreign"] = [line.replace(b'"sessionId":', b'"sessionId":7')]
            yield from (line, named["foreign"][0])
        elif held is not None and orjson.loads(line)["userId"] == orjson.loads(held)["userId"]:
            named["out_of_order"] = [held, line]
            yield from (line, held)
            held = None
        else:
            yield line


def measured(folder: Path, *words: str) -> tuple[int, bytes, int]:
    """Run the program: exit code, stdout, the most memory that it had, bytes.

    Asked of the process while it runs: what wait4 tells is at least what the process that started it had.
    """
    command = [sys.executable, "-m", "loadgen", "verify", *words, "--json", "--quiet"]
    variables = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    most_kib = 0
    with subprocess.Popen(command, cwd=folder, env=variables, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        while process.poll() is None:
            found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())
            most_kib = max(most_kib, int(found[1]) if found else 0)
            time.sleep(0.02)
        out = process.stdout.read()
    return process.returncode, out, most_kib * 1024


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_each_planted_fault_is_found_and_named_in_little_memory(tmp_path: Path) -> None:
    size = ("--events", str(N_EVENTS), "--users", "20000", "--rate", "max", "--tracks", "800k")
    manifest = ran(tmp_path, "--output", "events.jsonl", *size)
    code, out, n_bytes = measured(tmp_path, str(manifest), "--files", "events.jsonl")
    assert (code, json.loads(out)["verdict"]) == (0, "proved")
    assert n_bytes < MOST_BYTES
    named: dict[str, list[bytes]] = {}
    with open(tmp_path / "events.jsonl", "rb") as lines, open(tmp_path / "spoilt.jsonl", "wb") as file:
        file.writelines(spoilt(iter(lines), named))
    code, out, n_bytes = measured(tmp_path, str(manifest), "--files", "spoilt.jsonl")
    found = json.loads(out)
    assert code == 1
    assert n_bytes < MOST_BYTES
    assert (found["expected"], found["found"]) == (N_EVENTS, N_EVENTS + 1)
    for kind, lines_of_kind in named.items():
        assert found[kind] == 1, kind
        ((one,),) = (found["named"][kind],)
        expected, shown = one["expected"], one["found"]
        records = [orjson.loads(line) for line in lines_of_kind]
        assert (expected or shown) in records, kind
        assert shown is None or shown in records, kind
    assert named.keys() == {"lost", "repeated", "altered", "out_of_order", "foreign"}
