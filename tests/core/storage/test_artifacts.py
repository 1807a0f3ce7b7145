"""The paths of a run, and metric names as file names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from multilearn.events import Split
from multilearn.storage.layout import RunDirectory, file_name, metric_name

# characters that meet the rules more often than random ones do
names = st.text(
    st.sampled_from(" _.%/\\:*2F0aÉ日\0\n-(") | st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20
)
DEVICE_NAMES = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}


@given(names)
@example("..")
@example(".")
@example(" ")
@example("a ")
@example("%2F")
@example("CON.txt")
def test_a_metric_name_comes_back_from_its_file_name(name: str) -> None:
    assert metric_name(file_name(name)) == name


@given(names)
@example("..")
@example("../../etc/passwd")
@example("nul")
@example("Com1.log")
def test_a_file_name_is_one_harmless_path_component_everywhere(name: str) -> None:
    file = file_name(name)
    assert re.fullmatch(r"[A-Za-z0-9_.()@=+,%-]+", file)
    assert not file.startswith(".")
    assert not file.endswith(".")
    assert file.partition(".")[0].lower() not in DEVICE_NAMES


@given(names, names)
@example("a b", "a_b")
@example("a/b", "a%2Fb")
@example("é", "e\u0301")
def test_two_metrics_never_share_a_file(a: str, b: str) -> None:
    assert (file_name(a) == file_name(b)) == (a == b)


@pytest.mark.parametrize(
    ("metric", "file"),
    [
        ("Loss", "Loss"),
        ("Top 5 Accuracy", "Top_5_Accuracy"),
        ("F1 (macro)", "F1_(macro)"),
        ("snake_case", "snake%5Fcase"),
        ("a/b", "a%2Fb"),
        ("..", "%2E%2E"),
        ("50%", "50%25"),
        ("é", "%C3%A9"),
        ("aux", "%61ux"),
    ],
)
def test_names_are_written_as_documented(metric: str, file: str) -> None:
    assert file_name(metric) == file


def test_the_directory_has_the_documented_layout() -> None:
    run = RunDirectory(Path("r"))
    assert run.log == Path("r/experiment.log")
    assert run.experiment == Path("r/experiment.json")
    assert run.checkpoints == Path("r/checkpoint")
    assert run.metric(Split.TRAIN, 1, "Loss") == Path("r/train/epoch-1/Loss.log")
    assert run.metric(Split.VALID, 12, "Top 5 Accuracy") == Path("r/valid/epoch-12/Top_5_Accuracy.log")


def test_epochs_are_listed_by_number_and_strangers_are_not(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    for folder in ("epoch-10", "epoch-2", "epoch-1", "epoch-02", "epoch-x", "epoch-", "epoch--3", "epoch-²", "other-4"):
        (tmp_path / "train" / folder).mkdir(parents=True)
    (tmp_path / "train" / "epoch-5").write_text("a file")
    assert list(run.epochs(Split.TRAIN).items()) == [(n, tmp_path / "train" / f"epoch-{n}") for n in (1, 2, 10)]


def test_naming_paths_creates_nothing(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "r")
    assert run.epochs(Split.VALID) == {}
    assert not run.metric(Split.TRAIN, 1, "Loss").parent.parent.exists()
    assert list(tmp_path.iterdir()) == []
