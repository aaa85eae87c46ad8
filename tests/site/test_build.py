"""The fixture book through Jupyter Book, with warnings as errors: what comes out, and what stops it."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from press import site

sys.path.insert(0, str(Path(__file__).parent))
from staged_book import build, stage

HEAD = """---
jupytext: {text_representation: {extension: .md, format_name: myst}}
kernelspec: {name: python3, display_name: Python 3, language: python}
paper: {title: T, authors: A, year: 2020, arxiv: "2001.00001", bibkey: cyclical_learning_rates}
---

# A chapter

## In one minute

Words.

"""


@pytest.fixture(scope="module")
def html(tmp_path_factory) -> Path:
    code, said, folder = build(stage(tmp_path_factory.mktemp("book")))
    assert code == 0, said
    return folder


@pytest.fixture(scope="module")
def chapter(html) -> BeautifulSoup:
    text = (html / "chapters" / "step-sizes" / "cyclical-learning-rates.html").read_text("utf-8")
    return BeautifulSoup(text, "lxml")


def test_equations_are_numbered_and_referred_to(chapter):
    numbers = [e.get_text().strip("#") for e in chapter.select(".eqno")]
    assert [re.sub(r"\D", "", n) for n in numbers] == ["1", "2"]
    link = chapter.select_one("a[href='#equation-loss']:not(.headerlink)")
    assert link.get_text() == "(1)"
    assert chapter.select_one("#equation-loss .katex-display")


def test_one_of_everything_is_there(chapter):
    assert len(chapter.select("figure.fig")) == 2
    assert chapter.select_one(".margin[role=note]")
    assert chapter.select_one(".theorem")
    assert chapter.select_one("#claim-rate .sb-claim-verdict")
    assert chapter.select_one("details.solution summary").get_text() == "Solution to Exercise 1"
    assert not chapter.select_one("summary a")
    assert len(chapter.select("form.quiz fieldset legend")) == 3
    assert chapter.select_one(".tag_algorithm")
    assert chapter.select_one(".paper-launch a[href^='https://mybinder.org/']")
    assert "@inproceedings{cyclical_learning_rates" in chapter.select_one(".paper pre").get_text()
    wide = [c for c in chapter.select(".cell.wide") if "longer_than_the_text_column" in c.get_text()]
    assert len(wide) == 1


def test_links_between_pages_name_sources(html, tmp_path):
    body = "See [itself](cyclical-learning-rates.md#in-one-minute) and [the ledger](../../ledger.md).\n"
    code, said, folder = build(stage(tmp_path, HEAD + body))
    assert code == 0, said
    page = BeautifulSoup((folder / "chapters/step-sizes/cyclical-learning-rates.html").read_text("utf-8"), "lxml")
    hrefs = [a["href"] for a in page.select("main section p a")]
    assert "#in-one-minute" in hrefs[0] and hrefs[1] == "../../ledger.html"


def test_a_figure_comes_before_its_folded_code(chapter):
    cell = chapter.select_one("figure.fig").find_parent(class_="cell")
    assert [c.name for c in cell.find_all(["figure", "details"])] == ["figure", "details"]


def test_no_id_is_used_twice(html):
    for page in html.rglob("*.html"):
        ids = [e["id"] for e in BeautifulSoup(page.read_text("utf-8"), "lxml").select("[id]")]
        assert len(ids) == len(set(ids)), (page, {i for i in ids if ids.count(i) > 1})


def test_a_page_loads_little_and_nothing_foreign(html):
    assert site.foreign_requests(html) == []
    for page in html.rglob("*.html"):
        soup = BeautifulSoup(page.read_text("utf-8"), "lxml")
        scripts = [s for s in soup.select("script[src]")]
        assert all(s.has_attr("defer") for s in scripts), page
        assert len(scripts) <= (5 if page.name == "search.html" else 2), page
        sheets = [s["href"].split("?")[0].split("/")[-1] for s in soup.select("link[rel=stylesheet]")]
        assert sheets[0] == "press.css" and set(sheets) <= {"press.css", "katex.css", "sphinx-design.min.css"}
        assert ("katex.css" in sheets) == bool(soup.select_one(".katex"))
        assert len(soup.select("h1")) == 1, page
        assert len(soup.select("main")) == 1, page
        for link in [*soup.select("link[rel=stylesheet]"), *scripts, *soup.select("link[rel=icon]")]:
            address = (link.get("href") or link.get("src")).split("?")[0]
            assert page.name == "404.html" or (page.parent / address).resolve().is_file(), (page, address)


def test_the_shared_files_are_small(html):
    import gzip

    size = lambda name: len(gzip.compress((html / "_static" / name).read_bytes(), 9))  # noqa: E731
    assert size("press.css") < 12_000
    assert size("press.js") < 10_000
    assert size("katex/katex.css") < 5_000
    assert not (html / "_static" / "plotly" / "plotly.min.js").exists(), "no figure needs the full bundle"


def test_notebooks_lie_beside_the_pages(html, chapter):
    link = chapter.select_one("a[download]")["href"]
    notebook = json.loads((html / "chapters" / "step-sizes" / link).resolve().read_text("utf-8"))
    assert any(c["cell_type"] == "code" and c["outputs"] for c in notebook["cells"])


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("Some $\\frac{1$ text.\n", "KaTeX cannot set"),
        ("```{quiz} single\nWhich?\n\n- [x] a :: b\n- [ ] c\n```\n", "quiz: the option 'c' has no feedback"),
        ("[nowhere](#not-there)\n", "not-there"),
        ("```{note} of `code`\nText.\n```\n", "the directive note is shown as text"),
    ],
)
def test_a_mistake_stops_the_build_and_is_located(tmp_path, body, said):
    code, output, _ = build(stage(tmp_path, HEAD + body))
    assert code != 0
    line = next(line for line in output.splitlines() if said in line)
    assert "cyclical-learning-rates" in line
    assert re.search(r":\d+:", line), line
