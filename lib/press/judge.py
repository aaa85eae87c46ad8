"""What a run's outputs say: claims with their verdicts, and whether the exercises prove both directions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from press.notebooks import outputs_of

if TYPE_CHECKING:
    from nbformat import NotebookNode

CLAIM = "application/vnd.sharpbook.claim+json"
EXERCISE = "application/vnd.sharpbook.exercise+json"
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def plain(text: str) -> str:
    """Text without terminal colours."""
    return _ANSI.sub("", text)


def claims(notebook: NotebookNode) -> list[dict[str, Any]]:
    """Every claim displayed, with the number of its code cell; one shown twice counts as last shown."""
    found: dict[str, dict[str, Any]] = {}
    for cell, data in outputs_of(notebook, CLAIM):
        found[data["id"]] = {**data, "cell": cell.metadata.get("press", {}).get("cell")}
    return list(found.values())


def exercises(notebook: NotebookNode) -> list[dict[str, Any]]:
    """For each cell tagged `exercise` or `solution`: what its feedback was, and whether that is what it should be."""
    proofs = []
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        role = next((t for t in ("solution", "exercise") if t in tags), None)
        if cell.cell_type != "code" or role is None:
            continue
        last = [o["data"][EXERCISE] for o in cell.outputs if EXERCISE in o.get("data", {})][-1:]
        passed = last[0].get("passed") if last else None
        proofs.append({
            "cell": cell.metadata.get("press", {}).get("cell"),
            "role": role,
            "exercise": last[0].get("exercise", "") if last else "",
            "passed": passed,
            "message": last[0].get("message", "") if last else "the cell does not end in a checker's feedback",
            "proved": passed is (role == "solution"),
        })
    return proofs


def failed_claims(found: list[dict[str, Any]]) -> list[str]:
    """One line per claim that should hold and does not: what was measured, and the bound that it missed."""
    lines = []
    for item in found:
        if item["verdict"] == "failed":
            missed = [f"{p['name'] + ': ' if p.get('name') else ''}{p.get('text', p['measured'])}, bound "
                      f"{p['bound'].get('text', p['bound'])}" for p in item["parts"] if not p["holds"]]
            lines.append(f"cell {item.get('cell')}: claim {item['id']} failed: " + "; ".join(missed))
    return lines


def unproved_exercises(found: list[dict[str, Any]]) -> list[str]:
    """One line per exercise cell that passes though it is a starter, or a solution that does not."""
    lines = []
    for item in found:
        if not item["proved"]:
            what = {True: "the starter already passes", False: "the worked solution does not pass",
                    None: "no feedback"}[item["passed"]]
            lines.append(f"cell {item['cell']} ({item['role']}): {what}: {item['exercise']} {item['message']}".rstrip())
    return lines
