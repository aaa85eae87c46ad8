"""A small staged book with one of everything, for Jupyter Book to build with warnings as errors."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import yaml
from press import site

ROOT = Path(__file__).resolve().parents[2]
PLOTLY = "application/vnd.plotly.v1+json"
CLAIM = "application/vnd.sharpbook.claim+json"
HERE = Path(__file__).parent


def figure(kind: str = "slider") -> dict:
    """A Plotly figure as sharpbook.figures stores it, with a slider and play, a dropdown, or a trace that needs all."""
    at_once = {"mode": "immediate", "frame": {"duration": 0, "redraw": True}, "transition": {"duration": 0}}
    x = list(range(20))
    layout = {
        "title": {"text": "Loss against iteration"},
        "xaxis": {"title": {"text": "iteration"}, "gridcolor": "#e4e6e8", "linecolor": "#8b9197"},
        "yaxis": {"title": {"text": "loss (nats)"}, "gridcolor": "#e4e6e8", "range": [0, 8]},
        "font": {"color": "#2b2f33", "size": 13},
        "plot_bgcolor": "rgba(0,0,0,0)",
        "height": 380,
        "meta": {
            "alt": "A falling curve; a larger step makes it fall faster & <sooner>.",
            "caption": "Notice how the curve steepens as the step grows.",
            "dark": {"#b3401f": "#ff9b73", "#2b2f33": "#d9dcdf", "#e4e6e8": "#33383d", "#8b9197": "#7d848b"},
        },
    }
    curve = lambda rate: [round(6 * (1 - rate) ** t, 4) for t in x]  # noqa: E731
    trace = {
        "type": "scatter",
        "mode": "lines",
        "x": x,
        "y": curve(0.1),
        "name": "method",
        "line": {"color": "#b3401f"},
    }
    if kind == "full":
        return {"data": [{"type": "scatter3d", "x": [0, 1], "y": [0, 1], "z": [0, 1]}], "layout": layout}
    if kind == "dropdown":
        layout["updatemenus"] = [{
            "type": "dropdown", "name": "Scale", "active": 0,
            "buttons": [
                {"label": "linear", "method": "relayout", "args": [{"yaxis.type": "linear", "yaxis.range": [0, 8]}]},
                {"label": "logarithmic", "method": "relayout", "args": [{"yaxis.type": "log", "yaxis.range": [-1, 1]}]},
            ],
        }]  # fmt: skip
        layout["meta"] = {**layout["meta"], "caption": None}
        return {"data": [trace], "layout": layout, "frames": []}
    rates = [0.05, 0.1, 0.2, 0.4]
    layout["sliders"] = [{
        "active": 1, "currentvalue": {"prefix": "step size: ", "suffix": " per step"},
        "steps": [{"label": str(r), "method": "animate", "args": [[f"r={r}"], at_once]} for r in rates],
    }]  # fmt: skip
    layout["updatemenus"] = [{
        "type": "buttons", "buttons": [
            {"label": "Play", "method": "animate", "args": [None, {**at_once, "frame": {"duration": 100}}]},
            {"label": "Pause", "method": "animate", "args": [[None], at_once]},
        ],
    }]  # fmt: skip
    frames = [{"name": f"r={r}", "data": [{"type": "scatter", "y": curve(r)}], "traces": [0]} for r in rates]
    return {"data": [trace], "layout": layout, "frames": frames}


def claim_data(id: str, verdict: str = "reproduced") -> dict:
    """A claim as sharpbook.claims stores it."""
    return {
        "id": id, "says": "the error falls as n^(-1/2), if x < 1 & y > 0", "source": "Theorem 1", "ours": False,
        "paper": "-0.5", "expected": verdict, "because": "too small" if verdict == "not reproduced" else "",
        "holds": True, "verdict": verdict,
        "parts": [{"name": "", "measured": -0.52, "unit": "slope", "holds": True, "text": "-0.52 slope",
                   "bound": {"kind": "between", "numbers": [-0.65, -0.4], "text": "between -0.65 and -0.4"}}],
    }  # fmt: skip


def claim_html(id: str) -> str:
    return (
        f'<style>.sb-claim{{margin:1em}}</style><div class="sb-claim" id="claim-{id}" data-verdict="reproduced"><dl>'
        '<dt>The paper says</dt><dd class="sb-claim-says">the error falls as n^(-1/2) <cite>Theorem 1</cite></dd>'
        '<dt>We measured</dt><dd class="sb-claim-measured"><b>-0.52 slope</b></dd>'
        '<dt>Bound</dt><dd class="sb-claim-bound">between -0.65 and -0.4</dd>'
        '<dt>Verdict</dt><dd class="sb-claim-verdict"><span aria-hidden="true">●</span> reproduced</dd></dl></div>'
    )


OUTPUTS = {
    "FIGURE": {PLOTLY: figure(), "text/plain": "Figure: loss"},
    "DROPDOWN": {PLOTLY: figure("dropdown"), "text/plain": "Figure: loss"},
    "CLAIM": {"text/html": claim_html("rate"), CLAIM: claim_data("rate"), "text/plain": "[reproduced] rate"},
    "TABLE": {
        "text/html": '<table border="1" class="dataframe"><thead><tr><th></th><th>a</th></tr></thead>'
        "<tbody><tr><th>0</th><td>1</td></tr></tbody></table>",
        "text/plain": "   a\n0  1",
    },
    "FEEDBACK": {
        "text/html": '<div class="sb-feedback" data-passed="false" role="status"><b>Sum: not yet.</b> Fill in.</div>',
        "application/vnd.sharpbook.exercise+json": {"exercise": "Sum", "passed": False, "message": "Fill it in."},
        "text/plain": "Sum: not yet",
    },
}


def notebook(text: str) -> nbformat.NotebookNode:
    """A notebook from Markdown with code cells ```` ```{code-cell} ````; a last line `# -> NAME` gives the output."""
    import jupytext

    made = jupytext.reads(text, fmt="md:myst")
    for n, cell in enumerate(made.cells):
        cell["id"] = f"cell-{n}"
        if cell.cell_type == "code":
            cell.execution_count = 1
            *rest, last = cell.source.splitlines() or [""]
            name = last.removeprefix("# -> ")
            if name in OUTPUTS:
                cell.source = "\n".join(rest)
                cell.outputs = [nbformat.v4.new_output("execute_result", data=OUTPUTS[name], execution_count=1)]
            elif last.startswith("print("):
                cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text="loss 0.125\n")]
    made.nbformat, made.nbformat_minor = 4, 5
    return made


