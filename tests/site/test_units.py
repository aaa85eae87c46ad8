"""Parts of the site's machinery, each against something that does not share its code."""

from __future__ import annotations

import json
import math
import re

import numpy as np
import pytest
from bs4 import BeautifulSoup
from press import assets, cards, cover, katex, ledger_page, mime, nav, site

AT_ONCE = {"mode": "immediate", "frame": {"duration": 0, "redraw": True}}


def figure(**layout) -> dict:
    return {
        "data": [{"type": "scatter", "x": [1, 2], "y": [3, 4], "name": "a"}],
        "layout": {"meta": {"alt": 'a "rising" <line> & more', "dark": {"#000000": "#ffffff"}}, **layout},
    }


def parse(html: str) -> BeautifulSoup:
    return BeautifulSoup(html, "lxml")


def payload(html: str) -> dict:
    return json.loads(parse(html).select_one("script[type='application/json']").string)


# ---- figures ----


def test_a_figure_keeps_its_data_and_its_alt_text():
    html = mime.figure_html(figure(height=300, title={"text": "Loss & <b>more</b> <script>"}), "fig-1")
    soup = parse(html)
    plot = soup.select_one("[role=img]")
    assert plot["aria-label"] == 'a "rising" <line> & more'
    assert soup.select_one(".fig-still").get_text() == plot["aria-label"]
    assert soup.select_one(".fig-title").get_text() == "Loss & more <script>"
    assert soup.select_one(".fig-title b").get_text() == "more"
    assert len(soup.select("script")) == 1
    stored = payload(html)
    assert stored["data"] == figure()["data"]
    assert stored["dark"] == {"#000000": "#ffffff"}
    assert "title" not in stored["layout"]


def test_a_title_that_a_frame_changes_stays_in_the_figure():
    moving = figure(title={"text": "t"})
    moving["frames"] = [{"name": "1", "data": [], "layout": {"title": {"text": "u"}}}]
    assert payload(mime.figure_html(moving, "f"))["layout"]["title"] == {"text": "t"}


def test_json_cannot_end_its_script():
    hostile = figure()
    hostile["data"][0]["name"] = "</script><script>alert(1)</script>"
    html = mime.figure_html(hostile, "f")
    assert html.count("</script>") == 1
    assert payload(html)["data"][0]["name"] == hostile["data"][0]["name"]


@pytest.mark.parametrize("bad", [{"layout": {}}, {"layout": {"meta": {"alt": "x"}}, "data": [{"y": [math.nan]}]}])
def test_a_figure_without_alt_text_or_with_nan_is_refused(bad):
    with pytest.raises(ValueError, match=r"alt text|NaN"):
        mime.figure_html(bad, "f")


def test_sliders_and_dropdowns_become_native_controls():
    steps = [{"label": v, "method": "animate", "args": [[v], AT_ONCE]} for v in ("0.1", "0.2", "0.3")]
    buttons = [{"label": "Play", "method": "animate", "args": [None, {"frame": {"duration": 90}}]}]
    choices = [{"label": c, "method": "update", "args": [{"visible": [c == "a"]}, {}]} for c in "ab"]
    html = mime.figure_html(
        figure(
            sliders=[{"active": 1, "currentvalue": {"prefix": "rate: ", "suffix": " /s"}, "steps": steps}],
            updatemenus=[{"type": "buttons", "buttons": buttons}, {"name": "Policy", "buttons": choices, "active": 1}],
        ),
        "fig-7",
    )
    soup, stored = parse(html), payload(html)
    slider = soup.select_one("input[type=range]")
    assert (slider["min"], slider["max"], slider["value"]) == ("0", "2", "1")
    assert slider["aria-valuetext"] == "0.2 /s" == soup.select_one("output").get_text()
    assert soup.select_one(f"label[for='{slider['id']}']").get_text() == "rate"
    select = soup.select_one("select")
    assert [o.get_text() for o in select.select("option")] == ["a", "b"]
    assert select.select_one("option[selected]").get_text() == "b"
    assert soup.select_one(f"label[for='{select['id']}']").get_text() == "Policy"
    assert "sliders" not in stored["layout"] and "updatemenus" not in stored["layout"]
    for box in soup.select("[data-i]"):
        script = stored["controls"][int(box["data-i"])]
        if box.select_one("select"):
            assert [s[1][0]["visible"] for s in script["steps"]] == [[True], [False]]
        else:
            assert [s[1][0] for s in script["steps"]] == [["0.1"], ["0.2"], ["0.3"]]
            assert script["wait"] == 90 and box.select_one("[data-play]")


