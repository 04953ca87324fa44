"""Each extension of an installed package goes the whole way, and nothing of loadgen knows of it."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import orjson
import pytest

from loadgen.kafka.embedded import AT_ONCE, EmbeddedBroker
from tests.outside.journey import FLAGS, N_EVENTS, PACER, TOPIC, journey, lines_of_tables, loadgen
from tests.runner.program import do_here

CONSUME = tuple(word for name, value in AT_ONCE.items() for word in ("--kafka-option", f"{name}={value}"))


@pytest.fixture
def broker() -> Iterator[str]:
    """The address of a broker with an empty topic."""
    with EmbeddedBroker(TOPIC) as embedded:
        yield embedded.address


def test_all_of_the_package_goes_through_run_consume_verify_and_analyze(
    tmp_path: Path, installed: Path, broker: str
) -> None:
    pages = journey(tmp_path, installed, broker, consume=CONSUME)
    lines = [line for path in tmp_path.glob("store/year=*/**/*.jsonl") for line in path.read_bytes().splitlines(True)]
    assert sorted(lines) == sorted(lines_of_tables(tmp_path))
    records = [orjson.loads(line) for line in lines]
    assert sum(record["what"] == "lyrics" for record in records) == pages["Lyrics"]
    assert {record["plan"] for record in records} == {"trial", "family", "student"}
    assert sum("buffering_s" in record for record in records) == pages["NextSong"]


@pytest.mark.parametrize("timestamps", ["simulated", "wall"])
def test_verify_needs_neither_the_pacer_nor_the_behaviour(tmp_path: Path, installed: Path, timestamps: str) -> None:
    flags = (
        "--output",
        "e.jsonl",
        "--manifest",
        "m.json",
        "--metrics-port",
        "0",
        "--behaviour",
        "lyrics",
        "--pacer",
        PACER,
    )
    loadgen(tmp_path, installed, "run", *FLAGS, *flags, "--timestamps", timestamps)
    verify = ("verify", "m.json", "--files", "e.jsonl", "--json")
    assert find_spec("my_package") is None, "this process has it not"
    code, proof, _ = do_here(tmp_path, *verify)
    assert (code, proof["verdict"], proof["found"]) == (0, "proved", N_EVENTS)
    text = (tmp_path / "e.jsonl").read_bytes()
    (tmp_path / "e.jsonl").write_bytes(text[text.index(b"\n") + 1 :])
    code, proof, _ = do_here(tmp_path, *verify)
    assert (code, proof["verdict"], proof["lost"]) == (1, "not proved", 1)
