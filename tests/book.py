"""What tests of chapters share: the chapters as parsed, and a chapter's public names without its experiments."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from types import ModuleType, SimpleNamespace

from press.chapters import Chapter, discover, load
from press.layout import Layout

ROOT = Path(__file__).resolve().parents[1]
LAYOUT = Layout(ROOT)


@cache
def chapters() -> dict[str, Chapter]:
    """All chapters by slug, in the order of the book."""
    return {path.stem: load(LAYOUT, path) for path in discover(LAYOUT)}


def cells(slug: str, *tags: str) -> list:
    """The code cells of a chapter that carry any of `tags`, in order."""
    return [cell for cell in chapters()[slug].code if set(tags) & set(cell.tags)]


@cache
def names(slug: str) -> SimpleNamespace:
    """The names that a chapter defines in its cells tagged `imports` and `algorithm`, run in an empty namespace."""
    module = ModuleType(f"chapter_{slug.replace('-', '_')}")
    sys.modules[module.__name__] = module  # dataclasses and pickle look their module up
    for cell in cells(slug, "imports", "algorithm"):
        # A notebook cell does not see this file's __future__ imports.
        code = compile(cell.source, f"{slug}, code cell {cell.number}", "exec", dont_inherit=True)
        exec(code, module.__dict__)
    return SimpleNamespace(**{k: v for k, v in vars(module).items() if not k.startswith("__")})