def test_the_smallest_bundle_that_draws_a_figure():
    assert assets.bundle_for({"data": [{"type": "bar"}, {}]}) == "cartesian"
    assert assets.bundle_for({"data": [{"type": "bar"}, {"type": "scatter3d"}]}) == "full"
    assert assets.bundle_for({"data": [{}], "frames": [{"data": [{"type": "sankey"}]}]}) == "full"


def test_the_cartesian_bundle_says_that_it_draws_what_we_think():
    modules = assets.node_modules(assets.cache_dir(assets.NODE.parents[2] / "_build" / "src"))
    said = (modules / "plotly.js-cartesian-dist-min" / "README.md").read_text("utf-8")
    listed = set(re.findall(r"`(\w+)`", said.split("Contains trace modules")[1].split("\n")[0]))
    assert listed == assets.CARTESIAN
    import plotly.offline

    full = re.search(r"plotly\.js v([\d.]+)", plotly.offline.get_plotlyjs()[:300])[1]
    assert assets.package_version(modules, "plotly.js-cartesian-dist-min") == full, "two versions of Plotly on one site"


def test_fallback_styles_and_live_regions_do_not_reach_the_page():
    html = mime.output_html('<style>.sb-claim{}</style><div class="sb-claim" id="claim-a">x</div>')
    assert html == '<div class="sb-claim" id="claim-a">x</div>'
    assert 'role="status"' not in mime.output_html('<div class="sb-feedback" data-passed="false" role="status">x</div>')
    assert mime.output_html("<style>p{}</style><p>x</p>") == "<style>p{}</style><p>x</p>"


# ---- the cover ----


def test_the_theory_on_the_cover_is_right():
    setting = cover.Setting(n_runs=40_000, n_steps=25)
    rng = np.random.default_rng(1)
    for step_size in (0.05, 0.5, 1.5, 2.05):
        theta = np.full(setting.n_runs, setting.start)
        for _ in range(setting.n_steps):
            theta -= step_size * (theta + setting.noise * rng.standard_normal(setting.n_runs))
        loss = theta**2 / 2
        expected, error = cover.exact(step_size, setting)[-1]
        assert abs(loss.mean() - expected) < 5 * error
        assert error == pytest.approx(loss.std() / math.sqrt(setting.n_runs), rel=0.05)


def test_the_covers_random_numbers_are_standard_normal():
    draws = cover.normal(0)
    x = np.array([next(draws) for _ in range(40_000)])
    assert abs(x.mean()) < 5 / 200
    assert abs(x.var() - 1) < 5 * math.sqrt(2 / 40_000)
    assert abs((x**4).mean() - 3) < 5 * math.sqrt(96 / 40_000)


def test_the_cover_states_a_verdict_that_follows_from_its_numbers():
    soup = parse(cover.cover_html())
    number = lambda name: float(soup.select_one(f".live-{name}").get_text())  # noqa: E731
    assert number("low") < number("measured") < number("high")
    assert "reproduced" in soup.select_one(".live-verdict").get_text()
    unlucky = parse(cover.cover_html(cover.Setting(errors=1e-6)))
    assert "failed" in unlucky.select_one(".live-verdict").get_text()


