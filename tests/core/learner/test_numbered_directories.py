"""`{n}` in a directory: the next free number, or the highest one where a run is resumed or evaluated."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import toy_experiment as toy

import multilearn as ml
from multilearn.errors import ConfigurationError, DirectoryError


def fitted(written: str, epochs: int = 1) -> str:
    return toy.fit(toy.builder(written, epochs)).directory.name


def test_each_run_has_the_next_number(tmp_path: Path) -> None:
    written = f"{tmp_path}/run-{{n}}-{{backend}}"
    assert [fitted(written) for _ in range(3)] == ["run-1-toy", "run-2-toy", "run-3-toy"]
    (tmp_path / "run-2-toy").rename(tmp_path / "run-11-toy")
    for other in ("run-99-jax", "run-x-toy", "run-077-toy", "my-run-98-toy"):
        (tmp_path / other).mkdir()
    assert fitted(written) == "run-12-toy"


def test_a_number_may_be_a_folder_in_the_middle(tmp_path: Path) -> None:
    written = f"{tmp_path}/{{n}}/a"
    for number in ("1", "2"):
        assert toy.fit(toy.builder(written, 1)).directory == tmp_path / number / "a"


def test_the_highest_number_is_resumed_and_evaluated(tmp_path: Path) -> None:
    written = f"{tmp_path}/run-{{n}}"
    again = toy.builder(written, 2).checkpoint("latest")
    assert toy.fit(again).directory.name == "run-1"
    fitted(written)
    learner = toy.fit(toy.builder(written, 3).checkpoint("latest"))
    assert (learner.directory.name, len(learner.history["train"]["Loss"])) == ("run-2", 3)
    evaluator = ml.Evaluator(written, renderer=ml.renderers.SilentRenderer())
    evaluator.evaluate(toy.task(), toy.valid_loader(), "clean", checkpoint="latest")
    assert (tmp_path / "run-2/test/clean").is_dir()


@pytest.mark.parametrize(("wrong", "meant"), [("{sed}", "{seed}"), ("{backends}", "{backend}"), ("{x}", "{")])
def test_other_placeholders_are_refused_before_anything_is_written(tmp_path: Path, wrong: str, meant: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"Received: \{wrong} in .*Did you mean \{meant}"):
        toy.build(toy.builder(f"{tmp_path}/runs/{wrong}"))
    assert not list(tmp_path.iterdir())


def test_what_is_started_again_has_no_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MULTILEARN_JOB", "job 1")
    with pytest.raises(DirectoryError, match=r"finds its run by the directory.*Leave \{n\} out"):
        toy.build(toy.builder(f"{tmp_path}/run-{{n}}"))
