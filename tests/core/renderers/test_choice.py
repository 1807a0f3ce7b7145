"""Who decides how a run is shown, and what is refused."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from support import toy_experiment as toy

import multilearn as ml
from multilearn.errors import ConfigurationError
from multilearn.renderers import CliRenderer, Renderer, ScreenRenderer, SilentRenderer
from multilearn.renderers.choice import chosen

VARIABLE = "MULTILEARN_RENDERER"


@pytest.mark.parametrize(
    ("name", "renderer"),
    [
        ("screen", ScreenRenderer()),
        ("live", CliRenderer()),
        ("lines", CliRenderer(live=False)),
        (" silent ", SilentRenderer()),
    ],
)
def test_the_environment_wins(monkeypatch: pytest.MonkeyPatch, name: str, renderer: Renderer) -> None:
    monkeypatch.setenv(VARIABLE, name)
    assert chosen(None) == chosen(SilentRenderer()) == renderer


@pytest.mark.parametrize("value", [None, "", " "])
def test_without_it_the_script_decides_and_without_that_the_default(
    monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    if value is not None:
        monkeypatch.setenv(VARIABLE, value)
    declared = SilentRenderer()
    assert chosen(declared) is declared and chosen(None) == CliRenderer()


def test_a_name_that_is_not_known_is_refused_by_build(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(VARIABLE, "sceen")
    with pytest.raises(ConfigurationError, match=r"MULTILEARN_RENDERER.*'sceen'.*screen, live, lines"):
        toy.build(ml.LearnerBuilder(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("found", "said"), [(None, "textual is not installed"), ("7.5.0", "textual 7.5.0 is older")])
def test_a_screen_without_its_extra_is_refused_by_build(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, found: str | None, said: str
) -> None:
    site = tmp_path / "site"
    if found is not None:
        installed = site / f"textual-{found}.dist-info"
        installed.mkdir(parents=True)
        (installed / "METADATA").write_text(f"Metadata-Version: 2.1\nName: textual\nVersion: {found}\n")
    others = [path for path in sys.path if not list(Path(path).glob("textual-*.dist-info"))]
    monkeypatch.setattr(sys, "path", [str(site), *others])
    with pytest.raises(ConfigurationError, match=rf"{said}.*pip install '.*\[screen\]'"):
        toy.build(ml.LearnerBuilder(tmp_path / "run").renderer(ScreenRenderer()))
    assert not (tmp_path / "run").exists()


def test_a_screen_that_is_no_terminal_is_lines(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    builder = ml.LearnerBuilder(tmp_path / "run").metrics(ml.metrics.Loss()).num_epochs(2).renderer(ScreenRenderer())
    toy.build(builder).fit(toy.train_loader(), toy.valid_loader())
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["training", "epoch", "epoch", "completed"]
    assert "not shown on the whole screen: standard input" in (tmp_path / "run" / "experiment.log").read_text()