# ---- mathematics ----


def test_katex_sets_remembers_and_refuses(tmp_path):
    cache = assets.cache_dir(assets.NODE.parents[2] / "_build" / "src")
    setter = katex.Typesetter(cache, {r"\E": r"\mathbb{E}"})
    setter.cache = tmp_path
    (tmp_path / "node").symlink_to(assets.node_modules(cache).parents[1])
    html = setter.render(r"\E[x^2]", False)
    soup = parse(html)
    assert soup.select_one("annotation").get_text() == r"\E[x^2]"
    assert soup.select_one("math msup").get_text() == "x2"
    with pytest.raises(katex.MathError, match="expected"):
        setter.render(r"\frac{1", True)
    setter.close()
    again = katex.Typesetter(tmp_path, {r"\E": r"\mathbb{E}"})
    again._ask = lambda question: pytest.fail("a remembered formula was set again")
    assert again.render(r"\E[x^2]", False) == html
    other = katex.Typesetter(tmp_path, {r"\E": r"\mathsf{E}"})
    other._ask = lambda question: {"html": "new"}
    assert other.render(r"\E[x^2]", False) == "new", "the macros are part of the key"


@pytest.mark.parametrize(
    ("text", "nowrap", "tex"),
    [
        ("a", False, "a"),
        ("a \\\\ b", False, r"\begin{split}a \\ b\end{split}"),
        ("a\n\nb", False, r"\begin{aligned}a\\b\end{aligned}"),
        ("\\begin{align}a&=b\\end{align}", True, r"\begin{align*}a&=b\end{align*}"),
        ("\\begin{align*}a&=b\\end{align*}", True, r"\begin{align*}a&=b\end{align*}"),
        ("\\begin{cases}a\\\\b\\end{cases}", False, "\\begin{cases}a\\\\b\\end{cases}"),
    ],
)
def test_display_mathematics(text, nowrap, tex):
    assert katex.display_tex(text, nowrap) == tex


# ---- site ----


def test_purge_keeps_what_is_used_and_only_that():
    css = "@font-face{font-family:F}.a{x:y}.b,.a .c{x:z}p{m:n}.d:not(.a){o:p}@media print{.b{q:r}}"
    kept = site.purge(css, {"a", "c"})
    assert ".a{x:y}" in kept and ".a .c{x:z}" in kept and "p{m:n}" in kept and "@font-face" in kept
    assert ".b,.a" not in kept and ".d" not in kept


def test_foreign_requests_are_found_and_links_are_not_requests(tmp_path):
    (tmp_path / "a.html").write_text('<a href="https://x.org"></a><link rel="canonical" href="https://me.org/a.html">')
    assert site.foreign_requests(tmp_path) == []
    site.finish(tmp_path)
    (tmp_path / "b.html").write_text(
        '<script async src="https://cdn.org/x.js"></script><img alt="" src="//i.org/p.png">'
    )
    (tmp_path / "c.css").write_text("@font-face{src:url('https://f.org/f.woff2')}")
    (tmp_path / "d.html").write_text('<link rel="stylesheet" href="https://s.org/s.css">')
    found = {url for _, url in site.foreign_requests(tmp_path)}
    assert {u.split("/")[2] for u in found} == {"cdn.org", "i.org", "f.org", "s.org"}
    with pytest.raises(ValueError, match=r"b\.html: asks for https://cdn\.org"):
        site.finish(tmp_path)


def test_the_staged_toc_leaves_out_what_is_not_there():
    toc = {
        "format": "jb-book",
        "root": "index",
        "parts": [
            {"caption": "A", "chapters": [{"file": "p/index", "sections": [{"file": "p/x"}, {"file": "p/y"}]}]},
            {"caption": "B", "chapters": [{"file": "gone"}]},
        ],
    }
    before = json.dumps(toc)
    assert site.staged_toc(toc, {"index", "p/index", "p/y"})["parts"] == [
        {"caption": "A", "chapters": [{"file": "p/index", "sections": [{"file": "p/y"}]}]}
    ]
    assert site.staged_toc(toc, {"index", "p/index"})["parts"] == [{"caption": "A", "chapters": [{"file": "p/index"}]}]
    orphans = site.staged_toc(toc, {"index", "p/x"})["parts"]
    assert orphans == [{"caption": "A", "chapters": [{"file": "p/x"}]}]
    assert json.dumps(toc) == before


