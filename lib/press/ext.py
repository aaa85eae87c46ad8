"""Sphinx extension of the book: directives, mathematics, figures, and what the theme `press` needs.

List it last in `_config.yml` (`sphinx.config.extensions`), so that its HTML replaces that of the extensions before it.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.util import logging

from press import assets, cards, cover, katex, ledger_page, markup, nav, quiz_directive, site
from press.mime import script_json

logger = logging.getLogger(__name__)


def setup(app) -> dict:
    for module in (katex, markup, quiz_directive, cards, ledger_page, cover):
        module.setup(app)
    # Jupyter Book always passes this on, also when nobody asked for comments.
    if "comments_config" not in app.config:
        app.add_config_value("comments_config", {}, "html")
    app.connect("html-page-context", page_context, priority=900)
    app.connect("doctree-read", remember_description)
    app.connect("doctree-read", unread_directives)
    app.connect("doctree-read", links_to_sources)
    app.connect("env-merge-info", lambda app, env, docs, other: _descriptions(env).update(_descriptions(other)))
    app.connect("env-updated", contents_changed)
    app.connect("build-finished", finish)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def page_context(app, pagename: str, templatename: str, context: dict, doctree: nodes.document | None) -> None:
    """Give the template the contents, the sections and what this page needs, and nothing the other extensions add."""
    body = context.get("body") or ""
    repository = nav.Repository(app.config.html_theme_options.get("repository_url") or "")
    base = (app.config.html_baseurl or "").rstrip("/")
    context.update(
        contents=nav.contents(app, pagename),
        sections=nav.sections(app, pagename) if doctree is not None else [],
        description=_descriptions(app.env).get(pagename, ""),
        pages=_pages(app) if pagename == "search" else "",
        plain_title=nav.plain_title(app.env, pagename) if doctree is not None else context.get("title", ""),
        repository=repository,
        has_math='class="katex' in body,
        has_design='class="sd-' in body or " sd-" in body,
        is_cover=pagename == app.config.root_doc,
        canonical=f"{base}/{pagename}.html" if base else "",
        version_of=lambda name: _stamp(app, name),
    )


def _descriptions(env) -> dict[str, str]:
    if not hasattr(env, "press_descriptions"):
        env.press_descriptions = {}
    return env.press_descriptions


def remember_description(app, doctree: nodes.document) -> None:
    """Keep one line about a page, for link previews and for the results of a search."""
    _descriptions(app.env)[app.env.docname] = nav.description(doctree)


def unread_directives(app, doctree: nodes.document) -> None:
    """Warn about a directive that Markdown took for text: the first line of a ``` fence may hold no other backtick."""
    for paragraph in doctree.findall(nodes.paragraph):
        match = re.match(r"(?:```+|:::+)\{([\w:-]+)\}", paragraph.rawsource or paragraph.astext())
        if match:
            logger.warning(
                "the directive %s is shown as text; with `code` in its first line write it with ::: instead of ```",
                match[1],
                location=paragraph,
                type="press",
                subtype="directive",
            )


def links_to_sources(app, doctree: nodes.document) -> None:
    """Let `[...](other-chapter.md#section)` find its page: chapters are written as .md and staged as .ipynb."""
    for link in doctree.findall(addnodes.pending_xref):
        if link.get("reftype") != "myst" or link.get("refdomain"):
            continue
        path, _, anchor = link["reftarget"].partition("#")
        page, _ = app.env.relfn2path(re.sub(r"\.(md|ipynb)$", "", path), app.env.docname) if path else ("", "")
        if page in app.env.found_docs:
            link.attributes.update(refdomain="doc", reftarget=page, reftargetid=anchor or None)


def _pages(app) -> str:
    known = {doc: text for doc, text in _descriptions(app.env).items() if doc in app.env.found_docs}
    return script_json(known)


def _stamp(app, name: str) -> str:
    """A few letters that change with a static file, so that browsers do not keep an old one."""
    path = Path(__file__).parent / "theme" / "static" / name
    return hashlib.sha256(path.read_bytes()).hexdigest()[:8]


def contents_changed(app, env) -> list[str]:
    """Every page shows the contents: when a title or the order has changed, write all of them again."""
    shown = json.dumps([(g.caption, [vars(e) for e in g.entries]) for g in nav.contents(app, "")], default=vars)
    now = hashlib.sha256(shown.encode()).hexdigest()
    changed = getattr(env, "press_contents", None) not in (None, now)
    env.press_contents = now
    return sorted(env.found_docs) if changed else []


def finish(app, exception) -> None:
    """Carry fonts, KaTeX and Plotly into the site and take out what no page uses."""
    if exception is None and app.builder.name == "html":
        modules = assets.node_modules(assets.cache_dir(Path(app.srcdir)))
        site.assemble(Path(app.outdir), modules, Path(app.srcdir), app.config.html_baseurl or "")
