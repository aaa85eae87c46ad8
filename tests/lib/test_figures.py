"""Figures: contrast, alt text, lightness, and frames that redraw what they say."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sharpbook import figures as fg

ALT = "A line that rises from the lower left to the upper right of the figure."


def blank(**options):
    return fg.figure("Title", "x, s", "y, m", alt=ALT, **options)


def luminance(hex_colour):
    channels = np.array([int(hex_colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.03928, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def contrast(a, b):
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("name", [n for n in fg.ROLES if n != "muted"])
def test_every_meaning_is_visible_on_light_and_dark_pages(name):
    # WCAG 2.1, 1.4.11: graphical objects need 3:1. "muted" is context that may be overlooked.
    assert contrast(fg.ROLES[name].light, "#fdfcfa") >= 3
    assert contrast(fg.ROLES[name].dark, "#16181b") >= 3


def test_a_figure_without_real_alt_text_is_refused():
    with pytest.raises(ValueError, match="alt text"):
        fg.figure("Title", "x", "y", alt="a plot")


def test_an_axis_without_title_is_refused():
    with pytest.raises(ValueError, match="yaxis has no title"):
        fg.show(fg.figure("Title", "x", "", alt=ALT))


def test_unknown_role_names_the_known_ones():
    with pytest.raises(ValueError, match="method, variant, strong"):
        fg.line(blank(), [1], [1], "a", "hero")


def test_display_carries_plotly_and_alt_text_and_no_default_template():
    shown = fg.show(fg.line(blank(), np.arange(3), np.arange(3.0), "a"))
    bundle = shown._repr_mimebundle_()
    assert set(bundle) == {fg.MIME, "text/plain"}
    assert ALT in bundle["text/plain"]
    assert len(json.dumps(bundle[fg.MIME])) < 4000
    assert bundle[fg.MIME]["data"][0]["x"] == [0, 1, 2]


@given(st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=20))
def test_compact_keeps_five_digits(values):
    short = np.array(fg.compact(np.array(values)), dtype=float)
    np.testing.assert_allclose(short, values, rtol=6e-5)


def test_compact_decodes_what_plotly_encodes_and_survives_json():
    values = np.array([[0.1, np.nan], [np.inf, 1e-9]])
    spec = blank().add_heatmap(z=values).to_plotly_json()
    short = fg.compact(spec)
    assert short["data"][0]["z"] == [[0.1, None], [None, 1e-9]]
    json.dumps(short, allow_nan=False)


def test_a_log_axis_says_so_and_takes_limits_in_data_units():
    fig = blank(x_log=True, x_range=(10, 1000))
    assert "(log)" in fig.layout.xaxis.title.text
    assert tuple(fig.layout.xaxis.range) == (1, 3)


def test_slider_frames_hold_only_what_changes_and_the_first_view_is_the_active_frame():
    fig = blank()
    fg.line(fig, [0, 1], [5, 5], "still", "baseline")
    fg.line(fig, [], [], "moving")
    frames = [[fg.curve([0, 1], [k, k])] for k in (1, 2, 3)]
    fg.slider(fig, "k", [1, 2, 3], frames, traces=[1], active=2)
    spec = fg.show(fig).plotly
    assert spec["data"][1]["y"] == [3, 3]
    assert spec["data"][1]["name"] == "moving"
    assert [f["traces"] for f in spec["frames"]] == [[1]] * 3
    assert [f["data"][0]["y"] for f in spec["frames"]] == [[1, 1], [2, 2], [3, 3]]
    assert all(set(f["data"][0]) <= {"x", "y", "type"} for f in spec["frames"])
    assert spec["layout"]["sliders"][0]["active"] == 2


@pytest.mark.parametrize(("n", "message"), [(1, "2 to 41"), (60, "2 to 41")])
def test_slider_refuses_a_data_dump(n, message):
    with pytest.raises(ValueError, match=message):
        fg.slider(fg.line(blank(), [0], [0]), "k", range(n), [[fg.curve([0], [0])]] * n, traces=[0])


def test_slider_refuses_frames_that_do_not_fit():
    with pytest.raises(ValueError, match="2 traces for 1 indices"):
        fg.slider(fg.line(blank(), [0], [0]), "k", [1, 2], [[fg.curve([0], [0])] * 2] * 2, traces=[0])


def test_dropdown_shows_its_choice_and_what_is_always_there():
    fig = blank()
    for k in range(3):
        fg.line(fig, [0, 1], [k, k], f"line {k}")
    fg.dropdown(fig, "which", {"first": [0], "second": [1]}, always=[2], active=1)
    assert [t.visible for t in fig.data] == [False, True, True]
    assert fig.layout.updatemenus[0].buttons[0].args[0]["visible"] == (True, False, True) or fig.layout.updatemenus[
        0
    ].buttons[0].args[0]["visible"] == [True, False, True]


def test_slope_guide_is_the_power_law():
    fig = fg.slope_guide(blank(x_log=True, y_log=True), [10, 1000], 2.0, -0.5, "n^(-1/2)")
    np.testing.assert_allclose(fig.data[0].y, [2.0, 0.2])


def test_a_band_says_which_uncertainty_it_shows():
    with pytest.raises(ValueError, match="which uncertainty"):
        fg.band(blank(), [0], [0], [1], kind="")


def test_panels_place_traces_by_number():
    fig = fg.panels("T", ["a", "b", "c"], ["x"] * 3, ["y"] * 3, alt=ALT, columns=2)
    fg.line(fig, [0], [0], panel=2)
    assert fig.data[0].xaxis == "x3"
    with pytest.raises(ValueError, match="3 subtitles"):
        fg.panels("T", ["a", "b", "c"], ["x"], ["y"] * 3, alt=ALT)


def test_every_colour_of_a_figure_has_a_dark_counterpart():
    fig = blank()
    for name in fg.ROLES:
        fg.line(fig, [0, 1], [0, 1], name, name)
        fg.band(fig, [0, 1], [0, 0], [1, 1], name, kind="range")
    fg.heatmap(fig, [[0, 1]])
    spec = fg.show(fig).plotly
    text = json.dumps({"data": spec["data"], "layout": {k: v for k, v in spec["layout"].items() if k != "meta"}})
    import re

    used = set(re.findall(r"#[0-9a-f]{6}|rgba\([^)]*\)", text)) - {"rgba(0,0,0,0)"}
    assert used <= set(spec["layout"]["meta"]["dark"])


def test_panels_take_limits_in_data_units():
    fig = fg.panels("T", ["a", "b"], ["x"] * 2, ["y"] * 2, alt=ALT, y_log=[True, False], y_range=[(0.1, 10), None])
    assert tuple(fig.layout.yaxis.range) == (-1, 1)
    assert fig.layout.yaxis2.range is None
