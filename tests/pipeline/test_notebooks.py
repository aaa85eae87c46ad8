"""Notebooks made from chapters: merged with outputs, and plain ones that need no Sphinx."""

from __future__ import annotations

import html.parser
import json

import nbformat
import papermill
import pytest
from pipeline.minibook import GOOD
from press import chapters, directives, notebooks, plain
from press.problems import Problem

PAPER = {"title": "On <things>", "authors": "A. Author", "year": 2017, "arxiv": "1506.01186", "code": "https://x.test/c"}
CONTEXT = directives.Context(PAPER, "https://site.test/chapters/systems/alpha.html")
SETTING = plain.Settings("https://host.test/owner/book", "main", "https://site.test",
                         {"author2017": ("Author and Other", "2017", "https://doi.org/10.1/x")},
                         ("jaxtyping==1.0", "plotly==7.0"))


@pytest.fixture
def chapter(mini):
    mini.chapter("alpha", GOOD + "\nA last paragraph.\n")
    return chapters.load_slug(mini.layout, "alpha")


def parameterized(chapter, **overrides):
    """What papermill itself makes of the code-only notebook, with made-up outputs in place of a kernel's."""
    notebook = notebooks.code_only(chapter)
    made = papermill.execute_notebook(notebook, None, parameters=overrides or None, prepare_only=True,
                                      progress_bar=False)
    for n, cell in enumerate(made.cells, 1):
        cell.execution_count = n
        cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=f"output {n}")]
    return made


def test_code_only_has_every_code_cell_and_nothing_else(chapter):
    made = notebooks.code_only(chapter)
    assert [c.source for c in made.cells] == [c.source for c in chapter.code]
    assert [c.metadata.tags for c in made.cells] == [list(c.tags) for c in chapter.code]
    nbformat.validate(made)


def test_merging_puts_each_output_below_its_cell_and_keeps_all_prose(chapter):
    merged = notebooks.merge(chapter, parameterized(chapter))
    nbformat.validate(merged)
    assert [c.source for c in merged.cells] == [c.source for c in chapter.notebook.cells]
    code = [c for c in merged.cells if c.cell_type == "code"]
    assert ["".join(o.text for o in c.outputs) for c in code] == [f"output {n}" for n in range(1, 5)]
    assert all(not c.get("outputs") for c in chapter.notebook.cells), "the chapter itself is not changed"


def test_the_injected_parameters_stand_below_the_parameters_cell(chapter):
    merged = notebooks.merge(chapter, parameterized(chapter, n=3, SEED=8))
    nbformat.validate(merged)
    tags = [c.metadata.get("tags", []) for c in merged.cells if c.cell_type == "code"]
    assert tags[:3] == [["parameters"], ["injected-parameters"], ["imports"]]
    injected = next(c for c in merged.cells if "injected-parameters" in c.metadata.get("tags", []))
    assert {"n = 3", "SEED = 8"} <= set(injected.source.splitlines())
    outputs = [c.outputs[0].text for c in merged.cells if c.cell_type == "code"]
    assert outputs == [f"output {n}" for n in range(1, 6)]


def test_the_outputs_of_other_code_are_refused(chapter):
    executed = parameterized(chapter)
    executed.cells[2].source += "\n1"
    with pytest.raises(Problem, match="does not belong to this chapter"):
        notebooks.merge(chapter, executed)
    with pytest.raises(Problem, match="more cells"):
        notebooks.merge(chapter, nbformat.v4.new_notebook(cells=[*parameterized(chapter).cells,
                                                                 nbformat.v4.new_code_cell("x")]))


def md(text: str) -> str:
    return plain.markdown(text, CONTEXT, SETTING)


def test_a_quiz_becomes_a_question_with_its_answers_folded():
    made = md("```{quiz} single\n:label: q\nWhich *one*?\n\n- [x] $a$ :: Yes, because.\n- [ ] $b$ :: No.\n```")
    question, folded = made.split("<details>")
    assert "Which *one*?" in question and "- $a$" in question and "- $b$" in question and "because" not in question
    assert "**right**: $a$ — Yes, because." in folded and "not right: $b$ — No." in folded and "</details>" in folded
    number = md("```{quiz} number\nHow much?\n\n- [x] 0.5 +- 0.1 :: Half.\n- [ ] else :: Count again.\n```")
    assert "0.5 ± 0.1 — Half." in number.split("<details>")[1] and "0.5" not in number.split("<details>")[0]


