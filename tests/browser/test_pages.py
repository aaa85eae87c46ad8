"""Every page of the built site, as a browser shows it."""

from __future__ import annotations

import re

import pytest

from .conftest import draw_all, pages_of, scroll_through

pytestmark = pytest.mark.browser


@pytest.fixture(scope="session")
def pages(site_dir) -> list[str]:
    return pages_of(site_dir)


@pytest.fixture(scope="session")
def chapters(site_dir) -> list[str]:
    found = [p for p in pages_of(site_dir) if re.match(r"chapters/[^/]+/(?!index)[^/]+\.html$", p)]
    assert found, "the site has no chapter"
    return found


def test_chapters_draw_every_figure(chapters, open_page):
    for path in chapters:
        page = open_page(path)
        assert draw_all(page) >= 2, f"{path} has fewer than two figures"
        for i in range(page.locator("figure.fig").count()):
            box = page.locator("figure.fig").nth(i)
            marks = box.locator(".main-svg .trace path, .main-svg .point path, .main-svg image, .main-svg .bars path")
            assert marks.count() or box.locator("canvas").count(), f"{path}: figure {i + 1} shows no trace"
            assert box.locator(".fig-plot").get_attribute("aria-label"), f"{path}: figure {i + 1} has no alt text"


_STATE = """f => { const p = f.querySelector('.fig-plot'); return JSON.stringify([
  [...p.querySelectorAll('.main-svg path, .main-svg image')].map(e => (e.getAttribute('d') || e.getAttribute('href'))),
  p._fullData.map(t => t.visible), p._fullLayout.title?.text]) }"""


def test_every_slider_and_dropdown_changes_its_figure(chapters, open_page):
    moved = 0
    for path in chapters:
        page = open_page(path)
        draw_all(page)
        for control in page.locator(".fig-control input[type=range], .fig-control select").all():
            box = control.locator("xpath=ancestor::figure")
            before = box.evaluate(_STATE)
            if control.evaluate("e => e.tagName") == "SELECT":
                values = control.locator("option").count()
                control.select_option(str((int(control.input_value()) + 1) % values))
            else:
                # By keyboard: Home and End are the two ends, and one of them is not where it stands.
                control.press("End" if control.input_value() != control.get_attribute("max") else "Home")
                shown = box.locator(f"output[for='{control.get_attribute('id')}']").inner_text()
                assert control.get_attribute("aria-valuetext") == shown
            page.wait_for_function("([f, s, b]) => eval(s)(f) !== b", arg=[box.element_handle(), _STATE, before])
            moved += 1
    assert moved, "no chapter has a control"


def test_play_runs_to_the_end_and_can_be_stopped(chapters, open_page):
    for path in chapters:
        page = open_page(path)
        for play in page.locator("[data-play]").all():
            draw_all(page)
            control = play.locator("xpath=..")
            range_ = control.locator("input")
            range_.press("Home")
            play.click()
            page.wait_for_function("r => +r.value >= 2", arg=range_.element_handle())
            play.click()
            stopped = range_.input_value()
            page.wait_for_timeout(600)
            assert range_.input_value() == stopped
            return
    pytest.skip("no animation in the chapters that are built")


def test_figures_follow_the_theme(chapters, open_page):
    page = open_page(chapters[0])
    draw_all(page)
    ink = "document.querySelector('.fig-plot .xtitle').style.fill"
    light = page.evaluate(ink)
    button = page.get_by_role("button", name="Colours:")
    button.click()
    button.click()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.wait_for_function("() => [...document.querySelectorAll('figure.fig')].every(f => f.dataset.drawn === 'dark')")
    assert page.evaluate(ink) != light
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark", "the choice is not remembered"


