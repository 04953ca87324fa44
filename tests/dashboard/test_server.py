"""What is answered, to whom, and with which headers."""

import re
import socket
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from loadgen import __version__
from loadgen.dashboard.aggregates import Aggregates
from loadgen.dashboard.answers import KEEP_S, Answers, Flow
from loadgen.dashboard.feed import Latest, SourceState
from loadgen.dashboard.server import HEADERS, STATIC, app_of
from loadgen.errors import LoadgenError
from loadgen.hosts import hosts_for, listen
from tests.dashboard.records import FIRST_MS

PLACE = {"store": "/srv/music_events", "topic": None, "brokers": None}
STATIC_FOLDER = Path(__file__).parents[2] / "loadgen/dashboard/static"


class Clock:
    """A clock of the test's, and what the answers go by."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.latest = Latest(self.snapshot(0), SourceState("ok"))

    def snapshot(self, n_events: int) -> dict[str, Any]:
        """As the feed makes it."""
        figures = Aggregates().figures()
        figures["totals"]["events"] = n_events
        figures["newest_ms"] = FIRST_MS if n_events else None
        return {"state": SourceState("ok").as_json(), "name": "x", "arrived_last_minute": 7, "figures": figures}


@pytest.fixture
def clock() -> Clock:
    return Clock()


def answers_of(clock: Clock) -> Answers:
    """Answers that go by this clock."""
    return Answers(lambda: clock.latest, PLACE, lambda: clock.now_s, lambda: FIRST_MS / 1000 + 90)


async def ask(clock: Clock, method: str, path: str, host: str = "127.0.0.1:5001", bound: str = "127.0.0.1") -> Any:
    """One request to the application."""
    transport = httpx.ASGITransport(app_of(answers_of(clock), bound))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:5001") as client:
        return await client.request(method, path, headers={"host": host})


def asked(clock: Clock, method: str, path: str, **where: str) -> httpx.Response:
    """One request, and its answer."""
    import asyncio

    answer: httpx.Response = asyncio.run(ask(clock, method, path, **where))
    return answer


@pytest.mark.parametrize("path", [*STATIC, "/api/figures", "/health"])
def test_every_path_is_answered_with_all_headers(clock: Clock, path: str) -> None:
    answer = asked(clock, "GET", path)
    assert answer.status_code == 200
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS


@pytest.mark.parametrize("path", ["/nothing", "/static/index.html", "/../server.py", "/docs", "/openapi.json"])
def test_what_is_not_there_is_404_with_the_same_headers(clock: Clock, path: str) -> None:
    answer = asked(clock, "GET", path)
    assert answer.status_code == 404
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("path", ["/", "/api/figures", "/health"])
def test_only_get_is_allowed(clock: Clock, method: str, path: str) -> None:
    answer = asked(clock, method, path)
    assert (answer.status_code, set(answer.headers["allow"].split(", "))) == (405, {"GET", "HEAD"})
    assert answer.headers["content-security-policy"] == HEADERS["content-security-policy"]


def test_the_policy_allows_nothing_inline_and_nothing_from_elsewhere() -> None:
    rules = dict(rule.strip().split(" ", 1) for rule in HEADERS["content-security-policy"].split(";"))
    assert (rules["default-src"], rules["frame-ancestors"], rules["base-uri"]) == ("'none'",) * 3
    assert (rules["script-src"], rules["style-src"], rules["connect-src"]) == ("'self'",) * 3
    assert "unsafe" not in HEADERS["content-security-policy"]


def test_the_page_has_nothing_inline_and_names_no_other_host() -> None:
    texts = {path.name: path.read_text() for path in STATIC_FOLDER.iterdir()}
    page = texts["index.html"]
    assert re.findall(r"<script(?![^>]*\ssrc=\"/)|\son\w+=|\sstyle=|<style", page) == []
    assert {host for text in texts.values() for host in re.findall(r"https?://([\w.-]+)", text)} <= {"www.w3.org"}
    assert re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", texts["dashboard.js"]) == []


@pytest.mark.parametrize("host", ["127.0.0.1:5001", "localhost:5001", "LOCALHOST", "[::1]:5001", "127.0.0.1"])
def test_requests_to_this_machine_are_answered(clock: Clock, host: str) -> None:
    assert asked(clock, "GET", "/health", host=host).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:5001", "127.0.0.1.evil.example", "", "localhost.x"])
def test_requests_that_mean_another_host_are_refused_on_loopback(clock: Clock, host: str) -> None:
    answer = asked(clock, "GET", "/api/figures", host=host)
    assert (answer.status_code, b"figures" in answer.content) == (421, False)
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_where_others_may_come_in_any_host_is_answered(clock: Clock) -> None:
    assert asked(clock, "GET", "/health", host="dashboard.example", bound="0.0.0.0").status_code == 200
    assert hosts_for("192.0.2.1") is None
    assert "127.9.9.9" in (hosts_for("127.9.9.9") or ())


def test_figures_come_from_a_cache_of_three_seconds(clock: Clock) -> None:
    answers = answers_of(clock)
    first = answers.figures()
    clock.latest = Latest(clock.snapshot(5), SourceState("ok"))
    clock.now_s += KEEP_S - 0.01
    assert answers.figures() is first
    clock.now_s += 0.02
    assert orjson.loads(answers.figures())["figures"]["totals"]["events"] == 5
    assert KEEP_S == 3.0


def test_health_is_always_of_now(clock: Clock) -> None:
    answers = answers_of(clock)
    assert orjson.loads(answers.health()) == {
        "status": "ok", "reason": "", "share": None, **PLACE, "last_event": None, "lag_s": None, "events": 0,
        "version": __version__,
    }  # fmt: skip
    clock.latest = Latest(clock.snapshot(5), SourceState("stale", "the store does not answer"))
    found = orjson.loads(answers.health())
    assert (found["status"], found["reason"], found["events"]) == ("stale", "the store does not answer", 5)
    assert (found["last_event"], found["lag_s"]) == ("2026-01-05T00:00:00.000Z", 90.0)


def test_before_the_first_snapshot_the_dashboard_is_starting(clock: Clock) -> None:
    clock.latest = Latest()
    answers = answers_of(clock)
    assert orjson.loads(answers.health())["status"] == "starting"
    assert orjson.loads(answers.figures())["figures"] is None


LATENCY = {"n_events": 9, "p50_ms": 1500.0, "p99_ms": 3000.0, "is_plausible": True}
NOT_KNOWN = {**dict.fromkeys(("sent", "stored", "lag", "unread", "latency")), "is_timed": False}


def flow_of(clock: Clock, flow: Path | None, **snapshot: Any) -> Any:
    """What the page is told of the way of events."""
    clock.latest = Latest({**clock.snapshot(5), **snapshot}, SourceState("ok"))
    answers = Answers(lambda: clock.latest, PLACE, lambda: clock.now_s, lambda: 1000.0, flow)
    return orjson.loads(answers.figures())["flow"]


def test_alone_the_dashboard_tells_of_the_way_of_events_only_what_it_sees_itself(clock: Clock) -> None:
    assert flow_of(clock, None) == NOT_KNOWN
    assert flow_of(clock, None, unread=7, latency=LATENCY) == {**NOT_KNOWN, "unread": 7, "latency": LATENCY}
    assert flow_of(clock, None, latency={**LATENCY, "is_plausible": False}) == NOT_KNOWN


def test_what_the_pipeline_says_is_told_and_what_it_does_not_know_is_not_zero(clock: Clock, tmp_path: Path) -> None:
    path = tmp_path / "flow"
    assert flow_of(clock, path) == NOT_KNOWN
    Flow(sent=12, stored=None, lag=0, is_timed=True, is_over=False, written_s=999.0).write(path)
    assert flow_of(clock, path) == {**NOT_KNOWN, "sent": 12, "lag": 0, "is_timed": True}
    late = {**LATENCY, "p50_ms": 600_000.0, "is_plausible": False}
    assert flow_of(clock, path, latency=late)["latency"] == late  # a store that was away, and no clock of its own
    Flow(sent=12, stored=9, lag=3, is_timed=False, is_over=False, written_s=999.0).write(path)
    assert flow_of(clock, path, latency=LATENCY) == {**NOT_KNOWN, "sent": 12, "stored": 9, "lag": 3}
    Flow(sent=12, stored=9, lag=3, is_timed=False, is_over=False, written_s=900.0).write(path)
    assert flow_of(clock, path) == NOT_KNOWN


def test_a_port_that_is_taken_is_an_error_with_the_next_step() -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(LoadgenError, match=rf"port {port} of 127\.0\.0\.1 must be free .* --port P"):
            listen("127.0.0.1", port)


def test_a_host_that_is_not_this_machines_is_an_error() -> None:
    with pytest.raises(LoadgenError, match=r"192\.0\.2\.1 must be free .* --host"):
        listen("192.0.2.1", 0)


def test_port_zero_is_any_free_one() -> None:
    with listen("127.0.0.1", 0) as bound, socket.create_connection(bound.getsockname(), 5):
        assert bound.getsockname()[1] > 0
