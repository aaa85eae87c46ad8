"""Plain HTML for what the extensions leave to scripts or to other themes: folds, margin notes, tables, wide code."""

from __future__ import annotations

from html import escape

from docutils import nodes
from myst_nb.sphinx_ import HideCodeCellNode
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.docutils import SphinxDirective
from sphinx.writers.html5 import HTML5Translator
from sphinx_exercise.nodes import solution_node

# At the width of the text column a code line holds this many characters.
CODE_COLUMNS = 76
_BODY_IDS = {"exercise-content", "solution-content", "proof-content"}


def is_wide(block: nodes.literal_block) -> bool:
    """True when a line of code is longer than the text column."""
    return max((len(line) for line in block.astext().splitlines()), default=0) > CODE_COLUMNS


class PressTranslator(HTML5Translator):
    """Sphinx's translator with tables that scroll by themselves and code that may reach into the margin."""

    def visit_table(self, node):
        self.body.append('<div class="scroll">')
        super().visit_table(node)

    def depart_table(self, node):
        super().depart_table(node)
        self.body.append("</div>\n")

    def visit_literal_block(self, node):
        start = len(self.body)
        try:
            super().visit_literal_block(node)
        finally:  # highlighted code ends in SkipNode
            # The height is known, so a browser may leave code that is out of sight for later (press.css).
            lines = len(node.astext().rstrip("\n").split("\n"))
            head = self.body[start].replace('<div class="highlight-', f'<div style="--n:{lines}" class="highlight-', 1)
            self.body[start] = head

    def visit_citation(self, node):
        # A list whose children are not list items says less than no list.
        start = len(self.body)
        super().visit_citation(node)
        self.body[start:] = [part.replace(' role="list"', "").replace('role="list" ', "") for part in self.body[start:]]

    def visit_section(self, node):
        # Exercises, solutions and proofs give the same id to every body of theirs; nothing can link to it.
        if node["ids"] and node["ids"][0] in _BODY_IDS:
            self.body.append('<div class="body">')
        else:
            super().visit_section(node)

    def depart_section(self, node):
        if node["ids"] and node["ids"][0] in _BODY_IDS:
            self.body.append("</div>\n")
        else:
            super().depart_section(node)

    def visit_admonition(self, node, name: str = ""):
        if "dropdown" in node["classes"]:
            fold(self, node)
        else:
            super().visit_admonition(node, name)

    def depart_admonition(self, node=None):
        if node is not None and "dropdown" in node["classes"]:
            unfold(self, node)
        else:
            super().depart_admonition(node)


def fold(translator, node) -> None:
    """Open a <details> whose summary is the node's title."""
    title = node.children[0] if node.children and isinstance(node.children[0], nodes.title) else None
    translator.body.append(translator.starttag(node, "details", CLASS="admonition fold"))
    translator.body.append("<summary>")
    if title is not None:
        # A link inside a summary would be a control inside a control.
        for child in title.children:
            for part in child.children if isinstance(child, nodes.reference) else [child]:
                part.walkabout(translator)
        node.pop(0)
    else:
        translator.body.append("More")
    translator.body.append("</summary>\n")


def unfold(translator, node) -> None:
    translator.body.append("</details>\n")


def _visit_solution(self, node):
    if "dropdown" in node["classes"]:
        fold(self, node)
    else:
        self.body.append(self.starttag(node, "div", CLASS="admonition"))


def _depart_solution(self, node):
    self.body.append("</details>\n" if "dropdown" in node["classes"] else "</div>\n")


def _visit_hidden(self, node):
    self.body.append(
        f'<details class="fold code-fold"><summary><span class="when-closed">{escape(node["prompt_show"])}</span>'
        f'<span class="when-open">{escape(node["prompt_hide"])}</span></summary>\n'
    )


def _depart_hidden(self, node):
    self.body.append("</details>\n")


class ArrangeCells(SphinxPostTransform):
    """A figure comes first and the folded code that draws it follows; a cell with long lines is wide as a whole."""

    default_priority = 200  # after myst-nb has folded the input (199)
    formats = ("html",)

    def run(self, **kwargs) -> None:
        for cell in self.document.findall(nodes.container):
            if cell.get("nb_element") != "cell_code":
                continue
            if any(is_wide(block) for block in cell.findall(nodes.literal_block)):
                cell["classes"].append("wide")
            if len(cell.children) == 2:
                first, second = cell.children
                shows_figure = any('class="fig"' in raw.astext() for raw in second.findall(nodes.raw))
                if isinstance(first, HideCodeCellNode) and shows_figure:
                    cell["classes"].append("cell_folded")
                    cell.children = [second, first]


class margin_note(nodes.General, nodes.Element):  # noqa: N801  (docutils names nodes so)
    """A note in the margin of a wide screen, inside the text on a phone."""


class Margin(SphinxDirective):
    """```{margin} Optional title```"""

    optional_arguments = 1
    final_argument_whitespace = True
    has_content = True

    def run(self) -> list[nodes.Node]:
        node = margin_note()
        self.set_source_info(node)
        if self.arguments:
            words, messages = self.state.inline_text(self.arguments[0], self.lineno)
            node += nodes.paragraph("", "", nodes.strong("", "", *words), classes=["margin-title"])
            node += messages
        self.state.nested_parse(self.content, self.content_offset, node)
        return [node]


def _visit_margin(self, node):
    self.body.append('<div class="margin" role="note">')


def _depart_margin(self, node):
    self.body.append("</div>\n")


def setup(app) -> None:
    app.set_translator("html", PressTranslator, override=True)
    app.add_node(HideCodeCellNode, override=True, html=(_visit_hidden, _depart_hidden))
    app.add_node(solution_node, override=True, html=(_visit_solution, _depart_solution))
    app.add_node(margin_note, html=(_visit_margin, _depart_margin))
    app.add_post_transform(ArrangeCells)
    app.add_directive("margin", Margin, override=True)
