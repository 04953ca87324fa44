"""The dashboard in a browser: its figures, its buttons, and what it does with a dead store and with hostile texts."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from loadgen.dashboard.answers import Flow
from loadgen.store import open_store
from tests.dashboard.reader import append, batch_name, put_batch
from tests.dashboard.records import FIRST_MS, lines, record, recount, some
from tests.dashboard.test_topic import produce, values_of
from tests.integration.browser import BROKEN_WORDS, CONTRAST, ROOT, Dashboard, Visit, dashboard, visit
from tests.integration.local import Local
from tests.mock_cluster import MockCluster
from tests.runner.program import wait_until

DAY = "year=2026/month=01/day=05"
FILE = f"{DAY}/events_run_m0w0.jsonl"
HOSTILE = [
    "<script>window.owned = 1</script>",
    "<img src=x onerror='window.owned = 2'>",
    "</title><svg onload=window.owned=3>",
    "javascript:window.owned=4",
    "{{7*7}}${7*7}",
    "\u202eevil\u0000\u0007",
]


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Dashboard]:
    """A dashboard of the store in tmp_path/store, which is not there yet."""
    with dashboard("--store", str(tmp_path / "store")) as running:
        yield running


def counts_of(one: Visit, panel: str) -> dict[str, int]:
    """What a list of bars says: label → count."""
    rows = one.page.locator(f"#{panel} li").all()
    pairs = [(row.locator(".name").get_attribute("title"), row.locator(".count").inner_text()) for row in rows]
    return {str(name): int(count.replace(",", "")) for name, count in pairs}


def table_of(one: Visit, chart: str) -> list[int]:
    """What a chart's table says."""
    cells = one.page.locator(f"#{chart}-rows td.number").all_text_contents()
    return [int(cell.replace(",", "")) for cell in cells]


def test_the_figures_on_the_page_are_those_of_the_data(browser: Any, board: Dashboard, tmp_path: Path) -> None:
    flags = ("--folder", str(tmp_path / "store"), "--format", "full", "--users", "300", "--tracks", "790000")
    command = [sys.executable, "-m", "loadgen", "run", *flags, "--events", "20000", "--rate", "max", "--quiet"]
    subprocess.run(
        [*command, "--metrics-port", "0"], cwd=tmp_path, check=True, env={"PYTHONPATH": str(ROOT)}, timeout=120
    )
    records = [
        orjson.loads(line) for file in (tmp_path / "store").rglob("*.jsonl") for line in file.read_bytes().splitlines()
    ]
    expected = recount(records)
    with visit(browser, board.url) as one:
        one.wait_for_text("events", f"{len(records):,}")
        one.wait_for("document.getElementById('live').dataset.state === 'ok'")
        for name in ("listeners", "artists", "tracks"):
            assert one.text(name) == f"{expected[name]:,}"
        assert one.text("rate") == f"{expected['last_minute']:,}"
        for panel in ("genres", "platforms", "actions", "countries", "top_artists", "top_tracks"):
            shown = counts_of(one, panel)
            assert len(shown) == min(len(expected[panel]), 12 if panel == "countries" else 10)
            assert sorted(shown.values()) == sorted(count for _, count in expected[panel].most_common(len(shown)))
            assert all(expected[panel][name] == count for name, count in shown.items())
        _, counts = expected["timeline"]
        assert [count for count in table_of(one, "timeline") if count] == [count for _, count in sorted(counts.items())]
        assert table_of(one, "durations") == expected["durations"][1]
        assert one.page.locator("#activities li").count() == 20
        times = one.page.locator("#stream time").evaluate_all("all => all.map((one) => Date.parse(one.dateTime))")
        assert times == expected["newest"]
        assert one.page.title() == f"LIVE · {expected['last_minute']:,}/min – loadgen dashboard"
        assert one.said == []


def test_new_events_appear_by_themselves(browser: Any, board: Dashboard, tmp_path: Path) -> None:
    append(tmp_path / "store", FILE, lines([record(1)]))
    with visit(browser, board.url) as one:
        one.wait_for_text("events", "1")
        append(tmp_path / "store", FILE, lines([record(2, song="The very newest")]))
        one.wait_for_text("events", "2")
        assert "The very newest" in one.page.locator("#stream tr").first.inner_text()
        assert one.page.locator("#stream tr.new").count() == 1


