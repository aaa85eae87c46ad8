"""`make book`: run the graph, say how it goes, and end with a table, or with what failed and why."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time

from press import graph, report
from press.execute import is_done
from press.layout import Layout, read_json
from press.lock import build_lock
from press.problems import Problem

EVENT = "@press "
TARGETS = {"executed": "executed", "validated": "validated", "site": "all"}


def event(text: str) -> None:
    """Said by a job of the graph; `make book` numbers it and shows it."""
    print(EVENT + text, flush=True)


def build(layout: Layout, *, profile: str, seed: int | None, until: str = "site", wait: bool = True,
          jobs: int | None = None) -> int:
    """Build the book up to `until`; 0 when everything holds. The site in place is replaced only then."""
    with build_lock(layout, wait=wait) as lock:
        started = time.monotonic()
        plan = graph.make(layout, profile, seed)
        if not plan.runs and not plan.problems:
            raise Problem("there are no chapters to build: make new CHAPTER=<slug> PART=<part>, "
                          "then add it to _toc.yml")
        for line in plan.problems:
            print(f"cannot be read: {line}", flush=True)
        for name in plan.unlisted:
            print(f"{name} is not in _toc.yml, so it is not in the book", flush=True)
        forget_other_sites(plan)
        target = TARGETS[until]
        if plan.problems and until == "site":
            # The other chapters are still executed and validated, but a site without this chapter is not the book.
            target = "validated"
        code = _snakemake(plan, target, jobs or min(2, os.cpu_count() or 1), lock.fileno())
        return _finish(plan, until, code, time.monotonic() - started)


def forget_other_sites(plan: graph.Plan) -> None:
    """Drop stamps that do not speak of what is in place now: sources may have gone back to an earlier state."""
    stamps = plan.layout.build / "stamps"
    for stamp in stamps.glob("*.json") if stamps.is_dir() else []:
        made_from = (read_json(stamp) or {}).get("key")
        if made_from != plan.site_key or (stamp == plan.site_stamp and not plan.in_place):
            stamp.unlink(missing_ok=True)


def forget_old_runs(plan: graph.Plan, keep: int = 6) -> None:
    """Keep each chapter's run of now and its most recent others: going back an edit is free, and disks are finite."""
    for run in plan.runs:
        folders = [f for f in run.folder.parent.iterdir() if f.is_dir() and f != run.folder]
        for old in sorted(folders, key=lambda f: f.stat().st_mtime, reverse=True)[keep - 1:]:
            shutil.rmtree(old, ignore_errors=True)
            old.with_name(f".{old.name}.lock").unlink(missing_ok=True)


def _snakemake(plan: graph.Plan, target: str, jobs: int, lock: int) -> int:
    layout = plan.layout
    log = layout.build / "log" / "snakemake.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    config = [f"profile={plan.profile}"] + ([f"seed={plan.seed}"] if plan.seed is not None else [])
    command = [sys.executable, "-m", "snakemake", target, "-j", str(jobs), "--nolock", "--keep-going", "--nocolor",
               # A result appears under its name whole or not at all, so one that is there is never "incomplete".
               "--quiet", "all", "--rerun-triggers", "mtime", "--ignore-incomplete", "--scheduler", "greedy",
               "--latency-wait", "0", "--config", *config]
    site_log = layout.build / "log" / "site-problems.txt"
    site_log.unlink(missing_ok=True)
    todo = sum(not is_done(run.folder) for run in plan.runs)
    todo += sum(not (run.folder / "nbval.json").exists() for run in plan.runs) if target != "executed" else 0
    todo += 2 if target == "all" and not plan.site_stamp.exists() else 0
    env = {**os.environ, "PYTHONNOUSERSITE": "1", "PYTHONUNBUFFERED": "1"}
    count = 0
    with log.open("w", encoding="utf-8") as out:
        child = subprocess.Popen(command, cwd=layout.root, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                 text=True, errors="replace", pass_fds=(lock,))
        try:
            for line in child.stdout:
                if line.startswith(EVENT):
                    count += 1
                    print(f"[{count}/{todo}] {line.removeprefix(EVENT).rstrip()}", flush=True)
                else:
                    out.write(line)
                    out.flush()
            return child.wait()
        except KeyboardInterrupt:
            # The interrupt reached snakemake as well; it ends its jobs.
            child.wait()
            raise


def _unfinished(plan: graph.Plan, until: str, states: list[dict]) -> list[str]:
    """What should be there after a build that reported success. The exit code of an engine is not taken on trust."""
    missing = [s["run"].slug for s in states if not s["done"] or (until != "executed" and not s["nbval"])]
    if until == "site" and not missing and not plan.problems and not plan.layout.html.exists():
        missing.append("the site")
    return missing


def _finish(plan: graph.Plan, until: str, code: int, seconds: float) -> int:
    states = [report.status(run) for run in plan.runs]
    print()
    print(report.table(states))
    problems = [*plan.problems, *(line for state in states for line in state["problems"])]
    site_log = plan.layout.build / "log" / "site-problems.txt"
    if until == "site" and not problems and code != 0 and site_log.exists():
        problems += [line for line in site_log.read_text(encoding="utf-8").splitlines() if line.strip()]
    if code != 0 and not problems:
        tail = (plan.layout.build / "log" / "snakemake.log").read_text(encoding="utf-8").strip().splitlines()[-8:]
        problems.append("the graph stopped; the end of _build/log/snakemake.log says:\n  " + "\n  ".join(tail))
    if code == 0:
        problems += [f"{name}: the graph ended before this was done; run the build again"
                     for name in _unfinished(plan, until, states)]
    if plan.profile == "smoke":
        print("\nprofile smoke: too small to judge claims by; it shows that every chapter runs")
    if problems:
        print(f"\n{len(problems)} {'problem' if len(problems) == 1 else 'problems'}:")
        for line in problems:
            print(f"  {line}")
        if until == "site":
            kept = "the site in place is as it was" if plan.layout.html.exists() else "no site was published"
            print(f"\nnot published: {kept}")
        return 1
    forget_old_runs(plan)
    print(f"\ndone in {seconds:.0f} s", end="")
    print("" if until != "site" else f": the site is {plan.layout.html.relative_to(plan.layout.root)}/index.html; "
          "`make serve` shows it")
    return 0
