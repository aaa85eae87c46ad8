"""What pages do: search, ledger, questions, contents, and what is left of them without JavaScript."""

from __future__ import annotations

import json

import pytest
from bs4 import BeautifulSoup

from .conftest import draw_all

pytestmark = pytest.mark.browser
CLR = "chapters/step-sizes/cyclical-learning-rates.html"


@pytest.fixture(scope="session")
def claims(site_dir) -> list[dict]:
    """All claims as the build collected them: the table on the page is held against these."""
    places = (folder / "src" / "_data" / "chapters.json" for folder in site_dir.parents)
    chapters = json.loads(next(p for p in places if p.exists()).read_text("utf-8"))
    return [{**claim, "slug": c["slug"], "part": c["part"]} for c in chapters for claim in c["claims"]]


def test_search_finds_a_chapter_and_its_section(open_page):
    page = open_page("index.html")
    page.locator(".search-box input").fill("triangular stepsize")
    page.locator(".search-box input").press("Enter")
    page.wait_for_url("**/search.html?q=*")
    page.wait_for_selector("#search-results > li")
    first = page.locator("#search-results > li > a").first
    assert first.get_attribute("href").endswith(CLR)
    first.click()
    assert page.locator("h1").inner_text().startswith("Cyclical")


def test_search_says_when_it_finds_nothing(open_page):
    page = open_page("search.html?q=zzyzxq")
    page.wait_for_function("() => document.getElementById('search-count').textContent.includes('No page')")
    assert page.locator("#search-results > li").count() == 0


def test_ledger_shows_every_claim_and_filters(open_page, claims):
    page = open_page("ledger.html")
    visible = page.locator("table.ledger tbody tr:visible")
    assert visible.count() == len(claims)
    counts = page.locator(".ledger-counts").inner_text()
    for verdict in ("reproduced", "not reproduced", "failed"):
        assert f"{sum(c['verdict'] == verdict for c in claims)} {verdict}" in " ".join(counts.split())
    part = claims[0]["part"]
    page.get_by_label("Part").select_option(part)
    assert visible.count() == sum(c["part"] == part for c in claims)
    page.get_by_label("Part").select_option("")
    word = max(claims[0]["says"].lower().split(), key=len)
    page.get_by_label("Text").fill(word)
    assert 1 <= visible.count() < len(claims)
    for row in visible.all():
        assert word in row.inner_text().lower()
    page.get_by_label("Text").fill("")
    page.get_by_label("Verdict").select_option("failed")
    assert visible.count() == 0
    assert page.locator(".ledger-shown").inner_text().startswith("0 of")


def test_ledger_sorts_both_ways(open_page, claims):
    page = open_page("ledger.html")
    column = lambda n: page.locator(f"tbody tr td:nth-child({n}) a").all_inner_texts()  # noqa: E731
    said = column(2)
    page.get_by_role("button", name="Chapter", exact=True).press("Enter")
    up = column(1)
    assert up == sorted(up, key=str.casefold)
    assert page.locator("th[aria-sort=ascending]").inner_text().startswith("Chapter")
    assert sorted(column(2)) == sorted(said), "sorting loses or repeats a claim"
    page.get_by_role("button", name="Chapter", exact=True).click()
    assert column(1) == up[::-1]
    page.get_by_role("button", name="Claim", exact=True).click()
    up = column(2)
    page.get_by_role("button", name="Claim", exact=True).click()
    assert column(2) == up[::-1] != up


def test_ledger_leads_to_the_card(open_page, claims):
    page = open_page("ledger.html")
    page.locator("tbody tr td:nth-child(2) a").first.click()
    assert page.url.endswith(f"#claim-{claims[0]['id']}")
    card = page.locator(f"#claim-{claims[0]['id']}")
    assert claims[0]["says"] in card.inner_text()
    page.wait_for_function(
        "id => document.getElementById(id).getBoundingClientRect().top < innerHeight", arg=f"claim-{claims[0]['id']}"
    )


def _answer(form) -> None:
    """Answer a question rightly, by keyboard alone."""
    right = form.locator(".quiz-answers li[data-right=true]")
    if form.get_attribute("data-kind") == "number":
        form.locator("input").focus()
        form.page.keyboard.type(right.first.get_attribute("data-value"))
        form.page.keyboard.press("Enter")
        return
    items = form.locator(".quiz-answers li").all()
    for i, item in enumerate(items):
        if item.get_attribute("data-right") == "true":
            form.locator("input").nth(i).focus()
            form.page.keyboard.press("Space")
    form.get_by_role("button", name="Check").focus()
    form.page.keyboard.press("Enter")


