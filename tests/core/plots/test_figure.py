"""A picture for a paper: equal bytes for equal charts, and what is refused."""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from multilearn.errors import ConfigurationError
from multilearn.plots.chart import Chart, Line
from multilearn.plots.figure import Figure

X = [1.0, 2.0, 3.0]
HOSTILE = "_$\\frac</svg>\u202e\n"
CHARTS = (
    Chart(
        "Loss",
        [Line("a", X, [1.0, 0.5, 0.1], dashed=True, band=([0.9, 0.4, 0.1], [1.1, 0.6, 0.2])), Line("b", X, X, 1)],
        log=True,
    ),
    Chart(HOSTILE, [Line("a", X, [0.1, float("nan"), 0.5], marks=True)], "share"),
    Chart("Nothing", []),
    Chart("Accuracy", [Line("a", X, [0.1, 0.2, 0.5])], "share"),
)
FIGURE = Figure(CHARTS, ("torch", HOSTILE))


def test_the_svg_is_one_picture_with_all_charts_and_a_key() -> None:
    root = ElementTree.fromstring(FIGURE.as_svg())
    space = "{http://www.w3.org/2000/svg}"
    assert len(list(root.iter(f"{space}svg"))) == 1 + len(CHARTS)
    texts = [each.text for each in root.iter(f"{space}text")]
    assert [each for each in texts if each in ("Loss", "Accuracy", "torch", "valid", "train")] == [
        *("Loss", "Accuracy", "torch", "valid", "train")
    ]
    # three in a row, so there are two rows of them
    assert root.get("width") == "1170" and int(root.get("height", "")) > 2 * 250


def test_a_long_title_is_cut_and_a_figure_is_said_in_a_line() -> None:
    figure = Figure((Chart("A" * 100, []),), ("torch",))
    assert f">{'A' * 43}\u2026</text>" in figure.as_svg() and f">{'A' * 100}</title>" in figure.as_svg()
    assert repr(figure) == "Figure(names=('torch',))"


def test_there_is_no_key_where_there_is_nothing_to_tell_apart() -> None:
    assert Figure(CHARTS[3:], ("torch",)).keys() == []
    assert Figure(CHARTS[:1], ("torch",)).keys() == [("valid", -1, False), ("train", -1, True)]


def test_saved_twice_it_has_equal_bytes(tmp_path: Path) -> None:
    first, second = (FIGURE.save(tmp_path / f"{name}.svg").read_bytes() for name in ("a", "b"))
    assert first == second == FIGURE.as_svg().encode()


@pytest.mark.parametrize("kind", ["pdf", "png"])
def test_pdf_and_png_have_equal_bytes_too(tmp_path: Path, kind: str) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: no PDF and PNG")
    first, second = (FIGURE.save(tmp_path / f"{name}.{kind}").read_bytes() for name in ("a", "b"))
    assert first == second and first.startswith({"pdf": b"%PDF", "png": b"\x89PNG"}[kind])


@pytest.mark.parametrize("kind", ["pdf", "png"])
def test_without_matplotlib_it_is_said_what_to_do(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.style", None)
    with pytest.raises(
        ConfigurationError, match=r"not installed.*Write a \.svg, or run: pip install 'multilearn-keras\[plot\]'"
    ):
        FIGURE.save(tmp_path / f"a.{kind}")
    assert list(tmp_path.iterdir()) == []


def test_where_it_cannot_be_written_is_refused_before_anything_is_drawn(tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "train" / "epoch-1").mkdir(parents=True)
    (run / "experiment.json").touch()
    (tmp_path / "folder.svg").mkdir()
    places = {
        "a.gif": r"ends with \.svg or \.pdf or \.png",
        "a": r"ends with \.svg",
        "folder.svg": "a directory",
        "missing/a.svg": "missing, not found.*mkdir -p",
        "run/train/a.svg": "are its own",
        "run/train/epoch-1/a.svg": "are its own",
    }
    for place, message in places.items():
        with pytest.raises(ConfigurationError, match=message):
            FIGURE.save(tmp_path / place)
    assert FIGURE.save(run / "a.svg").is_file()  # beside the run's own files
