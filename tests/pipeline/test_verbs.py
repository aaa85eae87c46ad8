"""The verbs around the build: one clear line for every wrong word, and what `serve` and `new` do."""

from __future__ import annotations

import gzip
import http.client
import json
import re
import shutil
import subprocess
import threading
import tomllib

import pytest
from pipeline.minibook import ROOT
from press import chapters, one, scaffold, serve
from press.problems import Problem


@pytest.mark.parametrize(("words", "said"), [
    (["chapter", "nope"], "unknown chapter 'nope': did you mean alpha?"),
    (["chapter", ""], "which chapter? make chapter CHAPTER=<slug>"),
    (["chapter", "alpha", "--profile", "foo"], "unknown PROFILE=foo; choose book, full or smoke"),
    (["chapter", "alpha", "--seed", "x"], "SEED=x is not a seed; use a whole number such as SEED=3"),
    (["chapter", "alpha", "--seed", "-1"], "SEED=-1 is not a seed"),
    (["chapter", "alpha", "--params", "m=5"], "unknown parameter 'm'; the parameters cell has SEED, n"),
    (["chapter", "alpha", "--params", "n='a'"], "parameter n is int (default 20), not 'a'"),
    (["chapter", "alpha", "--params", "n=f()"], 'PARAMS="n=f()" is not of the form PARAMS="n_steps=5 lr=0.1"'),
    (["chapter", "alpha", "--out", "requirements.txt"], "OUT=requirements.txt is a file; give a folder"),
    (["book", "--profile", "foo"], "unknown PROFILE=foo"),
    (["new", "alpha", "--part", "systems"], "chapters/systems/alpha.md exists already; choose another slug"),
    (["new", "beta", "--part", "system"], "unknown PART=system; choose systems"),
    (["new", "Beta!", "--part", "systems"], "CHAPTER=Beta! is not a slug"),
    (["new", ""], "which chapter, in which part?"),
    (["serve", "--port", "web"], "PORT=web is not a port"),
    (["serve"], "there is no site yet: make book"),
])
def test_a_wrong_word_gets_one_clear_line(mini, words, said):
    mini.chapter("alpha")
    code, answer = mini.press(*words)
    assert code == 2
    assert said in answer and answer.count("\n") == 1, answer


def test_an_empty_book_is_said_to_be_empty(mini):
    code, said = mini.press("book")
    assert code == 2 and said.startswith("there are no chapters to build") and said.count("\n") == 1


def test_parameters_are_read_as_literals():
    assert one.parse_parameters("n=5 lr=1e-3 name='x'") == {"n": 5, "lr": 1e-3, "name": "x"}
    assert one.parse_parameters("n=5,k=2") == {"n": 5, "k": 2}
    assert one.parse_parameters("") == {}
    with pytest.raises(Problem):
        one.parse_parameters("**{'n': 1}")


def test_chapter_leaves_the_notebook_and_its_claims(mini, tmp_path):
    mini.chapter("alpha")
    out = tmp_path / "out"
    code, said = mini.press("chapter", "alpha", "--seed", "3", "--params", "n=7", "--out", str(out))
    assert code == 0 and "seed 3" in said and "claims held 1/1" in said
    (item,) = json.loads((out / "claims.json").read_text())
    assert item["id"] == "sum" and item["holds"] and item["cell"] == 4
    cells = json.loads((out / "alpha.ipynb").read_text())["cells"]
    assert any("".join(o.get("text", [])).strip() == "21 3" for c in cells for o in c.get("outputs", []))
    assert any("# Alpha" in "".join(c["source"]) for c in cells)
    first = {p: p.stat().st_mtime_ns for p in mini.records("alpha")}
    assert mini.press("chapter", "alpha", "--seed", "3", "--params", "n=7", "--out", str(out))[0] == 0
    assert {p: p.stat().st_mtime_ns for p in mini.records("alpha")} == first, "the same run is not made twice"


def test_the_record_says_what_was_run(mini):
    mini.chapter("alpha")
    assert mini.press("chapter", "alpha", "--seed", "9")[0] == 0
    record = json.loads(mini.records("alpha")[0].read_text())
    assert (record["slug"], record["part"], record["profile"], record["seed"]) == ("alpha", "systems", "book", 9)
    assert record["kernel_s"] == pytest.approx(sum(c["seconds"] for c in record["cells"]), abs=2e-3)
    assert record["wall_s"] > record["kernel_s"] > 0 and record["cpu_s"] > 0
    # A Python kernel cannot be smaller than this, nor a kernel that imports nothing larger than that.
    assert 20 < record["peak_mb"] < 1000
    assert record["versions"]["python"] and re.fullmatch(r"[0-9a-f]{64}", record["key"])


