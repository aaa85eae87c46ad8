"""Chapters as plain notebooks for Binder, Colab and download: what MyST says, said in Markdown that Jupyter shows."""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from press import directives
from press.chapters import Chapter
from press.keys import requirement_lines
from press.layout import Layout

if TYPE_CHECKING:
    from nbformat import NotebookNode

# What the library imports and Colab does not carry at a version that the chapters were checked with.
_INSTALLED_WITH_IT = ("jaxtyping", "plotly")
_MATH_LABEL = re.compile(r"^(\$\$)\s*\([\w:.-]+\)\s*$", re.MULTILINE)
_TARGET = re.compile(r"^\([\w:.-]+\)=\s*$\n?", re.MULTILINE)
_COMMENT = re.compile(r"^%.*$\n?", re.MULTILINE)
_ROLE = re.compile(r"\{([\w:+-]+)\}(`+)(.+?)\2(?!`)", re.DOTALL)
_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s]+?\.md)(#[^)\s]*)?\)")


@dataclass(frozen=True)
class Settings:
    """What a notebook needs to know about the world: one address, one site, the bibliography, the pins."""

    repository: str = ""
    branch: str = "main"
    site: str = ""
    bibliography: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    pins: tuple[str, ...] = ()


def settings(layout: Layout) -> Settings:
    """Read from `_config.yml`, `book/references.bib` and `requirements.txt`."""
    import yaml

    config = (yaml.safe_load(layout.config.read_text(encoding="utf-8")) or {}) if layout.config.exists() else {}
    repository = config.get("repository") or {}
    site = (config.get("html") or {}).get("baseurl") or ((config.get("sphinx") or {}).get("config") or {}).get(
        "html_baseurl") or ""
    text = layout.requirements.read_text(encoding="utf-8") if layout.requirements.exists() else ""
    pins = tuple(line for line in requirement_lines(text) if line.split("==")[0] in _INSTALLED_WITH_IT)
    return Settings(str(repository.get("url") or "").rstrip("/"), str(repository.get("branch") or "main"),
                    str(site).rstrip("/"), _bibliography(layout), pins)


def _bibliography(layout: Layout) -> dict[str, tuple[str, str, str]]:
    """key -> (authors in short, year, address)"""
    path = layout.book / "references.bib"
    if not path.exists():
        return {}
    from pybtex.database import parse_file
    from pybtex.exceptions import PybtexError

    try:
        entries = parse_file(str(path), bib_format="bibtex").entries
    except PybtexError:
        # The site's own build reports a malformed bibliography with file and line.
        return {}
    found = {}
    for key, entry in entries.items():
        names = [" ".join([*p.prelast_names, *p.last_names]) for p in entry.persons.get("author", [])]
        short = names[0] if names else key
        short += " and " + names[1] if len(names) == 2 else " et al." if len(names) > 2 else ""
        fields = entry.fields
        address = fields.get("url") or (f"https://doi.org/{fields['doi']}" if "doi" in fields else "") or (
            f"https://arxiv.org/abs/{fields['eprint']}" if "eprint" in fields else "")
        found[key] = (short.replace("{", "").replace("}", ""), fields.get("year", ""), address)
    return found


def for_jupyter(chapter: Chapter, merged: NotebookNode, setting: Settings) -> NotebookNode:
    """The chapter as a notebook that needs no Sphinx; outputs stay as they are in `merged`."""
    from nbformat import v4

    made = copy.deepcopy(merged)
    made.metadata = {k: v for k, v in merged.metadata.items() if k in ("kernelspec", "language_info")}
    context = directives.Context(chapter.paper, page_address(chapter, setting))
    cells = [v4.new_code_cell(install_source(setting), id="install", metadata={"tags": ["install"]})]
    for cell in made.cells:
        if cell.cell_type == "markdown":
            cell.source = markdown(cell.source, context, setting)
            if not cell.source:
                continue
        elif "solution" in cell.metadata.get("tags", []) or "hide-input" in cell.metadata.get("tags", []):
            cell.metadata["jupyter"] = {"source_hidden": True}
        cells.append(cell)
    made.cells = cells
    return made


def page_address(chapter: Chapter, setting: Settings) -> str:
    return f"{setting.site}/chapters/{chapter.part}/{chapter.slug}.html" if setting.site else ""


def install_source(setting: Settings) -> str:
    """The first cell: nothing where `sharpbook` is there, one `%pip install` where it is not."""
    if not setting.repository:
        return ("import sharpbook  # this book's library; _config.yml names no repository to install it from")
    what = " ".join([f'"sharpbook @ git+{setting.repository}@{setting.branch}"', *(f'"{p}"' for p in setting.pins)])
    return ("# This book's library, where it is not there yet (Colab). Run this cell first.\n"
            "try:\n    import sharpbook\nexcept ImportError:\n"
            f"    %pip install --quiet {what}")


def markdown(text: str, context: directives.Context, setting: Settings) -> str:
    """MyST Markdown as plain Markdown: directives by `press.directives`, roles and labels here."""
    return inline(directives.replace(text, context), setting).strip()


def inline(text: str, setting: Settings) -> str:
    """Roles, targets, comments and links between chapters, outside code."""
    pieces = re.split(r"(^```.*?^```[ \t]*$)", text, flags=re.DOTALL | re.MULTILINE)
    for n in range(0, len(pieces), 2):
        piece = _COMMENT.sub("", _TARGET.sub("", _MATH_LABEL.sub(r"\1", pieces[n])))
        piece = _ROLE.sub(lambda m: _role(m[1], m[3].strip(), setting), piece)
        pieces[n] = _LINK.sub(lambda m: _link(m, setting), piece)
    return re.sub(r"\n{3,}", "\n\n", "".join(pieces))


def _role(name: str, body: str, setting: Settings) -> str:
    titled = re.fullmatch(r"(.*?)\s*<([^<>]+)>", body, flags=re.DOTALL)
    if name == "math":
        return f"${body}$"
    if name.startswith("cite"):
        return _citation(name, [key.strip() for key in body.split(",")], setting)
    if name == "eq":
        return f"equation ({body})"
    if name in ("kbd", "code", "python"):
        return f"`{body}`"
    if name == "doc":
        text, target = (titled[1], titled[2]) if titled else (body.rsplit("/", 1)[-1].replace("-", " "), body)
        address = f"{setting.site}/{target.lstrip('/').removeprefix('../')}.html" if setting.site else ""
        return f"[{text}]({address})" if address else text
    text = titled[1] if titled else body
    return text if titled else text.replace("-", " ")


def _citation(name: str, keys: list[str], setting: Settings) -> str:
    textual = name.endswith((":t", ":ct", ":author"))
    parts = []
    for key in keys:
        short, year, address = setting.bibliography.get(key, (key, "", ""))
        shown = f"{short} ({year})" if textual and year else f"{short}, {year}" if year else short
        parts.append(f"[{shown}]({address})" if address else shown)
    joined = "; ".join(parts)
    return joined if textual else f"({joined})"


def _link(match: re.Match, setting: Settings) -> str:
    text, path, anchor = match[1], match[2], match[3] or ""
    inside = re.fullmatch(r"(?:\.\./([\w-]+)/|\./)?([\w-]+)\.md", path)
    if inside and inside[2] != "index" and text:
        # Chapters lie in the notebooks' branch as they lie in the repository.
        return f"[{text}]({path.removesuffix('.md')}.ipynb)"
    name = path.removesuffix(".md").replace("../", "")
    shown = text or name.rsplit("/", 1)[-1].replace("-", " ")
    return f"[{shown}]({setting.site}/{name}.html{anchor})" if setting.site and "://" not in path else shown
