"""Charts as SVG: where things are, what breaks a line, and that no value and no name breaks the picture."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from multilearn.plots.chart import Chart, Line
from multilearn.plots.markup import element, text
from multilearn.plots.svg import dashes, draw
from multilearn.printable import printable

POINT = re.compile(r"(-?[\d.]+) (-?[\d.]+)")


def drawn(chart: Chart) -> ElementTree.Element:
    return ElementTree.fromstring(draw(chart))


def paths(chart: Chart, kind: str) -> list[str]:
    found = drawn(chart).iter("path")
    return [path.get("d", "") for path in found if path.get("class", "").split(" ")[0] == kind]


def points(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in POINT.findall(path)]


def test_values_are_where_the_axes_say() -> None:
    # x from 58 to 508, y from 218 (bottom) to 10 (top), with 5 % of the span 0..10 below and above
    (line,) = paths(Chart("Loss", [Line("a", [1.0, 2.0, 3.0], [0.0, 5.0, 10.0])]), "line")
    per_unit = 208 / 11
    expected = [(58, 218 - 0.5 * per_unit), (283, 218 - 5.5 * per_unit), (508, 218 - 10.5 * per_unit)]
    assert points(line) == [pytest.approx(point, abs=0.051) for point in expected]


def test_a_logarithmic_axis_has_equal_room_for_equal_factors() -> None:
    (line,) = paths(Chart("Loss", [Line("a", [1.0, 2.0, 3.0], [0.01, 0.1, 1.0])], log=True), "line")
    (_, low), (_, middle), (_, high) = points(line)
    assert low - middle == pytest.approx(middle - high, abs=0.11)


def test_what_is_not_finite_breaks_the_line_and_a_point_alone_is_a_dot() -> None:
    y = [1.0, math.nan, 2.0, 3.0, math.inf, 4.0]
    (line,) = paths(Chart("Loss", [Line("a", [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], y)]), "line")
    pieces = line.split("M")[1:]
    assert [len(points(piece)) for piece in pieces] == [1, 2, 1]
    assert [piece.endswith("h0") for piece in pieces] == [True, False, True]


def test_a_band_is_the_area_between_its_ends() -> None:
    (band,) = paths(Chart("Loss", [Line("a", [1.0, 2.0], [1.0, 2.0], band=([0.0, 1.0], [2.0, 3.0]))]), "band")
    corners = points(band)
    assert [x for x, _ in corners] == [58, 508, 508, 58]
    top, bottom = [y for _, y in corners[:2]], [y for _, y in corners[2:]]
    assert top[1] < top[0] < bottom[0] < bottom[1]  # 3, 2; then back over 1 and 0


def test_what_is_past_an_edge_is_drawn_at_it() -> None:
    chart = Chart(
        "apart", [Line("a", [1.0, 2.0, 3.0], [0.0, 1.0, math.inf])], log=True, floor=1e-4, gate=(1.0, "allowed")
    )
    (line,) = paths(chart, "line")
    assert [y for _, y in points(line)][::2] == [218.0, 10.0]
    assert "allowed" in draw(chart)


def test_lines_that_lie_on_each_other_take_turns() -> None:
    x = [1.0, 2.0]
    lines = [Line("a", x, [1.0, 2.0]), Line("b", x, [1.0, 2.001], 1), Line("c", x, [1.5, 1.0], 2)]
    assert dashes(Chart("Loss", lines), (0.9, 2.1)) == [(0, (9, 9)), (9, (9, 9)), None]
    # as many as there are, also where there are more of them than colours
    ten = [Line(str(at), x, [1.0, 2.0], at % 8) for at in range(10)]
    assert dashes(Chart("Loss", ten), (0.9, 2.1)) == [(9 * at, (9, 81)) for at in range(10)]
    lines = [Line("a", x, [1.0, 2.0], 0, True), Line("b", x, [1.0, 2.0], 1, True), Line("c", x, [1.0, 2.0], 1)]
    assert dashes(Chart("Loss", lines), (0.9, 2.1)) == [(0, (5, 11)), (8, (5, 11)), None]


def test_nothing_to_draw_is_said() -> None:
    for lines in ([], [Line("a", [], [])], [Line("a", [1.0], [math.nan])]):
        assert "nothing to draw" in draw(Chart("Loss", lines))
    assert "nothing to draw" in draw(Chart("Loss", [Line("a", [1.0], [-1.0])], log=True))


anything = st.floats(allow_nan=True, allow_infinity=True)


@example([0.0, 5e-324], False, False, "")
@example([1.8e308, 1e306], False, False, "share")
@given(st.lists(anything, min_size=1, max_size=8), st.booleans(), st.booleans(), st.sampled_from(["", "share"]))
def test_no_value_leaves_the_picture(values: list[float], log: bool, floored: bool, unit: str) -> None:
    x = [float(epoch) for epoch in range(1, len(values) + 1)]
    line = Line("a", x, values, band=(values, values), marks=True)
    chart = Chart("Loss", [line], unit, log, floor=1e-4 if floored else None)
    for path in drawn(chart).iter("path"):
        for across, up in points(path.get("d", "")):
            assert 0 <= across <= 520 and 0 <= up <= 250


@given(st.text())
def test_a_name_is_text_whatever_it_is(name: str) -> None:
    root = drawn(Chart(name, [Line(name, [1.0, 2.0], [1.0, 2.0])], gate=(1.0, name)))
    shown = re.sub("[\ufffe\uffff]", "\ufffd", "\n".join(map(printable, name.split("\n"))))
    assert [title.text or "" for title in root.iter("title")] == [shown, shown]
    assert {child.tag for child in root.iter()} <= {"svg", "title", "desc", "path", "text", "rect"}


def test_markup_escapes_all_but_markup() -> None:
    hostile = '</script><img src=x onerror="alert(1)">'
    assert "<" not in text(hostile) and '"' not in text(hostile)
    inner = element("b", hostile, title=hostile)
    assert element("p", inner, "&") == f"<p>{inner}&amp;</p>"
    assert ElementTree.fromstring(inner).text == hostile and ElementTree.fromstring(inner).get("title") == hostile


def test_equal_charts_are_equal_text_without_a_date_or_an_address() -> None:
    chart = Chart("Loss", [Line("a", [1.0, 2.0], [1.0, 2.0])])
    assert draw(chart) == draw(chart)
    assert "http" not in draw(chart) and "style=" not in draw(chart)
