"""The headless Locust lines of the README do what they say, at small size, on a real broker."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.local import Local
from tests.integration.locusts import ROOT, Locusts, n_in_topic

LINE = re.compile(r"^locust -f loadgen/scenarios/locustfile\.py (--headless .*)$", re.MULTILINE)
PRINTED = [shlex.split(line.rstrip("& "), comments=True) for line in LINE.findall((ROOT / "README.md").read_text())]
SECONDS = "8s"


@pytest.fixture
def locusts(tmp_path: Path) -> Iterator[Locusts]:
    (tmp_path / "loadgen").symlink_to(ROOT / "loadgen")  # the lines name files of the checkout
    found = Locusts(tmp_path)
    try:
        yield found
    finally:
        found.stop_all()


def test_the_readme_has_such_lines() -> None:
    assert len(PRINTED) >= 6


@pytest.mark.parametrize("words", PRINTED, ids=range(len(PRINTED)))
def test_a_line_of_the_readme_delivers_all_that_it_plans(locusts: Locusts, broker: Local, words: list[str]) -> None:
    at = words.index("-t") + 1
    small = [*words[:at], SECONDS, *words[at + 1 :], "--tracks", "10558", "--only-summary", "--ledger", "ledger.json"]
    locusts.start("line", *[word.replace("localhost:9092", broker.brokers) for word in small])
    locusts.end("line")
    summary = locusts.ledger()["summary"]
    assert "Traceback" not in locusts.log("line")
    assert summary["planned"] == summary["delivered"]
    if "--create-topic" in words:
        assert n_in_topic(broker.brokers, words[words.index("--topic") + 1]) >= summary["delivered"] > 0
