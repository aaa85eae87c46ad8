"""`make new`: a chapter that runs from its first minute, with every section, tag and directive in its place."""

from __future__ import annotations

import datetime
import re
from importlib import resources

from press import chapters
from press.layout import Layout, write_text
from press.problems import Problem, nearest


def new(layout: Layout, slug: str, part: str) -> int:
    """Write `chapters/<part>/<slug>.md` and say what remains to be done. Raises Problem for a bad or taken name."""
    if not slug or not part:
        raise Problem("which chapter, in which part? make new CHAPTER=<slug> PART=<part>; parts: "
                      + ", ".join(chapters.PARTS))
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", slug) or slug == "index":
        raise Problem(f"CHAPTER={slug} is not a slug; use lower-case words joined by hyphens, such as online-softmax")
    if part not in chapters.PARTS:
        near = nearest(part, chapters.PARTS) or ", ".join(chapters.PARTS)
        raise Problem(f"unknown PART={part}; choose {near}")
    taken = next((p for p in chapters.discover(layout) if p.stem == slug), None)
    if taken is not None:
        raise Problem(f"{taken.relative_to(layout.root)} exists already; choose another slug")
    path = layout.chapters / part / f"{slug}.md"
    write_text(path, text(slug))
    bibkey = slug.replace("-", "_")
    print(f"wrote {path.relative_to(layout.root)}: a toy that runs; `make chapter CHAPTER={slug}` executes it\n"
          f"then\n"
          f"  add to _toc.yml, below chapters/{part}/index:   - file: chapters/{part}/{slug}\n"
          f"  add to book/references.bib:                     @article{{{bibkey}, ...}}\n"
          f"  list its public names in tests/contract/public_names.json, and replace every TODO")
    if not (layout.chapters / part / "index.md").exists():
        print(f"  write chapters/{part}/index.md: what the part {chapters.PARTS[part]!r} is about")
    return 0


def text(slug: str) -> str:
    """The template with the names of a chapter filled in."""
    template = resources.files("press").joinpath("template.md").read_text(encoding="utf-8")
    title = slug.replace("-", " ").capitalize()
    names = {"@TITLE@": title, "@SLUG@": slug, "@BIBKEY@": slug.replace("-", "_"),
             "@YEAR@": str(datetime.date.today().year)}
    return re.sub("|".join(names), lambda m: names[m[0]], template)
