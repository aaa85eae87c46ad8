"""Execute one chapter once, with papermill, into the folder named after its key; or say which cell failed and why."""

from __future__ import annotations

import datetime
import fcntl
import platform
import shutil
import signal
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from press import children, judge
from press.layout import Layout, read_json, write_json, write_text
from press.problems import Problem
from press.worker import CHANGED

RESULTS = ("code.ipynb", "executed.ipynb", "claims.json", "exercises.json", "record.json")
_RECORDED = ("torch", "numpy", "scipy", "scikit-learn", "plotly", "ipykernel")


def is_done(folder: Path) -> bool:
    """`record.json` is written last, so a folder that has it is whole."""
    return all((folder / name).exists() for name in RESULTS)


@contextmanager
def _alone(folder: Path):
    # `make chapter` and `make book` may want the same run at the same time; the second finds it done.
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f".{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def execute(layout: Layout, job: dict[str, Any], *, time_limit_s: float) -> dict[str, Any] | None:
    """Run the chapter described by `job` unless its results exist.

    Parameters
    ----------
    job : path, slug, part, profile, seed, key, overrides and folder of the run, as `press.keys.plan` gives them.
    time_limit_s : wall time of the whole chapter, in seconds.

    Returns
    -------
    None when the results are in the folder, else the failure, which is in `failure.json` too.
    """
    folder = layout.root / job["folder"]
    with _alone(folder):
        if is_done(folder):
            return None
        for stale in ("failure.json", "nbval.json"):
            (folder / stale).unlink(missing_ok=True)
        scratch = layout.new_scratch(f"execute-{job['slug']}")
        try:
            return _execute(layout, job, folder, scratch, time_limit_s)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _execute(layout: Layout, job: dict[str, Any], folder: Path, scratch: Path, limit: float) -> dict[str, Any] | None:
    started = datetime.datetime.now(datetime.UTC)
    (scratch / "cwd").mkdir()
    write_json(scratch / "job.json", {**job, "root": str(layout.root.resolve()), "folder": str(scratch.resolve()),
                                      "path": str((layout.root / job["path"]).resolve()),
                                      "cwd": str((scratch / "cwd").resolve())})
    outcome = children.run(["-m", "press.worker", "execute", str(scratch / "job.json")], lib=layout.lib.resolve(),
                           cwd=layout.root, time_limit_s=limit, log=scratch / "worker.log")
    report = read_json(scratch / "worker.json")
    notebook = _read_notebook(scratch / "papermill.ipynb")
    if outcome.code != 0 or report is None or notebook is None:
        failure = _failure(job, outcome, report, notebook, limit)
        write_json(folder / "failure.json", failure)
        return failure
    cells = [{"index": c.metadata.get("press", {}).get("cell"), "seconds": c.metadata.papermill.duration}
             for c in notebook.cells]
    record = {
        **{name: job[name] for name in ("slug", "part", "profile", "seed", "key", "overrides")},
        "started": started.isoformat(timespec="seconds"),
        "wall_s": round(outcome.seconds, 3),
        "kernel_s": round(sum(c["seconds"] or 0.0 for c in cells), 3),
        # What a busy machine does not inflate.
        "cpu_s": round(report["cpu_s"], 3),
        "peak_mb": round(report["peak_mb"], 1),
        "versions": _versions(),
        "cells": cells,
    }
    write_text(folder / "code.ipynb", (scratch / "code.ipynb").read_text(encoding="utf-8"))
    write_text(folder / "executed.ipynb", _without_timings(notebook))
    write_json(folder / "claims.json", judge.claims(notebook))
    write_json(folder / "exercises.json", judge.exercises(notebook))
    write_json(folder / "record.json", record)
    return None


def _read_notebook(path: Path):
    import nbformat

    try:
        return nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)
    except (OSError, ValueError, nbformat.ValidationError, nbformat.reader.NotJSONError):
        return None


def _without_timings(notebook) -> str:
    """The notebook as nbval and the merge need it: times and scratch paths are in the record, or nowhere."""
    import nbformat

    notebook.metadata.pop("papermill", None)
    for cell in notebook.cells:
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
    return nbformat.writes(notebook) + "\n"


def _versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": platform.python_version(), "system": f"{platform.system()} {platform.machine()}"}
    for name in _RECORDED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _failure(job, outcome, report, notebook, limit: float) -> dict[str, Any]:
    failure = {"slug": job["slug"], "stage": "execute", "cell": None, "tags": [], "source_head": "", "ename": "",
               "evalue": "", "reason": "", "seconds": round(outcome.seconds, 1)}
    if outcome.code == CHANGED:
        failure["reason"] = "its source changed while the build was running; run the build again"
        return failure
    begun = [c for c in notebook.cells if c.metadata.get("papermill", {}).get("start_time")] if notebook else []
    error = next((o for c in begun for o in c.outputs if o.output_type == "error"), None)
    if begun:
        cell = next((c for c in begun if any(o.output_type == "error" for o in c.outputs)), begun[-1])
        tags = list(cell.metadata.get("tags", []))
        failure.update(
            cell=cell.metadata.get("press", {}).get("cell"), tags=tags,
            source_head=next((line.strip() for line in cell.source.splitlines() if line.strip()), ""))
        if "injected-parameters" in tags:
            failure["cell"] = "the injected parameters"
    if outcome.timed_out:
        failure["reason"] = f"ran past the time-out of {limit:g} s"
    elif report and report.get("kernel_died"):
        failure["reason"] = f"the kernel died{_by_signal(report.get('exit_code'))}"
    elif error is not None:
        failure.update(ename=error.ename, evalue=judge.plain(error.evalue))
        failure["reason"] = f"raised {error.ename}: {judge.plain(error.evalue)}".rstrip(": ")
    else:
        tail = [line for line in judge.plain(outcome.output).strip().splitlines() if line.strip()]
        ended = f"ended{_by_signal(outcome.code)}" if outcome.code < 0 else f"ended with code {outcome.code}"
        failure["reason"] = f"papermill {ended}: {tail[-1][:300] if tail else 'no message'}"
    return failure


def _by_signal(code: int | None) -> str:
    if code is None or code >= 0:
        return "" if code is None else f" with exit code {code}"
    name = signal.Signals(-code).name
    hint = ", as when memory runs out" if name == "SIGKILL" else ""
    return f" by signal {-code} ({name}{hint})"


def describe(failure: dict[str, Any]) -> str:
    """One line: which cell of which chapter failed, and why."""
    where = failure["slug"]
    if failure.get("cell") is not None:
        tags = f" [{', '.join(failure['tags'])}]" if failure.get("tags") else ""
        where += f", cell {failure['cell']}{tags}"
        if failure.get("source_head"):
            where += f", `{failure['source_head'][:80]}`"
    return f"{where}: {failure['reason']}"


def job_of(run) -> dict[str, Any]:
    """A run (`press.keys.Run`) as plain data; paths are relative to the root, so that it means the same elsewhere."""
    return {"path": run.chapter.shown, "slug": run.slug, "part": run.chapter.part,
            "profile": run.profile, "seed": run.seed, "key": run.key, "overrides": run.overrides,
            "folder": f"_build/exec/{run.slug}/{run.folder.name}"}


def require_executed(folder: Path):
    """The executed notebook of a finished run. Raises Problem when the run is not finished."""
    notebook = _read_notebook(folder / "executed.ipynb") if is_done(folder) else None
    if notebook is None:
        raise Problem(f"no finished execution in {folder}; run `make chapter` or `make book`")
    return notebook
