"""The contract of a chapter: what a reader may count on finding on every page, and where."""

import ast
import json
import re
import subprocess
import sys

import pytest
from press.quiz import parse_quiz

from book import LAYOUT, ROOT, cells, chapters, names

SLUGS = list(chapters())
PUBLIC = json.loads((ROOT / "tests/contract/public_names.json").read_text())
TAGS = {"parameters", "imports", "algorithm", "hide-input", "nbval-ignore-output", "exercise", "solution"}
# Section titles may be reworded, their order may not.
SECTIONS = [
    r"minute",
    r"learn",
    r"problem",
    r"method|idea|algorithm|policy|policies",
    r"watch|see it|in motion",
    r"reproduc|experiment",
    r"claims",
    r"break|limits|fails",
    r"scale",
    r"exercises",
    r"further reading",
]

pytestmark = pytest.mark.parametrize("slug", SLUGS)


def text(slug: str) -> str:
    return chapters()[slug].path.read_text(encoding="utf-8")


def prose(slug: str) -> str:
    """What is read: no code, no front matter, no directive lines, no formulas."""
    body = text(slug).split("---", 2)[2]
    body = re.sub(r"^```+\{code-cell\}.*?^```+$", "", body, flags=re.S | re.M)
    body = re.sub(r"\$\$.*?\$\$", "", body, flags=re.S)
    return re.sub(r"^(```.*|:\w+:.*)$", "", body, flags=re.M)


def test_sections_come_in_order(slug):
    titles = re.findall(r"^## (.+)$", prose(slug), flags=re.M)
    at = 0
    for pattern in SECTIONS:
        found = next((i for i in range(at, len(titles)) if re.search(pattern, titles[i], re.I)), None)
        assert found is not None, f"no section like /{pattern}/ after {titles[:at]} in {titles}"
        at = found + 1


def test_text_has_the_length_of_a_chapter(slug):
    words = len(prose(slug).split())
    assert 1500 <= words <= 4000, f"{words} words of prose"


def test_tags_are_known(slug):
    for cell in chapters()[slug].code:
        assert set(cell.tags) <= TAGS, f"code cell {cell.number}: unknown tags {set(cell.tags) - TAGS}"


def test_every_parameter_has_a_comment(slug):
    (cell,) = cells(slug, "parameters")
    for line in cell.source.splitlines():
        if line.strip() and not line.strip().startswith("#"):
            assert "#" in line and len(line.split("#", 1)[1].split()) >= 2, f"no comment with unit and meaning: {line}"


def test_profiles_set_known_parameters(slug):
    chapter = chapters()[slug]
    for profile in ("smoke", "full"):
        assert chapter.profiles[profile], f"{profile} changes nothing"
        assert set(chapter.overrides(profile)) <= set(chapter.parameters)


def test_cells_are_short(slug):
    for cell in chapters()[slug].code:
        lines = len(cell.source.splitlines())
        assert lines <= (60 if "hide-input" in cell.tags else 40), f"code cell {cell.number} has {lines} lines"


def test_code_that_is_shown_fits_the_text_column(slug):
    for cell in chapters()[slug].code:
        if "hide-input" not in cell.tags:
            for line in cell.source.splitlines():
                room = 120 if re.match(r'\s*(\w+=)?f?"', line) else 92  # a sentence is not broken for its width
                assert len(line) <= room, f"code cell {cell.number}, {len(line)} columns (the column holds 88): {line}"


def test_imports_are_submodules_and_libraries(slug):
    for cell in chapters()[slug].code:
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.ImportFrom):
                assert node.module != "press" and not (node.module or "").startswith(("press.", "chapters"))
                if node.module == "sharpbook":
                    for alias in node.names:
                        assert (ROOT / f"lib/sharpbook/{alias.name}.py").exists(), (
                            f"sharpbook.{alias.name} is no module"
                        )


def test_public_names_are_defined_and_documented(slug):
    assert slug in PUBLIC, "list the chapter's public names in tests/contract/public_names.json"
    space = names(slug)
    for name in PUBLIC[slug]:
        made = getattr(space, name, None)
        assert made is not None, f"{name} is not defined by the cells tagged imports and algorithm"
        if callable(made):
            assert (made.__doc__ or "").strip(), f"{name} has no docstring"


def test_at_least_three_claims_and_a_ledger(slug):
    calls = [
        node.func.id
        for cell in chapters()[slug].code
        for node in ast.walk(ast.parse(cell.source))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    ]
    assert calls.count("claim") >= 3
    assert calls.count("ledger") == 1


def test_two_to_four_figures_each_asked_for_in_the_text(slug):
    shown = [cell for cell in chapters()[slug].code if re.search(r"^\s*fg\.show\(", cell.source, re.M)]
    assert 2 <= len(shown) <= 5, f"{len(shown)} figures"
    assert any(re.search(r"fg\.(slider|animation|dropdown)\(", cell.source) for cell in shown), "nothing to move"


def test_check_yourself_questions_are_well_formed(slug):
    found = re.findall(r"^```\{quiz\} (\w+)\n(.*?)^```$", text(slug), flags=re.S | re.M)
    assert 3 <= len(found) <= 5, f"{len(found)} questions"
    for kind, body in found:
        parse_quiz(kind, re.sub(r"\A(:\w+:.*\n)+", "", body))


def test_three_exercises_each_with_starter_and_solution(slug):
    source = text(slug)
    made = re.findall(r"\{exercise-start\}.*?:label: (\S+)", source, flags=re.S)
    solved = re.findall(r"\{solution-start\} (\S+)", source)
    assert len(made) >= 3
    assert made == solved
    assert len(cells(slug, "exercise")) == len(cells(slug, "solution")) == len(made)


def test_the_paper_is_in_the_bibliography(slug):
    key = chapters()[slug].paper["bibkey"]
    assert re.search(rf"@\w+{{{re.escape(key)},", (ROOT / "book/references.bib").read_text(encoding="utf-8"))
    assert f"`{key}`" in text(slug), "the chapter does not cite its paper"


def test_the_chapter_is_in_the_table_of_contents(slug):
    assert f"chapters/{chapters()[slug].part}/{slug}" in LAYOUT.toc.read_text(encoding="utf-8")


def test_smoke_profile_runs(slug, tmp_path):
    command = [sys.executable, "-m", "press", "chapter", slug, "--profile", "smoke", "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    made = json.loads((tmp_path / "claims.json").read_text())
    assert len(made) >= 3
