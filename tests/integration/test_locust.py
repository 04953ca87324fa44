"""Locust in one process and in many: what it is told, what it says, and a ledger that adds up whoever dies."""

import csv
import re
import signal
import subprocess
import sys
import time
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest

from loadgen.kafka.embedded import EmbeddedBroker
from tests.integration.local import Local
from tests.integration.locusts import LOCUSTFILE, QUIET, TOPIC, Locusts, adds_up, n_in_topic, wait_until
from tests.ports import free_port

LEDGER = ("--ledger", "ledger.json")


def test_a_headless_test_delivers_all_and_locusts_table_and_csv_say_so(
    locusts: Locusts, embedded: EmbeddedBroker
) -> None:
    words = ("-u", "300", "-r", "300", "-t", "6s", "--speed", "20", "--brokers", embedded.address, "--csv", "table")
    locusts.start("alone", *QUIET, *LEDGER, *words)
    assert locusts.end("alone") == 0
    counts = locusts.ledger()["summary"]
    assert counts["planned"] == counts["delivered"] == n_in_topic(embedded.address) > 300
    with (locusts.folder / "table_stats.csv").open() as file:
        row = next(csv.DictReader(file))
    assert (row["Type"], row["Name"]) == ("KAFKA", TOPIC)
    assert (int(row["Request Count"]), int(row["Failure Count"])) == (counts["delivered"], 0)
    assert float(row["99%"]) == pytest.approx(counts["ack_ms"]["p99"], rel=0.06, abs=1)


def test_a_broken_threshold_is_locusts_exit_code(locusts: Locusts, embedded: EmbeddedBroker) -> None:
    words = ("-u", "50", "-r", "50", "-t", "4s", "--brokers", embedded.address, "--threshold", "p50(ack) < 1us")
    locusts.start("alone", *QUIET, *words)
    assert locusts.end("alone") == 1
    assert "p50(ack) < 1us is broken" in locusts.log("alone")


def test_a_threshold_that_says_so_ends_the_test(locusts: Locusts, embedded: EmbeddedBroker) -> None:
    words = ("-u", "50", "-r", "50", "-t", "50s", "--brokers", embedded.address, "--threshold", "planned < 10 abort")
    locusts.start("alone", *QUIET, *LEDGER, *words)
    assert locusts.end("alone", 40) == 1
    assert adds_up(locusts.ledger()["summary"])


def test_a_wrong_option_ends_locust_with_exit_code_2_and_the_next_step(locusts: Locusts) -> None:
    locusts.start("alone", *QUIET, "--speed", "fast", "-t", "1s")
    assert locusts.end("alone") == 2
    assert "speed must be" in locusts.log("alone")


def test_a_broker_that_is_not_there_is_told_with_the_next_step(locusts: Locusts, embedded: EmbeddedBroker) -> None:
    words = ("--brokers", "127.0.0.1:1", "-u", "5", "-t", "20s")
    locusts.start("alone", *QUIET, *LEDGER, *words)
    assert locusts.end("alone") == 1
    assert "127.0.0.1:1" in locusts.ledger()["workers"][0]["error"]


def test_a_shape_decides_how_many_are_online(locusts: Locusts, embedded: EmbeddedBroker) -> None:
    words = ("-u", "400", "-t", "10s", "--shape", "spike", "--speed", "20", "--brokers", embedded.address)
    locusts.start("alone", *QUIET, *LEDGER, *words)
    assert locusts.end("alone") == 0
    active = [window["active"] for window in locusts.ledger()["history"]]
    assert max(active) == 400
    assert 0 < active[-2] <= 100


@pytest.mark.parametrize("words", [("IndieListener",), ("--tags", "indie")])
def test_a_crowd_is_only_of_its_taste(locusts: Locusts, embedded: EmbeddedBroker, words: tuple[str, ...]) -> None:
    more = ("-u", "30", "-r", "30", "-t", "3s", "--brokers", embedded.address)
    locusts.start("alone", "--headless", "--tracks", "10558", *more, *words)
    assert locusts.end("alone") == 0
    assert '{"IndieListener": 30}' in locusts.log("alone")


