"""Mathematics as static HTML: KaTeX runs once at build time, in one Node.js process, and remembers what it set."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
from html import escape
from pathlib import Path

from docutils import nodes
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

from press import assets

logger = logging.getLogger(__name__)
# Environments that number themselves; Sphinx does the numbering here, so that {eq} and the page agree.
_NUMBERED = re.compile(r"\\(begin|end)\{(equation|align|alignat|gather)\}")


class MathError(ValueError):
    """KaTeX could not parse a formula."""


class Typesetter:
    """Turns TeX into HTML with MathML, through a cache file keyed on KaTeX's version, macros and the formula."""

    def __init__(self, cache: Path, macros: dict[str, str]) -> None:
        self.cache, self.macros = Path(cache), dict(macros)
        self._store: dict[str, str] | None = None
        self._used: dict[str, str] = {}
        self._process: subprocess.Popen | None = None
        self._owner = 0

    @property
    def _file(self) -> Path:
        return self.cache / "katex.json"

    def _salt(self) -> str:
        lock = (assets.NODE / "package-lock.json").read_bytes()
        return hashlib.sha256(lock + json.dumps(self.macros, sort_keys=True).encode()).hexdigest()

    def render(self, tex: str, display: bool) -> str:
        """HTML of one formula. Raises MathError with KaTeX's message for one that it cannot parse."""
        if self._store is None:
            self._key_salt = self._salt()
            try:
                self._store = json.loads(self._file.read_text("utf-8"))
            except (OSError, ValueError):
                self._store = {}
        key = hashlib.sha256(f"{self._key_salt}|{display}|{tex}".encode()).hexdigest()[:32]
        if key not in self._store:
            answer = self._ask({"tex": tex, "display": display, "macros": self.macros})
            if "error" in answer:
                raise MathError(answer["error"])
            self._store[key] = answer["html"]
        self._used[key] = self._store[key]
        return self._store[key]

    def _ask(self, question: dict) -> dict:
        # A forked writer must not share its parent's pipes.
        if self._process is None or self._owner != os.getpid():
            modules = assets.node_modules(self.cache)
            self._process = subprocess.Popen(
                [str(assets.node_binary()), str(assets.NODE / "katex_server.js"), str(modules / "katex")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                encoding="utf-8",
            )
            self._owner = os.getpid()
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise MathError("KaTeX's process ended without an answer")
        return json.loads(line)

    def close(self) -> None:
        """End the process and write the cache, atomically."""
        if self._process is not None and self._owner == os.getpid():
            self._process.stdin.close()
            self._process.wait(timeout=10)
            self._process.stdout.close()
            self._process = None
        if self._used:
            self.cache.mkdir(parents=True, exist_ok=True)
            temporary = self._file.with_suffix(f".{os.getpid()}.tmp")
            temporary.write_text(json.dumps((self._store or {}) | self._used), "utf-8")
            temporary.replace(self._file)


def display_tex(text: str, nowrap: bool) -> str:
    """The formula of a math block as one that KaTeX takes: parts split by blank lines are aligned below one another."""
    if nowrap:
        return _NUMBERED.sub(r"\\\1{\2*}", text)
    parts = [part.strip() for part in re.split(r"\n\s*\n", text) if part.strip()]
    parts = [rf"\begin{{split}}{p}\end{{split}}" if r"\\" in p and r"\begin{" not in p else p for p in parts]
    if len(parts) == 1:
        return _NUMBERED.sub(r"\\\1{\2*}", parts[0])
    return r"\begin{aligned}" + r"\\".join(parts) + r"\end{aligned}"


def _html(translator, node: nodes.Node, tex: str, display: bool) -> str:
    typesetter: Typesetter = translator.builder.env.app.press_typesetter
    try:
        return typesetter.render(tex, display)
    except MathError as error:
        shown = " ".join(tex.split())
        logger.warning("KaTeX cannot set %s: %s", shown, error, location=node, type="press", subtype="math")
        return f"<code>{escape(tex)}</code>"


def visit_math(self, node: nodes.math) -> None:
    self.body.append(f'<span class="math">{_html(self, node, node.astext(), False)}</span>')
    raise nodes.SkipNode


def visit_math_block(self, node: nodes.math_block) -> None:
    html = _html(self, node, display_tex(node.astext(), bool(node.get("nowrap"))), True)
    self.body.append(self.starttag(node, "div", CLASS="math"))
    self.body.append(f'<div class="eq" tabindex="0">{html}</div>')
    if node.get("number"):
        number = get_node_equation_number(self, node)
        self.body.append(f'<span class="eqno">({number})')
        self.add_permalink_ref(node, "Link to this equation")
        self.body.append("</span>")
    self.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app) -> None:
    """Register the renderer `press` and the option `katex_macros` ({"\\\\R": "\\\\mathbb{R}"})."""
    app.add_config_value("katex_macros", {}, "html", dict)
    app.add_html_math_renderer("press", (visit_math, None), (visit_math_block, None))
    app.connect("builder-inited", _start)
    app.connect("build-finished", _finish)


def _start(app) -> None:
    app.press_typesetter = Typesetter(assets.cache_dir(Path(app.srcdir)), app.config.katex_macros)


def _finish(app, exception) -> None:
    app.press_typesetter.close()
