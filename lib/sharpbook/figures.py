"""One look for every figure of the book: a palette with fixed meaning, alt text, light pages.

A figure is built with `figure` (or `panels`), filled with `line`, `band`, `points`, `bars`, `heatmap`, `slope_guide`,
given one control with `slider`, `animation` or `dropdown`, and displayed with `show`. Colours are those of the light
page; `layout.meta.dark` tells the site what each becomes in the dark.
"""

from __future__ import annotations

import base64
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, SupportsFloat

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

MIME = "application/vnd.plotly.v1+json"
MAX_FRAMES = 41


@dataclass(frozen=True)
class Role:
    """How one meaning is drawn: colour on the light and on the dark page, dash, width in px."""

    light: str
    dark: str
    dash: str = "solid"
    width: float = 2.0


#: The meaning of a colour is the same on every page. All pass 3:1 against their background, and differ in lightness.
ROLES: dict[str, Role] = {
    "method": Role("#b3401f", "#ff9b73", width=2.6),  # what the paper proposes
    "variant": Role("#0f6e84", "#5fc4d8", width=2.4),  # the paper's second proposal, or ours
    "strong": Role("#333a40", "#e6e8ea", width=2.4),  # the strongest baseline
    "baseline": Role("#767d84", "#9aa1a8", width=1.6),  # the other baselines
    "muted": Role("#b3b8bd", "#5a6067", width=1.2),  # a crowd that is context
    "theory": Role("#5b6167", "#b4bac0", dash="dash", width=1.6),  # a formula, a bound, a prediction
    "extra": Role("#7a5195", "#c9a3e0", width=2.2),
    "extra2": Role("#8a6d00", "#dcbf4a", width=2.2),
}
_INK, _GRID, _AXIS = ("#2b2f33", "#d9dcdf"), ("#e4e6e8", "#33383d"), ("#8b9197", "#7d848b")
_SURFACE = ("#fdfcfa", "#16181b")
_FONT = "Source Serif 4, Source Serif Pro, Georgia, serif"

#: Sequential scale for magnitudes: from the page to the colour of the method.
SEQUENTIAL = [[0.0, "#f6efe9"], [0.35, "#e8b9a4"], [0.7, "#cb6f4d"], [1.0, "#8f2f14"]]
#: Diverging scale for signed values, grey-white in the middle.
DIVERGING = [[0.0, "#0f6e84"], [0.5, "#f2f1ef"], [1.0, "#b3401f"]]
_SCALE_DARK = {
    "#f6efe9": "#241d19",
    "#e8b9a4": "#6d3a26",
    "#cb6f4d": "#c96a45",
    "#8f2f14": "#ffb392",
    "#f2f1ef": "#2a2c2f",
}


