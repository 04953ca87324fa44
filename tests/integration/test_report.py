"""The report of a run in a browser: its figures, its charts, its colours; it asks no network, and obeys no text."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from loadgen.record import RunRecord, read
from loadgen.report import write_page
from tests.integration.browser import CONTRAST, ROOT, Visit, visit
from tests.report.manifests import manifest, run_of, settings, summary, window

HOSTILE = "</script><script>window.owned = 1</script><img src=x onerror='window.owned = 2'>"
DRAWN = "html[data-drawn]"
LINES = "(place) => place.data.map((line) => [line.name, line.y])"
TEXT_COLOUR = "(place) => getComputedStyle(place.querySelector('.legendtext')).fill"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with run.html and run.json of a run over an embedded broker."""
    folder = tmp_path_factory.mktemp("report")
    flags = ["--brokers", "embedded", "--users", "2000", "--rate", "3k/s", "--shape", "ramp", "--duration", "8s"]
    flags += ["--threshold", "failed == 0", "--report", "run.html", "--manifest", "run.json", "--tracks", "10558"]
    command = [sys.executable, "-m", "loadgen", "run", *flags, "--metrics-port", "0", "--quiet"]
    subprocess.run(command, cwd=folder, check=True, env={"PYTHONPATH": str(ROOT)}, timeout=120)
    return folder


@contextmanager
def opened(browser: Any, path: Path, width: int = 1280, **context: Any) -> Iterator[Visit]:
    """The page in this file, when all of its charts are drawn."""
    with visit(browser, path.as_uri(), width, **context) as one:
        one.page.wait_for_selector(DRAWN, state="attached")
        yield one


def lines_of(one: Visit, chart: str) -> dict[str, list[float]]:
    """The lines that a chart has: name → values."""
    return dict(one.page.locator(f"[data-chart={chart}]").evaluate(LINES))


def page_of(folder: Path, *runs: RunRecord) -> Path:
    """A page of these runs."""
    path = folder / "page.html"
    write_page(path, runs)
    return path


def test_the_page_shows_the_manifest_and_asks_no_network(browser: Any, made: Path) -> None:
    content = orjson.loads((made / "run.json").read_bytes())
    said, history = content["summary"], content["history"]
    with opened(browser, made / "run.html") as one:
        assert one.requests == [(made / "run.html").as_uri()]
        assert one.said == []
        exact = "(element) => Number(element.firstChild.dataset.value)"
        found = {
            key: one.page.locator(f"#{key}").evaluate(exact) for key in ("achieved", "delivered", "intended-to-ack")
        }
        assert found == {
            "achieved": said["achieved_per_s"],
            "delivered": said["delivered"],
            "intended-to-ack": said["intended_to_ack_ms"]["p99"],
        }
        assert one.text("verdict-title") == "Passed: every promise was kept"
        assert "✓ held" in one.text("thresholds")
        assert one.page.title() == f"{content['run_id']} – loadgen report"
        rate = lines_of(one, "rate")
        assert rate["achieved"] == [round(w["delivered"] / (w["end_s"] - w["start_s"]), 3) for w in history]
        assert [len(values) for values in rate.values()] == [len(history)] * 3
        assert lines_of(one, "latency-ack")["p99"] == [w["ack_ms"]["p99"] for w in history]
        assert lines_of(one, "in-flight")["in flight"] == [w["in_flight"] for w in history]
        n_buckets = len(content["measured"]["ack"]["buckets"])
        assert len(lines_of(one, "spectrum")["send to ack"]) == n_buckets + 1
        places = one.page.locator("[data-chart]")
        assert places.count() == 8
        assert places.locator(".scatterlayer path.js-line").count() == 3 + 3 * 4 + 3 + 3


def pointed_at(one: Visit, chart: str) -> str:
    """What a chart says where the pointer moves over its middle."""
    place = one.page.locator(f"[data-chart={chart}]")
    place.scroll_into_view_if_needed()
    box = place.locator(".nsewdrag").bounding_box()
    assert box is not None
    for step in range(3):
        one.page.mouse.move(box["x"] + box["width"] / 2 + step, box["y"] + box["height"] / 2)
        one.page.wait_for_timeout(150)
    place.locator(".hoverlayer text").first.wait_for()
    return " ".join(place.locator(".hoverlayer text").all_text_contents())


def test_the_pointer_shows_values_with_their_units(browser: Any, made: Path) -> None:
    with opened(browser, made / "run.html") as one:
        assert re.search(r"\d\.\d s.*p99 : [\d.,]+ ms", pointed_at(one, "latency-ack"))
        assert re.search(r"\d\.\d s.*achieved : [\d.,]+ events/s", pointed_at(one, "rate"))
        assert re.search(r"1 in [\d.,]+ events.*send to ack : [\d.,]+ ms or longer", pointed_at(one, "spectrum"))
        assert one.said == []


