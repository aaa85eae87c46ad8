"""The card under a chapter's title: who wrote the paper, where it is, what running it takes, and where to run it."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path

from docutils import nodes
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from press.nav import Repository, plain_title

logger = logging.getLogger(__name__)


def load_chapters(srcdir: str | Path) -> list[dict]:
    """`_data/chapters.json` of the staged source; an empty list when there is none yet."""
    path = Path(srcdir) / "_data" / "chapters.json"
    return json.loads(path.read_text("utf-8")) if path.is_file() else []


def front_matter(srcdir: str | Path, docname: str) -> dict:
    """Metadata of a staged notebook (`paper`, `profiles`, ...)."""
    path = Path(srcdir) / f"{docname}.ipynb"
    return json.loads(path.read_text("utf-8")).get("metadata", {}) if path.is_file() else {}


class paper_card(nodes.General, nodes.Element):  # noqa: N801  (docutils names nodes so)
    """Placeholder that becomes HTML when the page is written."""


class PaperCard(SphinxDirective):
    """```{paper-card}``` with no body: everything comes from the front matter and the record of the run."""

    has_content = False

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(str(Path(self.env.srcdir) / "_data" / "chapters.json"))
        slug = self.env.docname.split("/")[-1]
        data = next((c for c in load_chapters(self.env.srcdir) if c.get("slug") == slug), None) or {}
        paper = data.get("paper") or front_matter(self.env.srcdir, self.env.docname).get("paper")
        if not paper or not paper.get("title"):
            logger.warning("paper-card: no paper with a title in the front matter", location=self.get_location())
            return []
        node = paper_card("", paper=paper, record=data.get("record") or {}, docname=self.env.docname)
        self.set_source_info(node)
        return [node]


def run_time(record: dict) -> str:
    """What a run took, in words; empty without a record."""
    seconds, peak = record.get("kernel_s") or record.get("wall_s"), record.get("peak_mb")
    if seconds is None:
        return ""
    said = f"{seconds:.0f} s" if seconds >= 1 else "less than a second"
    memory = (
        f", with {peak / 1024:.1f} GB of memory" if peak and peak >= 1000 else f", with {peak:.0f} MB" if peak else ""
    )
    return f"Every number on this page was measured in {said} on two cores{memory}."


def bibtex_entry(app, key: str) -> str:
    """A BibTeX entry of the book's bibliography as text; empty when the key is unknown."""
    from pybtex.database import parse_file

    for file in app.config.bibtex_bibfiles:
        path = Path(app.srcdir) / file
        if path.is_file() and key in (data := parse_file(str(path))).entries:
            entry = data.entries[key]
            fields = [f"  {k} = {{{v}}}" for k, v in entry.fields.items()]
            people = [f"  {role} = {{{' and '.join(map(str, who))}}}" for role, who in entry.persons.items()]
            return f"@{entry.type}{{{key},\n" + ",\n".join(people + fields) + "\n}"
    return ""


def card_html(paper: dict, record: dict, docname: str, repository: Repository, entry: str, root: str) -> str:
    """The card. `root` leads from the page to the site's root ("../../")."""
    text = {k: escape(str(v)) for k, v in paper.items()}
    links = []
    if text.get("arxiv"):
        links.append(f'<a href="https://arxiv.org/abs/{text["arxiv"]}">arXiv:{text["arxiv"]}</a>')
    elif text.get("url"):
        links.append(f'<a href="{text["url"]}">The paper</a>')
    if text.get("code", "").startswith("http"):
        links.append(f'<a href="{text["code"]}">Authors’ code</a>')
    notebook = "/".join(docname.split("/")[-2:]) + ".ipynb"
    launch = []
    if repository.slug:
        launch += [
            f'<a href="{escape(repository.binder(notebook))}">Run on Binder</a>',
            f'<a href="{escape(repository.colab(notebook))}">Run on Colab</a>',
        ]
    launch.append(f'<a href="{root}notebooks/{notebook}" download>Download .ipynb</a>')
    items = lambda entries: "".join(f"<li>{e}</li>" for e in entries)  # noqa: E731
    cite = f'<details class="fold"><summary>Cite</summary><pre>{escape(entry)}</pre></details>' if entry else ""
    took = run_time(record)
    return (
        '<div class="paper" role="group" aria-label="The paper">'
        f'<p class="paper-title"><cite>{text["title"]}</cite></p>'
        f'<p class="paper-who">{text.get("authors", "")}{", " + text["year"] if text.get("year") else ""}</p>'
        f'<ul class="paper-links">{items(links)}</ul>'
        f'<p class="paper-run">{took}</p>{cite}<ul class="paper-launch">{items(launch)}</ul></div>'
    )


def visit_paper_card(self, node: paper_card) -> None:
    app = self.builder.app
    docname = node["docname"]
    self.body.append(
        card_html(
            node["paper"],
            node["record"],
            docname,
            Repository(app.config.html_theme_options.get("repository_url") or ""),
            bibtex_entry(app, node["paper"].get("bibkey", "")),
            "../" * docname.count("/"),
        )
    )
    raise nodes.SkipNode


class part_contents(nodes.General, nodes.Element):  # noqa: N801
    """Placeholder that becomes HTML when the page is written."""


class PartContents(SphinxDirective):
    """```{part-contents}``` with no body, on the page of a part: its chapters, each with paper, claims and time."""

    has_content = False

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(str(Path(self.env.srcdir) / "_data" / "chapters.json"))
        return [part_contents("", docname=self.env.docname)]


def part_html(chapters: list[tuple[str, str, dict, str]]) -> str:
    """A list of (address, title, entry of `chapters.json`, first words)."""
    items = []
    for address, title, data, words in chapters:
        paper, claims = data.get("paper") or {}, data.get("claims") or []
        held = sum(c["verdict"] == "reproduced" for c in claims)
        facts = [f"{held} of {len(claims)} claims reproduced"] if claims else []
        seconds = (data.get("record") or {}).get("kernel_s")
        facts += [f"runs in {max(seconds, 1):.0f} s"] if seconds else []
        who = ", ".join(str(paper[k]) for k in ("authors", "year") if paper.get(k))
        items.append(
            f'<li><p class="part-title"><a href="{escape(address)}">{escape(title)}</a></p>'
            f'<p class="small"><cite>{escape(str(paper.get("title", "")))}</cite>. {escape(who)}</p>'
            f'<p>{escape(words)}</p><p class="small">{"; ".join(facts)}</p></li>'
        )
    return f'<ol class="part-list">{"".join(items)}</ol>' if items else ""


def visit_part_contents(self, node: part_contents) -> None:
    env = self.builder.env
    site_map, here = getattr(env, "external_site_map", None), node["docname"]
    known = {c["slug"]: c for c in load_chapters(env.srcdir)}
    docs = [str(d) for tree in site_map[here].subtrees for d in tree.files()] if site_map and here in site_map else []
    described = getattr(env, "press_descriptions", {})
    self.body.append(
        part_html(
            [
                (
                    self.builder.get_relative_uri(here, doc),
                    plain_title(env, doc),
                    known.get(doc.split("/")[-1], {}),
                    described.get(doc, ""),
                )
                for doc in docs
            ]
        )
    )
    raise nodes.SkipNode


def setup(app) -> None:
    app.add_node(paper_card, html=(visit_paper_card, None))
    app.add_node(part_contents, html=(visit_part_contents, None))
    app.add_directive("paper-card", PaperCard)
    app.add_directive("part-contents", PartContents)
