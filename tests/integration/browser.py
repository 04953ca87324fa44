"""A browser for tests of pages, and the dashboard as a program.

In: a store's folder. Out: pages that note every request, every line of their console and every error.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Browser, Page

ROOT = Path(__file__).parents[2]
CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
CONTRAST = """() => {
  const parse = (text) => { const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number); return [r, g, b, a]; };
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, place) => sum + v * [0.2126, 0.7152, 0.0722][place], 0);
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const found = parse(getComputedStyle(at).backgroundColor);
      if (found[3] === 1) return found;
    }
    return [255, 255, 255, 1];
  };
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    const box = element.getBoundingClientRect();
    if (!own || !box.width || element.closest("svg, noscript, .skip")) continue;
    const [one, other] = [light(parse(getComputedStyle(element).color)), light(ground(element))];
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    found.push([ratio, `${element.tagName}.${element.className} ${element.textContent.slice(0, 40)}`]);
  }
  return found;
}"""
"""In a page: the contrast of each text with what it stands on, and which text it is."""

BROKEN_WORDS = """() => {
  const found = [];
  const texts = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const node = texts.currentNode;
    if (node.parentElement.closest("svg, details, thead")) continue;
    for (const word of node.textContent.matchAll(/[^\\s.·/-]+/g)) {
      const range = document.createRange();
      range.setStart(node, word.index);
      range.setEnd(node, word.index + word[0].length);
      const tops = new Set([...range.getClientRects()].map((box) => Math.round(box.top)));
      const mayBreak = !/^[\\p{L}\\p{N}]+$/u.test(word[0]) || /[\\u3000-\\uffff]/.test(word[0]);
      if (tops.size > 1 && !mayBreak) found.push(word[0]);
    }
  }
  return found;
}"""
"""In a page: the words that go over more than one line; Japanese, Chinese and Korean may."""


@dataclass
class Visit:
    """A page that is open.

    Attributes:
        page: Playwright's.
        requests: URLs that were asked for, in order.
        said: what came on the console, and errors.
    """

    page: Page
    requests: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def wait_for(self, expression: str, timeout_s: float = 40.0) -> None:
        """Wait until this is true in the page."""
        self.page.wait_for_function(f"() => {expression}", timeout=timeout_s * 1000)

    def wait_for_text(self, element: str, text: str) -> None:
        """Wait until the element with this id says so."""
        self.wait_for(f"document.getElementById({element!r}).textContent === {json.dumps(text)}")

    def text(self, element: str) -> str:
        """What the element with this id says."""
        return self.page.locator(f"#{element}").inner_text()

    def n_asked(self) -> int:
        """How often figures were asked for."""
        return sum(url.endswith("/api/figures") for url in self.requests)


@contextmanager
def visit(browser: Browser, url: str, width: int = 1280, height: int = 900, **context: Any) -> Iterator[Visit]:
    """The page at this URL."""
    opened = browser.new_context(viewport={"width": width, "height": height}, **context)
    try:
        found = Visit(opened.new_page())
        found.page.on("request", lambda request: found.requests.append(request.url))
        found.page.on("console", lambda message: found.said.append(message.text))
        found.page.on("pageerror", lambda error: found.said.append(str(error)))
        found.page.goto(url)
        yield found
    finally:
        opened.close()


@dataclass
class Dashboard:
    """A dashboard in a process of its own."""

    url: str
    process: "subprocess.Popen[str]"

    def health(self) -> dict[str, Any]:
        """What /health says."""
        found: dict[str, Any] = httpx.get(f"{self.url}/health", timeout=5).json()
        return found


@contextmanager
def dashboard(*flags: str) -> Iterator[Dashboard]:
    """`loadgen dashboard` on a free port; ended at the end."""
    command = [sys.executable, "-m", "loadgen", "dashboard", "--port", "0", "--json", "--quiet", *flags]
    with subprocess.Popen(
        command, cwd=ROOT, env=dict(os.environ), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield Dashboard(json.loads(process.stdout.readline())["url"], process)
        finally:
            process.terminate()
            process.wait(20)