def test_zooming_into_one_chart_zooms_into_the_others(browser: Any, made: Path) -> None:
    ask = "(place) => place.layout.xaxis.range"
    with opened(browser, made / "run.html") as one:
        before = one.page.locator("[data-chart=cpu]").evaluate(ask)
        box = one.page.locator("[data-chart=rate] .nsewdrag").bounding_box()
        assert box is not None
        one.page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + 50)
        one.page.mouse.down()
        one.page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 60, steps=4)
        one.page.mouse.up()
        one.page.wait_for_timeout(500)
        zoomed = one.page.locator("[data-chart=cpu]").evaluate(ask)
        assert zoomed == one.page.locator("[data-chart=rate]").evaluate(ask)
        assert before[0] < zoomed[0] < zoomed[1] < before[1]
        one.page.mouse.dblclick(box["x"] + box["width"] * 0.5, box["y"] + 50)
        one.page.wait_for_timeout(500)
        assert one.page.locator("[data-chart=cpu]").evaluate(ask) == before


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read_in_light_and_dark(browser: Any, made: Path, scheme: str) -> None:
    with opened(browser, made / "run.html", color_scheme=scheme) as one:
        one.page.locator("summary").first.click()
        ratios = one.page.evaluate(CONTRAST)
        assert len(ratios) > 80
        assert [pair for pair in ratios if pair[0] < 4.5] == []


def test_the_charts_follow_the_scheme_and_print_is_light(browser: Any, made: Path) -> None:
    with opened(browser, made / "run.html", color_scheme="light") as one:
        rate = one.page.locator("[data-chart=rate]")
        light = rate.evaluate(TEXT_COLOUR)
        one.page.emulate_media(color_scheme="dark")
        one.page.wait_for_timeout(500)
        dark = rate.evaluate(TEXT_COLOUR)
        assert (light, dark) == ("rgb(23, 33, 30)", "rgb(232, 239, 236)")
        one.page.evaluate("() => dispatchEvent(new Event('beforeprint'))")
        assert rate.evaluate(TEXT_COLOUR) == light
        one.page.evaluate("() => dispatchEvent(new Event('afterprint'))")
        assert rate.evaluate(TEXT_COLOUR) == dark
        assert len(one.page.pdf()) > 20_000
        assert one.said == []


@pytest.mark.parametrize("width", [360, 768])
def test_nothing_is_cut_off_on_a_narrow_screen(browser: Any, made: Path, width: int) -> None:
    both = page_of(made, read(made / "run.json"), read(made / "run.json"))
    for path in (made / "run.html", both):
        with opened(browser, path, width, has_touch=True) as one:
            assert one.page.evaluate("document.documentElement.scrollWidth") == width
            narrow = one.page.locator("[data-chart]").evaluate_all(
                "(all) => all.filter((one) => one.clientWidth < 250).length"
            )
            assert narrow == 0
            assert one.said == []


def test_the_page_works_by_keyboard(browser: Any, made: Path) -> None:
    focused = "() => document.activeElement.className || document.activeElement.tagName"
    with opened(browser, made / "run.html") as one:
        one.page.keyboard.press("Tab")
        assert one.page.evaluate(focused) == "skip"
        one.page.keyboard.press("Enter")
        seen = []
        for _ in range(60):
            one.page.keyboard.press("Tab")
            seen.append(one.page.evaluate(focused))
            if seen[-1] == "SUMMARY":
                break
        assert "scroll" in seen
        one.page.keyboard.press("Enter")
        assert one.page.locator("details[open]").count() == 1


def test_a_text_of_the_settings_never_becomes_markup(browser: Any, tmp_path: Path) -> None:
    given = settings() | {"topic": HOSTILE, "behaviour": HOSTILE, HOSTILE: HOSTILE}
    content = manifest(run_id=HOSTILE, settings=given, error=HOSTILE, machine={HOSTILE: HOSTILE})
    content["summary"] |= {"limited_by": HOSTILE, "thresholds": [{"expr": HOSTILE, "passed": True}]}
    content["sinks"][HOSTILE] = content["sinks"]["kafka"]
    evil = run_of(content, HOSTILE)
    for runs in ([evil], [evil, evil]):
        with opened(browser, page_of(tmp_path, *runs)) as one:
            one.page.wait_for_timeout(300)
            assert one.page.evaluate("window.owned") is None
            assert one.page.locator("img").count() == 0
            assert one.page.locator("h1").inner_text().count("window.owned") == 2 * len(runs)
            assert one.said == []


def test_two_runs_are_laid_over_each_other(browser: Any, made: Path, tmp_path: Path) -> None:
    slow = run_of(manifest(summary=summary(limited_by="disk")), "slow.json")
    fast = read(made / "run.json")
    with opened(browser, page_of(tmp_path, fast, slow)) as one:
        rate = lines_of(one, "rate")
        assert (len(rate["achieved · A"]), len(rate["achieved · B"])) == (len(fast.history), 20)
        assert (one.text("verdict-a-title")[:9], one.text("verdict-b-title")[:9]) == ("A: Passed", "B: Failed")
        assert one.page.locator("#compared tbody tr").count() > 20
        assert (one.said, len(one.requests)) == ([], 1)


def test_a_long_run_opens_quickly(browser: Any, tmp_path: Path) -> None:
    """As many windows as a manifest has, of all kinds; 0.7 s on the machine where it was tried, on 2 cores."""
    stalls = [{"from_s": 100.0, "to_s": 130.0, "due": 99}]
    windows = [window(place % 900, start_s=float(place), end_s=place + 1.0) for place in range(1199)]
    long = run_of(manifest(history=windows, summary=summary(stalls=stalls, measured_from_s=30.0)), "long.json")
    path = page_of(tmp_path, long)
    assert path.stat().st_size < 7_000_000
    with opened(browser, path) as one:
        assert one.page.evaluate("performance.now()") < 15_000
        assert len(lines_of(one, "latency-ack")["max"]) == 1199
        marks = one.page.locator("[data-chart=rate] .shapelayer path, [data-chart=rate] .shape-group path").count()
        assert marks >= 2
        assert one.said == []