def _rgba(hex_colour: str, alpha: float) -> str:
    r, g, b = (int(hex_colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({r},{g},{b},{alpha:g})"


def role(name: str) -> Role:
    """The `Role` called `name`; ValueError names those that exist."""
    if name not in ROLES:
        raise ValueError(f"unknown role {name!r}; the book's roles are {', '.join(ROLES)}")
    return ROLES[name]


def _dark_map() -> dict[str, str]:
    table = {r.light: r.dark for r in ROLES.values()} | _SCALE_DARK
    table |= {_rgba(r.light, 0.18): _rgba(r.dark, 0.22) for r in ROLES.values()}
    for light, dark in (_INK, _GRID, _AXIS, _SURFACE):
        table[light] = dark
    return table


def _axis(title: str, *, log: bool, limits: Sequence[SupportsFloat] | None) -> dict[str, Any]:
    axis: dict[str, Any] = dict(
        title=dict(text=f"{title} (log)" if log and title else title, standoff=8),
        gridcolor=_GRID[0],
        linecolor=_AXIS[0],
        zeroline=False,
        ticks="outside",
        tickcolor=_AXIS[0],
        ticklen=4,
        automargin=True,
    )
    if log:
        axis |= dict(type="log", exponentformat="power", nticks=8)
    if limits is not None:
        axis["range"] = [math.log10(v) for v in limits] if log else list(limits)
        if log:  # labels at 1, 2, 5 on a short axis, at powers of ten on a long one; left alone, Plotly crowds both
            axis["dtick"] = "D2" if axis["range"][1] - axis["range"][0] < 2.2 else 1
    return axis


def _dress(fig: go.Figure, title: str, alt: str, caption: str, height: int) -> None:
    if not alt or len(alt) < 40:
        raise ValueError("alt text is what a blind reader gets of a figure: say in a sentence or two what it shows")
    fig.update_layout(
        template=go.layout.Template(),
        title=dict(text=title, x=0, xref="paper", xanchor="left", font=dict(size=16)),
        height=height,
        margin=dict(l=64, r=16, t=52, b=56),
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font=dict(family=_FONT, size=14, color=_INK[0]),
        hovermode="closest",
        dragmode=False,
        legend=dict(orientation="h", x=0, y=-0.2, yanchor="top", xanchor="left", bgcolor="rgba(0,0,0,0)"),
        hoverlabel=dict(bgcolor=_SURFACE[0], font=dict(family=_FONT, color=_INK[0])),
        meta=dict(alt=alt, caption=caption, dark=_dark_map(), bundle="cartesian"),
    )


def figure(
    title: str,
    x: str,
    y: str,
    *,
    alt: str,
    caption: str = "",
    height: int = 420,
    x_log: bool = False,
    y_log: bool = False,
    x_range: Sequence[SupportsFloat] | None = None,
    y_range: Sequence[SupportsFloat] | None = None,
) -> go.Figure:
    """An empty figure with the book's look.

    Parameters
    ----------
    title, x, y : what is shown; axis titles with units. "(log)" is added to a logarithmic axis.
    alt : one or two sentences for who cannot see it (at least 40 characters).
    caption : printed below; says what to notice.
    height : px, controls not counted.
    x_range, y_range : (low, high) in data units, also on a logarithmic axis.

    Raises
    ------
    ValueError : alt text missing or too short to say anything.
    """
    fig = go.Figure()
    _dress(fig, title, alt, caption, height)
    fig.update_xaxes(_axis(x, log=x_log, limits=x_range))
    fig.update_yaxes(_axis(y, log=y_log, limits=y_range))
    return fig


def panels(
    title: str,
    subtitles: Sequence[str],
    x: Sequence[str],
    y: Sequence[str],
    *,
    alt: str,
    caption: str = "",
    columns: int = 1,
    height: int = 640,
    x_log: Sequence[bool] | bool = False,
    y_log: Sequence[bool] | bool = False,
    x_range: Sequence[Sequence[SupportsFloat] | None] | None = None,
    y_range: Sequence[Sequence[SupportsFloat] | None] | None = None,
) -> go.Figure:
    """Several axes in one figure, one below the other by default, because a phone has no room for two side by side.

    `x`, `y` (and `x_log`, `y_log` when sequences) have one entry per subtitle, and so have `x_range` and `y_range`:
    (low, high) in data units, or None. Draw into panel i (0-based) with `panel=i`.
    """
    n = len(subtitles)
    if len(x) != n or len(y) != n:
        raise ValueError(f"{n} subtitles need {n} x titles and {n} y titles; got {len(x)} and {len(y)}")
    rows = -(-n // columns)
    fig = make_subplots(
        rows=rows,
        cols=columns,
        subplot_titles=list(subtitles),
        vertical_spacing=min(0.32 / max(rows - 1, 1), 0.24),
        horizontal_spacing=0.14,
    )
    fig.update_annotations(font=dict(family=_FONT, size=14, color=_INK[0]))
    _dress(fig, title, alt, caption, height)
    fig.update_layout(margin=dict(t=84), legend=dict(y=-0.14))
    for i in range(n):
        where = dict(row=i // columns + 1, col=i % columns + 1)
        for update, titles, log, limits in (
            (fig.update_xaxes, x, x_log, x_range),
            (fig.update_yaxes, y, y_log, y_range),
        ):
            is_log = log if isinstance(log, bool) else log[i]
            update(_axis(titles[i], log=is_log, limits=limits[i] if limits else None), **where)
    return fig


def _add(fig: go.Figure, trace: Any, panel: int | None) -> go.Figure:
    if panel is None:
        return fig.add_trace(trace)
    columns = len(fig._grid_ref[0])
    return fig.add_trace(trace, row=panel // columns + 1, col=panel % columns + 1)


def curve(
    x,
    y,
    name: str = "",
    role_name: str = "method",
    *,
    markers: bool = False,
    dash: str | None = None,
    width: SupportsFloat | None = None,
    legend: bool = True,
    visible: bool = True,
    hover: str | None = None,
) -> go.Scatter:
    """A line as a trace: what `line` adds, and what frames of a slider are made of. x, y: (n,)."""
    style = role(role_name)
    return go.Scatter(
        x=np.asarray(x),
        y=np.asarray(y),
        name=name,
        mode="lines+markers" if markers else "lines",
        visible=visible,
        showlegend=legend and bool(name),
        line=dict(color=style.light, dash=dash or style.dash, width=width or style.width),
        marker=dict(size=6),
        hovertemplate=hover,
    )


def line(
    fig: go.Figure, x, y, name: str = "", role_name: str = "method", *, panel: int | None = None, **style
) -> go.Figure:
    """Add a line in the colour of its role. x, y: (n,). Keywords as in `curve`."""
    return _add(fig, curve(x, y, name, role_name, **style), panel)


def spread(x, low, high, role_name: str = "method", *, kind: str = "", visible: bool = True) -> go.Scatter:
    """The area between `low` and `high` as a trace; `kind` says what it is ("95 % interval", "min to max")."""
    x, low, high = (np.asarray(v, dtype=float) for v in (x, low, high))
    return go.Scatter(
        x=np.concatenate([x, x[::-1]]),
        y=np.concatenate([high, low[::-1]]),
        fill="toself",
        mode="lines",
        name=kind,
        line=dict(width=0, color=role(role_name).light),
        fillcolor=_rgba(role(role_name).light, 0.18),
        hoverinfo="skip",
        showlegend=bool(kind),
        visible=visible,
    )


def band(fig: go.Figure, x, low, high, role_name: str = "method", *, kind: str, panel: int | None = None) -> go.Figure:
    """Shade the uncertainty between `low` and `high` (n,); `kind` says which, and stands in the legend."""
    if not kind:
        raise ValueError("say which uncertainty the band shows, for example kind='95 % interval over 10 seeds'")
    return _add(fig, spread(x, low, high, role_name, kind=kind), panel)


def dots(
    x,
    y,
    name: str = "",
    role_name: str = "method",
    *,
    size: SupportsFloat = 8,
    symbol: str = "circle",
    text: Sequence[str] | None = None,
    legend: bool = True,
    visible: bool = True,
    opacity: SupportsFloat = 1.0,
) -> go.Scatter:
    """Markers as a trace. x, y: (n,); `text` is shown on hover."""
    return go.Scatter(
        x=np.asarray(x),
        y=np.asarray(y),
        name=name,
        mode="markers",
        visible=visible,
        showlegend=legend and bool(name),
        text=text,
        hovertemplate=None if text is None else "%{text}<extra></extra>",
        opacity=opacity,
        marker=dict(size=size, symbol=symbol, color=role(role_name).light),
    )


def points(
    fig: go.Figure, x, y, name: str = "", role_name: str = "method", *, panel: int | None = None, **style
) -> go.Figure:
    """Add markers in the colour of their role. Keywords as in `dots`."""
    return _add(fig, dots(x, y, name, role_name, **style), panel)


def columns(x, y, name: str = "", role_name: str = "method", *, legend: bool = True, visible: bool = True) -> go.Bar:
    """Bars as a trace. x: (n,) categories or numbers, y: (n,)."""
    return go.Bar(
        x=list(x),
        y=np.asarray(y),
        name=name,
        showlegend=legend and bool(name),
        visible=visible,
        marker=dict(color=role(role_name).light, line=dict(width=0)),
    )


def bars(
    fig: go.Figure, x, y, name: str = "", role_name: str = "method", *, panel: int | None = None, **style
) -> go.Figure:
    """Add bars in the colour of their role. Keywords as in `columns`."""
    return _add(fig, columns(x, y, name, role_name, **style), panel)


def raster(
    z,
    x=None,
    y=None,
    *,
    scale=None,
    limits: tuple[SupportsFloat, SupportsFloat] | None = None,
    unit: str = "",
    visible: bool = True,
) -> go.Heatmap:
    """A heat map as a trace. z: (rows, columns), row 0 at the bottom unless the y axis is reversed."""
    return go.Heatmap(
        z=np.asarray(z, dtype=float),
        x=x,
        y=y,
        colorscale=scale or SEQUENTIAL,
        visible=visible,
        zmin=None if limits is None else limits[0],
        zmax=None if limits is None else limits[1],
        colorbar=dict(title=dict(text=unit, side="right"), thickness=12, outlinewidth=0),
    )


def heatmap(fig: go.Figure, z, x=None, y=None, *, panel: int | None = None, **style) -> go.Figure:
    """Add a heat map. Keywords as in `raster`."""
    return _add(fig, raster(z, x, y, **style), panel)


def guide_x(
    fig: go.Figure, x: SupportsFloat, text: str = "", role_name: str = "theory", *, panel: int | None = None
) -> go.Figure:
    """A vertical dashed line at x with a label at its top."""
    return _guide(fig, "add_vline", dict(x=x), text, role_name, panel, "top right")


def guide_y(
    fig: go.Figure, y: SupportsFloat, text: str = "", role_name: str = "theory", *, panel: int | None = None
) -> go.Figure:
    """A horizontal dashed line at y with a label at its right end."""
    return _guide(fig, "add_hline", dict(y=y), text, role_name, panel, "top right")


def _guide(
    fig: go.Figure, kind: str, at: dict, text: str, role_name: str, panel: int | None, position: str
) -> go.Figure:
    style = role(role_name)
    grid = {} if panel is None else dict(row=panel // len(fig._grid_ref[0]) + 1, col=panel % len(fig._grid_ref[0]) + 1)
    label = dict(annotation_text=text, annotation_position=position, annotation_font_color=style.light) if text else {}
    getattr(fig, kind)(**at, line=dict(color=style.light, dash=style.dash, width=style.width), **label, **grid)
    return fig


def slope_guide(
    fig: go.Figure,
    x: Sequence[SupportsFloat],
    y_at_start: SupportsFloat,
    slope: SupportsFloat,
    name: str,
    *,
    panel: int | None = None,
) -> go.Figure:
    """The power law y = y_at_start (x / x[0])^slope as a dashed line, to hold a measured log-log curve against."""
    x = np.asarray([min(x), max(x)], dtype=float)
    if x[0] <= 0 or y_at_start <= 0:
        raise ValueError("a power law needs positive x and y")
    return line(fig, x, y_at_start * (x / x[0]) ** slope, name, "theory", panel=panel)


def slider(
    fig: go.Figure,
    label: str,
    values: Sequence[Any],
    frames: Sequence[Sequence[Any]],
    *,
    traces: Sequence[int],
    active: int = 0,
    unit: str = "",
    layouts: Sequence[Mapping[str, Any]] | None = None,
    play: bool = False,
) -> go.Figure:
    """One slider that redraws some traces.

    Parameters
    ----------
    label, unit : the name of what the slider sets, and its unit.
    values : shown beside the label, one per frame.
    frames : for each value the traces to draw, in the order of `traces`. Only these are stored, not the whole figure.
    traces : indices of the traces that change; all others stay.
    active : the frame shown first.
    layouts : optional layout changes per frame (a title, an axis range, shapes).
    play : also a play button; use it when the order is time.

    Raises
    ------
    ValueError : more than 41 frames (a page is not a data dump), or lengths that do not fit.
    """
    values, frames = list(values), list(frames)
    if len(values) != len(frames):
        raise ValueError(f"{len(values)} values for {len(frames)} frames")
    if not 2 <= len(frames) <= MAX_FRAMES:
        raise ValueError(f"a slider has 2 to {MAX_FRAMES} frames, not {len(frames)}: thin the values out")
    for value, frame in zip(values, frames, strict=True):
        if len(frame) != len(traces):
            raise ValueError(f"the frame at {label} = {value} has {len(frame)} traces for {len(traces)} indices")
    at_once = dict(mode="immediate", frame=dict(duration=0, redraw=True), transition=dict(duration=0))
    names = [f"{label}={v}" for v in values]
    fig.frames = [
        go.Frame(
            name=name, data=[_only_data(t) for t in frame], traces=list(traces), layout=layouts[i] if layouts else None
        )
        for i, (name, frame) in enumerate(zip(names, frames, strict=True))
    ]
    for index, trace in zip(traces, frames[active], strict=True):
        fig.data[index].update(_only_data(trace).to_plotly_json(), overwrite=False)
    if layouts:
        fig.update_layout(layouts[active])
    fig.update_layout(
        sliders=[
            dict(
                active=active,
                pad=dict(t=48),
                currentvalue=dict(prefix=f"{label}: ", suffix=f" {unit}".rstrip()),
                steps=[
                    dict(label=str(v), method="animate", args=[[n], at_once])
                    for v, n in zip(values, names, strict=True)
                ],
            )
        ]
    )
    if play:
        run = dict(
            mode="immediate", fromcurrent=True, frame=dict(duration=180, redraw=True), transition=dict(duration=0)
        )
        fig.update_layout(
            updatemenus=[
                *fig.layout.updatemenus,
                dict(
                    type="buttons",
                    direction="left",
                    x=0,
                    y=1.12,
                    xanchor="left",
                    buttons=[
                        dict(label="Play", method="animate", args=[None, run]),
                        dict(label="Pause", method="animate", args=[[None], at_once]),
                    ],
                ),
            ]
        )
    return fig


def animation(fig: go.Figure, label: str, values, frames, *, traces, **options) -> go.Figure:
    """A `slider` over time with a play button."""
    return slider(fig, label, values, frames, traces=traces, play=True, **options)


def dropdown(
    fig: go.Figure,
    label: str,
    options: Mapping[str, Sequence[int]],
    *,
    always: Sequence[int] = (),
    active: int = 0,
    layouts: Sequence[Mapping[str, Any]] | None = None,
) -> go.Figure:
    """A list of choices, each showing some traces; goes together with a `slider`.

    Parameters
    ----------
    label : what is chosen.
    options : name of a choice -> indices of the traces that it shows.
    always : indices of traces that every choice shows.
    layouts : optional layout changes per choice, as `Plotly.relayout` takes them ({"yaxis.range": [0, 1]}).
    """
    if not options:
        raise ValueError("a dropdown needs at least one option")
    n = len(fig.data)
    masks = [[i in set(shown) | set(always) for i in range(n)] for shown in options.values()]
    for trace, on in zip(fig.data, masks[active], strict=True):
        trace.visible = on
    buttons = [
        dict(label=name, method="update", args=[dict(visible=mask), dict(layouts[i]) if layouts else {}])
        for i, (name, mask) in enumerate(zip(options, masks, strict=True))
    ]
    fig.update_layout(
        updatemenus=[
            *fig.layout.updatemenus,
            dict(
                type="dropdown",
                name=label,
                active=active,
                x=1,
                xanchor="right",
                y=1.16,
                yanchor="top",
                buttons=buttons,
                showactive=True,
            ),
        ]
    )
    return fig


# What a frame may change. Style stays with the trace that the frame replaces, which keeps pages light.
_FRAME_KEYS = {"x", "y", "z", "text", "marker", "type", "error_y"}


def _only_data(trace: Any) -> Any:
    kept = {k: v for k, v in trace.to_plotly_json().items() if k in _FRAME_KEYS}
    if isinstance(kept.get("marker"), dict) and not any(
        isinstance(v, np.ndarray | list) for v in kept["marker"].values()
    ):
        kept.pop("marker")
    kind = kept.pop("type", "scatter")
    return {"scatter": go.Scatter, "bar": go.Bar, "heatmap": go.Heatmap}[kind](**kept)


def compact(value: Any, digits: int = 5) -> Any:
    """Plotly JSON with arrays as short lists: `digits` significant digits (more are invisible), NaN and inf as null."""
    if isinstance(value, dict):
        if "bdata" in value:  # Plotly's base64 arrays carry every bit of a float64; gzip cannot shrink noise
            flat = np.frombuffer(base64.b64decode(value["bdata"]), dtype=np.dtype(value["dtype"]).newbyteorder("<"))
            shape = [int(n) for n in str(value.get("shape", flat.size)).split(",")]
            return compact(flat.reshape(shape), digits)
        return {k: compact(v, digits) for k, v in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        if isinstance(value, np.ndarray) and value.dtype.kind in "biu":
            return value.tolist()
        return [compact(v, digits) for v in (value.tolist() if isinstance(value, np.ndarray) else value)]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        short = float(f"{value:.{digits}g}")
        return int(short) if short == int(short) and abs(short) < 1e15 else short
    return value


@dataclass(frozen=True)
class Shown:
    """A finished figure: Plotly's MIME type for the site and for JupyterLab, alt text for everything else."""

    plotly: dict[str, Any]
    text: str

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, Any]:
        return {MIME: self.plotly, "text/plain": self.text}

    def __repr__(self) -> str:
        return self.text


def show(fig: go.Figure) -> Shown | None:
    """Display a figure as the last line of a cell.

    Raises ValueError for what a reader would miss: an axis without a title, alt text lost on the way.
    """
    meta = fig.layout.meta or {}
    if not meta.get("alt"):
        raise ValueError("build figures with sharpbook.figures.figure or panels: this one has no alt text")
    spec = fig.to_plotly_json()
    untitled = [
        k
        for k, v in spec["layout"].items()
        if k[1:].startswith("axis") and not (v.get("title") or {}).get("text") and v.get("visible", True)
    ]
    if untitled:
        raise ValueError(f"{', '.join(untitled)} has no title: every axis says what it shows, with its unit")
    if "google.colab" in sys.modules:  # Colab draws Plotly's own renderer only
        fig.show(renderer="colab")
        return None
    spec = {k: compact(v) for k, v in spec.items() if k in ("data", "layout", "frames")}
    return Shown(spec, f"Figure: {fig.layout.title.text}. {meta['alt']}")
