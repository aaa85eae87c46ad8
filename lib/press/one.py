"""`make chapter`: execute one chapter for a profile and a seed, and hand over the notebook and its claims."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import Any

from press import chapters, judge, keys, notebooks, report, validate
from press.execute import describe, execute, job_of, require_executed
from press.layout import Layout, write_json, write_text
from press.problems import Problem, nearest


def parse_seed(text: str | None) -> int | None:
    """A seed from the command line. Raises Problem unless it is a whole number from 0 to 2**32 - 1."""
    if text in (None, ""):
        return None
    try:
        seed = int(str(text))
    except ValueError:
        seed = -1
    if not 0 <= seed < 2**32:
        raise Problem(f"SEED={text} is not a seed; use a whole number such as SEED=3")
    return seed


def parse_profile(text: str | None) -> str:
    if text in (None, ""):
        return "book"
    if text not in chapters.PROFILES:
        raise Problem(f"unknown PROFILE={text}; choose {nearest('', chapters.PROFILES)}")
    return str(text)


def parse_parameters(text: str | None) -> dict[str, Any]:
    """`"n_steps=5 lr=0.1 name='x'"` as a mapping. Raises Problem that shows the form."""
    if not text:
        return {}
    try:
        call = ast.parse(f"dict({','.join(text.replace(',', ' ').split())})", mode="eval").body
        assert isinstance(call, ast.Call)
        if call.args or any(k.arg is None for k in call.keywords):
            raise ValueError
        return {str(k.arg): ast.literal_eval(k.value) for k in call.keywords}
    except (SyntaxError, ValueError):
        raise Problem(f'PARAMS="{text}" is not of the form PARAMS="n_steps=5 lr=0.1" (plain literals)') from None


def run_chapter(layout: Layout, slug: str, *, profile: str, seed: int | None, given: dict[str, Any],
                out: str | None, nbval: bool = False) -> int:
    """Execute, write `<slug>.ipynb` and `claims.json` to `out`, print the claims; 0 only when everything holds."""
    chapter = chapters.load_slug(layout, slug)
    run = keys.plan(layout, keys.Sources(layout), chapter, profile, seed, given)
    folder = Path(out) if out else layout.build / "out" / chapter.slug
    if folder.exists() and not folder.is_dir():
        raise Problem(f"OUT={out} is a file; give a folder")
    failure = execute(layout, job_of(run), time_limit_s=run.time_limit_s)
    if failure is None and nbval and not (run.folder / "nbval.json").exists():
        failure = validate.validate(layout, run.slug, run.folder, time_limit_s=run.time_limit_s)
    if failure is not None:
        print(describe(failure), file=sys.stderr)
        return 1
    state = report.status(run)
    write_text(folder / f"{run.slug}.ipynb", notebooks.dump(notebooks.merge(chapter, require_executed(run.folder))))
    write_json(folder / "claims.json", state["claims"])
    record = state["record"]
    print(f"{run.slug}, profile {profile}, seed {run.seed}: {record['wall_s']:.1f} s, "
          f"kernel {record['kernel_s']:.1f} s, "
          f"peak {record['peak_mb']:.0f} MB, claims held {report.held(state['claims'])}"
          f"{', nbval same' if state['nbval'] else ''} -> {folder}")
    for item in state["claims"]:
        measured = "; ".join(f"{p['name'] + ' ' if p.get('name') else ''}{p.get('text', p['measured'])}"
                             f" ({p['bound'].get('text', '')})" for p in item["parts"])
        print(f"  {item['verdict']:<15}{item['id']}: {measured}")
    if profile == "smoke":
        print("  the smoke profile is too small to judge claims or exercises by: it shows that the chapter runs")
        return 0
    for line in state["problems"]:
        print(line, file=sys.stderr)
    if any(judge.failed_claims(state["claims"])):
        print("a claim failed: find out whether the code is wrong or the page should say what was found",
              file=sys.stderr)
    return 1 if state["problems"] else 0
