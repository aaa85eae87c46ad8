"""Where everything lies, relative to the root of the book, and how files come into being: whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Layout:
    """Paths of a book whose root is the folder with `_config.yml` and `chapters/`."""

    root: Path

    @property
    def chapters(self) -> Path:
        return self.root / "chapters"

    @property
    def lib(self) -> Path:
        return self.root / "lib"

    @property
    def requirements(self) -> Path:
        return self.root / "requirements.txt"

    @property
    def config(self) -> Path:
        return self.root / "_config.yml"

    @property
    def toc(self) -> Path:
        return self.root / "_toc.yml"

    @property
    def book(self) -> Path:
        return self.root / "book"

    @property
    def build(self) -> Path:
        return self.root / "_build"

    @property
    def runs(self) -> Path:
        return self.build / "exec"

    @property
    def staged(self) -> Path:
        return self.build / "src"

    @property
    def html(self) -> Path:
        """The site in place: a link to one folder below `sites`, so that replacing it is one rename."""
        return self.build / "html"

    @property
    def sites(self) -> Path:
        return self.build / "sites"

    @property
    def notebooks(self) -> Path:
        return self.build / "notebooks"

    @property
    def scratch(self) -> Path:
        """Half-written things; nothing below it is ever taken for a result."""
        return self.build / "tmp"

    def new_scratch(self, prefix: str) -> Path:
        self.scratch.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=f"{prefix}-", dir=self.scratch))


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` so that a reader, or a build killed half-way, sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.write(text)
        # mkstemp gives 0600; a published file is readable like any other.
        umask = os.umask(0)
        os.umask(umask)
        Path(name).chmod(0o666 & ~umask)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_json(path: Path, data: Any) -> None:
    write_text(path, json.dumps(data, indent=1, ensure_ascii=False, sort_keys=False) + "\n")


def read_json(path: Path) -> Any | None:
    """The content of a JSON file, or None when it is missing or not whole."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def write_if_changed(path: Path, text: str) -> bool:
    """Write only what differs, so that file times mean something to Sphinx. True when written."""
    try:
        if path.read_text(encoding="utf-8") == text:
            return False
    except (OSError, UnicodeDecodeError):
        pass
    write_text(path, text)
    return True
