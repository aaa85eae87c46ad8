"""Execution keys: two runs with the same key print the same, so the second need not happen.

A key covers the code cells (source and tags), the `sharpbook` modules that they import, directly or through one
another, the pinned requirements, Python's minor version, and the parameters that differ from the parameters cell. Prose
is not in it.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from press.chapters import Chapter
from press.layout import Layout

PACKAGE = "sharpbook"


def requirement_lines(text: str) -> list[str]:
    """The lines of a requirements file that mean something: no comments, no blanks, sorted, spaces dropped."""
    lines = (re.sub(r"(^|\s)#.*", "", line) for line in text.splitlines())
    return sorted({re.sub(r"\s+", "", line) for line in lines if line.strip()})


def imported_modules(source: str, package: str = PACKAGE, within: str | None = None) -> set[str] | None:
    """Names below `package` that `source` may import, such as `sharpbook.claims`; None when it is not Python.

    `from sharpbook import figures` yields both `sharpbook` and `sharpbook.figures`, and the caller keeps those that
    are modules. `within` is the module that holds `source`, to resolve relative imports.
    """
    # IPython's magics are no Python; a line of them imports nothing of ours.
    plain = "\n".join("pass" if line.startswith(("%", "!")) else line for line in source.splitlines())
    try:
        tree = ast.parse(plain)
    except SyntaxError:
        return None
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                if within is None:
                    continue
                stem = within.split(".")[: len(within.split(".")) - node.level]
                base = ".".join([*stem, *([node.module] if node.module else [])])
            names.add(base)
            names.update(f"{base}.{alias.name}" for alias in node.names)
    return {name for name in names if name == package or name.startswith(package + ".")}


@dataclass
class Sources:
    """What the keys of all chapters have in common, read once."""

    layout: Layout
    _files: dict[str, Path] = field(init=False)
    _direct: dict[str, set[str]] = field(init=False, default_factory=dict)
    _digests: dict[str, str] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        package = self.layout.lib / PACKAGE
        self._files = {}
        for path in package.rglob("*.py"):
            parts = path.relative_to(self.layout.lib).with_suffix("").parts
            self._files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
        text = self.layout.requirements.read_text(encoding="utf-8") if self.layout.requirements.exists() else ""
        self.requirements = requirement_lines(text)

    def closure(self, names: Iterable[str]) -> list[str]:
        """All modules of the package that importing `names` executes, sorted."""
        todo, seen = list(names), set()
        while todo:
            name = todo.pop()
            # Importing a.b.c executes a and a.b first.
            while name not in self._files and "." in name:
                name = name.rpartition(".")[0]
            if name in seen or name not in self._files:
                continue
            seen.add(name)
            if "." in name:
                todo.append(name.rpartition(".")[0])
            todo.extend(self._imports_of(name))
        return sorted(seen)

    def _imports_of(self, name: str) -> set[str]:
        if name not in self._direct:
            path = self._files[name]
            within = f"{name}.__init__" if path.name == "__init__.py" else name
            found = imported_modules(path.read_text(encoding="utf-8"), within=within)
            self._direct[name] = set(self._files) if found is None else found
        return self._direct[name]

    def digest(self, name: str) -> str:
        if name not in self._digests:
            self._digests[name] = hashlib.sha256(self._files[name].read_bytes()).hexdigest()
        return self._digests[name]

    def modules(self, chapter: Chapter) -> list[str]:
        """The `sharpbook` modules that a chapter stands on."""
        names: set[str] = set()
        for cell in chapter.code:
            found = imported_modules(cell.source)
            names |= set(self._files) if found is None else found
        return self.closure(names)


def execution_key(chapter: Chapter, sources: Sources, overrides: dict[str, Any]) -> str:
    """SHA-256, in hexadecimal, of everything that can change what the chapter prints."""
    content = {
        "cells": [[cell.source, sorted(cell.tags)] for cell in chapter.code],
        "modules": {name: sources.digest(name) for name in sources.modules(chapter)},
        "requirements": sources.requirements,
        "python": list(sys.version_info[:2]),
        "parameters": overrides,
        "seed": overrides.get("SEED", chapter.parameters["SEED"]),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Run:
    """One execution of a chapter: which parameters, and the folder that holds its results."""

    chapter: Chapter
    profile: str
    overrides: dict[str, Any]
    key: str
    folder: Path

    @property
    def seed(self) -> int:
        return self.overrides.get("SEED", self.chapter.parameters["SEED"])

    @property
    def slug(self) -> str:
        return self.chapter.slug

    @property
    def time_limit_s(self) -> float:
        return self.chapter.time_limits[self.profile]


def plan(layout: Layout, sources: Sources, chapter: Chapter, profile: str = "book", seed: int | None = None,
         given: dict[str, Any] | None = None) -> Run:
    """The run of a chapter for a profile and seed. Raises Problem when profile or parameters are unknown."""
    overrides = chapter.overrides(profile, seed, given)
    key = execution_key(chapter, sources, overrides)
    shown_seed = overrides.get("SEED", chapter.parameters["SEED"])
    return Run(chapter, profile, overrides, key, layout.runs / chapter.slug / f"{profile}-{shown_seed}-{key[:12]}")