def stage(folder: Path, chapter: str | None = None) -> Path:
    """Stage the book's own pages with the fixture chapter in place of the real ones."""
    source = folder / "_build" / "src"
    shutil.copytree(ROOT / "book", source)
    shutil.copy(ROOT / "_config.yml", source / "_config.yml")
    for index in (ROOT / "chapters").glob("*/index.md"):
        (source / "chapters" / index.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(index, source / "chapters" / index.parent.name / "index.md")
    text = chapter if chapter is not None else (HERE / "chapter.md").read_text("utf-8")
    made = notebook(text)
    nbformat.write(made, source / "chapters" / "step-sizes" / "cyclical-learning-rates.ipynb")
    existing = {p.relative_to(source).with_suffix("").as_posix() for p in source.rglob("*") if p.is_file()}
    toc = site.staged_toc(yaml.safe_load((ROOT / "_toc.yml").read_text("utf-8")), existing)
    (source / "_toc.yml").write_text(yaml.safe_dump(toc, sort_keys=False), "utf-8")
    data = [{
        "slug": "cyclical-learning-rates", "part": "step-sizes", "title": "A chapter with one of everything",
        "order": 0, "paper": dict(made.metadata["paper"]), "exercises": [],
        "record": {"kernel_s": 12.3, "peak_mb": 640.0},
        "claims": [claim_data("rate"), claim_data("shape", "not reproduced"), claim_data("limit")],
    }]  # fmt: skip
    (source / "_data").mkdir()
    (source / "_data" / "chapters.json").write_text(json.dumps(data), "utf-8")
    cache = ROOT / "_build" / "cache"
    if cache.is_dir():  # npm's packages, when the book's own build has fetched them already
        (folder / "_build" / "cache").symlink_to(cache)
    return source


def build(source: Path) -> tuple[int, str, Path]:
    """Run `jupyter-book build -n -W --keep-going`: exit code, what it said, folder of the site."""
    done = subprocess.run(
        [str(Path(sys.executable).with_name("jupyter-book")), "build", str(source), "-n", "-W", "--keep-going", "-q",
         "--path-output", str(source.parent / "sphinx")],
        capture_output=True, text=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr, source.parent / "sphinx" / "_build" / "html"
