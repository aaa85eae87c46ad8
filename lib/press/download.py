"""`press notebooks`: every chapter as a plain notebook, with outputs where the chapter has been executed."""

from __future__ import annotations

from press import graph, notebooks, plain
from press.execute import is_done, require_executed
from press.layout import Layout, write_if_changed


def write(layout: Layout) -> int:
    """Write `_build/notebooks/<part>/<slug>.ipynb` for every chapter of the book that can be read."""
    import sys

    plan = graph.make(layout)
    setting = plain.settings(layout)
    executed = 0
    for run in plan.runs:
        done = is_done(run.folder)
        executed += done
        source = require_executed(run.folder) if done else notebooks.code_only(run.chapter)
        made = plain.for_jupyter(run.chapter, notebooks.merge(run.chapter, source), setting)
        write_if_changed(layout.notebooks / run.chapter.part / f"{run.slug}.ipynb", notebooks.dump(made))
    print(f"{len(plan.runs)} notebooks in {layout.notebooks.relative_to(layout.root)}, {executed} with outputs")
    for line in plan.problems:
        print(line, file=sys.stderr)
    return 1 if plan.problems else 0
