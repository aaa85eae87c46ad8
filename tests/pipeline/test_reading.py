"""Chapters as files: what is accepted, and the one line that says what is wrong with the rest."""

import pytest
from pipeline.minibook import GOOD
from press import chapters, keys
from press.problems import Problem, nearest


def load(mini, slug="alpha"):
    return chapters.load_slug(mini.layout, slug)


def test_a_chapter_is_read_with_its_parameters_profiles_and_cells(mini):
    mini.chapter("alpha", GOOD, extra="timeout: 42\n")
    chapter = load(mini)
    assert (chapter.slug, chapter.part, chapter.title) == ("alpha", "systems", "Alpha")
    assert chapter.parameters == {"SEED": 0, "n": 20}
    assert chapter.overrides("book") == {}
    assert chapter.overrides("smoke") == {"n": 2}
    assert chapter.overrides("book", seed=3) == {"SEED": 3}
    assert chapter.overrides("book", seed=0) == {}, "the chapter's own seed is not another run"
    assert chapter.overrides("full", seed=1, given={"n": 7}) == {"n": 7, "SEED": 1}
    assert [c.number for c in chapter.code] == [1, 2, 3, 4] and chapter.code[0].tags == ("parameters",)
    assert chapter.time_limits["book"] == 42
    assert chapter.paper["arxiv"] == "1506.01186"


BROKEN = [
    ("---\n", "no front matter", "no front matter"),
    ("paper:", "papre:", "needs `paper:` with title, authors, year, arxiv, bibkey"),
    ("year: 2017", "year: soon", "paper.year in the front matter is 'soon'; it should be a year"),
    (', arxiv: "1506.01186"', "", "paper.arxiv in the front matter is missing; it should be the arXiv number"),
    ('arxiv: "1506.01186"', "arxiv: 1506.01186", "paper.arxiv in the front matter is 1506.01186; it should be"),
    (', bibkey: author2017', "", "paper.bibkey in the front matter is missing"),
    (", language: python", "", "needs `kernelspec: {name: python3, display_name: Python 3, language: python}`"),
    ("profiles:", "profile:", "needs `profiles:` with smoke and full"),
    ("  smoke: {n: 2}\n", "", "profile smoke in the front matter should be a mapping"),
    ("smoke: {n: 2}", "smoke: {m: 2}", "unknown parameter 'm'; the parameters cell has SEED, n"),
    ("smoke: {n: 2}", "smoke: {n: two}", "parameter n is int (default 20), not 'two'"),
    ("smoke: {n: 2}", "smoke: {n: 2.5}", "parameter n is a whole number (default 20), not 2.5"),
    ("profiles:", "timeout: soon\nprofiles:", "timeout in the front matter is 'soon'; it should be seconds"),
    (":tags: [parameters]", ":tags: [params]", "exactly one code cell needs the tag parameters, found 0"),
    ("SEED = 0 ", "seed = 0 ", "the parameters cell starts with SEED = 0, found seed"),
    ("SEED = 0 ", "SEED = 0.5 ", "the parameters cell starts with SEED = 0, found SEED"),
    ("n = 20 ", "n = 4 * 5 ", "line 2: n must be a plain literal"),
    ("n = 20 ", "print(3) ", "line 2: only plain assignments"),
    ("n = 20 ", "n = = 20 ", "parameters cell, line 2: "),
    ("jupytext: {", "jupytext: {{", "front matter is not YAML, line "),
]


@pytest.mark.parametrize(("old", "new", "said"), BROKEN, ids=[said[:40] for _, _, said in BROKEN])
def test_what_is_wrong_is_said_in_one_line_that_names_the_file(mini, old, new, said):
    path = mini.chapter("alpha", GOOD)
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")
    with pytest.raises(Problem) as caught:
        load(mini)
    message = str(caught.value)
    assert message.startswith("chapters/systems/alpha.md") and said in message and "\n" not in message


def test_an_unknown_chapter_gets_the_nearest_names(mini):
    mini.chapter("online-softmax")
    mini.chapter("best-of-majority", part="games")
    with pytest.raises(Problem, match="unknown chapter 'online-sotfmax': did you mean online-softmax\\?"):
        chapters.find(mini.layout, "online-sotfmax")
    assert nearest("zzz", ["alpha", "beta"]) == "alpha or beta", "few are all named"
    assert nearest("zzz", [f"chapter-{n}" for n in range(20)]) == ""


def test_two_chapters_of_one_name_are_refused(mini):
    mini.chapter("alpha")
    mini.chapter("alpha", part="games")
    with pytest.raises(Problem, match="two chapters are called alpha"):
        chapters.discover(mini.layout)