def test_pause_stops_requests_and_play_resumes_them(browser: Any, board: Dashboard, tmp_path: Path) -> None:
    append(tmp_path / "store", FILE, lines([record(1)]))
    with visit(browser, board.url) as one:
        one.wait_for_text("events", "1")
        button = one.page.get_by_role("button", name="Pause")
        button.click()
        n_asked = one.n_asked()
        append(tmp_path / "store", FILE, lines([record(2)]))
        one.page.wait_for_timeout(11_000)
        assert (one.n_asked(), one.text("events")) == (n_asked, "1")
        assert one.page.title() == "Paused – loadgen dashboard"
        button = one.page.get_by_role("button", name="Play")
        assert button.get_attribute("aria-pressed") == "true"
        button.click()
        one.wait_for_text("events", "2")
        one.wait_for("document.title.startsWith('LIVE')")
        n_asked = one.n_asked()
        one.page.wait_for_timeout(6_000)
        assert one.n_asked() == n_asked + 1
        assert one.said == []


def test_a_store_that_is_gone_is_said_so_and_recovers(browser: Any, board: Dashboard, tmp_path: Path) -> None:
    with visit(browser, board.url) as one:
        one.wait_for("document.getElementById('live').dataset.state === 'waiting'")
        assert "nothing is stored in" in one.text("notice-text")
        put_batch(tmp_path / "store", 0, 9)
        one.wait_for_text("events", "10")
        assert one.page.locator("#notice").is_hidden()
        (tmp_path / "store").rename(tmp_path / "away")
        one.wait_for("document.getElementById('live').dataset.state === 'stale'")
        assert "is gone, or empty" in one.text("notice-text")
        assert one.text("events") == "10"
        assert one.page.title() == "Stale – loadgen dashboard"
        (tmp_path / "away").rename(tmp_path / "store")
        put_batch(tmp_path / "store", 10, 14)
        one.wait_for_text("events", "15")
        one.wait_for("document.getElementById('live').dataset.state === 'ok'")


def test_a_dashboard_that_ends_is_said_so(browser: Any, board: Dashboard, tmp_path: Path) -> None:
    put_batch(tmp_path / "store", 0, 9)
    with visit(browser, board.url) as one:
        one.wait_for_text("events", "10")
        board.process.terminate()
        board.process.wait(20)
        one.wait_for("document.getElementById('live').dataset.state === 'silent'")
        assert "does not answer" in one.text("notice-text")
        assert one.text("events") == "10"


@pytest.mark.parametrize("text", HOSTILE)
def test_text_of_events_is_shown_and_never_runs(browser: Any, board: Dashboard, tmp_path: Path, text: str) -> None:
    names = ("song", "artist", "user", "genre", "platform", "device", "country", "action", "level")
    append(tmp_path / "store", FILE, lines([record(1, **dict.fromkeys(names, text))]))
    with visit(browser, board.url) as one:
        one.wait_for_text("events", "1")
        for place in ("#stream", "#activities"):
            assert text in (one.page.locator(place).text_content() or "")
        for panel in ("genres", "platforms", "actions", "countries"):
            assert counts_of(one, panel) == {text: 1}
        one.page.wait_for_timeout(500)
        assert one.page.evaluate("window.owned") is None
        assert one.page.locator("main script, main img, main svg svg, main iframe").count() == 0
        assert one.said == []


def test_inline_script_would_not_run_even_if_it_got_into_the_page(browser: Any, board: Dashboard) -> None:
    with visit(browser, board.url) as one:
        one.page.evaluate(
            "() => { const s = document.createElement('script'); s.textContent = 'window.owned = 1';"
            " document.body.append(s);"
            " document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=window.owned=2>'); }"
        )
        one.page.wait_for_timeout(500)
        assert one.page.evaluate("window.owned") is None
        assert any("Content Security Policy" in text for text in one.said)


def test_it_asks_no_other_host_and_complains_about_nothing(browser: Any, board: Dashboard, tmp_path: Path) -> None:
    put_batch(tmp_path / "store", 0, 99)
    with visit(browser, board.url) as one:
        one.wait_for_text("events", "100")
        one.page.wait_for_timeout(5500)
        assert {url.split("/")[2] for url in one.requests} == {board.url.split("/")[2]}
        assert {url.removeprefix(board.url) for url in one.requests} <= {
            "/", "/style.css", "/dashboard.js", "/icon.svg", "/api/figures",
        }  # fmt: skip
        assert one.said == []