@pytest.mark.parametrize(("source", "expected"), [
    ("```{margin}\nA *note*.\n```", "> **In the margin.** A *note*."),
    (":::{note}\nTwo\n\nparts\n:::", "> **Note.** Two\n>\n> parts"),
    ("````{admonition} Why?\n```{math}\nx^2\n```\n````", "> **Why?**\n>\n> $$\n> x^2\n> $$"),
    ("```{exercise-start} By hand\n:label: e\n```\nDo it.", "#### Exercise: By hand\n\nDo it."),
    ("```{exercise-end}\n```", ""),
    ("```{solution} e\n:class: dropdown\nDone.\n```", "<details>\n<summary>Solution</summary>\n\nDone.\n\n</details>"),
    ("```{prf:theorem} Gauss\n:label: t\n$1 = 1$\n```", "> **Theorem (Gauss).** $1 = 1$"),
    ("$$\nx\n$$ (eq-x)", "$$\nx\n$$"),
    ("(target)=\n## Heading", "## Heading"),
    ("% a remark\ntext", "text"),
    ("{cite:t}`author2017` and {cite:p}`author2017,unknown`",
     "[Author and Other (2017)](https://doi.org/10.1/x) and "
     "([Author and Other, 2017](https://doi.org/10.1/x); unknown)"),
    ("see {ref}`the proof <label-x>` and {eq}`eq-x`, {math}`y`", "see the proof and equation (eq-x), $y$"),
    ("[next](../games/other.md)", "[next](../games/other.ipynb)"),
    ("[notation](../../notation.md#x)", "[notation](https://site.test/notation.html#x)"),
    ("```python\nx = {ref}`kept`\n% kept\n```", "```python\nx = {ref}`kept`\n% kept\n```"),
    ("```{ledger}\n```", ""),
    ("plain *text* with `{code}` and $x_1$", "plain *text* with `{code}` and $x_1$"),
])
def test_what_myst_says_is_said_in_plain_markdown(source, expected):
    assert md(source) == expected


def test_the_paper_card_names_paper_code_and_page():
    made = md("```{paper-card}\n```")
    for part in ("A. Author (2017)", "https://arxiv.org/abs/1506.01186", "https://x.test/c", CONTEXT.page):
        assert part in made


def test_a_plain_notebook_installs_the_library_first_and_keeps_outputs(chapter):
    merged = notebooks.merge(chapter, parameterized(chapter))
    made = plain.for_jupyter(chapter, merged, SETTING)
    nbformat.validate(made)
    first, *rest = made.cells
    assert first.cell_type == "code" and "except ImportError" in first.source
    assert '"sharpbook @ git+https://host.test/owner/book@main" "jaxtyping==1.0" "plotly==7.0"' in first.source
    outputs = [[c.outputs for c in cells if c.cell_type == "code"] for cells in (rest, merged.cells)]
    assert outputs[0] == outputs[1] != []
    assert set(made.metadata) == {"kernelspec", "language_info"}


def test_the_first_cell_is_silent_where_the_library_is_there():
    from IPython.core.inputtransformer2 import TransformerManager

    source = TransformerManager().transform_cell(plain.install_source(SETTING))
    ran = []

    class Shell:
        def run_line_magic(self, *words):
            ran.append(words)

    exec(source, {"get_ipython": Shell})
    assert ran == []
    exec(source.replace("import sharpbook", "import no_such_library_anywhere"), {"get_ipython": Shell})
    assert ran and ran[0][0] == "pip" and "git+https://host.test/owner/book@main" in ran[0][1]


class Balance(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag in ("details", "summary"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag in ("details", "summary"):
            assert self.open.pop() == tag


def test_a_scaffolded_chapter_has_no_myst_left_as_a_notebook(mini):
    from press import scaffold

    path = mini.root / "chapters/games/new-one.md"
    path.parent.mkdir(parents=True)
    path.write_text(scaffold.text("new-one"), "utf-8")
    chapter = chapters.load(mini.layout, path)
    merged = notebooks.merge(chapter, notebooks.code_only(chapter))
    made = plain.for_jupyter(chapter, merged, SETTING)
    text = "\n\n".join(c.source for c in made.cells if c.cell_type == "markdown")
    assert "```{" not in text and "{cite" not in text and "{quiz}" not in text
    assert text.count("<summary>Answer</summary>") == 3 and text.count("#### Exercise") == 3
    balance = Balance()
    balance.feed(text)
    assert balance.open == []
    folded = [c for c in made.cells if "solution" in c.metadata.get("tags", [])]
    assert len(folded) == 3 and all(c.metadata["jupyter"]["source_hidden"] for c in folded)


def test_notebooks_verb_writes_one_file_per_chapter_with_outputs_where_there_are_some(mini):
    mini.chapter("alpha")
    mini.chapter("beta", part="games")
    assert mini.press("chapter", "alpha")[0] == 0
    code, said = mini.press("notebooks")
    assert code == 0 and "2 notebooks in _build/notebooks, 1 with outputs" in said
    alpha, beta = (json.loads((mini.root / "_build/notebooks" / name).read_text())
                   for name in ("systems/alpha.ipynb", "games/beta.ipynb"))
    assert "190 0" in json.dumps([c.get("outputs") for c in alpha["cells"]])
    assert not any(c.get("outputs") for c in beta["cells"])
