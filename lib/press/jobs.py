"""The jobs of the graph, each one process: execute, validate, stage, site."""

from __future__ import annotations

from pathlib import Path

from press.book import event
from press.execute import describe, execute
from press.layout import Layout, read_json, write_json, write_text
from press.problems import Problem


def _job(path: str | Path) -> dict:
    job = read_json(Path(path))
    if job is None:
        raise Problem(f"{path}: not a job; `make book` writes these")
    return job


def run_execute(layout: Layout, path: str) -> int:
    job = _job(path)
    failure = execute(layout, job, time_limit_s=job["time_limit_s"])
    if failure:
        event(f"{job['slug']} FAILED: {describe(failure)}")
        return 1
    record = read_json(layout.root / job["folder"] / "record.json")
    event(f"{job['slug']} executed {record['wall_s']:.1f} s, {record['peak_mb']:.0f} MB")
    return 0


def run_validate(layout: Layout, path: str) -> int:
    from press.validate import validate

    job = _job(path)
    folder = layout.root / job["folder"]
    failure = validate(layout, job["slug"], folder, time_limit_s=job["time_limit_s"])
    if failure:
        event(f"{job['slug']} FAILED: {describe(failure)}")
        return 1
    event(f"{job['slug']} validated {read_json(folder / 'nbval.json')['seconds']:.1f} s")
    return 0


def run_stage(layout: Layout, profile: str, seed: int | None, stamp: str) -> int:
    from press import graph, publish

    # Prose may have changed since the build began; what is staged is what is there now, and its key says so.
    plan = graph.make(layout, profile, seed)
    problems = publish.stage(plan)
    if problems:
        write_text(layout.build / "log" / "site-problems.txt", "\n".join(problems) + "\n")
        event("not staged: " + (problems[0] if len(problems) == 1 else f"{len(problems)} problems"))
        return 1
    write_json(layout.root / stamp, {"key": plan.site_key})
    event(f"staged {len(plan.runs)} {'chapter' if len(plan.runs) == 1 else 'chapters'}")
    return 0


def run_site(layout: Layout, staged: str, stamp: str) -> int:
    from press import publish

    key = _job(layout.root / staged)["key"]
    seconds, problems = publish.site(layout, key)
    if problems:
        write_text(layout.build / "log" / "site-problems.txt", "\n".join(problems) + "\n")
        event("the site FAILED: " + problems[0])
        return 1
    write_json(layout.root / stamp, {"key": key})
    event(f"site built {seconds:.1f} s")
    return 0
