"""The `quiz` directive: `press.quiz` parses, this turns a question into a form that answers back on the page."""

from __future__ import annotations

import hashlib
import re
from html import escape

from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from press.quiz import Quiz, QuizError, parse_quiz

logger = logging.getLogger(__name__)


class quiz_node(nodes.General, nodes.Element):  # noqa: N801  (docutils names nodes so)
    """A question; its children are one container for the question and one per option text and feedback."""


class quiz_part(nodes.General, nodes.Element):  # noqa: N801
    """Markdown of a question, an option's text or its feedback, rendered on its own."""


class QuizDirective(SphinxDirective):
    """```{quiz} single | multiple | number``` with options `- [x] text :: feedback`."""

    required_arguments = 1
    final_argument_whitespace = True
    has_content = True
    option_spec = {"label": directives.unchanged}  # noqa: RUF012  (docutils' interface)

    def run(self) -> list[nodes.Node]:
        kind, _, title = self.arguments[0].partition(" ")
        try:
            quiz = parse_quiz(kind, "\n".join(self.content))
        except QuizError as error:
            where = (self.env.docname, self.content_offset + 1 + error.line)
            logger.warning("quiz: %s", error, location=where, type="press", subtype="quiz")
            return []
        label = self.options.get("label") or hashlib.sha256(quiz.question.encode()).hexdigest()[:8]
        node = quiz_node("", kind=kind, title=title.strip(), label=nodes.make_id(label), options=_facts(quiz))
        self.set_source_info(node)
        node += self._part(quiz.question, 0)
        for option in quiz.options:
            node += self._part("" if kind == "number" else option.text, option.line)
            node += self._part(option.feedback, option.line)
        return [node]

    def _part(self, text: str, line: int) -> quiz_part:
        part = quiz_part()
        if text:
            lines = StringList(text.split("\n"), source=self.env.doc2path(self.env.docname))
            self.state.nested_parse(lines, self.content_offset + line, part)
        return part


def _facts(quiz: Quiz) -> list[dict]:
    return [{"right": o.right, "value": o.value, "tolerance": o.tolerance, "text": o.text} for o in quiz.options]


def _inline(html: str) -> str:
    """Content of a single paragraph without its <p>, which has no place inside a label or a legend."""
    match = re.fullmatch(r"\s*<p>(.*?)</p>\s*", html, re.DOTALL)
    return match[1] if match and "<p>" not in match[1] else html


def _spoken(markdown: str) -> str:
    """A name for an option that is one formula: assistive technology does not agree on names made of mathematics."""
    match = re.fullmatch(r"\s*\$([^$]+)\$[.,]?\s*", markdown)
    if not match:
        return ""
    words = " ".join(re.sub(r"\\[,;!:]|[\\{}]", " ", match[1]).split())
    return f' aria-label="{escape(words, quote=True)}"'


def quiz_html(kind: str, label: str, title: str, options: list[dict], parts: list[str]) -> str:
    """A question as HTML. `parts`: question, then text and feedback of every option, already HTML."""
    # A legend takes running text only: the first paragraph goes in, the rest follows it.
    first, _, rest = parts[0].lstrip().partition("</p>")
    question, rest = (first[3:], rest.strip()) if first.startswith("<p>") else ("Question", parts[0])
    key = f"quiz-{label}"
    fields, answers = [], []
    for i, option in enumerate(options):
        text, feedback = _inline(parts[1 + 2 * i]), parts[2 + 2 * i]
        right = "true" if option["right"] else "false"
        numbers = ""
        if kind == "number":
            is_else = option["value"] is None
            text = "Any other number" if is_else else escape(f"{option['value']:g} ± {option['tolerance']:g}")
            numbers = "" if is_else else f' data-value="{option["value"]!r}" data-tolerance="{option["tolerance"]!r}"'
        else:
            box = "radio" if kind == "single" else "checkbox"
            fields.append(
                f'<label class="quiz-option"><input type="{box}" name="{key}" value="{i}" autocomplete="off"'
                f"{_spoken(option['text'])}>"
                f"<span>{text}</span></label>"
            )
        word = "right" if option["right"] else "wrong"
        answers.append(
            f'<li data-right="{right}"{numbers}><p><b>{text}</b> <span class="quiz-word">({word})</span></p>'
            f'<div class="quiz-feedback">{feedback}</div></li>'
        )
    if kind == "number":
        fields.append(
            f'<label class="quiz-number">Your answer <input type="text" inputmode="decimal" name="{key}" '
            'size="10" autocomplete="off" spellcheck="false"></label>'
        )
    hint = '<p class="quiz-hint">More than one option may be right.</p>' if kind == "multiple" else ""
    heading = f"{escape(title)}: " if title else ""
    return (
        f'<form class="quiz" id="{key}" data-kind="{kind}" novalidate><fieldset><legend>{heading}{question}</legend>'
        f'{rest}{hint}{"".join(fields)}</fieldset><p class="js-only"><button type="submit">Check</button></p>'
        f'<div class="quiz-said" role="status"></div>'
        f'<details class="quiz-answers fold"><summary>Answers</summary><ul>{"".join(answers)}</ul></details></form>'
    )


def visit_quiz(self, node: quiz_node) -> None:
    parts = []
    for child in node.children:
        outer, self.body = self.body, []
        for grandchild in child.children:
            grandchild.walkabout(self)
        parts.append("".join(self.body))
        self.body = outer
    self.body.append(quiz_html(node["kind"], node["label"], node["title"], node["options"], parts))
    raise nodes.SkipNode


def setup(app) -> None:
    app.add_node(quiz_node, html=(visit_quiz, None))
    app.add_node(quiz_part)
    app.add_directive("quiz", QuizDirective)
