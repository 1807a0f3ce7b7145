from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.style import Style

from multilearn.plots.canvas import Axes, Curve, draw, limits

VALUES = st.floats() | st.floats(0, 1)
SIZES = st.tuples(st.integers(10, 300), st.integers(5, 100))
UPPER, LOWER, BAND = Style(color="red"), Style(color="blue"), Style(color="grey27")


def curve(x: object, y: object, style: Style = UPPER, **more: object) -> Curve:
    return Curve(np.array(x, dtype=float), np.array(y, dtype=float), style, **more)  # type: ignore[arg-type]


def text(curves: list[Curve], axes: Axes, width: int, height: int) -> list[str]:
    lines = draw(curves, axes, width, height)
    assert len(lines) == height
    assert {sum(segment.cell_length for segment in line) for line in lines} == {width}
    return ["".join(segment.text for segment in line) for line in lines]


@example([0.0, 1.7e308], (80, 12), False, "share")
@given(st.lists(VALUES, max_size=50), SIZES, st.booleans(), st.sampled_from(["", "share"]))
def test_whatever_is_drawn_fills_its_lines(values: list[float], size: tuple[int, int], log: bool, unit: str) -> None:
    y = np.array(values, dtype=float)
    curves = [curve(np.arange(len(y)), y, band=(y - 1, y + 1), marks=True), curve([], [])]
    ticks = [(0.0, "0"), (float(len(y)), f"{len(y)}")]
    axes = Axes((0.0, float(len(y) or 1)), limits(curves, log, unit), log, unit, ticks, "epoch")
    text(curves, axes, *size)


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=300), st.integers(40, 200), st.integers(8, 50))
def test_both_extremes_of_a_curve_are_drawn(values: list[float], width: int, height: int) -> None:
    y = np.array(values)
    low, high = float(y.min()), float(y.max())
    if not high - low > 1e-300:
        return
    curves = [curve(np.arange(len(y)), y)]
    lines = text(curves, Axes((0.0, float(len(y))), (low, high)), width, height)
    braille = [any(0x2800 < ord(char) <= 0x28FF for char in line) for line in lines[: height - 2]]
    assert braille[0] and braille[-1]


def dots(lines: list[str]) -> np.ndarray:
    """The dots of the braille characters, by row and column of dots."""
    order = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
    codes = np.array([[ord(char) - 0x2800 if 0x2800 <= ord(char) <= 0x28FF else 0 for char in line] for line in lines])
    return np.block([[(order & code) > 0 for code in row] for row in codes])


def test_a_line_from_corner_to_corner() -> None:
    lines = text([curve([0, 1], [0, 1])], Axes((0.0, 1.0), (0.0, 1.0)), 11, 6)
    on = dots([line[3:] for line in lines[:4]])
    assert on.shape == (16, 16)
    for column in range(16):
        rows = np.flatnonzero(on[:, column])
        assert len(rows) == 1 and abs(rows[0] - (15 - 15 * (column + 0.5) / 16)) <= 0.5


def test_what_is_not_finite_is_a_gap() -> None:
    y = [0.5, 0.5, np.nan, 0.5, 0.5]
    lines = text([curve(range(5), y)], Axes((0.0, 4.0), (0.0, 1.0)), 43, 6)
    row = next(line[3:] for line in lines if any(0x2800 < ord(char) <= 0x28FF for char in line))
    drawn = [0x2800 < ord(char) <= 0x28FF for char in row]
    assert drawn[:9] == [True] * 9 and not any(drawn[11:29]) and drawn[31:] == [True] * 9


def test_the_later_curve_owns_the_cells_that_both_pass() -> None:
    lines = draw([curve([0, 1], [0, 1], LOWER), curve([0, 1], [1, 0], UPPER)], Axes((0, 1), (0, 1)), 22, 12)
    styles = {segment.style for line in lines[4:6] for segment in line if "⠀" < segment.text[:1] <= "⣿"}
    assert UPPER in styles
    both = draw([curve([0, 1], [0, 1], LOWER), curve([0, 1], [0, 1], UPPER)], Axes((0, 1), (0, 1)), 22, 12)
    assert {s.style for line in both for s in line if "⠀" < s.text[:1] <= "⣿"} == {UPPER}


def test_a_band_lies_behind_its_line() -> None:
    y = np.full(20, 0.5)
    curves = [curve(range(20), y, band=(y - 0.4, y + 0.4), band_style=BAND)]
    lines = draw(curves, Axes((0, 19), (0, 1)), 30, 14)
    styles = [{s.style for s in line if "⠀" < s.text[:1] <= "⣿"} for line in lines[:12]]
    assert styles[2] == {BAND} and styles[9] == {BAND} and any(UPPER in found for found in styles[4:8])


def test_ticks_are_written_at_both_axes() -> None:
    ticks = [(0.0, "0"), (5.0, "5"), (10.0, "10")]
    lines = text([curve([0, 10], [0, 1])], Axes((0.0, 10.0), (0.0, 1.0), x_ticks=ticks, x_name="epoch"), 40, 11)
    assert [line[:5] for line in lines[:9] if line[4] == "┤"] == ["1.0 ┤", "0.5 ┤", "0.0 ┤"]
    assert lines[-1].split() == ["0", "5", "epoch"]
    assert lines[-2].count("┬") == 2


def test_a_mark_is_on_each_point_of_a_curve_with_few() -> None:
    lines = text([curve(range(5), [0.1, 0.9, 0.5, 0.2, 0.7], marks=True)], Axes((0, 4), (0, 1)), 40, 12)
    assert sum(line.count("●") for line in lines) == 5
    many = text([curve(range(50), np.full(50, 0.5), marks=True)], Axes((0, 49), (0, 1)), 40, 12)
    assert not any("●" in line for line in many)


@pytest.mark.parametrize(
    ("values", "log", "unit", "found"),
    [
        ([], False, "", (0.0, 1.0)),
        ([], True, "", (0.1, 1.0)),
        ([np.nan, np.inf], False, "", (0.0, 1.0)),
        ([0.0, 100.0], False, "", (-3.0, 103.0)),
        ([2.0], False, "", (1.94, 2.06)),
        ([0.0], False, "", (-0.03, 0.03)),
        ([0.5, 1.0], False, "share", (0.485, 1.0)),
        ([-1.0, 1.0, 100.0], True, "", (10**-0.06, 10**2.06)),
    ],
)
def test_limits_have_a_little_air(values: list[float], log: bool, unit: str, found: tuple[float, float]) -> None:
    assert limits([curve(range(len(values)), values)], log, unit) == pytest.approx(found)


def test_limits_of_the_largest_numbers_are_numbers() -> None:
    low, high = limits([curve([0, 1], [-1.7e308, 1.7e308])])
    assert np.isfinite([low, high, high - low]).all()
