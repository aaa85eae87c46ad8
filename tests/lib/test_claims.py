"""Claims: a bound holds exactly when its inequality does, and whatever a claim says is shown, escaped and collected."""

import json
import math

import pytest
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st
from sharpbook import claims
from sharpbook.claims import MIME, claim, ledger, part

numbers = st.floats(allow_nan=False, allow_infinity=False, width=32)


@pytest.fixture(autouse=True)
def fresh_register():
    claims.clear()
    yield
    claims.clear()


@given(value=numbers, low=numbers, high=numbers)
def test_between_is_the_closed_interval(value, low, high):
    low, high = sorted((low, high))
    assert claim("a", "s", source="p", measured=value, between=(low, high)).holds == (low <= value <= high)


@given(value=numbers, limit=numbers)
def test_limits_are_inclusive_and_opposite(value, limit):
    above = claim("a", "s", source="p", measured=value, at_least=limit).holds
    below = claim("a", "s", source="p", measured=value, at_most=limit).holds
    assert above == (value >= limit)
    assert below == (value <= limit)


def test_equals_with_zero_tolerance_is_exact():
    assert claim("a", "s", source="p", measured=3, equals=(3, 0)).holds
    assert not claim("a", "s", source="p", measured=3.0000001, equals=(3, 0)).holds


@pytest.mark.parametrize("bound", [dict(at_least=0), dict(at_most=0), dict(between=(0, 1)), dict(equals=(0, 1))])
def test_nan_never_holds(bound):
    made = claim("a", "s", source="p", measured=math.nan, **bound)
    assert made.verdict == "failed"
    json.dumps(made.as_dict(), allow_nan=False)


def test_infinity_can_hold_and_stays_valid_json():
    made = claim("a", "s", source="p", measured=math.inf, at_least=1)
    assert made.holds
    assert json.loads(json.dumps(made.as_dict(), allow_nan=False))["parts"][0]["text"] == "inf"


def test_a_claim_of_parts_holds_when_all_parts_hold():
    good, bad = part("good", 1, at_least=0), part("bad", 1, at_least=2)
    assert claim("a", "s", source="p", parts=[good, good]).verdict == "reproduced"
    mixed = claim("a", "s", source="p", parts=[good, bad])
    assert mixed.verdict == "failed"
    assert [p["holds"] for p in mixed.as_dict()["parts"]] == [True, False]


def test_not_reproduced_is_declared_beforehand_and_can_still_fail():
    declared = dict(source="p", expected="not reproduced", because="it is a tie here")
    assert claim("a", "s", measured=1.0, between=(0.9, 1.1), **declared).verdict == "not reproduced"
    assert claim("a", "s", measured=2.0, between=(0.9, 1.1), **declared).verdict == "failed"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(measured=1), "exactly one of"),
        (dict(measured=1, at_least=0, at_most=2), "exactly one of"),
        (dict(measured=1, between=(2, 1)), "ends swapped"),
        (dict(measured=1, between=(1, 2, 3)), "takes a pair"),
        (dict(measured=1, equals=(1, -1)), "negative"),
        (dict(measured=1, at_least=math.nan), "NaN"),
        (dict(at_least=1), "either measured"),
        (dict(parts=[]), "empty"),
        (dict(measured=1, at_least=0, expected="not reproduced"), "say why"),
        (dict(measured=1, at_least=0, expected="maybe"), "expected is"),
    ],
)
def test_a_malformed_claim_says_what_would_be_right(arguments, message):
    with pytest.raises(ValueError, match=message):
        claim("a", "s", source="p", **arguments)


@pytest.mark.parametrize("bad", ["", "two words", "a<b", "ä"])
def test_ids_are_anchors(bad):
    with pytest.raises(ValueError, match="letters, digits and hyphens"):
        claim(bad, "s", source="p", measured=1, at_least=0)


@given(st.text(max_size=40))
def test_text_is_escaped_in_the_card(text):
    made = claim("a", text, source="p & q <i>", measured=1, at_least=0, paper=text)
    soup = BeautifulSoup(made.as_html(), "html.parser")
    assert soup.select_one(".sb-claim-says cite").get_text() == "p & q <i>"
    assert soup.find("script") is None and soup.find("i") is None


def test_the_card_shows_every_part_with_its_bound():
    made = claim("a", "s", source="ours", parts=[part("left", 1, at_least=0), part("right", 5, at_most=2)])
    soup = BeautifulSoup(made.as_html(), "html.parser")
    assert soup.select_one("#claim-a")["data-verdict"] == "failed"
    assert "left: 1" in soup.select_one(".sb-claim-measured").get_text()
    assert "right: at most 2 (missed)" in soup.select_one(".sb-claim-bound").get_text()
    assert soup.find("dt").get_text() == "We say"


def test_display_offers_card_text_and_json():
    bundle = claim("a", "s", source="p", measured=1, at_least=0)._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html", MIME}
    assert bundle[MIME]["id"] == "a"


def test_ledger_keeps_order_and_the_last_version():
    claim("b", "s", source="p", measured=1, at_least=0)
    claim("a", "s", source="p", measured=1, at_least=0)
    claim("b", "s", source="p", measured=1, at_least=2)
    made = ledger()
    assert [c.id for c in made.claims] == ["b", "a"]
    assert made.summary() == "2 claims: 1 reproduced, 1 failed"
    assert len(BeautifulSoup(made.as_html(), "html.parser").select("tbody tr")) == 2
