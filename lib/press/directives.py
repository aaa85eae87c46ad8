"""MyST directives as plain Markdown. Fences are found by markdown-it, so nesting and code are what MyST says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

_INFO = re.compile(r"^\{([\w:+-]+)\}\s*(.*)$")
_ASIDES = {"note": "Note", "tip": "Tip", "warning": "Warning", "important": "Important", "seealso": "See also",
           "hint": "Hint", "caution": "Caution", "danger": "Danger", "attention": "Attention", "error": "Error",
           "margin": "In the margin", "sidebar": "Aside", "admonition": "", "aside": "Aside", "topic": "",
           "epigraph": "", "pull-quote": ""}
_FOLDED = ("dropdown", "details", "toggle")
_SILENT = ("bibliography", "tableofcontents", "contents", "exercise-end", "solution-end", "raw", "index", "ledger",
           "live-claim", "tags", "only")


@dataclass(frozen=True)
class Context:
    """What directives refer to: the chapter's paper, and its page on the site ("" when there is no address)."""

    paper: dict[str, Any]
    page: str = ""


def replace(text: str, context: Context) -> str:
    """`text` with every directive turned into plain Markdown, innermost last; everything else untouched."""
    from markdown_it import MarkdownIt
    from mdit_py_plugins.colon_fence import colon_fence_plugin
    from mdit_py_plugins.dollarmath import dollarmath_plugin

    parser = MarkdownIt("commonmark").use(colon_fence_plugin).use(dollarmath_plugin)
    lines = text.splitlines()
    # From the end, so that line numbers before a replacement stay true.
    for token in reversed(parser.parse(text)):
        found = _INFO.match(token.info.strip()) if token.type in ("fence", "colon_fence") and token.level == 0 else None
        if found and token.map:
            first, last = token.map
            options, body = split_options(token.content)
            made = _directive(found[1], found[2].strip(), options, body, context)
            lines[first:last] = ["", *made.strip("\n").splitlines(), ""] if made.strip() else [""]
    return "\n".join(lines)


def split_options(content: str) -> tuple[dict[str, str], str]:
    """A directive's options (`:name: value` lines, or a YAML block) and the text after them."""
    lines = content.splitlines()
    options: dict[str, str] = {}
    if lines and lines[0].strip() == "---":
        end = next((n for n, line in enumerate(lines[1:], 1) if line.strip() == "---"), 0)
        if end:
            for line in lines[1:end]:
                name, _, value = line.partition(":")
                options[name.strip()] = value.strip()
            return options, "\n".join(lines[end + 1:]).strip("\n")
    used = 0
    for line in lines:
        option = re.match(r"^:([\w-]+):\s*(.*)$", line)
        if not option:
            break
        options[option[1]] = option[2]
        used += 1
    return options, "\n".join(lines[used:]).strip("\n")


def _directive(name: str, argument: str, options: dict[str, str], body: str, context: Context) -> str:
    if name in _SILENT:
        return ""
    if name == "paper-card":
        return paper_lines(context.paper, context.page)
    if name == "quiz":
        return quiz(argument, body, context)
    if name == "math":
        return f"$$\n{(argument + chr(10) + body).strip()}\n$$"
    if name in ("code-block", "code", "sourcecode", "prf:algorithm-code"):
        return f"```{argument}\n{body}\n```"
    if name in ("figure", "image"):
        caption = replace(body, context).strip()
        if not argument.startswith("http"):
            return _quote(f"*Figure: {options.get('alt', '')}* {caption}".strip())
        return f"![{options.get('alt', '')}]({argument})\n\n{caption}"
    inner = replace(body, context).strip()
    if name in ("exercise", "exercise-start"):
        return f"#### Exercise{': ' + argument if argument else ''}\n\n{inner}"
    if name == "solution":
        return _details("Solution", inner)
    if name == "solution-start":
        return f"#### Solution\n\nIts code is folded: open the cell below once you have tried.\n\n{inner}"
    if name in _FOLDED or options.get("class") == "dropdown":
        return _details(argument or _ASIDES.get(name) or "More", inner)
    if name.startswith("prf:"):
        kind = name.removeprefix("prf:").capitalize()
        return _quote(f"**{kind}{' (' + argument + ')' if argument else ''}.** {inner}")
    if name in _ASIDES:
        if name in ("admonition", "topic", "sidebar"):
            return _quote(f"**{argument}**\n\n{inner}" if argument else inner)
        # The first line of a plain admonition may stand beside its name.
        text = f"{argument}\n{inner}".strip()
        label = _ASIDES[name]
        return _quote(f"**{label}.** {text}" if label else text)
    titled = ("card", "grid-item-card", "tab-item", "table", "list-table")
    return (f"**{argument}**\n\n" if argument and name in titled else "") + inner


def _quote(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in text.splitlines())


def _details(summary: str, inner: str) -> str:
    # The blank lines make Jupyter read what is inside as Markdown.
    return f"<details>\n<summary>{summary}</summary>\n\n{inner}\n\n</details>"


def quiz(kind: str, body: str, context: Context) -> str:
    """The question, its options, and the answers with their feedback folded below. A malformed one stays as it is."""
    from press.quiz import QuizError, parse_quiz

    try:
        asked = parse_quiz(kind.split()[0] if kind else "", body)
    except QuizError:
        # The site's build reports it with file and line.
        return body
    shown = "" if asked.kind == "number" else "\n".join(f"- {option.text}" for option in asked.options) + "\n\n"
    hint = {"multiple": " (one or more)", "number": " (a number)"}.get(asked.kind, "")
    answers = "\n".join(
        f"- {'**right**' if option.right else 'not right'}: {option.text.replace('+-', '±')} — {option.feedback}"
        for option in asked.options)
    question = replace(asked.question, context).strip()
    return f"**Check yourself{hint}.** {question}\n\n{shown}{_details('Answer', answers)}"


def paper_lines(paper: dict[str, Any], page: str = "") -> str:
    """Authors, year, title and links of the paper, one line each."""
    lines: list[str] = [f"**The paper:** {paper['authors']} ({paper['year']}), *{paper['title']}*, "
                        f"[arXiv:{paper['arxiv']}](https://arxiv.org/abs/{paper['arxiv']})"]
    if paper.get("code"):
        lines.append(f"**The authors' code:** <{paper['code']}>")
    if page:
        lines.append(f"**This chapter as a page,** with its questions answering back: <{page}>")
    return _quote("\n\n".join(lines))
