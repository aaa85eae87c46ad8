"""The book as a graph: which runs exist for the sources as they are now, and the key of the site made from them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from press import chapters
from press.execute import job_of
from press.keys import Run, Sources, plan
from press.layout import Layout, read_json, write_json
from press.problems import Problem

PACKAGE = Path(__file__).resolve().parent


@dataclass
class Plan:
    """What a build has to do. `problems` are one line each; with any, there is no site to build."""

    layout: Layout
    profile: str
    seed: int | None
    runs: list[Run] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    unlisted: list[str] = field(default_factory=list)
    site_key: str = ""

    @property
    def in_place(self) -> bool:
        """Whether the site that is shown was made from the sources as they are now."""
        shown = self.layout.html.resolve()
        return shown.name.startswith(self.site_key[:12]) and (shown / "index.html").exists()

    @property
    def site_stamp(self) -> Path:
        return self.layout.build / "stamps" / f"site-{self.site_key[:12]}.json"

    @property
    def staged_stamp(self) -> Path:
        return self.layout.build / "stamps" / f"staged-{self.site_key[:12]}.json"


def make(layout: Layout, profile: str = "book", seed: int | None = None) -> Plan:
    """Read every chapter of the book and plan its run. A chapter that cannot be read is a problem, not the end."""
    made = Plan(layout, profile, seed)
    sources = Sources(layout)
    listed = set(chapters.listed(layout))
    for path in chapters.discover(layout):
        name = path.relative_to(layout.root).with_suffix("").as_posix()
        if listed and name not in listed:
            made.unlisted.append(name)
            continue
        try:
            made.runs.append(plan(layout, sources, chapters.load(layout, path), profile, seed))
        except Problem as problem:
            made.problems.append(str(problem))
    made.site_key = _site_key(made, sources)
    return made


def _site_key(made: Plan, sources: Sources) -> str:
    layout = made.layout
    digest = hashlib.sha256()
    files = [run.chapter.path for run in made.runs] + sorted(layout.chapters.glob("*/index.md"))
    files += [layout.config, layout.toc, *walk(layout.book), *walk(PACKAGE)]
    for path in files:
        if path.exists():
            base = PACKAGE.parent if path.is_relative_to(PACKAGE) else layout.root
            digest.update(f"{path.relative_to(base).as_posix()}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    for line in [*sources.requirements, *(run.key for run in made.runs), made.profile]:
        digest.update(line.encode() + b"\0")
    return digest.hexdigest()


def walk(folder: Path) -> list[Path]:
    """All files below `folder` that are source: nothing hidden, no caches."""
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.rglob("*") if p.is_file()
                  and not any(part.startswith(".") or part in ("__pycache__", "node_modules")
                              for part in p.relative_to(folder).parts)
                  and p.suffix not in (".pyc", ".ipynb"))


def job_file(layout: Layout, run: Run) -> Path:
    """The file that tells a job which run to make, written when it is not there."""
    path = layout.build / "jobs" / f"{run.slug}-{run.folder.name}.json"
    job = {**job_of(run), "time_limit_s": run.time_limit_s}
    if read_json(path) != job:
        write_json(path, job)
    return path


def estimates(layout: Layout, runs: Iterable[Run]) -> dict[str, float]:
    """Seconds that each chapter took when it was last executed, whatever its key was then; 0 when never."""
    found: dict[str, float] = {}
    for run in runs:
        records: list[dict[str, Any]] = [r for r in map(read_json, (layout.runs / run.slug).glob(
            f"{run.profile}-*/record.json")) if r]
        latest = max(records, key=lambda r: r["started"], default=None)
        found[run.slug] = latest["wall_s"] if latest else 0.0
    return found
