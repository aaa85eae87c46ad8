"""The figure on the cover: a claim that is measured again in the reader's browser, each time the slider moves.

SGD on the quadratic loss theta^2 / 2 with Gaussian gradient noise, many runs at once. Its expected loss is known
exactly at every step, and so is the standard error of the mean over the runs: the measured curve must stay in the band.
`theme/static/cover.js` repeats this computation with the same random numbers; here it makes the picture for readers
without JavaScript and for the first moment of a visit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape

from docutils import nodes
from sphinx.util.docutils import SphinxDirective


@dataclass(frozen=True)
class Setting:
    """n_runs runs of n_steps steps from theta = start, gradient noise of standard deviation noise."""

    n_runs: int = 300
    n_steps: int = 60
    start: float = 4.0
    noise: float = 0.5
    seed: int = 0
    errors: float = 4.0  # half width of the bound in standard errors of the mean


STEP_SIZES = (0.02, 0.03, 0.05, 0.08, 0.12, 0.2, 0.3, 0.5, 0.8, 1.2, 1.5, 1.7, 1.85, 1.95, 2.02, 2.1)
ACTIVE = 5
DECADES = (-3, 3)  # the picture's range of the loss, powers of ten
N_DRAWN = 24  # single runs drawn behind the mean


def uniform(seed: int):
    """Mulberry32: 32-bit arithmetic that gives the same numbers in Python and in JavaScript."""
    state = seed & 0xFFFFFFFF
    while True:
        state = (state + 0x6D2B79F5) & 0xFFFFFFFF
        t = state
        t = ((t ^ (t >> 15)) * (t | 1)) & 0xFFFFFFFF
        t ^= (t + (((t ^ (t >> 7)) * (t | 61)) & 0xFFFFFFFF)) & 0xFFFFFFFF
        yield ((t ^ (t >> 14)) & 0xFFFFFFFF) / 4294967296


def normal(seed: int):
    """Standard normal numbers by Box and Muller, both of each pair."""
    source = uniform(seed)
    for u in source:
        radius, angle = math.sqrt(-2 * math.log(1 - u)), 2 * math.pi * next(source)
        yield radius * math.cos(angle)
        yield radius * math.sin(angle)


def run(step_size: float, setting: Setting = Setting()) -> tuple[list[float], list[list[float]]]:
    """Mean loss at steps 0..n_steps over all runs, and the losses of the first N_DRAWN runs."""
    draws = normal(setting.seed)
    theta = [setting.start] * setting.n_runs
    mean, single = [], [[] for _ in range(N_DRAWN)]
    for step in range(setting.n_steps + 1):
        if step:
            theta = [t - step_size * (t + setting.noise * next(draws)) for t in theta]
        losses = [t * t / 2 for t in theta]
        mean.append(sum(losses) / len(losses))
        for history, loss in zip(single, losses, strict=False):
            history.append(loss)
    return mean, single


def exact(step_size: float, setting: Setting = Setting()) -> list[tuple[float, float]]:
    """Expected loss and standard error of its mean over the runs, at steps 0..n_steps.

    theta is Gaussian with mean m and variance v: E theta^2/2 = (m^2 + v)/2, Var theta^2/2 = v^2/2 + m^2 v.
    """
    m, v, found = setting.start, 0.0, []
    for step in range(setting.n_steps + 1):
        if step:
            m, v = (1 - step_size) * m, (1 - step_size) ** 2 * v + (step_size * setting.noise) ** 2
        found.append(((m * m + v) / 2, math.sqrt((v * v / 2 + m * m * v) / setting.n_runs)))
    return found


def short(value: float) -> str:
    """Three significant digits, as `cover.js` writes them."""
    return f"{value:.3g}" if 0.001 <= abs(value) < 1000 else f"{value:.2e}".replace("e+0", "e").replace("e-0", "e-")


def _y(loss: float) -> float:
    low, high = DECADES
    level = math.log10(max(loss, 1e-30))
    return round(100 * (1 - (min(max(level, low - 0.5), high + 0.5) - low) / (high - low)), 2)


def _path(values: list[float], setting: Setting) -> str:
    return "M" + "L".join(f"{100 * i / setting.n_steps:.4g} {_y(v)}" for i, v in enumerate(values))


def _band(theory: list[tuple[float, float]], setting: Setting) -> str:
    upper = [e + setting.errors * s for e, s in theory]
    lower = [max(e - setting.errors * s, 1e-30) for e, s in theory]
    back = "L".join(f"{100 * i / setting.n_steps:.4g} {_y(lower[i])}" for i in range(setting.n_steps, -1, -1))
    return f"{_path(upper, setting)}L{back}Z"


def cover_html(setting: Setting = Setting()) -> str:
    """The figure with its slider and its claim card, complete without JavaScript."""
    step_size = STEP_SIZES[ACTIVE]
    (mean, single), theory = run(step_size, setting), exact(step_size, setting)
    expected, error = theory[-1]
    low, high = expected - setting.errors * error, expected + setting.errors * error
    holds = low <= mean[-1] <= high
    grid = "".join(f'<path class="live-grid" d="M0 {_y(10.0**d)}H100"/>' for d in range(DECADES[0] + 1, DECADES[1]))
    runs = f'<path class="live-runs" d="{"".join(_path(s, setting) for s in single)}"/>'
    ticks = "".join(
        f'<span style="top:{_y(10.0**d)}%">{label}</span>' for d, label in ((-2, "0.01"), (0, "1"), (2, "100"))
    )
    constants = " ".join(f'data-{k.replace("n_", "")}="{v}"' for k, v in vars(setting).items())
    n = len(STEP_SIZES) - 1
    alt = (
        f"Loss of {setting.n_runs} runs of stochastic gradient descent against the step, on a logarithmic axis. "
        "Their mean, drawn bold, follows the dashed curve that theory predicts and stays inside its narrow band."
    )
    return f"""<div class="live" data-sizes="{escape(str(list(STEP_SIZES)))}" {constants}>