def test_new_writes_a_chapter_that_runs_apart_from_its_content(mini):
    for name in ("figures", "reproducibility", "statistics"):
        shutil.copy(ROOT / f"lib/sharpbook/{name}.py", mini.root / f"lib/sharpbook/{name}.py")
    code, said = mini.press("new", "toy-means", "--part", "games")
    assert code == 0 and "- file: chapters/games/toy-means" in said
    code, said = mini.press("chapter", "toy-means")
    assert code == 0 and "claims held 3/3" in said, said
    chapter = chapters.load_slug(mini.layout, "toy-means")
    assert scaffold.text("toy-means").count("@") == 3, "only the decorators of the three checkers are left"
    assert chapter.part == "games" and chapter.overrides("smoke")


@pytest.fixture
def site(tmp_path):
    root = tmp_path / "site"
    (root / "_static").mkdir(parents=True)
    (root / "index.html").write_text("<p>" + "hello " * 500)
    (root / "404.html").write_text("nothing here")
    (root / "_static/font.woff2").write_bytes(bytes(range(256)))
    (tmp_path / "secret.txt").write_text("secret")
    with serve.server(root, 0) as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made.server_address[1]
        made.shutdown()


def ask(port, path, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path, headers={k.replace("_", "-"): v for k, v in headers.items()})
    answer = connection.getresponse()
    return answer, answer.read()


def test_pages_are_compressed_when_the_browser_can_and_asked_anew(site):
    answer, body = ask(site, "/", Accept_Encoding="gzip, br")
    assert answer.getheader("Content-Encoding") == "gzip" and answer.getheader("Cache-Control") == "no-cache"
    assert gzip.decompress(body).startswith(b"<p>hello") and len(body) < 500
    answer, body = ask(site, "/index.html")
    assert answer.getheader("Content-Encoding") is None and body.startswith(b"<p>hello")
    assert answer.getheader("Content-Type") == "text/html; charset=utf-8"
    again, nothing = ask(site, "/", If_None_Match=answer.getheader("ETag"))
    assert again.status == 304 and nothing == b""


def test_fonts_and_versioned_files_are_cached(site):
    answer, body = ask(site, "/_static/font.woff2", Accept_Encoding="gzip")
    assert body == bytes(range(256)) and "max-age" in answer.getheader("Cache-Control")
    assert "max-age" in ask(site, "/index.html?v=abc")[0].getheader("Cache-Control")


@pytest.mark.parametrize("path", ["/missing.html", "/../secret.txt", "/%2e%2e/secret.txt", "/_static/../../secret.txt"])
def test_nothing_outside_the_site_is_served(site, path):
    answer, body = ask(site, path)
    assert answer.status == 404 and b"nothing here" in body


def test_help_lists_every_verb_and_what_it_does():
    said = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    listed = re.findall(r"^  (\w+) +\S", said, re.M)
    verbs = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.M)[1].split()
    assert set(listed) == set(verbs) >= {"book", "test", "serve", "chapter", "new", "lab", "bench", "lint", "clean"}


def test_make_refuses_an_old_or_missing_python(tmp_path):
    for name in ("Makefile", "requirements.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    done = subprocess.run(["make", "book", "PYTHON=no-such-python"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0 and "no no-such-python found: install Python 3.11 or newer" in done.stderr
    old = tmp_path / "python-old"
    old.write_text('#!/bin/sh\n[ "$1" = -V ] && echo "Python 3.9.1" && exit 0\nexit 1\n')
    old.chmod(0o755)
    done = subprocess.run(["make", "book", f"PYTHON={old}"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0 and "Python 3.9.1: Python 3.11 or newer is needed" in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_the_set_up_is_redone_when_the_pins_change_and_only_then(tmp_path):
    for name in ("Makefile", "requirements.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)

    def asked() -> str:
        return subprocess.run(["make", "-n", "setup"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    stamp = re.search(r"\.venv/\.installed-\d+", asked())[0]
    (tmp_path / ".venv").mkdir()
    (tmp_path / stamp).touch()
    assert "pip install" not in asked()
    (tmp_path / "requirements.txt").write_text("something==1\n")
    assert "pip install" in asked() and stamp not in asked()


def test_python_versions_agree():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == ">=3.11" and "(3, 11)" in (ROOT / "Makefile").read_text()
