"""What the theme's templates need to know about the book: contents, sections of a page, description, addresses."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html import escape, unescape

from docutils import nodes


@dataclass
class Entry:
    """One line of the contents: a page with its title, and the pages under it."""

    doc: str
    title: str
    current: bool = False
    open: bool = False
    children: list[Entry] = field(default_factory=list)


@dataclass
class Group:
    """Entries under a heading (a part of `_toc.yml`)."""

    caption: str
    entries: list[Entry]


def plain_title(env, doc: str) -> str:
    """Title of a page as text, its mathematics without markup."""
    title = env.titles.get(doc)
    return re.sub(r"[\\{}$]", "", title.astext()) if title is not None else doc


def contents(app, pagename: str) -> list[Group]:
    """The whole book as groups of entries, from the table of contents file."""
    site_map = getattr(app.env, "external_site_map", None)
    if site_map is None:
        return []

    def entry(doc: str) -> Entry:
        children = [entry(str(d)) for tree in site_map[doc].subtrees for d in tree.files()] if doc in site_map else []
        inside = any(c.current or c.open for c in children)
        return Entry(doc, plain_title(app.env, doc), doc == pagename, doc == pagename or inside, children)

    return [
        Group(tree.caption or "", [e for d in tree.files() if (e := entry(str(d))).doc in app.env.found_docs])
        for tree in site_map.root.subtrees
    ]


def sections(app, pagename: str) -> list[tuple[str, str]]:
    """(anchor, HTML title) of a page's second-level headings."""
    toc = app.env.tocs.get(pagename)
    if toc is None or not toc.children:
        return []
    found = []
    lists = [child for child in toc.children[0].children if isinstance(child, nodes.bullet_list)]
    for item in (i for entries in lists for i in entries.children if isinstance(i, nodes.list_item)):
        reference = next(iter(item.findall(nodes.reference)), None)
        if reference is not None and reference.get("anchorname"):
            words = nodes.inline("", "", *(child.deepcopy() for child in reference.children))
            html = app.builder.render_partial(words)["fragment"]
            found.append((reference["anchorname"], re.sub(r"</?(?:a|div)\b[^>]*>", "", html).strip()))
    return found


def description(doctree, limit: int = 158) -> str:
    """The first sentences of a page, as many as fit, for search engines, link previews and lists of chapters."""
    for paragraph in doctree.findall(nodes.paragraph):
        if not isinstance(paragraph.parent, nodes.section):
            continue
        text = " ".join(re.sub(r"[\\{}$]", "", paragraph.astext()).split())
        if len(text) <= 40:
            continue
        if len(text) <= limit:
            return text
        whole = [end.end(1) for end in re.finditer(r"([.?!])\s", text[: limit + 1])]
        return text[: whole[-1]] if whole and whole[-1] > 40 else text[: text.rfind(" ", 0, limit)] + " …"
    return ""


@dataclass(frozen=True)
class Repository:
    """Addresses derived from `repository.url` of `_config.yml`, the one place where the address stands."""

    url: str

    @property
    def slug(self) -> str:
        """`owner/name` on GitHub, or an empty string."""
        match = re.match(r"https://github\.com/([\w.-]+/[\w.-]+?)(?:\.git)?/?$", self.url)
        return match[1] if match else ""

    def binder(self, path: str) -> str:
        """Binder: an image of the branch `binder`, notebooks pulled into it from the branch `notebooks`."""
        name = self.slug.split("/")[-1]
        # nbgitpuller reads its own query inside Binder's, hence the quoting in two layers.
        tree = f"lab%252Ftree%252F{name}%252F" + path.replace("/", "%252F")
        repo = self.url.replace(":", "%253A").replace("/", "%252F")
        pull = f"git-pull%3Frepo%3D{repo}%26branch%3Dnotebooks%26urlpath%3D{tree}"
        return f"https://mybinder.org/v2/gh/{self.slug}/binder?urlpath={pull}"

    def colab(self, path: str) -> str:
        return f"https://colab.research.google.com/github/{self.slug}/blob/notebooks/{path}"


def strip_tags(html: str) -> str:
    return escape(unescape(re.sub(r"<[^>]+>", "", html)))
