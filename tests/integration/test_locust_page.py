"""Locust's page as a person uses it: its real form, in a real browser."""

import re

import httpx
from playwright.sync_api import Browser, Page, expect

from loadgen.kafka.embedded import EmbeddedBroker
from tests.integration.locusts import Locusts, n_in_topic, wait_until
from tests.ports import free_port


def served(locusts: Locusts, *words: str) -> str:
    """Start Locust with its page; where that is."""
    port = free_port()
    locusts.start("page", "--tracks", "10558", "--ledger", "ledger.json", "--web-port", str(port), *words)
    locusts.wait_for("page", "web interface at")
    address = f"http://127.0.0.1:{port}"
    wait_until(lambda: is_up(address), 30)
    return address


def is_up(address: str) -> bool:
    try:
        return httpx.get(address).status_code == 200
    except httpx.TransportError:
        return False


def fill(page: Page, **values: str) -> None:
    """Fill in the form that begins a test."""
    expect(page.locator("input[name=userCount]")).to_be_visible()
    page.get_by_text("Custom parameters").click()
    for name, value in values.items():
        page.locator(f"input[name={name}]").fill(value)


def test_start_stop_and_start_again_with_other_values(
    locusts: Locusts, embedded: EmbeddedBroker, browser: Browser
) -> None:
    page = browser.new_page()
    page.goto(served(locusts, "--brokers", embedded.address))
    fill(page, userCount="200", spawnRate="200")
    page.get_by_role("button", name="Start").click()
    wait_until(lambda: n_in_topic(embedded.address) > 0, 40)
    page.get_by_role("button", name="Stop").click()
    wait_until(lambda: (locusts.folder / "ledger.json").exists(), 40)
    first = locusts.ledger()
    assert first["summary"]["delivered"] == first["summary"]["planned"] > 0
    page.get_by_role("button", name="New").click()
    fill(page, userCount="300", spawnRate="300", speed="20", seed="7", listeners="5000")
    page.get_by_role("button", name="Start").click()
    n_before = n_in_topic(embedded.address)
    wait_until(lambda: n_in_topic(embedded.address) > n_before, 40)
    page.get_by_role("button", name="Stop").click()
    wait_until(lambda: locusts.ledger() != first, 40)
    second = locusts.ledger()
    assert second["summary"]["delivered"] == second["summary"]["planned"] > 0
    assert (second["settings"]["speed"], second["settings"]["seed"], second["settings"]["users"]) == (20, 7, 5000)
    assert "Traceback" not in locusts.log("page")


def test_a_wrong_value_in_the_form_is_told_in_the_page_and_starts_nothing(
    locusts: Locusts, embedded: EmbeddedBroker, browser: Browser
) -> None:
    page = browser.new_page()
    page.goto(served(locusts, "--brokers", embedded.address))
    fill(page, userCount="5", spawnRate="5", speed="fast")
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_text(re.compile("speed must be"))).to_be_visible()
    assert n_in_topic(embedded.address) == 0


def test_the_page_is_on_loopback_and_no_page_from_elsewhere_starts_load(
    locusts: Locusts, embedded: EmbeddedBroker
) -> None:
    address = served(locusts, "--brokers", embedded.address)
    assert f"web interface at {address}" in locusts.log("page")
    form = {"user_count": "5", "spawn_rate": "5"}
    assert httpx.post(f"{address}/swarm", data=form, headers={"Origin": "http://evil.example"}).status_code == 403
    assert httpx.get(address, headers={"Host": "evil.example"}).status_code == 421
    assert httpx.get(f"{address}/stats/requests").json()["state"] == "ready"
    assert httpx.post(f"{address}/swarm", data=form, headers={"Origin": address}).json()["success"]


def test_a_page_that_others_can_reach_says_so(locusts: Locusts, embedded: EmbeddedBroker) -> None:
    served(locusts, "--brokers", embedded.address, "--web-host", "0.0.0.0")
    assert "can be reached from other machines, without a login" in locusts.log("page")
