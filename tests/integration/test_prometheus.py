"""Prometheus as a plain process: it scrapes a run, and goes on without whoever started it until `down`."""

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote
from urllib.request import urlopen

import pytest

from tests.integration.local import Local, processes_of
from tests.ports import free_port, is_free
from tests.runner.program import start, wait_until

DELIVERED = 'loadgen_events_total{outcome="delivered"}'


@pytest.fixture
def local(needs_prometheus: None, tmp_path: Path) -> Iterator[Local]:
    """Prometheus that is not up yet; down at the end."""
    local = Local(tmp_path / "data", ["--only", "prometheus"])
    yield local
    local.down()


def answer(local: Local, query: str) -> float:
    """The single number that a query gives; 0 for none."""
    with urlopen(f"http://127.0.0.1:{local.prometheus_port}/api/v1/query?query={quote(query)}", timeout=10) as page:
        found = json.load(page)["data"]["result"]
    assert len(found) <= 1, found
    return float(found[0]["value"][1]) if found else 0.0


def test_a_run_that_is_scraped_can_be_asked_about(tmp_path: Path, local: Local) -> None:
    port = free_port((0, 1))
    local.flags += ["--scrape-port", str(port), "--scrape-port", str(port + 1)]
    assert "ready after" in local.up()
    program = start(tmp_path, "--metrics-port", str(port), "--rate", "500/s", "--duration", "14s", "--discard")
    wait_until(lambda: program.process.poll() is not None or answer(local, f"sum({DELIVERED})") > 0)
    assert program.process.poll() is None, program.end()
    assert answer(local, f'up{{instance="127.0.0.1:{port}"}}') == 1
    assert answer(local, f'up{{instance="127.0.0.1:{port + 1}"}}') == 0
    assert answer(local, "loadgen_target_events_per_second") == pytest.approx(500, rel=0.01)
    code, summary, shown = program.end()
    assert code == 0, shown
    assert 500 <= answer(local, f"sum(max_over_time({DELIVERED}[1m]))") <= summary["delivered"] == 7000


def test_services_that_nobody_owns_go_on_until_down(local: Local) -> None:
    local.owned = False
    local.up()
    before = local.pids()
    assert set(before) == {"prometheus"}
    assert "was ready already" in local.up()
    assert [process.pid for process in processes_of(local)] == list(before.values())
    assert "stopped prometheus" in local.down()
    assert processes_of(local) == []
    assert is_free(local.prometheus_port)
