"""A run is resumed exactly: in the same directory, in another process, on another framework."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from support.processes import BACKENDS, Warm, epoch_values, expect_equal_runs, files, metric_files, on_each

from multilearn.checkpoint import CheckpointFolder
from multilearn.events import Position

SOURCE, *OTHERS = BACKENDS
BATCHES = 23


@pytest.fixture(scope="module")
def moved(warm: Mapping[str, Warm], halves: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with epochs 3 and 4 on each framework, after two on the first one; that run is left as it was."""
    folder, source = tmp_path_factory.mktemp("moved"), halves[SOURCE]
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in source.rglob("*") if path.is_file()}
    on_each(lambda backend: warm[backend].train(folder / backend, "--epochs", 4, "--from", source))
    after = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in source.rglob("*") if path.is_file()}
    assert before == after
    return folder


@pytest.mark.parametrize("backend", OTHERS)
def test_a_run_that_moves_to_another_framework_keeps_its_curve(runs: Path, moved: Path, backend: str) -> None:
    whole, continued = epoch_values(runs / f"digits-{SOURCE}"), epoch_values(moved / backend)
    assert list(continued) == list(whole)
    for key, value in whole.items():
        allowed = {"rel": 1e-4, "abs": 0} if key[1] == "Loss" else {"abs": 1.000001 / 325}
        assert continued[key] == pytest.approx(value, **allowed), key


def test_a_run_that_moves_to_another_directory_only_is_the_same_run(runs: Path, moved: Path) -> None:
    assert metric_files(moved / SOURCE) == metric_files(runs / f"digits-{SOURCE}")
    folders = [CheckpointFolder(path / "checkpoint") for path in (moved / SOURCE, runs / f"digits-{SOURCE}")]
    assert folders[0].load(Position(4)) == folders[1].load(Position(4))


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_metric_files_of_the_epochs_before_come_along(
    halves: Mapping[str, Path], moved: Path, backend: str
) -> None:
    assert metric_files(moved / backend, 1, 2) == metric_files(halves[SOURCE])


@pytest.mark.parametrize("backend", OTHERS)
def test_the_optimizer_ends_where_it_would_have_without_the_move(runs: Path, moved: Path, backend: str) -> None:
    whole = CheckpointFolder(runs / f"digits-{SOURCE}" / "checkpoint").load(Position(4))["optim"]
    continued = CheckpointFolder(moved / backend / "checkpoint").load(Position(4))["optim"]
    assert continued["iterations"].array == whole["iterations"].array == 4 * BATCHES
    for slot in ("momentums", "velocities"):
        ours, theirs = (record["slots"][slot]["layers"]["dense.0"]["kernel"].array for record in (continued, whole))
        # far closer than moments that began at zero in epoch 3 could be
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-3 * np.abs(theirs).max())


@pytest.fixture(scope="module")
def again(warm: Mapping[str, Warm], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Mapping[str, str]]:
    """Three epochs on each framework, then from the second one on to four; what was said the second time."""
    folder = tmp_path_factory.mktemp("again")

    def train(backend: str) -> str:
        warm[backend].train(folder / backend, "--epochs", 3)
        finished = [path for path in files(folder / backend, "train", "valid") if "epoch-3" not in path]
        times = {path: (folder / backend / path).stat().st_mtime_ns for path in finished}
        said = warm[backend].train(folder / backend, "--epochs", 4, "--checkpoint", 2)
        assert times == {path: (folder / backend / path).stat().st_mtime_ns for path in finished}
        return said

    return folder, on_each(train)


@pytest.mark.parametrize("backend", BACKENDS)
def test_two_epochs_and_two_more_are_four_bit_for_bit(
    runs: Path, again: tuple[Path, Mapping[str, str]], backend: str
) -> None:
    """Also where a third epoch, since given up, had come in between."""
    folder, said = again
    expect_equal_runs(folder / backend, runs / f"digits-{backend}")
    assert "What came after 2 is given up: checkpoint 3, epoch 3." in said[backend]
    assert "resuming with epoch 3 of 4" in said[backend]


@pytest.mark.parametrize("backend", BACKENDS)
def test_going_on_from_a_finished_run_changes_nothing(
    warm: Mapping[str, Warm], halves: Mapping[str, Path], backend: str
) -> None:
    before = files(halves[backend], "train", "valid", "checkpoint")
    said = warm[backend].train(halves[backend], "--epochs", 2, "--checkpoint", "latest")
    assert files(halves[backend], "train", "valid", "checkpoint") == before
    assert "nothing left to do: 2 epochs done" in said
