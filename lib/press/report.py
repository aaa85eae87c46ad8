"""What a build says: lines while it runs, a table at its end, and every failure in one line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from press import judge
from press.execute import describe, is_done
from press.keys import Run
from press.layout import read_json


def status(run: Run) -> dict[str, Any]:
    """What is known about a run from its folder: record, claims, exercises, nbval, and problems in one line each."""
    done = is_done(run.folder)
    failure = read_json(run.folder / "failure.json")
    claims = read_json(run.folder / "claims.json") if done else None
    exercises = read_json(run.folder / "exercises.json") if done else None
    nbval = read_json(run.folder / "nbval.json") if done else None
    problems = [describe(failure)] if failure and not nbval else []
    if run.profile != "smoke":
        problems += [f"{run.slug}, {line}" for line in judge.failed_claims(claims or [])]
    problems += [f"{run.slug}, {line}" for line in judge.unproved_exercises(exercises or [])]
    return {"run": run, "done": done, "record": read_json(run.folder / "record.json") if done else None,
            "claims": claims, "exercises": exercises, "nbval": nbval, "failure": failure, "problems": problems}


def held(claims: list[dict[str, Any]] | None) -> str:
    """`k/n` claims whose bounds hold."""
    return "-" if claims is None else f"{sum(c['holds'] for c in claims)}/{len(claims)}"


def table(statuses: Sequence[dict[str, Any]]) -> str:
    """Chapters with time, peak memory, claims held, exercises proved, and nbval's verdict."""
    rows = [("chapter", "time", "peak", "claims held", "exercises", "nbval")]
    for state in statuses:
        record, failure = state["record"], state["failure"]
        stage = failure["stage"] if failure and not state["nbval"] else ""
        rows.append((
            state["run"].slug,
            f"{record['wall_s']:.1f} s" if record else ("failed" if stage == "execute" else "not run"),
            f"{record['peak_mb']:.0f} MB" if record else "-",
            held(state["claims"]),
            "-" if state["exercises"] is None else
            f"{sum(e['proved'] for e in state['exercises'])}/{len(state['exercises'])}",
            "same" if state["nbval"] else ("differs" if stage == "validate" else "-"),
        ))
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]

    def line(row: Sequence[str]) -> str:
        return "  ".join(cell.ljust(w) if k == 0 else cell.rjust(w)
                         for k, (cell, w) in enumerate(zip(row, widths, strict=True)))

    return "\n".join([line(rows[0]), "  ".join("-" * w for w in widths), *map(line, rows[1:])])
