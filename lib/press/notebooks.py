"""A chapter as notebooks: code cells alone for execution, and prose merged with outputs for the reader."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from press.chapters import Chapter
from press.problems import Problem

if TYPE_CHECKING:
    from nbformat import NotebookNode

INJECTED = "injected-parameters"


def _kernel_metadata(chapter: Chapter) -> dict[str, Any]:
    return {"kernelspec": dict(chapter.notebook.metadata["kernelspec"]),
            "language_info": {"name": "python", "pygments_lexer": "ipython3", "file_extension": ".py",
                              "mimetype": "text/x-python"}}


def code_only(chapter: Chapter) -> NotebookNode:
    """The code cells in order, each with its number in `metadata.press.cell`."""
    from nbformat import v4

    cells = [v4.new_code_cell(cell.source, id=f"code-{cell.number}",
                              metadata={"tags": list(cell.tags), "press": {"cell": cell.number}})
             for cell in chapter.code]
    return v4.new_notebook(cells=cells, metadata=_kernel_metadata(chapter))


def merge(chapter: Chapter, executed: NotebookNode) -> NotebookNode:
    """The whole chapter with the outputs of `executed`, which papermill made from `code_only(chapter)`.

    The cell that papermill injects when parameters differ from the chapter's follows the parameters cell, as in
    `executed`: the reader sees what was run. Raises Problem when the code is not the chapter's.
    """
    from nbformat import v4

    merged = copy.deepcopy(chapter.notebook)
    cells, waiting = [], list(executed.cells)
    for n, cell in enumerate(merged.cells):
        cell["id"] = f"cell-{n + 1}"
        cells.append(cell)
        if cell.cell_type != "code":
            continue
        ran = waiting.pop(0) if waiting else None
        if ran is None or ran.source != cell.source:
            raise Problem(f"{chapter.shown}: the executed notebook does not belong to this chapter; run it again")
        cell.outputs, cell.execution_count = copy.deepcopy(ran.outputs), ran.execution_count
        while waiting and INJECTED in waiting[0].metadata.get("tags", []):
            extra = waiting.pop(0)
            made = v4.new_code_cell(extra.source, id=f"injected-{n + 1}", metadata={"tags": [INJECTED]})
            made.outputs, made.execution_count = copy.deepcopy(extra.outputs), extra.execution_count
            cells.append(made)
    if waiting:
        raise Problem(f"{chapter.shown}: the executed notebook has more cells than this chapter; run it again")
    merged.cells = cells
    merged.metadata.update(_kernel_metadata(chapter))
    merged.nbformat, merged.nbformat_minor = 4, 5
    return merged


def dump(notebook: NotebookNode) -> str:
    import nbformat

    return nbformat.writes(notebook) + "\n"


def outputs_of(notebook: NotebookNode, mime: str):
    """Pairs (cell, data) for every output that carries `mime`, in order."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            for output in cell.get("outputs", []):
                data = output.get("data", {})
                if mime in data:
                    yield cell, data[mime]