def test_a_signal_drains_and_leaves_a_ledger(locusts: Locusts, embedded: EmbeddedBroker) -> None:
    words = ("-u", "300", "-r", "300", "--speed", "50", "--brokers", embedded.address, "--processes", "2")
    locusts.start("both", *QUIET, *LEDGER, *words)
    locusts.wait_for("both", "total users)")
    wait_until(lambda: n_in_topic(embedded.address) > 0, 60)
    locusts.kill("both", signal.SIGTERM)
    locusts.end("both")
    ledger = locusts.ledger()
    assert [worker["end"] for worker in ledger["workers"]] == ["drained", "drained"]
    assert ledger["summary"]["delivered"] == ledger["summary"]["planned"] == n_in_topic(embedded.address) > 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_test_that_is_stopped_before_its_run_time_is_up_is_not_done(
    locusts: Locusts, embedded: EmbeddedBroker, number: signal.Signals, code: int
) -> None:
    words = ("-u", "300", "-r", "300", "-t", "60s", "--speed", "50", "--brokers", embedded.address)
    locusts.start("alone", *QUIET, *LEDGER, *words)
    wait_until(lambda: n_in_topic(embedded.address) > 0, 60)
    locusts.kill("alone", number)
    assert locusts.end("alone") == code
    summary = locusts.ledger()["summary"]
    assert re.match(r"stopped after .* s of 60.0 s: ", summary["cut_short"])
    assert summary["delivered"] == summary["planned"] == n_in_topic(embedded.address)


def _workers(locusts: Locusts, port: int, names: str, *more: str) -> None:
    for name in names:
        locusts.start(name, "--worker", "--master-port", str(port), *QUIET[1:], *more)


def _master(locusts: Locusts, address: str, run_s: int, *more: str) -> int:
    port = free_port()
    bound = ("--master", "--master-bind-port", str(port), "--expect-workers", "2")
    load = ("-u", "600", "-r", "600", "-t", f"{run_s}s", "--speed", "50", "--brokers", address)
    locusts.start("master", *QUIET, *LEDGER, *bound, *load, *more)
    return port


def test_a_worker_killed_in_mid_run_leaves_a_ledger_that_adds_up_and_its_successor_repeats_nothing(
    locusts: Locusts, embedded: EmbeddedBroker
) -> None:
    port = _master(locusts, embedded.address, 26)
    _workers(locusts, port, "ab")
    locusts.wait_for("master", "total users)")
    wait_until(lambda: n_in_topic(embedded.address) > 0, 60)
    time.sleep(3)
    locusts.kill("a")
    _workers(locusts, port, "c")  # waits for the lease of the dead one
    assert locusts.end("master") == 1
    ledger = locusts.ledger()
    assert adds_up(ledger["summary"])
    assert all(adds_up(worker) for worker in ledger["workers"])
    lost, successor = (
        next(w for w in ledger["workers"] if w[key] == value) for key, value in (("end", "lost"), ("life", 1))
    )
    assert (lost["shard"], successor["end"]) == (successor["shard"], "drained")
    assert successor["from_s"] >= lost["until_s"] + 5.0
    assert successor["delivered"] > 0
    summary = ledger["summary"]
    n_found = n_in_topic(embedded.address)
    assert summary["delivered"] <= n_found <= summary["planned"] + ledger["possibly_more"]


def test_a_worker_that_leaves_in_order_hands_its_shard_on_at_once(locusts: Locusts, embedded: EmbeddedBroker) -> None:
    port = _master(locusts, embedded.address, 26)
    _workers(locusts, port, "ab")
    locusts.wait_for("master", "total users)")
    time.sleep(2)
    locusts.kill("a", signal.SIGTERM)
    locusts.end("a")
    _workers(locusts, port, "c")
    assert locusts.end("master") == 0
    ledger = locusts.ledger()
    assert [worker["end"] for worker in ledger["workers"]] == ["drained"] * 3
    assert sorted(worker["life"] for worker in ledger["workers"]) == [0, 0, 1]
    assert ledger["summary"]["delivered"] == ledger["summary"]["planned"] == n_in_topic(embedded.address)


