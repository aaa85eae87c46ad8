"""From finished runs to the site in place: stage the sources, let Jupyter Book build them, replace the site at once."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from press import graph, judge, notebooks, report
from press.execute import require_executed
from press.layout import Layout, read_json, write_if_changed, write_json


def stage(plan: graph.Plan) -> list[str]:
    """Bring `_build/src` and `_build/notebooks` up to date; returns problems, one line each, and then stages nothing.

    A file whose content stays the same keeps its time, so that Sphinx reads again only what changed.
    """
    states = [report.status(run) for run in plan.runs]
    problems = [*plan.problems, *(line for state in states for line in state["problems"])]
    problems += [f"{s['run'].slug}: its code changed while the build was running; run the build again"
                 for s in states if not s["nbval"] and not s["problems"]]
    if problems:
        return problems
    layout, staged = plan.layout, plan.layout.staged
    merged = {run.slug: notebooks.merge(run.chapter, require_executed(run.folder)) for run in plan.runs}
    texts = {staged / "chapters" / run.chapter.part / f"{run.slug}.ipynb": notebooks.dump(merged[run.slug])
             for run in plan.runs}
    plain = _plain_notebooks(plan, merged)
    data = staged / "_data" / "chapters.json"
    write_if_changed(data, _json([_entry(n, state) for n, state in enumerate(states)]))
    copies = _copies(layout)
    for path, text in {**texts, **plain}.items():
        write_if_changed(path, text)
    for target, source in copies.items():
        if not target.exists() or target.read_bytes() != source.read_bytes():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    toc = _staged_toc(layout, {p.relative_to(staged).with_suffix("").as_posix() for p in [*texts, *copies]})
    if toc is not None:
        write_if_changed(staged / "_toc.yml", toc)
    _remove_others(staged, {data, staged / "_toc.yml", *texts, *copies})
    _remove_others(layout.notebooks, set(plain))
    return []


def _json(data: Any) -> str:
    return json.dumps(data, indent=1, ensure_ascii=False) + "\n"


def _entry(order: int, state: dict[str, Any]) -> dict[str, Any]:
    """What the directives on the pages know about a chapter (`_data/chapters.json`)."""
    run = state["run"]
    return {"slug": run.slug, "part": run.chapter.part, "title": run.chapter.title, "paper": run.chapter.paper,
            "record": state["record"], "claims": state["claims"], "exercises": state["exercises"],
            "key": run.key, "order": order}


def _copies(layout: Layout) -> dict[Path, Path]:
    """Staged file -> source file, for everything that is copied as it is."""
    copies = {layout.staged / p.relative_to(layout.root): p for p in layout.chapters.glob("*/index.md")}
    copies.update({layout.staged / p.relative_to(layout.book): p for p in graph.walk(layout.book)})
    if layout.config.exists():
        copies[layout.staged / "_config.yml"] = layout.config
    return copies


def _staged_toc(layout: Layout, existing: set[str]) -> str | None:
    import yaml

    if not layout.toc.exists():
        return None
    toc = yaml.safe_load(layout.toc.read_text(encoding="utf-8"))
    if importlib.util.find_spec("press.site") is not None:
        from press import site

        if hasattr(site, "staged_toc"):
            toc = site.staged_toc(toc, existing)
    return yaml.safe_dump(toc, sort_keys=False, allow_unicode=True)


def _remove_others(folder: Path, keep: set[Path]) -> None:
    if not folder.is_dir():
        return
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_file() and path not in keep:
            path.unlink()
        elif path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def _plain_notebooks(plan: graph.Plan, merged: dict[str, Any]) -> dict[Path, str]:
    from press import plain

    setting = plain.settings(plan.layout)
    return {plan.layout.notebooks / run.chapter.part / f"{run.slug}.ipynb":
            notebooks.dump(plain.for_jupyter(run.chapter, merged[run.slug], setting)) for run in plan.runs}


def site(layout: Layout, key: str) -> tuple[float, list[str]]:
    """Build the staged source, whose key is `key`, and put the result in place.

    Returns (seconds, problems); with problems, the site in place has not been touched.
    """
    started = time.monotonic()
    problems = _build(layout)
    if not problems:
        folder = layout.new_scratch("site") / "html"
        shutil.copytree(_sphinx_output(layout), folder)
        problems = _hook(folder) or _look(folder)
        if not problems:
            put_in_place(layout, key, folder)
        shutil.rmtree(folder.parent, ignore_errors=True)
    return time.monotonic() - started, problems


def _work(layout: Layout) -> Path:
    return layout.build / "sphinx"


def _sphinx_output(layout: Layout) -> Path:
    return _work(layout) / "_build" / "html"


def _build(layout: Layout) -> list[str]:
    """Jupyter Book over what changed since the last good build; from nothing without one, or when that fails."""
    work = _work(layout)
    fingerprint = {"whole": _fingerprint(layout)}
    fresh = read_json(work / "good.json") != fingerprint
    if fresh:
        shutil.rmtree(work, ignore_errors=True)
    # Until this build is known to be good, the next one may not build upon it.
    (work / "good.json").unlink(missing_ok=True)
    problems = _jupyter_book(layout)
    if problems and not fresh:
        shutil.rmtree(work, ignore_errors=True)
        problems = _jupyter_book(layout)
    if not problems:
        write_json(work / "good.json", fingerprint)
    return problems


def _fingerprint(layout: Layout) -> str:
    """Hash of what every page shows: settings, order, titles, our own Sphinx code. When it changes, all is rebuilt."""
    digest = hashlib.sha256()
    for path in [layout.staged / "_config.yml", layout.staged / "_toc.yml", layout.requirements,
                 *graph.walk(graph.PACKAGE)]:
        digest.update(path.read_bytes() if path.exists() else b"")
    for chapter in read_json(layout.staged / "_data" / "chapters.json") or []:
        digest.update(f"{chapter['slug']}\0{chapter['title']}\0".encode())
    for path in sorted(layout.staged.rglob("*.md")):
        lines = path.read_text(encoding="utf-8").splitlines()
        digest.update(next((line for line in lines if line.startswith("# ")), "").encode())
    return digest.hexdigest()


def _jupyter_book(layout: Layout) -> list[str]:
    """Run `jupyter-book build -n -W --keep-going`; its warnings and errors, one line each."""
    log = layout.build / "log" / "jupyter-book.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    env = {**os.environ, "PYTHONNOUSERSITE": "1", "PYTHONHASHSEED": "0", "PYTHONPATH": str(layout.lib.resolve()),
           "JUPYTER_PREFER_ENV_PATH": "1", "JUPYTER_PLATFORM_DIRS": "1", "NO_COLOR": "1"}
    with log.open("w", encoding="utf-8") as out:
        code = subprocess.run(
            [sys.executable, "-c", "from jupyter_book.cli.main import main; main()", "build",
             str(layout.staged.resolve()), "--path-output", str(_work(layout).resolve()),
             "-n", "-W", "--keep-going", "-q"],
            cwd=layout.root, env=env, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL).returncode
    if code == 0 and (_sphinx_output(layout) / "index.html").exists():
        return []
    return problems_in(layout, log.read_text(encoding="utf-8", errors="replace"))


def problems_in(layout: Layout, said: str) -> list[str]:
    """The warnings and errors in what Jupyter Book said, at least one, each with file and line of the source."""
    text = judge.plain(said).replace(f"{layout.staged.resolve()}/", "")
    lines = [line.strip() for line in text.splitlines()]
    found = [line for line in lines if re.search(r"\b(WARNING|ERROR|CRITICAL)\b", line)
             and "warnings are treated as errors" not in line.lower()]
    if not found:
        # An exception: its own line says more than the box that Jupyter Book draws around it.
        found = [line for line in lines if re.match(r"[\w.]*(Error|Exception|Interrupt)\b.*: .+", line)][:1]
    if not found:
        found = [line for line in lines if line and not set(line) <= set("=-")][-1:] or ["jupyter-book failed"]
    return [_in_source(layout, line) for line in dict.fromkeys(found)]


def _in_source(layout: Layout, line: str) -> str:
    """MyST-NB counts 10,000 lines per cell of the staged notebook; an author looks for the line of the chapter."""
    match = re.match(r"(chapters/\S+)\.ipynb:(\d+):(.*)", line)
    notebook = read_json(layout.staged / f"{match[1]}.ipynb") if match else None
    source = layout.root / f"{match[1]}.md" if match else None
    if notebook is None or source is None or not source.exists():
        return line
    cell, offset = divmod(int(match[2]), 10_000)
    cells = notebook["cells"]
    text = "".join(cells[cell - 1]["source"]) if 1 <= cell <= len(cells) else ""
    start = source.read_text(encoding="utf-8").find(text) if text else -1
    if start < 0:
        return f"{match[1]}.md:{match[3]}"
    before = source.read_text(encoding="utf-8").count("\n", 0, start)
    return f"{match[1]}.md:{before + max(offset - 1, 1)}:{match[3]}"


def _hook(html: Path) -> list[str]:
    if importlib.util.find_spec("press.site") is None:
        return []
    from press import site as hook

    try:
        hook.finish(html)
    except (ValueError, OSError) as error:
        return str(error).splitlines()
    return []


def _look(html: Path) -> list[str]:
    return [] if (html / "index.html").exists() else ["the built site has no index.html"]


def put_in_place(layout: Layout, key: str, folder: Path) -> None:
    """Make `folder` the site. `_build/html` is a link, and replacing a link is one step: a whole site at any time."""
    layout.sites.mkdir(parents=True, exist_ok=True)
    # A name of its own, even for a key that was built before: what is being shown is never touched.
    target = layout.sites / f"{key[:12]}-{time.time_ns():x}"
    folder.rename(target)
    link = layout.scratch / f"{target.name}.link"
    link.symlink_to(os.path.relpath(target, layout.build))
    if layout.html.is_dir() and not layout.html.is_symlink():
        layout.html.rename(layout.new_scratch("old") / "html")
    link.replace(layout.html)
    for other in [*layout.sites.iterdir(), *layout.scratch.glob("old-*")]:
        if other.name != target.name:
            shutil.rmtree(other, ignore_errors=True)
