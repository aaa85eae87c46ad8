"""Claims: a sentence, a measurement, and a bound that the measurement can miss.

`claim(...)` is displayed as a card, as plain text and as `application/vnd.sharpbook.claim+json`, from which the build
collects the ledger of the whole book. A claim never raises because its bound is missed: the card says so, and the build
refuses to publish.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any, Literal, SupportsFloat

MIME = "application/vnd.sharpbook.claim+json"
Verdict = Literal["reproduced", "not reproduced", "failed"]

_SHAPES = {"reproduced": "●", "not reproduced": "◐", "failed": "✕"}

# Enough for a card to be readable in Jupyter, where the site's style sheet is absent.
_STYLE = (
    "<style>.sb-claim{border-top:1px solid;margin:1em 0;padding:.5em 0;max-width:44em}"
    ".sb-claim dl{display:grid;grid-template-columns:8.5em 1fr;gap:.15em 1em;margin:.3em 0}"
    ".sb-claim dt{opacity:.75}.sb-claim dd{margin:0}.sb-ledger td,.sb-ledger th{text-align:left;padding:.2em .7em}"
    "</style>"
)


def format_number(value: float) -> str:
    """`value` with four significant digits, without a tail of zeros; integers whole, very small or large as 1.2e-07."""
    if isinstance(value, int) or (math.isfinite(value) and value == int(value) and abs(value) < 1e6):
        return f"{int(value)}"
    return f"{value:.4g}"


@dataclass(frozen=True)
class Bound:
    """What a measured value must satisfy. `numbers` holds (low, high), (limit,) or (target, tolerance)."""

    kind: Literal["between", "at_least", "at_most", "equals"]
    numbers: tuple[float, ...]

    def holds(self, value: float) -> bool:
        """True when `value` is inside the bound, ends included. NaN is never inside."""
        if math.isnan(value):
            return False
        if self.kind == "between":
            return self.numbers[0] <= value <= self.numbers[1]
        if self.kind == "at_least":
            return value >= self.numbers[0]
        if self.kind == "at_most":
            return value <= self.numbers[0]
        return abs(value - self.numbers[0]) <= self.numbers[1]

    def __str__(self) -> str:
        shown = [format_number(n) for n in self.numbers]
        if self.kind == "between":
            return f"between {shown[0]} and {shown[1]}"
        if self.kind == "at_least":
            return f"at least {shown[0]}"
        if self.kind == "at_most":
            return f"at most {shown[0]}"
        return f"exactly {shown[0]}" if self.numbers[1] == 0 else f"{shown[0]} ± {shown[1]}"


def _bound(name: str, between, at_least, at_most, equals) -> Bound:
    given = {
        k: v
        for k, v in dict(between=between, at_least=at_least, at_most=at_most, equals=equals).items()
        if v is not None
    }
    if len(given) != 1:
        said = ", ".join(given) or "none"
        raise ValueError(f"claim {name!r} needs exactly one of between, at_least, at_most, equals; got {said}")
    kind, value = given.popitem()
    numbers = tuple(float(v) for v in (value if kind in ("between", "equals") else (value,)))
    if kind in ("between", "equals") and len(numbers) != 2:
        raise ValueError(f"claim {name!r}: {kind} takes a pair, got {value!r}")
    if kind == "between" and numbers[0] > numbers[1]:
        raise ValueError(f"claim {name!r}: between={value!r} has its ends swapped")
    if kind == "equals" and numbers[1] < 0:
        raise ValueError(f"claim {name!r}: the tolerance of equals={value!r} is negative")
    if any(math.isnan(n) for n in numbers):
        raise ValueError(f"claim {name!r}: a bound cannot be NaN")
    return Bound(kind, numbers)


@dataclass(frozen=True)
class Part:
    """One measured quantity of a claim with its own bound."""

    name: str
    measured: float
    bound: Bound
    unit: str = ""

    @property
    def holds(self) -> bool:
        return self.bound.holds(self.measured)

    def as_dict(self) -> dict[str, Any]:
        # JSON has no infinities and no NaN, and a measurement may well be one of them.
        finite = math.isfinite(self.measured)
        return {
            "name": self.name,
            "measured": self.measured if finite else None,
            "bound": {"kind": self.bound.kind, "numbers": list(self.bound.numbers), "text": str(self.bound)},
            "unit": self.unit,
            "holds": self.holds,
            "text": " ".join(filter(None, [format_number(self.measured) if finite else str(self.measured), self.unit])),
        }


def part(
    name: str, measured: SupportsFloat, *, between=None, at_least=None, at_most=None, equals=None, unit: str = ""
) -> Part:
    """One named quantity of a claim with several.

    Parameters
    ----------
    name : what was measured, in words.
    measured : a real number.
    between, at_least, at_most, equals : exactly one: (low, high), a limit, a limit, or (target, tolerance).
    unit : shown behind the number.

    Raises
    ------
    ValueError : not exactly one bound, or a malformed one.
    """
    return Part(name, float(measured), _bound(name, between, at_least, at_most, equals), unit)


@dataclass(frozen=True)
class Claim:
    """A claim with its verdict; made by `claim`, displayed as a card."""

    id: str
    says: str
    source: str
    parts: tuple[Part, ...]
    paper: str = ""
    expected: Literal["reproduced", "not reproduced"] = "reproduced"
    because: str = ""

    @property
    def holds(self) -> bool:
        return all(p.holds for p in self.parts)

    @property
    def verdict(self) -> Verdict:
        """What is declared beforehand when every bound holds, `failed` when one is missed."""
        return self.expected if self.holds else "failed"

    @property
    def ours(self) -> bool:
        return self.source.strip().lower().startswith("ours")

    def as_dict(self) -> dict[str, Any]:
        """The claim as JSON-ready data; this is what the ledger and the build read."""
        return {
            "id": self.id,
            "says": self.says,
            "source": self.source,
            "ours": self.ours,
            "paper": self.paper,
            "parts": [p.as_dict() for p in self.parts],
            "expected": self.expected,
            "because": self.because,
            "holds": self.holds,
            "verdict": self.verdict,
        }

    def as_text(self) -> str:
        lines = [f"[{self.verdict}] {self.id}: {self.says} ({self.source})"]
        if self.paper:
            lines.append(f"  the paper's number: {self.paper}")
        for p in self.parts:
            mark = "" if p.holds else "  <- missed"
            label = f"{p.name}: " if p.name else ""
            lines.append(f"  {label}{p.as_dict()['text']}, bound: {p.bound}{mark}")
        if self.because:
            lines.append(f"  because: {self.because}")
        return "\n".join(lines)

    def as_html(self) -> str:
        """A card of four lines. Every string is escaped: claims quote papers, and papers contain < and &."""

        def row(field_name: str, label: str, content: str) -> str:
            return f'<dt>{label}</dt><dd class="sb-claim-{field_name}">{content}</dd>'

        def lines(texts: Sequence[str]) -> str:
            return "<br>".join(texts)

        named = [(f"{escape(p.name)}: " if p.name else "", p) for p in self.parts]
        measured = lines([f"{label}<b>{escape(p.as_dict()['text'])}</b>" for label, p in named])
        bounds = lines([f"{label}{escape(str(p.bound))}{'' if p.holds else ' <b>(missed)</b>'}" for label, p in named])
        who = "We say" if self.ours else "The paper says"
        says = f"{escape(self.says)} <cite>{escape(self.source)}</cite>"
        if self.paper:
            says += f'<br><span class="sb-claim-paper">its number: {escape(self.paper)}</span>'
        verdict = f'<span aria-hidden="true">{_SHAPES[self.verdict]}</span> {self.verdict}'
        if self.because:
            verdict += f'<span class="sb-claim-because"> — {escape(self.because)}</span>'
        rows = (
            row("says", who, says)
            + row("measured", "We measured", measured)
            + row("bound", "Bound", bounds)
            + row("verdict", "Verdict", verdict)
        )
        return (
            f'{_STYLE}<div class="sb-claim" id="claim-{escape(self.id, quote=True)}" '
            f'data-verdict="{self.verdict}"><dl>{rows}</dl></div>'
        )

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, Any]:
        return {"text/plain": self.as_text(), "text/html": self.as_html(), MIME: self.as_dict()}

    def __repr__(self) -> str:
        return self.as_text()


@dataclass
class _Register:
    claims: dict[str, Claim] = field(default_factory=dict)


_register = _Register()


def claim(
    id: str,
    says: str,
    *,
    source: str,
    measured: SupportsFloat | None = None,
    parts: Sequence[Part] | None = None,
    between=None,
    at_least=None,
    at_most=None,
    equals=None,
    unit: str = "",
    paper: str = "",
    expected: str = "reproduced",
    because: str = "",
) -> Claim:
    """State a claim beside its measurement and the bound that the measurement must meet.

    Parameters
    ----------
    id : short name, unique in the chapter: letters, digits and hyphens; becomes the anchor `claim-<id>`.
    says : what the paper says, in our words (or what we say, with `source="ours"`).
    source : where the paper says it; "ours" (or "ours: ...") for a claim that is not the paper's.
    measured : the value, with one of the bounds `between=(low, high)`, `at_least`, `at_most`, `equals=(target, tol)`.
    parts : instead of `measured`, several `part(...)`; the claim holds when all of them hold.
    unit : shown behind the number.
    paper : the number that the paper gives, as text, shown beside ours.
    expected : "not reproduced" declares beforehand that the miniature shows something else than the paper; the bound
        then states what it does show, and `because` says why.

    Returns
    -------
    Claim, displayed as a card; also remembered for `ledger()`.

    Raises
    ------
    ValueError : a malformed id, no measurement or two, not exactly one bound, "not reproduced" without `because`.
    """
    if not id or not id.replace("-", "").isalnum() or not id.isascii():
        raise ValueError(f"claim id {id!r} must be letters, digits and hyphens, such as 'rate' or 'C1'")
    if (measured is None) == (parts is None):
        raise ValueError(f"claim {id!r} needs either measured= with a bound, or parts=[part(...), ...]")
    if expected not in ("reproduced", "not reproduced"):
        raise ValueError(f"claim {id!r}: expected is 'reproduced' or 'not reproduced', got {expected!r}")
    if expected == "not reproduced" and not because:
        raise ValueError(f"claim {id!r} is expected not to be reproduced: say why with because=...")
    if parts is None:
        parts = [Part("", float(measured), _bound(id, between, at_least, at_most, equals), unit)]
    elif any(b is not None for b in (between, at_least, at_most, equals)):
        raise ValueError(f"claim {id!r}: give each part its own bound, not the claim")
    if not parts:
        raise ValueError(f"claim {id!r} has an empty list of parts")
    made = Claim(id, says, source, tuple(parts), paper, expected, because)
    _register.claims[id] = made
    return made


@dataclass(frozen=True)
class Ledger:
    """All claims made so far, as a table."""

    claims: tuple[Claim, ...]

    def as_html(self) -> str:
        head = "".join(f'<th scope="col">{h}</th>' for h in ("Claim", "We measured", "Bound", "Verdict"))
        rows = "".join(
            f'<tr data-verdict="{c.verdict}"><th scope="row"><a href="#claim-{escape(c.id, quote=True)}">'
            f"{escape(c.id)}</a></th>"
            f"<td>{'<br>'.join(escape(p.as_dict()['text']) for p in c.parts)}</td>"
            f"<td>{'<br>'.join(escape(str(p.bound)) for p in c.parts)}</td>"
            f'<td><span aria-hidden="true">{_SHAPES[c.verdict]}</span> {c.verdict}</td></tr>'
            for c in self.claims
        )
        return (
            f'{_STYLE}<table class="sb-ledger"><caption>{escape(self.summary())}</caption>'
            f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
        )

    def summary(self) -> str:
        """Counts by verdict in one line."""
        counts = {v: sum(c.verdict == v for c in self.claims) for v in _SHAPES}
        said = ", ".join(f"{n} {v}" for v, n in counts.items() if n)
        return f"{len(self.claims)} claims: {said}" if self.claims else "no claims yet"

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, Any]:
        return {"text/plain": repr(self), "text/html": self.as_html()}

    def __repr__(self) -> str:
        return "\n".join([self.summary(), *(c.as_text() for c in self.claims)])


def ledger() -> Ledger:
    """The claims made in this kernel, in order, as a table (a claim made twice counts once, as last made)."""
    return Ledger(tuple(_register.claims.values()))


def clear() -> None:
    """Forget all claims made in this kernel."""
    _register.claims.clear()
