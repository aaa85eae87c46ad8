"""The built site on a local server, and a browser that reports whatever it should not do."""

from __future__ import annotations

import functools
import http.server
import os
import shutil
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
)
INSTALL = "the browser tests need Chromium: apt-get install chromium (or your system's package of that name)"


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments) -> None:
        pass


@pytest.fixture(scope="session")
def site_dir() -> Path:
    """`_build/html`, built first when it is missing; or the folder that SITE_DIR names."""
    html = Path(os.environ.get("SITE_DIR") or ROOT / "_build" / "html")
    if not (html / "index.html").exists():
        done = subprocess.run([sys.executable, "-m", "press", "book"], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return html.resolve()


@pytest.fixture(scope="session")
def base_url(site_dir: Path):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(site_dir)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def browser():
    from playwright.sync_api import sync_playwright

    if not CHROMIUM:
        pytest.fail(INSTALL, pytrace=False)
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@dataclass
class Watch:
    """What went wrong while pages were open: console errors, and requests that left the machine or failed."""

    errors: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)

    def attach(self, page) -> None:
        def console(message) -> None:
            if message.type in ("error", "warning"):
                self.errors.append(f"{page.url}: {message.text}")

        def request(sent) -> None:
            if not sent.url.startswith(("http://127.0.0.1:", "data:", "blob:", "file:")):
                self.foreign.append(sent.url)

        page.on("console", console)
        page.on("pageerror", lambda error: self.errors.append(f"{page.url}: {error}"))
        page.on("request", request)
        page.on("requestfailed", lambda sent: self.errors.append(f"failed: {sent.url}"))
        page.on("response", lambda got: got.status >= 400 and self.errors.append(f"{got.status}: {got.url}"))


@pytest.fixture
def open_page(browser, base_url):
    """`open_page(path, width=1280, scheme="light", **context)`: a page; at the end nothing may have gone wrong."""
    watch, contexts = Watch(), []

    def open_(path: str, *, width: int = 1280, height: int = 900, scheme: str = "light", **options):
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce", **options
        )
        contexts.append(context)
        page = context.new_page()
        watch.attach(page)
        page.goto(base_url + path if "://" not in path else path)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert not watch.errors, watch.errors
    assert not watch.foreign, watch.foreign


def pages_of(html: Path) -> list[str]:
    return sorted(p.relative_to(html).as_posix() for p in html.rglob("*.html"))


def draw_all(page, scheme: str = "") -> int:
    """Scroll every figure into view and wait until it is drawn (in this scheme); how many there are."""
    figures = page.locator("figure.fig")
    for i in range(figures.count()):
        figures.nth(i).scroll_into_view_if_needed()
        page.evaluate("new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))")
    page.wait_for_function(
        """scheme => [...document.querySelectorAll('figure.fig')].every(
            f => (scheme ? f.dataset.drawn === scheme : f.dataset.drawn) || f.dataset.failed)""",
        arg=scheme,
    )
    assert page.locator("figure.fig[data-failed]").count() == 0
    return figures.count()


def scroll_through(page) -> None:
    """From top to bottom, as a reader does: some things are looked at when they come near."""
    page.evaluate(
        """async () => { for (let y = 0; y < document.documentElement.scrollHeight; y += 1000) {
            scrollTo({top: y, behavior: 'instant'});
            await new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r))); }
            await new Promise(r => setTimeout(r, 100)); }"""
    )
