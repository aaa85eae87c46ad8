"""The ledger: every claim of the book in one table, readable without JavaScript, sorted and filtered with it."""

from __future__ import annotations

import math
from collections import Counter
from html import escape
from pathlib import Path

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from press.cards import load_chapters

SHAPES = {"reproduced": "●", "not reproduced": "◐", "failed": "✕"}


class ledger_table(nodes.General, nodes.Element):  # noqa: N801  (docutils names nodes so)
    """Placeholder that becomes HTML when the page is written."""


class Ledger(SphinxDirective):
    """```{ledger}``` with no body."""

    has_content = False

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(str(Path(self.env.srcdir) / "_data" / "chapters.json"))
        return [ledger_table("", docname=self.env.docname)]


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if math.isfinite(value) else str(value)


def bound_text(bound: dict) -> str:
    """A bound in words; claims carry it ready-made, and older records carry only its numbers."""
    if bound.get("text"):
        return bound["text"]
    numbers = [_number(n) for n in bound.get("numbers", [])]
    words = {"between": "between {} and {}", "at_least": "at least {}", "at_most": "at most {}", "equals": "{} ± {}"}
    return words[bound["kind"]].format(*numbers)


def counts_html(claims: list[dict], n_chapters: int) -> str:
    """How many claims there are, by verdict; every verdict is named even when its count is 0."""
    count = Counter(c["verdict"] for c in claims)
    items = "".join(
        f'<li><span class="shape" aria-hidden="true">{shape}</span> <b>{count[v]}</b> {v}</li>'
        for v, shape in SHAPES.items()
    )
    n = len(claims)
    many = f"{n} claim{'s' if n != 1 else ''} in {n_chapters} chapter{'s' if n_chapters != 1 else ''}"
    return f'<div class="ledger-counts"><p>{many}</p><ul>{items}</ul></div>'


def _row(chapter: dict, claim: dict, part_title: str, root: str) -> str:
    page = f"{root}chapters/{chapter['part']}/{chapter['slug']}.html"
    measured = "".join(
        f'<span class="part">{escape(p["name"]) + ": " if p.get("name") else ""}<b>{escape(str(p["text"]))}</b>'
        f'<br><span class="small">bound: {escape(bound_text(p["bound"]))}</span></span>'
        for p in claim["parts"]
    )
    ours = "" if (claim.get("source") or "").lower().startswith("ours") or not claim.get("ours") else "ours; "
    said = f'<br><span class="small">paper’s number: {escape(claim["paper"])}</span>' if claim.get("paper") else ""
    because = f'<br><span class="small">{escape(claim["because"])}</span>' if claim.get("because") else ""
    verdict = claim["verdict"]
    return (
        f'<tr data-part="{escape(chapter["part"])}" data-chapter="{escape(chapter["slug"])}" '
        f'data-verdict="{escape(verdict)}"><td data-label="Chapter"><a href="{page}">{escape(chapter["title"])}</a>'
        f'<br><span class="small">{escape(part_title)}</span></td>'
        f'<td data-label="Claim"><a href="{page}#claim-{escape(claim["id"])}">{escape(claim["says"])}</a>'
        f'<br><span class="small">{ours}{escape(claim.get("source") or "")}</span>{said}</td>'
        f'<td data-label="We measured">{measured}</td>'
        f'<td data-label="Verdict" data-sort="{list(SHAPES).index(verdict) if verdict in SHAPES else 9}">'
        f'<span class="shape" aria-hidden="true">{SHAPES.get(verdict, "?")}</span> {escape(verdict)}{because}</td></tr>'
    )


def _select(id: str, label: str, options: dict[str, str]) -> str:
    items = "".join(f'<option value="{escape(k)}">{escape(v)}</option>' for k, v in options.items())
    return f'<p><label for="{id}">{label}</label><select id="{id}"><option value="">all</option>{items}</select></p>'


def ledger_html(chapters: list[dict], part_titles: dict[str, str], root: str) -> str:
    """Counts, filters and table. `root` leads from the page to the site's root."""
    measured = [c for c in chapters if c.get("claims")]
    claims = [claim for c in measured for claim in c["claims"]]
    if not claims:
        return '<p class="ledger-empty">No chapter has been executed yet, so there is nothing to show.</p>'
    parts = {c["part"]: part_titles.get(c["part"], c["part"]) for c in measured}
    filters = (
        '<form class="ledger-filters js-only" role="search" aria-label="Filter the claims">'
        '<p class="grow"><label for="l-text">Text</label><input type="search" id="l-text" autocomplete="off"></p>'
        + _select("l-part", "Part", parts)
        + _select("l-chapter", "Chapter", {c["slug"]: c["title"] for c in measured})
        + _select("l-verdict", "Verdict", {v: v for v in SHAPES})
        + '</form><p class="ledger-shown js-only" role="status"></p>'
    )
    head = "".join(f'<th scope="col">{h}</th>' for h in ("Chapter", "Claim", "We measured", "Verdict"))
    rows = "".join(_row(c, claim, parts[c["part"]], root) for c in measured for claim in c["claims"])
    return (
        f"{counts_html(claims, len(measured))}{filters}"
        f'<table class="ledger"><caption class="hidden">All claims of the book</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    )


def visit_ledger(self, node: ledger_table) -> None:
    env = self.builder.env
    chapters = load_chapters(env.srcdir)
    titles = {
        part: env.titles[doc].astext()
        for part in {c["part"] for c in chapters}
        if (doc := f"chapters/{part}/index") in env.titles
    }
    self.body.append(ledger_html(chapters, titles, "../" * node["docname"].count("/")))
    raise nodes.SkipNode


def setup(app) -> None:
    app.add_node(ledger_table, html=(visit_ledger, None))
    app.add_directive("ledger", Ledger)
