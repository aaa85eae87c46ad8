"""What the book promises about speed and size, as ratios measured in one run on one machine: `make bench`.

Everything happens in a scratch copy of the book, so the book's own results and site stay as they are. Wall times of one
machine wander by some percent; the ratios compare runs of the same minutes. A loaded machine shows in the last line.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml
from press import chapters, notebooks
from press.layout import Layout

ROOT = Path(__file__).resolve().parents[1]
COPIED = ("chapters", "book", "lib", "_config.yml", "_toc.yml", "requirements.txt", "Snakefile", "results")
MARK = "A paragraph that only a benchmark would add."


def scratch_book(folder: Path, only: list[str]) -> Layout:
    """A copy of the sources, without any result; of the chapters `only` these, when any are named."""
    folder.mkdir(parents=True)
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.ipynb"))
        elif source.exists():
            shutil.copy(source, folder / name)
    layout = Layout(folder)
    for path in chapters.discover(layout) if only else []:
        if path.stem not in only:
            path.unlink()
    return layout


def press(layout: Layout, *words: str) -> tuple[float, str]:
    """Wall seconds and what was said; ends the benchmark when the build fails."""
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "press", *words], cwd=layout.root, capture_output=True, text=True)
    seconds = time.perf_counter() - started
    if done.returncode != 0:
        sys.exit(f"press {' '.join(words)} failed, so there is nothing to measure:\n{done.stdout}{done.stderr}")
    return seconds, done.stdout


def executed(said: str) -> int:
    return len(re.findall(r"\] \S+ executed ", said))


def kernel_seconds(layout: Layout) -> tuple[float, float]:
    """Sum over chapters of the time inside cells: papermill's run, nbval's run."""
    first = sum(json.loads(p.read_text())["kernel_s"] for p in layout.runs.glob("*/*/record.json"))
    second = sum(json.loads(p.read_text())["kernel_s"] for p in layout.runs.glob("*/*/nbval.json"))
    return first, second


def edit(path: Path, *, code: bool) -> None:
    """Add a paragraph to a chapter, or a comment to one of its code cells."""
    text = path.read_text("utf-8")
    if code:
        text = re.sub(r"^```\{code-cell\}[^\n]*\n(?::[^\n]*\n|\n)*", lambda m: m[0] + "# measured\n", text, count=1,
                      flags=re.M)
    else:
        text += f"\n{MARK}\n"
    path.write_text(text, "utf-8")


def one_after_another(layout: Layout) -> float:
    """Wall seconds of `jupyter-book build` that executes the same chapters itself, once and without our checks."""
    source = layout.root / "plain-source"
    shutil.copytree(layout.staged, source)
    config = yaml.safe_load((source / "_config.yml").read_text("utf-8"))
    config["execute"] = {"execute_notebooks": "force", "timeout": 600, "allow_errors": False}
    (source / "_config.yml").write_text(yaml.safe_dump(config), "utf-8")
    for path in chapters.discover(layout):
        target = source / "chapters" / path.parent.name / f"{path.stem}.ipynb"
        if target.exists():
            chapter = chapters.load(layout, path)
            target.write_text(notebooks.dump(notebooks.merge(chapter, notebooks.code_only(chapter))), "utf-8")
    env = {**os.environ, "PYTHONPATH": str(layout.lib), "JUPYTER_PREFER_ENV_PATH": "1", "OMP_NUM_THREADS": "2"}
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", "from jupyter_book.cli.main import main; main()", "build", str(source),
                           "--path-output", str(layout.root / "plain")], env=env, capture_output=True, text=True)
    seconds = time.perf_counter() - started
    if done.returncode != 0 or "Execution Failed" in done.stdout + done.stderr:
        sys.exit("jupyter-book build failed:\n" + (done.stdout + done.stderr)[-3000:])
    return seconds


def packed(path: Path) -> int:
    return len(gzip.compress(path.read_bytes(), 6)) if path.suffix not in (".woff2", ".png") else path.stat().st_size


def page_weights(layout: Layout) -> list[tuple[str, int, int]]:
    """(chapter, HTML, HTML with the style sheets and scripts that it names), in bytes as a compressing server sends."""
    rows = []
    for page in sorted(layout.html.glob("chapters/*/*.html")):
        if page.stem == "index":
            continue
        text = page.read_text("utf-8")
        tags = re.findall(r'<(?:script|link)\b[^>]*\b(?:src|href)="([^"]+)"', text)
        files = {(page.parent / re.sub(r"[?#].*", "", name)).resolve() for name in tags if "//" not in name}
        extra = sum(packed(p) for p in files if p.suffix in (".css", ".js") and p.is_file())
        rows.append((page.stem, packed(page), packed(page) + extra))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("slug", nargs="*", help="only these chapters; default: the whole book")
    parser.add_argument("--keep", action="store_true", help="keep the scratch copy and say where it is")
    args = parser.parse_args()
    cores = min(2, os.cpu_count() or 1)
    load = os.getloadavg()[0]
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    rows: list[tuple[str, str, str, str]] = []

    def row(what: str, value: str, ratio: str, bar: str = "") -> None:
        rows.append((what, value, ratio, bar))
        print(f"  {what}: {value} {ratio}", file=sys.stderr, flush=True)

    try:
        book = scratch_book(folder / "book", args.slug)
        cold, said = press(book, "book", "--until", "validated")
        n = executed(said)
        first, second = kernel_seconds(book)
        site, _ = press(book, "book")
        ideal = (first + second) / cores
        row("execution and validation, cold", f"{cold:.1f} s",
            f"{cold / ideal:.2f} x (kernel time of both runs / {cores} cores = {ideal:.1f} s)", "<= 1.2")
        row("site, from executed chapters", f"{site:.1f} s", f"{site / cold:.2f} x cold execution")
        nothing, said = press(book, "book")
        row("nothing changed", f"{nothing:.1f} s", f"{executed(said)} chapters executed", "0")
        path = min(chapters.discover(book), key=lambda p: p.stat().st_size)
        edit(path, code=False)
        prose, said = press(book, "book")
        shown = MARK in (book.html / path.relative_to(book.root).with_suffix(".html")).read_text("utf-8")
        row("prose of one chapter changed", f"{prose:.1f} s",
            f"{prose / (cold + site):.2f} x cold build; {executed(said)} executed; "
            f"change {'shown' if shown else 'LOST'}",
            "0 executed")
        edit(path, code=True)
        one, said = press(book, "book")
        row("code of one chapter changed", f"{one:.1f} s",
            f"{one / (cold + site):.2f} x cold build; {executed(said)} of {n} executed", "1 executed")
        serial = one_after_another(book)
        row("`jupyter-book build` executing the same", f"{serial:.1f} s",
            f"ours is {(cold + site) / serial:.2f} x, with every chapter executed twice and compared")
        fresh = scratch_book(folder / "once", args.slug)
        once, _ = press(fresh, "book", "--until", "executed")
        row("the same executed once, no comparison", f"{once + site:.1f} s", f"{(once + site) / serial:.2f} x of that",
            "< 1")
        for slug, html, total in page_weights(book):
            row(f"page {slug}", f"{html / 1024:.0f} KB HTML", f"{total / 1024:.0f} KB with styles and scripts",
                "<= 400 KB HTML")
    finally:
        if args.keep:
            print(f"kept: {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    print("| what | measured | ratio | bar |\n|---|---|---|---|")
    for cells in rows:
        print("| " + " | ".join(cells) + " |")
    print(f"\n{n} chapters, {cores} jobs at once, {os.cpu_count()} cores, load {load:.1f} before the start")


if __name__ == "__main__":
    main()
