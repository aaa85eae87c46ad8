"""The built site as a whole: its third-party files, its notebooks, its size, its address book."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from urllib.parse import urlsplit

import tinycss2

from press import assets

# What Sphinx and its extensions copy and no page of ours refers to.
_UNUSED = (
    "_sources", ".buildinfo", "genindex.html", "_sphinx_design_static", "_static/doctools.js",
    "_static/sphinx_highlight.js", "_static/pygments.css", "_static/basic.css", "_static/proof.css",
    "_static/exercise.css", "_static/documentation_options.js.map",
)  # fmt: skip
_KEEP_SUFFIX = {".css", ".js", ".woff2", ".txt", ".svg", ".png", ".ico", ".webmanifest"}


def assemble(html: Path, modules: Path, source: Path, base_url: str = "") -> None:
    """Complete a site that Sphinx has just written in `html`; `source` is the staged source it was built from."""
    static = html / "_static"
    pages = {p: p.read_text("utf-8") for p in sorted(html.rglob("*.html"))}
    everything = "\n".join(pages.values())
    assets.copy_fonts(modules, static)
    assets.copy_plotly(modules, static, set(re.findall(r'data-bundle="(\w+)"', everything)))
    if "katex.css" in everything:
        assets.copy_katex(modules, static)
        sheet = static / "katex" / "katex.css"
        sheet.write_text(purge(sheet.read_text("utf-8"), used_classes(everything)), "utf-8")
        _drop_fonts(sheet)
    _copy_notebooks(html, source)
    _remove_unused(html)
    _not_found(html / "404.html", base_url)
    if base_url:
        _sitemap(html, pages, base_url)


def finish(html_dir: str | Path) -> None:
    """Checks on a finished site. Raises ValueError with one line per page that asks another host for something."""
    problems = [f"{page}: asks for {url}" for page, url in foreign_requests(Path(html_dir))]
    if problems:
        raise ValueError("\n".join(problems))


def used_classes(html: str) -> set[str]:
    """Every class name that occurs in class attributes."""
    return {name for value in re.findall(r'class="([^"]*)"', html) for name in value.split()}


def purge(css: str, used: set[str]) -> str:
    """`css` without the rules whose selectors all need a class that is not in `used`."""
    kept = []
    for rule in tinycss2.parse_stylesheet(css, skip_comments=True, skip_whitespace=True):
        if rule.type == "qualified-rule":
            selectors = tinycss2.serialize(rule.prelude).split(",")
            live = [s for s in selectors if set(re.findall(r"\.([\w-]+)", s)) <= used]
            if live:
                kept.append(f"{','.join(s.strip() for s in live)}{{{tinycss2.serialize(rule.content)}}}")
        else:
            kept.append(rule.serialize())
    return "".join(kept)


def _drop_fonts(sheet: Path) -> None:
    """Delete KaTeX's faces that the purged sheet no longer asks for, with their @font-face rules."""
    css = sheet.read_text("utf-8")
    rules = tinycss2.parse_stylesheet(css, skip_comments=True, skip_whitespace=True)
    bodies = "".join(r.serialize() for r in rules if r.type == "qualified-rule")
    kept = []
    for rule in rules:
        text = rule.serialize()
        if rule.type == "at-rule" and rule.at_keyword == "font-face":
            family = re.search(r'font-family:"?([\w]+)', text)[1]
            if family not in bodies:
                for name in re.findall(r"fonts/([\w-]+\.woff2)", text):
                    (sheet.parent / "fonts" / name).unlink(missing_ok=True)
                continue
        kept.append(text)
    sheet.write_text("".join(kept), "utf-8")


def _copy_notebooks(html: Path, source: Path) -> None:
    """Put the notebooks that readers download beside the pages; the staged ones where no others are built."""
    built = source.parent / "notebooks"
    target = html / "notebooks"
    shutil.rmtree(target, ignore_errors=True)
    origin = built if built.is_dir() and any(built.rglob("*.ipynb")) else source / "chapters"
    for notebook in sorted(origin.glob("*/*.ipynb")) if origin.is_dir() else []:
        copy = target / notebook.relative_to(origin)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(notebook, copy)


def _remove_unused(html: Path) -> None:
    for name in _UNUSED:
        path = html / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    for path in (html / "_static").glob("mystnb.*.css"):
        path.unlink()
    for path in (html / "_static").glob("*.png"):
        path.unlink()


def _not_found(page: Path, base_url: str) -> None:
    """A server shows 404.html at any depth, so its relative addresses start from the site's root."""
    if not page.is_file():
        return
    root = (urlsplit(base_url).path.rstrip("/") if base_url else "") + "/"
    script = (
        f'<script>if(location.protocol!="file:")document.write("<base href=\\""+'
        f'(location.pathname.startsWith("{root}")?"{root}":"/")+"\\">")</script>'
    )
    text = page.read_text("utf-8")
    if "document.write" not in text:
        page.write_text(text.replace("<head>", f"<head>{script}", 1), "utf-8")


def _sitemap(html: Path, pages: dict[Path, str], base_url: str) -> None:
    base = base_url.rstrip("/")
    urls = [p.relative_to(html).as_posix() for p in pages if p.name not in ("404.html", "search.html", "genindex.html")]
    lines = "".join(f"<url><loc>{base}/{u}</loc></url>" for u in urls)
    (html / "sitemap.xml").write_text(
        f'<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{lines}</urlset>\n',
        "utf-8",
    )


_LOADS = re.compile(
    r"""<(?:script|img|iframe|source|audio|video|embed|link(?![^>]*rel="(?:canonical|next|prev)"))\b[^>]*?
        \b(?:src|href|srcset)="((?:https?:)?//[^"]+)" """.rstrip(),
    re.VERBOSE,
)


def foreign_requests(html: Path) -> list[tuple[str, str]]:
    """(page, address) of everything that opening a page would ask another host for; links are not requests."""
    found = []
    for page in sorted(html.rglob("*.html")):
        found += [(page.relative_to(html).as_posix(), url) for url in _LOADS.findall(page.read_text("utf-8"))]
    for sheet in sorted(html.rglob("*.css")):
        text = sheet.read_text("utf-8")
        found += [
            (sheet.relative_to(html).as_posix(), u) for u in re.findall(r"url\(['\"]?((?:https?:)?//[^)]+)", text)
        ]
    return found


def staged_toc(toc: dict, existing: set[str]) -> dict:
    """`_toc.yml` without the pages that are not there (yet). `existing` holds page names without suffix."""

    def keep(entries: list[dict]) -> list[dict]:
        kept = []
        for entry in entries:
            if "file" in entry and re.sub(r"\.(md|ipynb)$", "", entry["file"]) not in existing:
                # Chapters of a part whose page is missing stay in the book, one level up.
                kept += keep(entry.get("sections", []))
                continue
            entry = dict(entry)
            for key in ("sections", "chapters"):
                if key in entry:
                    entry[key] = keep(entry[key])
                    if not entry[key]:
                        del entry[key]
            kept.append(entry)
        return kept

    staged = dict(toc)
    if "parts" in staged:
        parts = [{**p, "chapters": keep(p.get("chapters", []))} for p in staged["parts"]]
        staged["parts"] = [p for p in parts if p["chapters"]]
    if "chapters" in staged:
        staged["chapters"] = keep(staged["chapters"])
    return staged
