"""Execute a finished notebook a second time, in a fresh kernel, and compare every output: nbval, strictly."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from press import children, judge
from press.execute import require_executed
from press.layout import Layout, write_json


def validate(layout: Layout, slug: str, folder: Path, *, time_limit_s: float) -> dict[str, Any] | None:
    """Run nbval on `executed.ipynb`; write `nbval.json` when every output is the same, else `failure.json`.

    Returns the failure, or None.
    """
    notebook = require_executed(folder)
    scratch = layout.new_scratch(f"validate-{slug}")
    try:
        (scratch / "cwd").mkdir()
        copied = scratch / "cwd" / f"{slug}.ipynb"
        shutil.copyfile(folder / "executed.ipynb", copied)
        (scratch / "empty.ini").write_text("[pytest]\n", encoding="utf-8")
        junit = scratch / "junit.xml"
        write_json(scratch / "job.json", {
            "notebook": str(copied), "cwd": str(scratch / "cwd"), "junit": str(junit),
            "empty_config": str(scratch / "empty.ini"), "cell_timeout_s": time_limit_s})
        outcome = children.run(["-m", "press.worker", "validate", str(scratch / "job.json")],
                               lib=layout.lib.resolve(), cwd=scratch / "cwd", time_limit_s=time_limit_s,
                               log=scratch / "worker.log")
        verdicts = _verdicts(junit)
        codes = [c for c in notebook.cells if c.cell_type == "code"]
        good = outcome.code == 0 and len(verdicts) == len(codes) and all(v is None for _, v in verdicts)
        if good:
            (folder / "failure.json").unlink(missing_ok=True)
            write_json(folder / "nbval.json", {"ok": True, "n_cells": len(codes),
                                               "seconds": round(outcome.seconds, 3),
                                               "kernel_s": round(_kernel_seconds(junit), 3)})
            return None
        failure = _failure(slug, codes, verdicts, outcome, time_limit_s)
        write_json(folder / "failure.json", failure)
        return failure
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _verdicts(junit: Path) -> list[tuple[int, str | None]]:
    """For each cell that nbval reached: its index, and its complaint or None."""
    try:
        tree = ElementTree.parse(junit)
    except (OSError, ElementTree.ParseError):
        return []
    found = []
    for case in tree.iter("testcase"):
        number = re.search(r"Cell (\d+)", case.get("name", ""))
        if number:
            bad = case.find("failure")
            bad = case.find("error") if bad is None else bad
            skipped = case.find("skipped")
            text = (bad.text or bad.get("message", "")) if bad is not None else None
            if skipped is not None and bad is None:
                text = f"skipped: {skipped.get('message', '')}"
            found.append((int(number.group(1)), text))
    return found


def _kernel_seconds(junit: Path) -> float:
    return sum(float(case.get("time", 0)) for case in ElementTree.parse(junit).iter("testcase"))


def _failure(slug, codes, verdicts, outcome, limit: float) -> dict[str, Any]:
    failure = {"slug": slug, "stage": "validate", "cell": None, "tags": [], "source_head": "", "ename": "",
               "evalue": "", "reason": "", "seconds": round(outcome.seconds, 1)}
    first = next(((n, text) for n, text in verdicts if text is not None), None)
    if first is not None:
        cell = codes[first[0]]
        failure.update(cell=cell.metadata.get("press", {}).get("cell"), tags=list(cell.metadata.get("tags", [])),
                       source_head=next((s.strip() for s in cell.source.splitlines() if s.strip()), ""))
        failure["diff"] = _difference(first[1])
        failure["reason"] = "a second run printed something else (nbval): " + failure["diff"]
    elif outcome.timed_out:
        failure["reason"] = f"the second run (nbval) went past the time-out of {limit:g} s"
    else:
        tail = [line for line in judge.plain(outcome.output).strip().splitlines() if line.strip()]
        failure["reason"] = f"nbval ended with code {outcome.code}: {tail[-1][:300] if tail else 'no message'}"
    return failure


def _difference(complaint: str) -> str:
    """The part of nbval's complaint that shows the difference, shortened."""
    text = judge.plain(complaint)
    text = text.split("Traceback:", 1)[-1]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    shown = " | ".join(lines)
    return shown if len(shown) <= 600 else shown[:600] + " ..."
