"""Binder, the branches that launch links point to, and what the workflows may do."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys

import pytest
import yaml
from packaging.requirements import Requirement
from pipeline.minibook import ROOT

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


def pins(path) -> dict[str, str]:
    lines = (re.sub(r"(^|\s)#.*", "", line).strip() for line in path.read_text("utf-8").splitlines())
    wanted = [Requirement(line) for line in lines if line and not line.startswith("-")]
    return {r.name.lower(): str(r.specifier) for r in wanted}


def test_binder_takes_every_version_from_the_one_list_of_pins():
    book, binder = pins(ROOT / "requirements.txt"), pins(ROOT / "binder/requirements.txt")
    assert all(re.fullmatch(r"==[\w.]+", version) for version in book.values())
    assert "-c ../requirements.txt" in (ROOT / "binder/requirements.txt").read_text("utf-8").splitlines()
    own = {name: version for name, version in binder.items() if name not in book}
    assert set(own) == {"nbgitpuller"} and own["nbgitpuller"].startswith("==")
    assert all(version in ("", book[name]) for name, version in binder.items() if name in book)


def test_binder_has_every_library_that_chapters_and_the_library_import():
    files = list((ROOT / "lib/sharpbook").rglob("*.py"))
    sources = [p.read_text("utf-8") for p in files]
    cell = re.compile(r"^```\{code-cell\}[^\n]*\n(?::[^\n]*\n)*(.*?)^```$", re.S | re.M)
    for path in (ROOT / "chapters").glob("*/*.md"):
        sources += cell.findall(path.read_text("utf-8"))
    imported = set()
    for source in sources:
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported.add((node.module or "").split(".")[0])
    named = {"sklearn": "scikit-learn"}
    outside = {named.get(m, m) for m in imported} - set(sys.stdlib_module_names) - {"sharpbook"}
    # IPython comes with ipykernel.
    assert outside - {"IPython"} <= set(pins(ROOT / "binder/requirements.txt"))


def test_what_binder_runs_after_installing_makes_the_notebooks(mini, tmp_path):
    """postBuild with pip replaced: its own part is done for real."""
    mini.chapter("alpha")
    shutil.copytree(ROOT / "binder", mini.root / "binder")
    tools = tmp_path / "bin"
    tools.mkdir()
    python = tools / "python"
    python.write_text(f'#!/bin/sh\n[ "$2" = pip ] && exit 0\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    subprocess.run(["binder/postBuild"], cwd=mini.root, check=True, env={"PATH": f"{tools}:/usr/bin:/bin"})
    assert (mini.root / "notebooks/systems/alpha.ipynb").exists() and not (mini.root / "_build").exists()


def git(*words, cwd):
    return subprocess.run(["git", *words], cwd=cwd, check=True, capture_output=True, text=True).stdout.strip()


def test_the_branches_hold_notebooks_and_environment_and_change_only_with_them(tmp_path):
    remote, here, built = tmp_path / "remote.git", tmp_path / "here", tmp_path / "built"
    git("init", "--bare", "-q", str(remote), cwd=tmp_path)
    for name in (".ci", "binder", "lib/sharpbook"):
        shutil.copytree(ROOT / name, here / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("requirements.txt", "pyproject.toml", "LICENSE", ".gitignore"):
        shutil.copy(ROOT / name, here / name)
    git("init", "-q", cwd=here)
    git("config", "user.name", "A", cwd=here)
    git("config", "user.email", "a@b.test", cwd=here)
    git("add", "-A", cwd=here)
    git("commit", "-qm", "start", cwd=here)
    (built / "systems").mkdir(parents=True)
    (built / "systems/alpha.ipynb").write_text("{}")

    def publish() -> str:
        return subprocess.run([".ci/branches", str(remote), str(built)], cwd=here, check=True, capture_output=True,
                              text=True).stdout

    def files(branch) -> set[str]:
        return set(git("ls-tree", "-r", "--name-only", branch, cwd=remote).splitlines())

    assert publish() == "notebooks: updated\nbinder: updated\n"
    assert files("notebooks") == {"systems/alpha.ipynb"}
    environment = files("binder")
    assert {"binder/requirements.txt", "binder/postBuild", "requirements.txt", "pyproject.toml"} <= environment
    assert "lib/sharpbook/claims.py" in environment and not any(f.startswith("chapters") for f in environment)
    assert publish() == "notebooks: unchanged\nbinder: unchanged\n"
    (built / "systems/alpha.ipynb").write_text('{"a": 1}')
    assert publish() == "notebooks: updated\nbinder: unchanged\n", "prose does not rebuild the image"
    (here / "requirements.txt").write_text("numpy==1\n")
    assert publish() == "notebooks: unchanged\nbinder: updated\n"
    assert git("rev-list", "--count", "binder", cwd=remote) == "1"
    assert git("status", "--porcelain", cwd=here) == "M requirements.txt"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda p: p.name)
def test_actions_are_pinned_by_commit_and_permissions_are_least(path):
    text = path.read_text("utf-8")
    used = re.findall(r"uses: (\S+)(.*)", text)
    assert used
    for action, comment in used:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action) and re.search(r"# v\d+\.\d+", comment), action
    flow = yaml.safe_load(text)
    assert flow["permissions"] == {"contents": "read"}
    for name, job in flow["jobs"].items():
        asked = {k for k, v in job.get("permissions", {}).items() if v == "write"}
        assert asked <= {"deploy": {"pages", "id-token"}, "branches": {"contents"}}.get(name, set())
        assert job["timeout-minutes"] <= 60


def test_ci_scripts_are_executable_bash_that_stops_at_the_first_error():
    for name in (".ci/run", ".ci/branches", "binder/postBuild"):
        path = ROOT / name
        lines = path.read_text("utf-8").splitlines()
        assert lines[0] == "#!/usr/bin/env bash" and "set -euo pipefail" in lines
        assert path.stat().st_mode & 0o111
        subprocess.run(["bash", "-n", str(path)], check=True)
