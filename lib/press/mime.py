"""How cell outputs become HTML: Plotly figures, claim cards, feedback. Found by myst-nb through an entry point.

A figure is a box of fixed height with its alt text, native controls in place of Plotly's own (which neither a keyboard
nor a screen reader reaches), and its data as JSON; `press.js` draws it when it comes near the viewport.
"""

from __future__ import annotations

import copy
import json
import re
from html import escape
from typing import Any, ClassVar

from docutils import nodes

from press.assets import bundle_for

PLOTLY = "application/vnd.plotly.v1+json"
# Collected for the ledger and the proofs of exercises; their text/html twin is what a page shows.
_DATA_ONLY = ("application/vnd.sharpbook.claim+json", "application/vnd.sharpbook.exercise+json")
# What Jupyter's own front ends understand and a page does not need.
_IGNORED = ("application/vnd.jupyter.widget-view+json",)
DEFAULT_HEIGHT = 420
_STYLE = re.compile(r"<style>.*?</style>", re.DOTALL)
_TEMPLATE = """<figure class="fig" id="{id}" data-bundle="{bundle}">
{title}<div class="fig-main">\
<div class="fig-plot" role="img" aria-label="{alt}" style="--h:{height}px;--legend:{legend}">\
<p class="fig-still" aria-hidden="true">{alt}</p></div>
{controls}<script type="application/json">{data}</script></div>{caption}
</figure>"""


class PressRenderer:
    """myst-nb's plugin: a class with `mime_priority_overrides` and `handle_mime`."""

    mime_priority_overrides: ClassVar = [
        ("html", PLOTLY, 1),
        ("latex", PLOTLY, None),
        *(("*", mime, None) for mime in _DATA_ONLY),
    ]

    @staticmethod
    def handle_mime(renderer, data, inline: bool) -> list[nodes.Element] | None:
        if inline:
            return None
        if data.mime_type == PLOTLY:
            where = f"fig-{(data.cell_index or 0) + 1}" + (f"-{data.output_index + 1}" if data.output_index else "")
            try:
                html = figure_html(data.content, where)
            except ValueError as error:
                renderer.logger.warning(f"figure: {error}", subtype="figure", line=data.line)
                return []
            return [nodes.raw("", html, format="html", classes=["output"])]
        if data.mime_type in _DATA_ONLY or data.mime_type in _IGNORED:
            return []
        if data.mime_type == "text/html":
            return [nodes.raw("", output_html(data.string), format="html", classes=["output", "text_html"])]
        return None


def output_html(html: str) -> str:
    """HTML output of a cell as it goes on the page: wide content scrolls, inline fallback styles give way to ours."""
    if "sb-claim" in html or "sb-ledger" in html or "sb-feedback" in html:
        html = _STYLE.sub("", html)
    # The feedback was given when the page was built; nothing on it is news to a screen reader.
    html = re.sub(r'(<div class="sb-feedback"[^>]*) role="status"', r"\1", html)
    html = html.replace('<table border="1" class="dataframe">', '<table class="dataframe">')
    return f'<div class="scroll">{html}</div>' if "<table" in html else html


def script_json(value: Any) -> str:
    """JSON that can stand inside a script element."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")


def figure_html(figure: dict, id: str) -> str:
    """A figure as HTML.

    Raises ValueError for a figure without alt text (`layout.meta.alt`) or with NaN in its data.
    """
    figure = copy.deepcopy(dict(figure))
    layout = figure.setdefault("layout", {})
    meta = layout.pop("meta", None) or {}
    if not meta.get("alt"):
        raise ValueError("no alt text in layout.meta.alt")
    controls = take_controls(layout)
    height = int(layout.pop("height", None) or DEFAULT_HEIGHT)
    layout.pop("width", None)
    title, spared = take_title(figure, controls)
    figure = _drop_families(figure)
    payload = {
        "data": figure.get("data", []),
        "layout": figure["layout"],
        "frames": figure.get("frames") or [],
        "dark": meta.get("dark") or {},
        "controls": [c["script"] for c in controls],
    }
    try:
        data = script_json(payload)
    except ValueError:
        raise ValueError("NaN or infinity in the data; use null") from None
    caption = meta.get("caption")
    return _TEMPLATE.format(
        id=id,
        title=f'<p class="fig-title">{title}</p>\n' if title else "",
        legend=_legend_lines(figure),
        bundle=bundle_for(figure),
        alt=escape(meta["alt"], quote=True),
        height=height - spared,
        controls=_controls_html(controls, id),
        data=data,
        caption=f"<figcaption>{escape(caption)}</figcaption>" if caption else "",
    )


def take_title(figure: dict, controls: list[dict]) -> tuple[str, int]:
    """Move a title that never changes out of the figure: as HTML it wraps on a phone. Returns (HTML, pixels spared)."""
    layout = figure["layout"]
    title = layout.get("title")
    text = title.get("text") if isinstance(title, dict) else title
    moving = [f.get("layout") for f in figure.get("frames") or []] + [c["script"].get("steps") for c in controls]
    if not text or '"title' in json.dumps(moving):
        return "", 0
    del layout["title"]
    margin = layout.setdefault("margin", {})
    top = int(margin.get("t", 80))
    # Titles of panels are annotations above the axes; they need a line of their own.
    margin["t"] = min(top, 30 if layout.get("annotations") else 14)
    kept = re.sub(r"&lt;(/?(?:b|i|sub|sup)|br ?/?)&gt;", r"<\1>", escape(text, quote=False))
    return kept, top - margin["t"]


def _drop_families(value: Any) -> Any:
    """The page's own face serves every text in a figure."""
    if isinstance(value, dict):
        return {k: _drop_families(v) for k, v in value.items() if k != "family"}
    if isinstance(value, list) and value and isinstance(value[0], dict | list):
        return [_drop_families(v) for v in value]
    return value


