"""Small books in scratch folders: real chapters, real builds, no torch."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from press.layout import Layout

ROOT = Path(__file__).resolve().parents[2]

FRONT = """---
jupytext: {{text_representation: {{extension: .md, format_name: myst}}}}
kernelspec: {{name: python3, display_name: Python 3, language: python}}
paper: {{title: "On {slug}", authors: "A. Author", year: 2017, arxiv: "1506.01186", bibkey: author2017}}
profiles:
  smoke: {{n: 2}}
  full: {{n: 2000}}
{extra}---

# {title}

```{{code-cell}}
:tags: [parameters]

SEED = 0   # seed
n = 20     # how many
```

```{{code-cell}}
:tags: [imports]

{imports}
```
"""
GOOD = """
A paragraph before.

Some prose about $x^2$.

```{code-cell}
print(sum(range(n)), SEED)
```

```{code-cell}
ratio = sum(range(n)) * 2 / (n * (n - 1))
claim("sum", "Gauss added them in his head", source="ours", measured=ratio, between=(0.9, 1.1))
```
"""


@dataclass(frozen=True)
class MiniBook:
    """A book of a few tiny chapters in a scratch folder."""

    root: Path

    @property
    def layout(self) -> Layout:
        return Layout(self.root)

    def chapter(self, slug: str, body: str = GOOD, *, part: str = "systems", extra: str = "",
                imports: str = "from sharpbook.claims import claim", title: str = "") -> Path:
        """Write a chapter and return its path; `extra` is front matter, whole lines."""
        path = self.root / "chapters" / part / f"{slug}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        front = FRONT.format(slug=slug, title=title or slug.capitalize(), extra=extra, imports=imports)
        path.write_text(front + body, encoding="utf-8")
        return path

    def toc(self, *slugs: str, part: str = "systems") -> None:
        lines = ["format: jb-book", "root: index", "chapters:", *(f"  - file: chapters/{part}/{s}" for s in slugs)]
        (self.root / "_toc.yml").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def start(self, *args: str, **env: str) -> subprocess.Popen:
        """`press ARGS` at the root of the book, in a process group of its own."""
        return subprocess.Popen([sys.executable, "-m", "press", *args], cwd=self.root, env={**os.environ, **env},
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
                                # A shell's background jobs ignore SIGINT and pass that on; a terminal's do not.
                                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))

    def press(self, *args: str, **env: str) -> tuple[int, str]:
        """Exit code and everything said."""
        process = self.start(*args, **env)
        said, _ = process.communicate(timeout=240)
        return process.returncode, said

    def records(self, slug: str) -> list[Path]:
        return sorted((self.root / "_build" / "exec" / slug).glob("*/record.json"))


def make_book(root: Path) -> MiniBook:
    (root / "chapters").mkdir(parents=True)
    library = root / "lib" / "sharpbook"
    library.mkdir(parents=True)
    for name in ("claims.py", "exercises.py"):
        shutil.copy(ROOT / "lib" / "sharpbook" / name, library / name)
    (library / "__init__.py").write_text("", encoding="utf-8")
    (library / "left.py").write_text("from sharpbook import deep\n\nvalue = deep.value\n", encoding="utf-8")
    (library / "right.py").write_text("value = 2\n", encoding="utf-8")
    (library / "deep.py").write_text("value = 1\n", encoding="utf-8")
    (root / "requirements.txt").write_text("numpy==1.0  # a reason\n", encoding="utf-8")
    shutil.copy(ROOT / "Snakefile", root / "Snakefile")
    return MiniBook(root)


def add_site(book: MiniBook) -> None:
    """The real site step: this repository's settings on a cover page and a bibliography."""
    shutil.copy(ROOT / "_config.yml", book.root / "_config.yml")
    pages = book.root / "book"
    pages.mkdir()
    (pages / "index.md").write_text("# A small book\n\nIts cover.\n", encoding="utf-8")
    (pages / "references.bib").write_text(
        "@article{author2017, author={Author, Ann}, title={On things}, journal={Journal}, year={2017}}\n", "utf-8")