def test_colour_scales_follow_the_theme(chapters, open_page):
    """A light heat map on a dark page is what happens when only colours outside of lists are exchanged."""
    read = (
        "() => [...document.querySelectorAll('.fig-plot')].flatMap(p => (p.data || []).filter(t => t.colorscale)"
        ".map(t => JSON.stringify(t.colorscale)))"
    )
    seen = 0
    for name in chapters:
        scales = {}
        for scheme in ("light", "dark"):
            page = open_page(name, scheme=scheme)
            draw_all(page, scheme)
            scales[scheme] = page.evaluate(read)
        seen += len(scales["light"])
        assert all(a != b for a, b in zip(scales["light"], scales["dark"], strict=True)), name
    assert seen, "no chapter with a heat map left to look at"


def test_mathematics_is_typeset(pages, site_dir, open_page):
    typeset = 0
    for path in pages:
        page = open_page(path)
        typeset += page.locator(".katex").count()
        # What is left of TeX after removing code and KaTeX's own source annotation.
        left = page.evaluate(
            """() => { const copy = document.querySelector('main').cloneNode(true);
            copy.querySelectorAll('code, pre, script, .katex, input').forEach(e => e.remove());
            return copy.textContent }"""
        )
        raw = re.search(r".{0,30}(?:\$|\\\(|\\\[|\\[a-z]+\{).{0,30}", left)
        assert not raw, f"{path}: {raw[0]}"
        assert page.locator(".katex-error").count() == 0
    assert typeset > 20


_OVER = """() => [document.documentElement.scrollWidth - innerWidth,
  [...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1)
    .slice(0, 3).map(e => `${e.tagName}.${e.className}`)]"""


def test_nothing_is_wider_than_the_window(pages, open_page):
    for path in pages:
        page = open_page(path, width=360)
        draw_all(page)
        page.evaluate("document.querySelectorAll('main details').forEach(d => d.open = true)")
        for width in (360, 768, 1100, 1440):
            page.set_viewport_size({"width": width, "height": 800})
            page.wait_for_timeout(150)
            over, culprits = page.evaluate(_OVER)
            assert over <= 0, f"{path} is {over} px wider than {width} px: {culprits}"


def test_axe_finds_no_violation(pages, chapters, open_page):
    from axe_playwright_python.sync_playwright import Axe

    found = []
    for path in pages:
        page = open_page(path)
        # Chapters share their style: two of them, and every other page, are also looked at in the dark on a phone.
        both = path not in chapters[2:]
        for scheme, width in (("light", 1280), ("dark", 360)) if both else (("light", 1280),):
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": width, "height": 800})
            draw_all(page, scheme)
            page.evaluate("document.querySelectorAll('main details').forEach(d => d.open = true)")
            page.wait_for_function("() => document.documentElement.dataset.settled !== undefined")
            scroll_through(page)
            # Formulas have the colour of the text around them; their thousands of boxes would take axe minutes.
            for violation in Axe().run(page, context={"exclude": [[".katex-html"]]}).response["violations"]:
                if violation["impact"] in ("serious", "critical"):
                    found.append((path, scheme, width, violation["id"], violation["nodes"][0]["html"][:200]))
    assert not found, found


def test_every_link_inside_the_site_leads_somewhere(pages, site_dir):
    from bs4 import BeautifulSoup

    soups = {p: BeautifulSoup((site_dir / p).read_text("utf-8"), "lxml") for p in pages}
    ids = {p: {e["id"] for e in s.select("[id]")} for p, s in soups.items()}
    broken, checked = [], 0
    for path, soup in soups.items():
        for link in soup.select("a[href]"):
            href = link["href"]
            if re.match(r"[a-z]+:", href):
                continue
            target, _, anchor = href.partition("#")
            file = ((site_dir / path).parent / target).resolve() if target else site_dir / path
            name = file.relative_to(site_dir).as_posix() if file.is_relative_to(site_dir) else ""
            if not file.is_file() or (anchor and name in ids and anchor not in ids[name]):
                broken.append((path, href))
            checked += 1
    assert checked > 50
    assert not broken, broken


def test_pages_are_light(pages, site_dir):
    import gzip

    for path in pages:
        size = len(gzip.compress((site_dir / path).read_bytes(), 9))
        assert size <= 400 * 1024, f"{path}: {size / 1024:.0f} KB compressed"