def test_order_is_that_of_the_table_of_contents_then_of_the_parts(mini):
    for slug, part in [("b", "systems"), ("a", "systems"), ("z", "step-sizes"), ("c", "games")]:
        mini.chapter(slug, part=part)
    (mini.root / "chapters/systems/index.md").write_text("# Part\n", "utf-8")
    assert [p.stem for p in chapters.discover(mini.layout)] == ["z", "c", "a", "b"]
    mini.toc("b", "a")
    assert [p.stem for p in chapters.discover(mini.layout)] == ["b", "a", "z", "c"]


def key(mini, slug="alpha", **chosen):
    chapter = load(mini, slug)
    return keys.execution_key(chapter, keys.Sources(mini.layout), chapter.overrides("book", **chosen))


def edited(mini, old, new):
    path = mini.root / "chapters/systems/alpha.md"
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")
    return key(mini)


@pytest.mark.parametrize(("old", "new"), [
    ("Some prose", "Some better prose"),
    ("# Alpha", "# Another title"),
    ("year: 2017", "year: 2018"),
    ("full: {n: 2000}", "full: {n: 3000}"),
    ("```{code-cell}\nprint", "```{code-cell} ipython3\nprint"),
])
def test_prose_and_front_matter_are_not_in_the_key(mini, old, new):
    mini.chapter("alpha")
    assert key(mini) == edited(mini, old, new)


@pytest.mark.parametrize(("old", "new"), [
    ("print(sum(range(n)), SEED)", "print(sum(range(n)),  SEED)"),
    ("n = 20 ", "n = 21 "),
    ("```{code-cell}\nprint", "```{code-cell}\n:tags: [nbval-ignore-output]\nprint"),
])
def test_code_and_tags_are_in_the_key(mini, old, new):
    mini.chapter("alpha")
    assert key(mini) != edited(mini, old, new)


def test_requirements_count_without_comments_order_and_spaces(mini):
    mini.chapter("alpha")
    before = key(mini)
    (mini.root / "requirements.txt").write_text("# why\n\n  numpy == 1.0   # another reason\n", "utf-8")
    assert key(mini) == before
    (mini.root / "requirements.txt").write_text("numpy==1.1\n", "utf-8")
    assert key(mini) != before
    assert keys.requirement_lines("b==1\na==2 # x\n--index-url u#frag\n") == ["--index-urlu#frag", "a==2", "b==1"]


def test_seed_and_parameters_are_in_the_key(mini):
    mini.chapter("alpha")
    made = {key(mini), key(mini, seed=1), key(mini, seed=2), key(mini, given={"n": 5})}
    assert len(made) == 4 and key(mini, seed=0) in made


@pytest.mark.parametrize(("imports", "modules"), [
    ("from sharpbook.claims import claim", {"sharpbook", "sharpbook.claims"}),
    ("from sharpbook import left as l", {"sharpbook", "sharpbook.left", "sharpbook.deep"}),
    ("import sharpbook.right", {"sharpbook", "sharpbook.right"}),
    ("%matplotlib inline\nfrom sharpbook import right", {"sharpbook", "sharpbook.right"}),
    ("if n:\n    from sharpbook.right import value", {"sharpbook", "sharpbook.right"}),
    ("import numpy", set()),
])
def test_modules_are_found_through_every_form_of_import(mini, imports, modules):
    mini.chapter("alpha", "", imports=imports)
    assert set(keys.Sources(mini.layout).modules(load(mini))) == modules


def test_relative_imports_inside_the_library_are_followed(mini):
    package = mini.root / "lib/sharpbook/nets"
    package.mkdir()
    (package / "__init__.py").write_text("from .. import right\n", "utf-8")
    (package / "small.py").write_text("from ..deep import value\nfrom . import large\n", "utf-8")
    (package / "large.py").write_text("", "utf-8")
    mini.chapter("alpha", "", imports="from sharpbook.nets.small import value")
    assert keys.Sources(mini.layout).modules(load(mini)) == [
        "sharpbook", "sharpbook.deep", "sharpbook.nets", "sharpbook.nets.large", "sharpbook.nets.small",
        "sharpbook.right"]


def test_a_module_that_is_not_imported_is_not_in_the_key(mini):
    mini.chapter("alpha", "", imports="from sharpbook.left import value")
    before = key(mini)
    (mini.root / "lib/sharpbook/right.py").write_text("value = 3\n", "utf-8")
    assert key(mini) == before
    (mini.root / "lib/sharpbook/deep.py").write_text("value = 3\n", "utf-8")
    assert key(mini) != before


def test_the_folder_of_a_run_names_profile_seed_and_key(mini):
    mini.chapter("alpha")
    run = keys.plan(mini.layout, keys.Sources(mini.layout), load(mini), "smoke", 4)
    assert run.folder == mini.root / "_build/exec/alpha" / f"smoke-4-{run.key[:12]}"
    assert run.overrides == {"n": 2, "SEED": 4}