def test_all_controls_work_by_keyboard(browser: Any, board: Dashboard, tmp_path: Path) -> None:
    put_batch(tmp_path / "store", 0, 99)
    with visit(browser, board.url) as one:
        one.wait_for_text("events", "100")
        focused = "document.activeElement"
        names = []
        for _ in range(6):
            one.page.keyboard.press("Tab")
            names.append(one.page.evaluate(f"{focused}.id || {focused}.textContent.trim() || {focused}.tagName"))
            outline = one.page.evaluate(f"getComputedStyle({focused}).outlineStyle")
            assert outline != "none", names
        assert names[:3] == ["Skip to the figures", "pause", "As a table"]
        one.page.locator("#pause").focus()
        one.page.keyboard.press("Space")
        one.wait_for("document.title.startsWith('Paused')")
        one.page.keyboard.press("Enter")
        one.wait_for("!document.title.startsWith('Paused')")
        one.page.locator("summary").first.focus()
        one.page.keyboard.press("Enter")
        assert one.page.locator("#timeline-rows tr").first.is_visible()


@pytest.mark.parametrize("width", [360, 390, 768, 1280])
def test_nothing_is_wider_than_the_screen(browser: Any, board: Dashboard, tmp_path: Path, width: int) -> None:
    long = {"song": "W" * 150, "artist": "x " * 90, "user": "u" * 120, "genre": "G" * 90, "platform": "P" * 90}
    append(tmp_path / "store", FILE, lines([record(n, **(long if n % 3 else {})) for n in range(60)]))
    with visit(browser, board.url, width=width) as one:
        one.wait_for_text("events", "60")
        one.page.locator("summary").first.click()
        assert one.page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [360, 768, 881, 1201, 1280])
def test_the_stream_fits_its_panel_and_breaks_no_word(
    browser: Any, board: Dashboard, tmp_path: Path, width: int
) -> None:
    golden = (ROOT / "tests/golden/full.jsonl").read_bytes()
    append(tmp_path / "store", FILE, golden)
    with visit(browser, board.url, width=width) as one:
        one.wait_for_text("events", f"{len(golden.splitlines()):,}")
        assert one.page.evaluate("document.documentElement.scrollWidth") <= width
        panel = "document.querySelector('.stream')"
        assert one.page.evaluate(f"{panel}.scrollWidth - {panel}.clientWidth") <= 0
        assert one.page.evaluate(BROKEN_WORDS) == []
        for cell in ("genre", "platform", "device", "country"):  # nothing is left out where there is less room
            event = next(event for event in map(orjson.loads, golden.splitlines()[::-1]) if event.get(cell))
            assert event[cell] in one.page.locator("#stream").inner_text()


def test_what_is_new_is_marked_once_however_the_window_changes(browser: Any, board: Dashboard, tmp_path: Path) -> None:
    append(tmp_path / "store", FILE, lines([record(1)]))
    with visit(browser, board.url, width=360) as one:
        one.wait_for_text("events", "1")
        append(tmp_path / "store", FILE, lines([record(2)]))
        one.wait_for("document.querySelectorAll('#stream tr.new').length === 1")
        moving = "document.getAnimations().filter((one) => one.effect.target.closest('#stream')).length"
        assert one.page.evaluate(moving) == 1
        one.wait_for(f"{moving} === 0")
        one.page.set_viewport_size({"width": 1280, "height": 900})
        one.page.wait_for_timeout(100)
        assert one.page.evaluate(moving) == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_contrast_enough(browser: Any, board: Dashboard, tmp_path: Path, scheme: str) -> None:
    append(tmp_path / "store", FILE, lines([record(n) for n in range(60)]) + b"torn\n")
    with visit(browser, board.url, color_scheme=scheme, reduced_motion="reduce") as one:
        one.wait_for_text("events", "60")
        live = one.page.evaluate(CONTRAST)
        assert len(live) > 100
        one.page.locator("#pause").click()
        paused = one.page.evaluate(CONTRAST)
        one.page.locator("#pause").click()
        (tmp_path / "store").rename(tmp_path / "away")
        one.wait_for("document.getElementById('live').dataset.state === 'stale'")
        stale = one.page.evaluate(CONTRAST)
        assert [pair for pair in live + paused + stale if pair[0] < 4.5] == []