def test_a_worker_that_is_stopped_sends_nothing_once_its_lease_has_run_out(
    locusts: Locusts, embedded: EmbeddedBroker
) -> None:
    port = _master(locusts, embedded.address, 30)
    _workers(locusts, port, "ab")
    locusts.wait_for("master", "total users)")
    time.sleep(2)
    locusts.kill("a", signal.SIGSTOP)
    _workers(locusts, port, "c")
    time.sleep(14)
    locusts.kill("a", signal.SIGCONT)
    locusts.end("master")
    ledger = locusts.ledger()
    stopped = next(
        worker
        for worker in ledger["workers"]
        if worker["until_s"] > 0 and worker["life"] == 0 and _lost(ledger, worker)
    )
    assert adds_up(stopped)
    assert "another has its shard" in locusts.log("a")
    summary = ledger["summary"]
    assert summary["delivered"] <= n_in_topic(embedded.address) <= summary["planned"] + ledger["possibly_more"]


def _lost(ledger: dict[str, list[dict[str, str]]], worker: dict[str, str]) -> bool:
    return any("fell silent" in event["what"] for event in ledger["happened"] if event["worker"] == worker["worker"])


def test_real_kafka_holds_what_the_ledger_says(locusts: Locusts, broker: Local) -> None:
    made = ("--create-topic", "--partitions", "6", "--topic", "locust")
    words = ("-u", "200", "-r", "200", "-t", "10s", "--cohort", "10", "--speed", "60", "--brokers", broker.brokers)
    locusts.start("both", *QUIET, *LEDGER, *words, *made, "--processes", "2", "--threshold", "failed == 0")
    assert locusts.end("both") == 0
    summary = locusts.ledger()["summary"]
    assert summary["planned"] == summary["delivered"] == n_in_topic(broker.brokers, "locust") > 1000


def test_the_list_of_users_names_the_crowds() -> None:
    command = [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--list"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert set(said.split()[2:]) == {"MainstreamListener", "IndieListener", "MixedListener"}


def _page(port: int, path: str, **form: str) -> bytes:
    """What the page answers; a form is posted."""
    data = urlencode(form).encode() if form else None
    with urlopen(f"http://127.0.0.1:{port}/{path}", data, timeout=20) as answer:
        found: bytes = answer.read()
        return found


def _answers(port: int) -> bool:
    try:
        return bool(_page(port, ""))
    except OSError:
        return False


def test_two_tests_from_the_page_are_two_ledgers_and_their_sessions_have_different_numbers(
    locusts: Locusts, embedded: EmbeddedBroker
) -> None:
    port = free_port()
    words = ("--web-port", str(port), "--brokers", embedded.address, "--speed", "1", *QUIET[1:], *LEDGER)
    locusts.start("page", *words)
    wait_until(lambda: _answers(port), 60)
    ledgers = []
    for _ in range(2):
        _page(port, "swarm", user_count="60", spawn_rate="60", speed="50")
        wait_until(lambda: b'"num_requests": 0' not in _page(port, "stats/requests"), 60)
        time.sleep(4)
        urlopen(Request(f"http://127.0.0.1:{port}/stop", method="POST"), timeout=60).close()
        ledgers.append(locusts.ledger())
        (locusts.folder / "ledger.json").unlink()
    assert [ledger["workers"][0]["life"] for ledger in ledgers] == [0, 1]
    assert [ledger["settings"]["speed"] for ledger in ledgers] == [50.0, 50.0]
    delivered = [ledger["summary"]["delivered"] for ledger in ledgers]
    assert min(delivered) > 0
    assert n_in_topic(embedded.address) == sum(delivered)
