# The book as a graph. `make book` runs it; alone: snakemake -j2 --rerun-triggers mtime --ignore-incomplete
#
#   chapter --execute--> code.ipynb, executed.ipynb, claims.json --validate--> nbval.json --stage--> _build/src --site--> html
#
# Results lie in folders named after what they depend on (press.keys), so file times decide nothing: a result exists or
# it does not. One rule per chapter, because each has its own priority: the longest first.
import sys

from press import chapters, graph
from press.layout import Layout
from pathlib import Path

PRESS = f"{sys.executable} -m press"
layout = Layout(Path.cwd())
seed = config.get("seed")
plan = graph.make(layout, config.get("profile", "book"), None if seed in (None, "") else int(seed))
seconds = graph.estimates(layout, plan.runs)
folders = {run.slug: run.folder.relative_to(layout.root) for run in plan.runs}
validated = [folder / "nbval.json" for folder in folders.values()]


def here(path):
    return path.relative_to(layout.root)


localrules: all, executed, stage, site


rule all:
    input: here(plan.site_stamp)

rule executed:
    input: [folder / "record.json" for folder in folders.values()]

rule validated:
    input: validated


for run in plan.runs:
    job = here(graph.job_file(layout, run))
    rank = int(10 * seconds[run.slug])

    rule:
        name: f"execute_{run.slug.replace('-', '_')}"
        output:
            executed=folders[run.slug] / "executed.ipynb",
            rest=[folders[run.slug] / name for name in ("code.ipynb", "claims.json", "exercises.json", "record.json")],
        params: job=job
        # The second run of a chapter follows its first, so a first run has twice the time ahead of it.
        priority: 2 * rank + 1
        shell: "{PRESS} execute {params.job}"

    rule:
        name: f"validate_{run.slug.replace('-', '_')}"
        input: ancient(folders[run.slug] / "executed.ipynb"), ancient(folders[run.slug] / "record.json")
        output: folders[run.slug] / "nbval.json"
        params: job=job
        priority: rank
        shell: "{PRESS} validate {params.job}"


rule stage:
    input: [ancient(path) for path in validated]
    output: here(plan.staged_stamp)
    params: profile=plan.profile, seed="" if plan.seed is None else plan.seed
    shell: "{PRESS} stage --profile {params.profile} --seed '{params.seed}' --stamp {output}"

rule site:
    input: ancient(here(plan.staged_stamp))
    output: here(plan.site_stamp)
    shell: "{PRESS} site --staged {input} --stamp {output}"