def test_hdfs_that_goes_and_comes_back_is_stale_then_ok_and_nothing_is_lost(hdfs: Local) -> None:
    url = f"hdfs://127.0.0.1:{hdfs.hdfs_port}/dashboard"
    store = open_store(url)
    store.write(batch_name(0, 9), some(0, 9))
    with dashboard("--store", url) as running:
        wait_until(lambda: running.health()["events"] == 10)
        hdfs.signal("namenode", signal.SIGKILL)
        wait_until(lambda: running.health()["status"] == "stale", 90.0)
        assert (running.health()["store"], running.health()["events"]) == (url, 10)
        assert running.health()["reason"]
        hdfs.up()
        wait_until(lambda: running.health()["status"] == "ok", 90.0)
        open_store(url).write(batch_name(10, 19), some(10, 19))
        wait_until(lambda: running.health()["events"] == 20)


@pytest.mark.parametrize(("motion", "name"), [("no-preference", "pulse"), ("reduce", "none")])
def test_the_live_mark_moves_unless_motion_is_not_wanted(
    browser: Any, board: Dashboard, tmp_path: Path, motion: str, name: str
) -> None:
    put_batch(tmp_path / "store", 0, 9)
    with visit(browser, board.url, reduced_motion=motion) as one:
        one.wait_for("document.getElementById('live').dataset.state === 'ok'")
        assert one.page.evaluate("getComputedStyle(document.querySelector('.dot')).animationName") == name


def test_the_way_of_events_is_shown_as_far_as_it_is_known(browser: Any, tmp_path: Path) -> None:
    put_batch(tmp_path / "store", 0, 9)
    flow = tmp_path / "flow"
    where = ("--store", str(tmp_path / "store"), "--flow", str(flow))
    with dashboard(*where) as running, visit(browser, running.url) as one:
        one.wait_for_text("events", "10")
        assert one.page.locator("#flow").is_hidden()
        Flow(sent=1234, stored=1000, lag=None, is_timed=True, is_over=True, written_s=0.0).write(flow)
        one.wait_for_text("flow-sent", "1,234")
        assert one.text("flow-stored") == "1,000"
        assert one.text("flow-stored-hint") == "234 more are on their way"
        shown = one.page.locator("#flow dt").evaluate_all("all => all.filter((one) => one.offsetWidth)")
        assert len(shown) == 2
        append(tmp_path / "store", FILE, lines([record(1, ts=int(time.time() * 1000) - 2000)]))
        one.wait_for("document.getElementById('flow-latency').textContent !== ''")
        assert 2.0 <= float(one.text("flow-latency").removesuffix(" s")) < 20.0
        assert one.text("flow-latency-term") == "End-to-end latency"
        assert "from the time an event was due until it was read" in one.text("flow-latency-hint")
        flow.unlink()  # no pipeline says any more what the events' times are
        one.wait_for_text("flow-latency-term", "Age of events when read")
        assert "from an event’s own time until it was read" in one.text("flow-latency-hint")
        assert one.page.locator("#flow-sent").is_hidden()
        assert one.said == []


def test_of_a_topic_the_page_shows_what_it_has_not_read_yet_and_how_old_events_are(browser: Any) -> None:
    with MockCluster(partitions=2) as cluster, dashboard("--brokers", cluster.address, "--topic", "t") as running:
        produce(cluster.address, *values_of(0, 9))
        with visit(browser, running.url) as one:
            one.wait_for_text("events", "10")
            assert one.text("events-term").lower() == "events read"
            one.wait_for_text("flow-unread", "0")
            assert one.page.locator("#flow-sent").is_hidden()
            assert one.page.locator("#flow-latency").is_hidden()  # these events are of another day
            produce(cluster.address, *lines([record(1, ts=int(time.time() * 1000))] * 100).splitlines())
            one.wait_for_text("events", "110")
            one.wait_for("document.getElementById('flow-latency').textContent !== ''")
            assert one.text("flow-latency-term") == "Age of events when read"
            assert one.said == []


def test_the_page_says_which_clock_its_figures_have(browser: Any, board: Dashboard, tmp_path: Path) -> None:
    append(tmp_path / "store", FILE, lines([record(n) for n in range(90)]))
    with visit(browser, board.url) as one:
        one.wait_for_text("events", "90")
        assert one.text("rate") == "60"
        assert "5 Jan 2026, 00:01:29 UTC" in one.text("rate-hint")
        assert "behind this computer’s clock" in one.text("clock-hint")
        assert one.page.evaluate("Date.parse(document.querySelector('#stream time').dateTime)") == FIRST_MS + 89_000