def test_launch_links():
    repository = nav.Repository("https://github.com/owner/book.git")
    assert repository.slug == "owner/book"
    assert (
        repository.colab("p/s.ipynb") == "https://colab.research.google.com/github/owner/book/blob/notebooks/p/s.ipynb"
    )
    from urllib.parse import parse_qs, unquote, urlsplit

    binder = urlsplit(nav.Repository("https://github.com/owner/book").binder("p/s.ipynb"))
    assert binder.path == "/v2/gh/owner/book/binder"
    # Binder unquotes once to learn the path to open; nbgitpuller then reads that path's query.
    path, _, query = parse_qs(binder.query)["urlpath"][0].partition("?")
    assert path == "git-pull"
    pulled = {k: unquote(v[0]) for k, v in parse_qs(query).items()}
    assert pulled == {
        "repo": "https://github.com/owner/book",
        "branch": "notebooks",
        "urlpath": "lab/tree/book/p/s.ipynb",
    }
    assert nav.Repository("https://example.org/x").slug == ""


def test_the_card_escapes_what_comes_from_a_paper():
    paper = {"title": "Is 1 < 2 & <b>so on</b>?", "authors": "A & B", "year": 2020, "arxiv": "2001.00001"}
    html = cards.card_html(paper, {"kernel_s": 12.3, "peak_mb": 1500}, "chapters/p/s", nav.Repository(""), "", "../../")
    soup = parse(html)
    assert soup.select_one(".paper-title").get_text() == paper["title"]
    assert not soup.select("b")
    assert "12 s on two cores, with 1.5 GB" in soup.select_one(".paper-run").get_text()
    assert soup.select_one("a[download]")["href"] == "../../notebooks/p/s.ipynb"
    assert len(soup.select(".paper-launch a")) == 1, "without a repository there is nothing to launch"


def claim(id: str, verdict: str) -> dict:
    return {
        "id": id, "says": "x < 1 & y", "source": "abstract", "paper": "", "verdict": verdict, "because": "",
        "ours": False,
        "parts": [
            {"name": "one", "text": "0.5 s", "bound": {"kind": "at_most", "numbers": [1.0]}},
            {"name": "two", "text": "7", "bound": {"kind": "equals", "numbers": [7, 0.5], "text": "7 ± 0.5"}},
        ],
    }  # fmt: skip


def test_the_ledger_shows_every_part_of_every_claim():
    chapters = [
        {
            "slug": "s",
            "part": "p",
            "title": "A & B",
            "claims": [claim("a", "reproduced"), claim("b", "not reproduced")],
        },
        {"slug": "t", "part": "q", "title": "C", "claims": []},
    ]
    soup = parse(ledger_page.ledger_html(chapters, {"p": "Part P"}, ""))
    rows = soup.select("tbody tr")
    assert [r["data-verdict"] for r in rows] == ["reproduced", "not reproduced"]
    assert rows[1].select_one("td:nth-of-type(2) a")["href"] == "chapters/p/s.html#claim-b"
    text = rows[0].get_text(" ")
    for said in ("A & B", "Part P", "x < 1 & y", "one: 0.5 s", "at most 1", "two: 7", "7 ± 0.5"):
        assert said in " ".join(text.split())
    assert "2 claims in 1 chapter" in soup.select_one(".ledger-counts").get_text()
    assert "No chapter has been executed" in ledger_page.ledger_html([], {}, "")