<div class="live-chart" role="img" aria-label="{alt}"><div class="live-y" aria-hidden="true">{ticks}</div>
<svg viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">{grid}{runs}
<path class="live-band" d="{_band(theory, setting)}"/>
<path class="live-theory" d="{_path([e for e, _ in theory], setting)}"/>
<path class="live-mean" d="{_path(mean, setting)}"/></svg>
<p class="live-title" aria-hidden="true">loss, {setting.n_runs} runs</p>
<p class="live-x" aria-hidden="true"><span>step 0</span><span>step {setting.n_steps}</span></p></div>
<div class="fig-controls js-only"><div class="fig-control"><label for="live-size">Step size</label>
<input type="range" id="live-size" min="0" max="{n}" value="{ACTIVE}" autocomplete="off" aria-valuetext="{step_size}">
<output for="live-size">{step_size}</output></div></div>
<div class="sb-claim"><dl><dt>Theory says</dt><dd class="sb-claim-says">after {setting.n_steps} steps of size \
<b class="live-eta">{step_size}</b> the loss is <b class="live-expected">{short(expected)}</b>, on average</dd>
<dt>We measured</dt><dd class="sb-claim-measured"><b class="live-measured">{short(mean[-1])}</b> over \
{setting.n_runs} runs, <span class="live-where">when this page was built</span></dd>
<dt>Bound</dt><dd class="sb-claim-bound">between <span class="live-low">{short(low)}</span> and \
<span class="live-high">{short(high)}</span> ({setting.errors:g} standard errors)</dd>
<dt>Verdict</dt><dd class="sb-claim-verdict live-verdict">{"● reproduced" if holds else "✕ failed"}</dd></dl></div>
</div>"""


class LiveClaim(SphinxDirective):
    """```{live-claim}``` with no body: the cover's figure."""

    has_content = False

    def run(self) -> list[nodes.Node]:
        return [nodes.raw("", cover_html(), format="html")]


def setup(app) -> None:
    app.add_directive("live-claim", LiveClaim)