def _legend_lines(figure: dict) -> int:
    """How many entries the legend below a figure has; on a phone each may need a line."""
    legend = figure["layout"].get("legend") or {}
    if legend.get("orientation") != "h" or figure["layout"].get("showlegend") is False:
        return 0
    named = [t for t in figure.get("data", []) if t.get("name") and t.get("showlegend", True)]
    return len({t["name"] for t in named}) if len(named) > 1 else 0


def take_controls(layout: dict) -> list[dict]:
    """Remove `sliders` and `updatemenus` from a layout; return what the page needs to offer them natively.

    Each is {"kind": "range" | "select" | "play", "label", "options": [label], "active", "prefix", "suffix",
    "script": {"kind", "steps": [[method, args]], "wait": ms}}.
    """
    controls, play = [], None
    for menu in layout.pop("updatemenus", None) or []:
        buttons = [b for b in menu.get("buttons") or [] if b.get("visible", True)]
        runs = [b for b in buttons if b.get("method") == "animate" and (b.get("args") or [None])[0] is None]
        if runs:
            play = _frame_time(runs[0].get("args") or [])
            continue
        if buttons:
            label = menu.get("name") or "Show"
            controls.append(_control("select", label, buttons, menu.get("active", 0)))
    for slider in layout.pop("sliders", None) or []:
        steps = slider.get("steps") or []
        if not steps:
            continue
        current = slider.get("currentvalue") or {}
        prefix = str(current.get("prefix") or slider.get("name") or "Value").strip()
        control = _control("range", prefix.rstrip(":= "), steps, slider.get("active", 0))
        control["suffix"] = current.get("suffix") or ""
        if play is not None:
            control["script"]["wait"] = play
            control["play"] = True
            play = None
        controls.append(control)
    if play is not None:
        controls.append({"kind": "play", "label": "Play", "options": [], "script": {"kind": "play", "wait": play}})
    return controls


def _control(kind: str, label: str, steps: list[dict], active: int | None) -> dict:
    active = min(max(int(active or 0), 0), len(steps) - 1)
    return {
        "kind": kind,
        "label": label,
        "options": [str(s.get("label", i + 1)) for i, s in enumerate(steps)],
        "active": active,
        "suffix": "",
        "play": False,
        "script": {
            "kind": kind,
            "active": active,
            "steps": [[s.get("method", "restyle"), s.get("args") or []] for s in steps],
        },
    }


def _frame_time(args: list) -> int:
    frame = (args[1] if len(args) > 1 and isinstance(args[1], dict) else {}).get("frame") or {}
    return max(int(frame.get("duration") or 180), 60)


_PLAY = (
    '<button type="button" class="fig-play" data-play aria-label="Play"><svg viewBox="0 0 16 16" aria-hidden="true">'
    '<path class="i-play" d="M4 2.5v11l9-5.5z"/><path class="i-pause" d="M4 3h3v10H4zM9 3h3v10H9z"/></svg></button>'
)


def _controls_html(controls: list[dict], id: str) -> str:
    made = []
    for index, control in enumerate(controls):
        key = f"{id}-c{index + 1}"
        label = escape(control["label"])
        if control["kind"] == "play":
            made.append(f'<div class="fig-control" data-i="{index}">{_PLAY}</div>')
            continue
        options, active = control["options"], control["active"]
        if control["kind"] == "range":
            suffix = escape(control["suffix"])
            values = escape(json.dumps(options, ensure_ascii=False), quote=True)
            now = f"{escape(options[active])}{suffix}"
            made.append(
                f'<div class="fig-control" data-i="{index}">{_PLAY if control["play"] else ""}'
                f'<label for="{key}">{label}</label>'
                f'<input type="range" id="{key}" min="0" max="{len(options) - 1}" step="1" value="{active}" '
                f'autocomplete="off" aria-valuetext="{escape(now, quote=True)}" data-values="{values}" '
                f'data-suffix="{suffix}"><output for="{key}">{now}</output></div>'
            )
        else:
            items = "".join(
                f"<option value={i}{' selected' if i == active else ''}>{escape(o)}</option>"
                for i, o in enumerate(options)
            )
            made.append(
                f'<div class="fig-control" data-i="{index}"><label for="{key}">{label}</label>'
                f'<select id="{key}" autocomplete="off">{items}</select></div>'
            )
    return f'<div class="fig-controls js-only">{"".join(made)}</div>\n' if made else ""
