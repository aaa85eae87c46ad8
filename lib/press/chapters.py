"""Chapters as files: find them, read them, and say in one line what is wrong with them."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from press.layout import Layout
from press.problems import Problem, nearest

if TYPE_CHECKING:
    from nbformat import NotebookNode

PARTS = {
    "step-sizes": "Step sizes",
    "optimizers": "Optimizers",
    "games": "Games and min-max",
    "decisions": "Decisions and markets",
    "privacy": "Learning in private",
    "statistical-limits": "Statistical limits",
    "systems": "Attention, memory, arithmetic",
    "compression": "Smaller models",
    "foundation-models": "Foundation models",
}
PROFILES = ("smoke", "book", "full")
TIME_LIMIT_S = {"smoke": 120.0, "book": 300.0, "full": 24 * 3600.0}
_PAPER = {
    "title": 'the title of the paper, in quotes',
    "authors": 'the authors, such as "Leslie N. Smith"',
    "year": "a year, such as 2017",
    "arxiv": 'the arXiv number in quotes, such as "1506.01186"',
    "bibkey": "its key in book/references.bib, such as smith2017cyclical",
}


@dataclass(frozen=True)
class CodeCell:
    """A code cell of a chapter; `number` counts code cells from 1, as error messages do."""

    number: int
    source: str
    tags: tuple[str, ...]

    @property
    def head(self) -> str:
        """The first line that is not blank."""
        return next((line.strip() for line in self.source.splitlines() if line.strip()), "")


@dataclass(frozen=True)
class Chapter:
    """One chapter as written. Made by `load`, which has checked everything that is read here."""

    path: Path
    shown: str
    notebook: NotebookNode = field(repr=False)
    parameters: dict[str, Any]
    profiles: dict[str, dict[str, Any]]
    time_limits: dict[str, float]

    @property
    def slug(self) -> str:
        return self.path.stem

    @property
    def part(self) -> str:
        return self.path.parent.name

    @property
    def paper(self) -> dict[str, Any]:
        return dict(self.notebook.metadata["paper"])

    @cached_property
    def title(self) -> str:
        for cell in self.notebook.cells:
            if cell.cell_type == "markdown":
                for line in cell.source.splitlines():
                    if line.startswith("# "):
                        return line[2:].strip()
        return self.paper["title"]

    @cached_property
    def code(self) -> tuple[CodeCell, ...]:
        cells = [cell for cell in self.notebook.cells if cell.cell_type == "code"]
        return tuple(CodeCell(n, c.source, tuple(c.metadata.get("tags", []))) for n, c in enumerate(cells, 1))

    def overrides(self, profile: str, seed: int | None = None, given: dict[str, Any] | None = None) -> dict[str, Any]:
        """The parameters that differ from the `parameters` cell: none for the book profile unless a seed is given.

        Raises Problem for an unknown profile or parameter, or a value of another type than the default's.
        """
        if profile not in PROFILES:
            raise Problem(f"unknown profile {profile!r}: choose {nearest('', PROFILES)}")
        chosen = dict(self.profiles.get(profile, {}))
        for name, value in (given or {}).items():
            check_parameter(self.shown, self.parameters, name, value)
            chosen[name] = value
        if seed is not None:
            chosen["SEED"] = seed
        return {name: value for name, value in chosen.items() if value != self.parameters[name]}


def check_parameter(shown: str, parameters: dict[str, Any], name: str, value: Any) -> None:
    """Raise Problem unless `name` is a parameter of the chapter and `value` has the type of its default."""
    if name not in parameters:
        raise Problem(f"{shown}: unknown parameter {name!r}; the parameters cell has {', '.join(parameters)}")
    default = parameters[name]
    both_numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in (default, value))
    if default is not None and not both_numbers and type(value) is not type(default):
        raise Problem(f"{shown}: parameter {name} is {type(default).__name__} (default {default!r}), not {value!r}")
    if isinstance(default, int) and not isinstance(default, bool) and isinstance(value, float) and value % 1:
        raise Problem(f"{shown}: parameter {name} is a whole number (default {default!r}), not {value!r}")


def discover(layout: Layout) -> list[Path]:
    """Files of all chapters, in the order of `_toc.yml`; those it does not list come last, by part and name."""
    found = sorted(p for p in layout.chapters.glob("*/*.md") if p.name != "index.md")
    ranks = {name: rank for rank, name in enumerate(listed(layout))}
    parts = {name: rank for rank, name in enumerate(PARTS)}

    def order(path: Path) -> tuple:
        name = path.relative_to(layout.root).with_suffix("").as_posix()
        return (ranks.get(name, len(ranks)), parts.get(path.parent.name, len(parts)), path.parent.name, path.name)

    ordered = sorted(found, key=order)
    seen: dict[str, Path] = {}
    for path in ordered:
        if path.stem in seen:
            raise Problem(f"two chapters are called {path.stem}: {seen[path.stem]} and {path}; rename one")
        seen[path.stem] = path
    return ordered


def listed(layout: Layout) -> list[str]:
    """Pages that `_toc.yml` names, without suffix, in its order; empty when there is no `_toc.yml`."""
    if not layout.toc.exists():
        return []
    import yaml

    try:
        toc = yaml.safe_load(layout.toc.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise Problem(f"_toc.yml is not YAML: {_one_line(error)}") from None

    def walk(node: Any):
        if isinstance(node, dict):
            if "file" in node:
                yield str(node["file"]).removesuffix(".md").removesuffix(".ipynb")
            if "root" in node:
                yield str(node["root"]).removesuffix(".md")
            for value in node.values():
                yield from walk(value)
        elif isinstance(node, list):
            for value in node:
                yield from walk(value)

    return list(walk(toc))


def find(layout: Layout, slug: str) -> Path:
    """The file of the chapter called `slug`. Raises Problem that names the nearest chapters."""
    paths = {p.stem: p for p in discover(layout)}
    name = Path(slug).stem if slug.endswith(".md") else slug
    if name in paths:
        return paths[name]
    if not paths:
        raise Problem(f"unknown chapter {slug!r}: there are no chapters yet (make new CHAPTER=... PART=...)")
    near = nearest(name, paths)
    raise Problem(f"unknown chapter {slug!r}" + (f": did you mean {near}?" if near else ": `ls chapters/*` lists all"))


def load(layout: Layout, path: Path) -> Chapter:
    """Read and check a chapter.

    Raises Problem, one line naming the file and what would be right, when the front matter or the parameters cell is
    not what the build needs.
    """
    import jupytext

    shown = path.relative_to(layout.root).as_posix() if path.is_relative_to(layout.root) else path.name
    text = path.read_text(encoding="utf-8")
    front = _front_matter(shown, text)
    try:
        notebook = jupytext.reads(text, fmt="md:myst")
    except Exception as error:
        raise Problem(f"{shown}: not a MyST notebook: {_one_line(error)}") from None
    _check_front_matter(shown, front)
    parameters = _parameters(shown, notebook)
    profiles = _profiles(shown, front, parameters)
    return Chapter(path, shown, notebook, parameters, profiles, _time_limits(shown, front))


def load_slug(layout: Layout, slug: str) -> Chapter:
    return load(layout, find(layout, slug))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _front_matter(shown: str, text: str) -> dict[str, Any]:
    import yaml

    lines = text.splitlines()
    if not lines or lines[0].strip() != "---" or "---" not in [line.strip() for line in lines[1:]]:
        raise Problem(f"{shown}: no front matter; the file starts with a line ---, YAML, and a line ---")
    end = next(n for n, line in enumerate(lines[1:], 1) if line.strip() == "---")
    try:
        front = yaml.safe_load("\n".join(lines[1:end]))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 2}" if mark else ""
        why = getattr(error, "problem", None) or _one_line(error)
        raise Problem(f"{shown}: front matter is not YAML{where}: {why}") from None
    if not isinstance(front, dict):
        raise Problem(f"{shown}: front matter must be a YAML mapping with jupytext, kernelspec, paper and profiles")
    return front


def _check_front_matter(shown: str, front: dict[str, Any]) -> None:
    kernelspec = front.get("kernelspec")
    if not isinstance(kernelspec, dict) or kernelspec.get("language") != "python" or not kernelspec.get("name"):
        raise Problem(f"{shown}: front matter needs "
                      "`kernelspec: {name: python3, display_name: Python 3, language: python}`")
    paper = front.get("paper")
    if not isinstance(paper, dict):
        raise Problem(f"{shown}: front matter needs `paper:` with {', '.join(_PAPER)}")
    for name, right in _PAPER.items():
        value = paper.get(name)
        is_text, is_year = isinstance(value, str) and value.strip(), isinstance(value, int) and 1800 < value < 2200
        if not (is_year if name == "year" else is_text):
            found = "is missing" if name not in paper else f"is {value!r}"
            raise Problem(f"{shown}: paper.{name} in the front matter {found}; it should be {right}")


def _profiles(shown: str, front: dict[str, Any], parameters: dict[str, Any]) -> dict[str, dict[str, Any]]:
    profiles = front.get("profiles")
    if not isinstance(profiles, dict):
        raise Problem(f"{shown}: front matter needs `profiles:` with smoke and full, such as smoke: {{n_steps: 40}}")
    for name in ("smoke", "full"):
        if not isinstance(profiles.get(name), dict):
            raise Problem(f"{shown}: profile {name} in the front matter should be a mapping, such as {{n_steps: 40}}")
    for name, values in profiles.items():
        if name not in ("smoke", "full"):
            raise Problem(f"{shown}: unknown profile {name!r} in the front matter; write smoke and full "
                          "(the parameters cell is the book profile)")
        for key, value in values.items():
            check_parameter(f"{shown}, profile {name}", parameters, key, value)
    return {name: dict(values) for name, values in profiles.items()}


def _time_limits(shown: str, front: dict[str, Any]) -> dict[str, float]:
    limits = dict(TIME_LIMIT_S)
    given = front.get("timeout")
    if given is None:
        return limits
    if isinstance(given, bool) or not isinstance(given, int | float) or given <= 0:
        raise Problem(f"{shown}: timeout in the front matter is {given!r}; it should be seconds, such as 600")
    limits["book"] = float(given)
    limits["smoke"] = min(limits["smoke"], float(given))
    return limits


def _parameters(shown: str, notebook: NotebookNode) -> dict[str, Any]:
    tagged = [c for c in notebook.cells if c.cell_type == "code" and "parameters" in c.metadata.get("tags", [])]
    if len(tagged) != 1:
        raise Problem(f"{shown}: exactly one code cell needs the tag parameters, found {len(tagged)}")
    try:
        tree = ast.parse(tagged[0].source)
    except SyntaxError as error:
        raise Problem(f"{shown}: parameters cell, line {error.lineno}: {error.msg}") from None
    values: dict[str, Any] = {}
    for node in tree.body:
        target, value = None, None
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target, value = node.targets[0], node.value
        elif isinstance(node, ast.AnnAssign):
            target, value = node.target, node.value
        if not isinstance(target, ast.Name) or value is None:
            raise Problem(f"{shown}: parameters cell, line {node.lineno}: only plain assignments, "
                          "such as n_steps = 200")
        try:
            values[target.id] = ast.literal_eval(value)
        except ValueError:
            raise Problem(f"{shown}: parameters cell, line {node.lineno}: {target.id} must be a plain literal, "
                          "such as 200, 1e-3 or \"relu\"") from None
    first = next(iter(values), None)
    if first != "SEED" or isinstance(values["SEED"], bool) or not isinstance(values["SEED"], int):
        raise Problem(f"{shown}: the parameters cell starts with SEED = 0, found {first or 'nothing'}")
    return values
