"""The page says what the manifest says, keeps its secrets, and takes nothing from it as markup."""

import re
from html.parser import HTMLParser
from typing import Any

import orjson
import pytest

from loadgen.record import RunRecord
from loadgen.report.page import page_of
from tests.report.manifests import manifest, run_of, settings, summary, window
from tests.report.test_markup import digest

HOSTILE = "<script>window.owned = 1</script>"
VOID = ("meta", "link", "br", "img")


class Reader(HTMLParser):
    """Reads a page: its elements, and the texts of those with an id.

    Attributes:
        elements: name and attributes of each.
        texts: id → the text inside.
        unclosed: elements that were not closed in their order.
    """

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self.unclosed: list[str] = []
        self._open: list[tuple[str, str | None]] = []
        self.feed(page)
        self.close()
        self.unclosed += [name for name, _ in self._open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append((tag, dict(attrs).get("id")))

    def handle_endtag(self, tag: str) -> None:
        if self._open.pop()[0] != tag:
            self.unclosed.append(tag)

    def handle_data(self, data: str) -> None:
        for _, key in self._open:
            if key:
                self.texts[key] = self.texts.get(key, "") + data

    def of(self, name: str) -> list[dict[str, str | None]]:
        """The attributes of every element of this name."""
        return [attributes for tag, attributes in self.elements if tag == name]


def run(**changes: Any) -> RunRecord:
    """A run whose manifest is changed in these things."""
    return run_of(manifest(**changes), "loadgen_runs/r.json")


@pytest.fixture(scope="module")
def page() -> str:
    """The page of a run."""
    return page_of([run()])


def test_the_figures_on_the_page_are_those_of_the_manifest(page: str) -> None:
    reader = Reader(page)
    assert {key: reader.texts[key] for key in ("achieved", "delivered", "intended-to-ack", "ack", "schedule-lag")} == {
        "achieved": "999.5/s",
        "delivered": "20,000",
        "intended-to-ack": "33.5 ms",
        "ack": "30.0 ms",
        "schedule-lag": "3.00 ms",
    }
    exact = [float(value) for one in reader.of("span") if (value := one.get("data-value")) is not None]
    for latency in ("intended_to_ack_ms", "ack_ms", "schedule_lag_ms"):
        assert set(summary()[latency].values()) <= set(exact)
    assert set(manifest()["sinks"]["kafka"]["by_page"]["delivered"].values()) <= set(exact)
    assert "Passed: every promise was kept" in reader.texts["verdict"]
    assert "99.95 %" in reader.texts["verdict"]
    assert "20261122-101500-3fa9" in reader.texts["about"]
    assert "loadgen verify loadgen_runs/r.json --brokers kafka:9092" in reader.texts["about"]


def test_the_page_is_whole_and_every_element_is_closed(page: str) -> None:
    reader = Reader(page)
    assert reader.unclosed == []
    keys = [attributes["id"] for _, attributes in reader.elements if "id" in attributes]
    assert len(keys) == len(set(keys))
    assert all(one.get("aria-labelledby") in keys for one in reader.of("section") if "aria-labelledby" in one)
    assert [one["data-chart"] for one in reader.of("div") if "data-chart" in one] == list(charts_in(page))


def charts_in(page: str) -> dict[str, Any]:
    """The charts that the page's script draws."""
    found = re.search(r'<script type="application/json" id="charts">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    charts: dict[str, Any] = orjson.loads(found[1])
    return charts


def test_the_page_has_every_window_as_a_table_too(page: str) -> None:
    cells = Reader(page).texts["windows"]
    assert "20 rows" in cells
    assert "1,000.25" in cells
    assert len(charts_in(page)["rate"]["data"][0]["y"]) == 20


def test_its_policy_allows_its_own_scripts_and_styles_only(page: str) -> None:
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    styles = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    assert (len(scripts), len(styles)) == (2, 1)
    allowed = str(Reader(page).of("meta")[1]["content"])
    assert allowed.startswith("default-src 'none'; script-src ")
    assert all(digest(text) in allowed for text in scripts + styles)
    assert "unsafe" not in allowed
    assert not re.search(r"\shttps?:", allowed)


def test_it_takes_nothing_from_elsewhere(page: str) -> None:
    reader = Reader(page)
    sources = [
        value
        for _, attributes in reader.elements
        for name, value in attributes.items()
        if name in ("src", "href", "srcset", "action", "style") or name.startswith("on")
    ]
    assert sources == ["data:,", "#figures"]


def test_a_text_never_becomes_markup() -> None:
    given = settings(behaviour=f"/tmp/{HOSTILE}.toml", start_ms=0)
    given["topic"] = HOSTILE
    given[HOSTILE] = {HOSTILE: [HOSTILE]}
    content = manifest(settings=given, run_id=HOSTILE, error=HOSTILE, versions={HOSTILE: HOSTILE})
    content["machine"] = {HOSTILE: HOSTILE}
    content["sinks"][HOSTILE] = content["sinks"]["kafka"]
    content["sinks"]["kafka"]["by_page"] = {"delivered": {HOSTILE: 5}}
    content["workers"][0]["sinks"] = {HOSTILE: {"planned": 1, "delivered": 1}}
    threshold = {"expr": HOSTILE, "passed": False, "unit": HOSTILE}
    content["summary"] |= {
        "limited_by": HOSTILE,
        "exit_reason": HOSTILE,
        "thresholds": [threshold],
        "impaired": {HOSTILE: 1},
    }
    hostile = run_of(content, f"runs/{HOSTILE}.json")
    for page in (page_of([hostile]), page_of([hostile, run()]), page_of([run(), hostile])):
        reader = Reader(page)
        assert HOSTILE not in page
        assert len(reader.of("script")) == 3
        assert reader.unclosed == []
        assert page.count("window.owned") > 8


def test_a_secret_is_never_on_the_page() -> None:
    secret = "hunter2-very-secret"
    given = settings(kafka_option={"sasl.password": secret, "ssl.key.pem": secret, "linger.ms": "5"})
    page = page_of([run(settings=given)])
    assert secret not in page
    assert "sasl.password" in page
    assert "***" in page
    assert "options in --kafka-config" in page


def test_a_failed_run_says_so_and_names_broken_thresholds() -> None:
    thresholds = [
        {"expr": "p99(ack) < 25ms over 10s", "passed": False, "value": 30.0, "limit": 25.0, "worst": 31.5, "unit": "ms"}
        | {"at_s": 12.0, "worst_at_s": 14.0},
        {"expr": "failed == 0", "passed": True, "value": 0.0, "limit": 0.0, "worst": None, "unit": "", "at_s": None},
    ]
    reader = Reader(page_of([run(summary=summary(thresholds=thresholds, exit_reason="threshold"))]))
    assert "Failed: not every promise was kept" in reader.texts["verdict"]
    rows = reader.texts["thresholds"]
    assert "p99(ack) < 25ms over 10s✗ broken30.0 ms25.0 ms31.5 ms14 s" in rows
    assert "failed == 0✓ held00––" in rows


def test_two_runs_are_compared_on_one_page() -> None:
    slower = run(summary=summary(achieved_per_s=500.0, limited_by="disk"), settings=settings(users=9))
    reader = Reader(page_of([run(), slower]))
    assert reader.unclosed == []
    assert "Passed" in reader.texts["verdict-a"]
    assert "Failed" in reader.texts["verdict-b"]
    assert "Achieved rate999.5/s500.0/s-50.0 %▼ worse" in reader.texts["compared"]
    assert "users5,0009" in reader.texts["settings"]
    assert {"about-a", "about-b", "windows", "pages"} <= set(reader.texts)


def test_a_run_without_history_or_ledgers_has_a_page_too() -> None:
    bare = run(
        history=[], sinks={}, workers=[], schedule_lag=None, machine={}, versions={}, settings={}, t0_wall_ms=None
    )
    page = page_of([bare])
    assert Reader(page).unclosed == []
    assert charts_in(page) == {}
    short = page_of([run(history=[window(0)])])
    assert charts_in(short)["rate"]["data"][0]["x"] == [0.0, 1.0]
