"""Every fault of a build, provoked for real: what it says, what it leaves, what it does not touch."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from pathlib import Path

import psutil
import pytest
from pipeline.minibook import MiniBook, add_site, make_book

pytestmark = pytest.mark.pipeline

CLAIM = 'claim("c", "Two and two is five", source="ours", measured=4, equals=(5, 0.1))'
PROOF = """from sharpbook.exercises import checker, require

@checker("Two")
def check(x):
    require(x == 2, "Not two.")
"""
# slug -> (body, extra front matter, what the report must say in one line)
FAULTS = {
    "raises": ("```{code-cell}\n:tags: [algorithm]\n\n1 / 0\n```\n", "",
               r"raises, cell 3 \[algorithm\], `1 / 0`: raised ZeroDivisionError: division by zero"),
    "hangs": ("```{code-cell}\nimport time; time.sleep(600)\n```\n", "timeout: 8\n",
              r"hangs, cell 3, `import time; time\.sleep\(600\)`: ran past the time-out of 8 s"),
    "killed": ("```{code-cell}\nimport os, signal; os.kill(os.getpid(), signal.SIGKILL)\n```\n", "",
               r"killed, cell 3, `import os, signal.*`: the kernel died by signal 9 \(SIGKILL"),
    "fails": (f"```{{code-cell}}\n{CLAIM}\n```\n", "",
              r"fails, cell 3: claim c failed: 4.*bound"),
    "wavers": ("```{code-cell}\nimport os; print(os.getpid())\n```\n", "",
               r"wavers, cell 3, `import os; print.*`: a second run printed something else"),
    "gives-away": (f"```{{code-cell}}\n{PROOF}```\n\n```{{code-cell}}\n:tags: [exercise]\n\ncheck(2)\n```\n", "",
                   r"gives-away, cell 4 \(exercise\): the starter already passes"),
    "unsolved": (f"```{{code-cell}}\n{PROOF}```\n\n```{{code-cell}}\n:tags: [solution]\n\ncheck(3)\n```\n", "",
                 r"unsolved, cell 4 \(solution\): the worked solution does not pass: Two Not two\."),
}


def fingerprint(site: Path) -> dict[str, tuple[int, int]]:
    return {p.relative_to(site).as_posix(): (p.stat().st_mtime_ns, p.stat().st_size)
            for p in sorted(site.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def story(tmp_path_factory) -> dict:
    """A good site; then a build in which every chapter but one is broken in its own way; then the faults removed."""
    book = make_book(tmp_path_factory.mktemp("story") / "book")
    add_site(book)
    book.chapter("alpha")
    book.chapter("omega")
    book.toc("alpha", "omega")
    first = book.press("book")
    seen = {"book": book, "first": first,
            "site": fingerprint(book.layout.html), "link": book.layout.html.readlink(),
            "page": (book.layout.html / "chapters/systems/alpha.html").read_text("utf-8")}
    for slug, (body, extra, _) in FAULTS.items():
        book.chapter(slug, body, extra=extra)
    book.chapter("malformed").write_text("---\npaper: [\n---\n# No\n", encoding="utf-8")
    book.chapter("good-too", title="Good too")
    book.toc("alpha", *FAULTS, "malformed", "good-too", "omega")
    seen["broken"] = book.press("book")
    seen["site_after"] = fingerprint(book.layout.html)
    seen["link_after"] = book.layout.html.readlink()
    return seen


def test_a_good_book_is_built_and_said_so(story):
    code, said = story["first"]
    assert code == 0, said
    assert re.search(r"\[1/6\] \w+ executed [\d.]+ s", said) and "[6/6] site built" in said
    assert re.search(r"^alpha +[\d.]+ s +\d+ MB +1/1 +0/0 +same$", said, re.M)
    assert "_build/html/index.html" in said and "make serve" in said
    assert "190 0" in story["page"], "the page shows what the cell printed"


def test_the_exit_code_of_a_broken_book_is_not_0(story):
    assert story["broken"][0] == 1


@pytest.mark.parametrize("slug", FAULTS)
def test_the_report_names_cell_and_reason(story, slug):
    problems = story["broken"][1].split("problems:")[1]
    assert re.search(rf"^  {FAULTS[slug][2]}", problems, re.M), problems


def test_malformed_front_matter_is_one_line_and_stops_nothing(story):
    problems = story["broken"][1].split("problems:")[1]
    line = r"^  chapters/systems/malformed\.md: front matter is not YAML, line \d+: "
    assert re.search(line, problems, re.M), problems
    assert "Traceback" not in story["broken"][1]


def test_the_other_chapters_are_executed_and_validated(story):
    book, said = story["book"], story["broken"][1]
    (record,) = book.records("good-too")
    assert (record.parent / "nbval.json").exists()
    assert "alpha executed" not in said and "omega executed" not in said, "finished chapters are not repeated"
    assert re.search(r"^good-too +[\d.]+ s .* same$", said, re.M)


def test_nothing_half_written_counts(story):
    book = story["book"]
    for slug in ("raises", "hangs", "killed"):
        assert not book.records(slug)
        (failure,) = (book.root / "_build/exec" / slug).glob("*/failure.json")
        assert not (failure.parent / "executed.ipynb").exists()
        assert json.loads(failure.read_text())["cell"] == 3
    leftovers = [p for p in (book.root / "_build/tmp").iterdir() if p.name != "ipython"]
    assert leftovers == []


def test_the_site_in_place_is_untouched(story):
    assert story["site_after"] == story["site"] and story["site"]
    assert story["link_after"] == story["link"]
    assert "not published: the site in place is as it was" in story["broken"][1]


def test_faults_mended_and_prose_changed_the_site_is_replaced_and_no_chapter_executed(story):
    book = story["book"]
    for slug in [*FAULTS, "malformed"]:
        (book.root / f"chapters/systems/{slug}.md").unlink()
    book.toc("alpha", "good-too", "omega")
    path = book.root / "chapters/systems/alpha.md"
    path.write_text(path.read_text("utf-8").replace("Some prose", "Other prose"), encoding="utf-8")
    code, said = book.press("book")
    assert code == 0, said
    assert "executed" not in said and "validated" not in said
    assert "Other prose" in (book.layout.html / "chapters/systems/alpha.html").read_text("utf-8")
    assert book.layout.html.readlink() != story["link"]
    # A prose-only change after that is Sphinx's smallest build, and a broken reference in it is still a failure.
    before = fingerprint(book.layout.html)
    path.write_text(path.read_text("utf-8").replace("Other prose", "See {ref}`nowhere`, other prose"), encoding="utf-8")
    code, said = book.press("book")
    line = 1 + path.read_text("utf-8")[: path.read_text("utf-8").index("nowhere")].count("\n")
    assert code == 1 and re.search(rf"^  chapters/systems/alpha\.md:{line}: WARNING: .*nowhere", said, re.M), said
    assert fingerprint(book.layout.html) == before
    code, said = book.press("book")
    assert code == 1 and "nowhere" in said, "a warning is not forgotten by building again"


SLEEPS = """
```{code-cell}
import os, time
from pathlib import Path

mark = os.environ.get("MINI_MARK")
if mark:
    Path(mark).write_text(str(os.getpid()))
time.sleep(float(os.environ.get("MINI_SLEEP", "0")))
```
"""


def wait_for(condition, seconds: float = 60.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError("waited in vain")


def test_a_build_killed_outright_leaves_no_process_and_is_resumed(mini: MiniBook, tmp_path: Path):
    mini.chapter("quick")
    mini.chapter("slow", SLEEPS)
    mark = tmp_path / "mark"
    build = mini.start("book", "--until", "validated", MINI_MARK=str(mark), MINI_SLEEP="200")
    try:
        wait_for(lambda: mini.records("quick") and mark.exists() and mark.read_text())
        kernel = psutil.Process(int(mark.read_text()))
        os.killpg(build.pid, signal.SIGKILL)
        build.wait()
        wait_for(lambda: not kernel.is_running() or kernel.status() == psutil.STATUS_ZOMBIE, seconds=20)
    finally:
        if build.poll() is None:
            os.killpg(build.pid, signal.SIGKILL)
    assert not mini.records("slow")
    before = mini.records("quick")[0].stat().st_mtime_ns
    code, said = mini.press("book", "--until", "validated")
    assert code == 0, said
    assert "slow executed" in said and "quick executed" not in said
    assert mini.records("quick")[0].stat().st_mtime_ns == before


def test_of_two_builds_at_once_the_second_waits_or_says_so(mini: MiniBook, tmp_path: Path):
    mini.chapter("slow", SLEEPS)
    mark = tmp_path / "mark"
    first = mini.start("book", "--until", "executed", MINI_MARK=str(mark), MINI_SLEEP="6")
    wait_for(mark.exists)
    code, said = mini.press("book", "--until", "executed", "--no-wait")
    assert code == 2, said
    assert re.fullmatch(r"another build \(process \d+, since [\d:]+\) is running here; try again .*\n", said)
    code, said = mini.press("book", "--until", "executed")
    assert code == 0 and "waiting for it to finish" in said
    assert "slow executed" not in said, "what the first build made is not made again"
    assert first.wait(timeout=60) == 0
    assert "slow executed" in first.stdout.read()


def test_a_changed_module_re_executes_only_the_chapters_that_import_it(mini: MiniBook):
    body = "```{code-cell}\nprint(value)\n```\n"
    mini.chapter("lefty", body, imports="from sharpbook.left import value")
    mini.chapter("righty", body, imports="from sharpbook import right\n\nvalue = right.value")
    assert mini.press("book", "--until", "executed")[0] == 0
    # `left` imports `deep`: the change reaches the chapter through another module.
    (mini.root / "lib/sharpbook/deep.py").write_text("value = 7\n", encoding="utf-8")
    code, said = mini.press("book", "--until", "executed")
    assert code == 0 and "lefty executed" in said and "righty executed" not in said, said
    shown = [json.loads((r.parent / "executed.ipynb").read_text())["cells"][-1]["outputs"][0]["text"]
             for r in mini.records("lefty")]
    assert sorted("".join(text).strip() for text in shown) == ["1", "7"]
    # Back to the earlier source: its results are still there.
    (mini.root / "lib/sharpbook/deep.py").write_text("value = 1\n", encoding="utf-8")
    code, said = mini.press("book", "--until", "executed")
    assert code == 0 and "executed" not in said.replace("--until executed", ""), said


def test_an_interrupted_build_ends_its_kernels_and_says_that_it_goes_on_later(mini: MiniBook, tmp_path: Path):
    mini.chapter("slow", SLEEPS)
    mark = tmp_path / "mark"
    build = mini.start("book", "--until", "executed", MINI_MARK=str(mark), MINI_SLEEP="200")
    wait_for(lambda: mark.exists() and mark.read_text())
    kernel = psutil.Process(int(mark.read_text()))
    os.killpg(build.pid, signal.SIGINT)
    said, _ = build.communicate(timeout=60)
    assert build.returncode == 130 and "the next run goes on from there" in said and "Traceback" not in said
    wait_for(lambda: not kernel.is_running() or kernel.status() == psutil.STATUS_ZOMBIE, seconds=20)
    assert not mini.records("slow")


def test_a_few_earlier_runs_are_kept_and_no_more(mini: MiniBook):
    mini.chapter("alpha")
    old = [mini.root / f"_build/exec/alpha/book-0-{n:012d}" for n in range(9)]
    for n, folder in enumerate(old):
        folder.mkdir(parents=True)
        os.utime(folder, (n, n))
    assert mini.press("book", "--until", "executed")[0] == 0
    assert [f for f in old if f.exists()] == old[-5:] and len(mini.records("alpha")) == 1


def test_chapter_exits_with_1_when_a_claim_fails_and_says_which(mini: MiniBook, tmp_path: Path):
    mini.chapter("fails", f"```{{code-cell}}\n{CLAIM}\n```\n")
    out = tmp_path / "out"
    code, said = mini.press("chapter", "fails", "--out", str(out))
    assert code == 1 and "claim c failed: 4" in said
    (item,) = json.loads((out / "claims.json").read_text())
    assert item["id"] == "c" and item["verdict"] == "failed" and (out / "fails.ipynb").exists()
    code, said = mini.press("chapter", "fails", "--profile", "smoke", "--out", str(out))
    assert code == 0 and "too small to judge" in said
