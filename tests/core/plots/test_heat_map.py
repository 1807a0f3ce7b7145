"""Matrices of counts as SVG."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np

from multilearn.plots.heat_map import heat_map


def texts(picture: str, kind: str) -> list[str]:
    found = ElementTree.fromstring(picture).iter("text")
    return [each.text or "" for each in found if each.get("class", "").split(" ")[0] == kind]


def test_every_count_is_written_and_the_classes_are_named() -> None:
    picture = heat_map(np.array([[5, 1], [0, 4]]), ["cat", "dog"], "Confusion")
    assert texts(picture, "count") == ["5", "1", "4"]
    assert texts(picture, "tick") == ["cat", "cat", "dog", "dog", "prediction \u2192, target \u2193"]


def test_the_shade_is_the_part_of_the_row_and_errors_are_darker() -> None:
    picture = ElementTree.fromstring(heat_map(np.array([[90, 10], [0, 100]]), ["a", "b"], "Confusion"))
    shades = {
        (path.get("class"), path.get("d", "").split("h")[0]): path.get("fill-opacity") for path in picture.iter("path")
    }
    # 9 tenths, all of it; errors count four times: 4 tenths, and none
    assert shades == {
        ("hit", "M0 0"): "0.906",
        ("hit", "M26 26"): "1",
        ("miss", "M26 0"): "0.436",
        ("zero", "M0 26"): None,
    }


def test_a_matrix_of_many_classes_is_no_larger_than_one_of_few() -> None:
    counts = np.random.default_rng(0).integers(0, 9, (1000, 1000))
    picture = heat_map(counts, [str(at) for at in range(1000)], "Confusion")
    assert len(picture) < 40_000 and texts(picture, "count") == []


def test_names_are_text() -> None:
    picture = heat_map(np.eye(2, dtype=int), ["<b>", "\u202e"], "</svg><img>")
    assert {each.tag for each in ElementTree.fromstring(picture).iter()} == {"svg", "title", "desc", "path", "text"}