def test_questions_answer_back_by_keyboard(open_page):
    page = open_page(CLR)
    forms = page.locator("form.quiz").all()
    assert len(forms) >= 3
    for form in forms:
        said = form.locator(".quiz-said")
        assert said.get_attribute("role") == "status"
        form.get_by_role("button", name="Check").press("Enter")
        assert "first" in said.inner_text()
        _answer(form)
        assert said.inner_text().strip("● \n").startswith("Right."), said.inner_text()
        assert len(said.inner_text()) > 12, "no feedback beyond the verdict"
        if form.get_attribute("data-kind") == "number":
            form.locator("input").fill("-123456")
            form.locator("input").press("Enter")
        else:
            wrong = form.locator(".quiz-answers li").evaluate_all("l => l.findIndex(e => e.dataset.right !== 'true')")
            form.locator("input").nth(wrong).check()
            form.get_by_role("button", name="Check").click()
        assert "Right." not in said.inner_text()


def test_contents_on_a_phone(open_page):
    page = open_page(CLR, width=360, height=740)
    menu = page.get_by_role("button", name="Contents", exact=True)
    contents = page.locator("#contents")
    assert not contents.is_visible()
    assert menu.get_attribute("aria-expanded") == "false"
    menu.click()
    assert contents.is_visible()
    assert menu.get_attribute("aria-expanded") == "true"
    assert page.evaluate("document.activeElement.classList.contains('close')")
    for _ in range(60):  # the focus never leaves what is open
        page.keyboard.press("Tab")
        assert page.evaluate(
            "document.activeElement === document.body || !!document.activeElement.closest('#contents')"
        )
    page.keyboard.press("Escape")
    page.wait_for_function("() => getComputedStyle(document.getElementById('contents')).visibility === 'hidden'")
    assert page.evaluate("document.activeElement.classList.contains('menu')")


def test_contents_mark_the_current_page(open_page):
    page = open_page(CLR)
    current = page.locator("#contents [aria-current=page]")
    assert current.count() == 1
    assert current.is_visible()
    assert page.locator("#contents .sections a").count() >= 8


def test_cover_measures_again_when_the_slider_moves(open_page, site_dir):
    page = open_page("index.html")
    page.wait_for_function("() => document.querySelector('.live-where').textContent.includes('browser')")
    soup = BeautifulSoup((site_dir / "index.html").read_text("utf-8"), "lxml")
    built = soup.select_one(".live-measured").get_text()
    assert page.locator(".live-measured").inner_text() == built, "browser and build disagree about the same computation"
    slider = page.get_by_label("Step size")
    for key in ("Home", "End"):
        before = page.locator(".live-mean").get_attribute("d")
        slider.press(key)
        page.wait_for_function("b => document.querySelector('.live-mean').getAttribute('d') !== b", arg=before)
        assert "reproduced" in page.locator(".live-verdict").inner_text()
    assert float(page.locator(".live-expected").inner_text()) > 100, "beyond step size 2 the loss must grow"


def test_pages_work_without_javascript(open_page, claims):
    page = open_page(CLR, java_script_enabled=False)
    assert page.locator("h2").count() >= 8
    assert page.locator(".katex").count() > 5
    alt = page.locator(".fig-still").first
    assert alt.is_visible()
    assert len(alt.inner_text()) > 40
    assert not page.get_by_role("button", name="Check").first.is_visible()
    page.locator(".quiz-answers summary").first.click()
    assert page.locator(".quiz-answers li").first.is_visible()
    page = open_page("ledger.html", java_script_enabled=False)
    assert page.locator("table.ledger tbody tr:visible").count() == len(claims)
    page = open_page("index.html", java_script_enabled=False, width=360)
    assert page.locator("#contents").is_visible()
    assert "reproduced" in page.locator(".live-verdict").inner_text()


def test_pages_work_from_files(open_page, site_dir):
    page = open_page((site_dir / CLR).as_uri())
    assert draw_all(page) >= 2
    assert page.locator("figure.fig[data-drawn]").count() == page.locator("figure.fig").count()
    assert page.evaluate("document.fonts.ready.then(() => document.fonts.check('16px \"Source Serif 4\"'))")


def test_not_found_page_works_at_any_depth(browser, base_url, site_dir):
    page = browser.new_page()
    lost = f"{base_url}some/where/deep.html"
    page.route(lost, lambda route: route.fulfill(path=site_dir / "404.html", content_type="text/html"))
    page.goto(lost)
    assert page.evaluate("getComputedStyle(document.body).fontFamily").startswith('"Source Serif 4"')
    page.get_by_role("link", name="ledger", exact=True).first.click()
    assert page.locator("h1").inner_text().startswith("The ledger")
    page.close()


def test_print_shows_text_figures_and_folded_answers(open_page):
    page = open_page(CLR)
    draw_all(page)
    page.emulate_media(media="print")
    assert not page.locator("#contents").is_visible()
    assert not page.locator(".top").is_visible()
    assert page.locator("figure.fig .main-svg").first.is_visible()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details.solution").first.evaluate("d => d.open")


def test_code_can_be_copied(open_page):
    page = open_page(CLR, permissions=["clipboard-read", "clipboard-write"])
    block = page.locator(".cell_input .highlight:visible").first
    block.hover()
    block.get_by_role("button", name="Copy this code").click()
    page.wait_for_function("() => [...document.querySelectorAll('.copy')].some(b => b.textContent === 'copied')")
    assert page.evaluate("navigator.clipboard.readText()") == block.locator("pre").inner_text().rstrip("\n")
