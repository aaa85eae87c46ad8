"""Every claim holds for other seeds than the page's. Takes minutes: `pytest -m slow`, `-k <slug>` for one chapter."""

import json
import subprocess
import sys

import pytest

from book import ROOT, chapters


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("slug", list(chapters()))
def test_claims_hold(slug, seed, tmp_path):
    command = [sys.executable, "-m", "press", "chapter", slug, "--seed", str(seed), "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    made = json.loads((tmp_path / "claims.json").read_text()) if (tmp_path / "claims.json").exists() else []
    missed = [
        (c["id"], [(p["name"], p["text"], p["bound"]["text"]) for p in c["parts"] if not p["holds"]])
        for c in made
        if not c["holds"]
    ]
    assert done.returncode == 0 and not missed and made, f"{missed}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
