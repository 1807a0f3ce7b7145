"""TensorBoard, MLflow, Weights & Biases (offline) and Trackio themselves: killed, resumed, without a server."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from support.environments import with_support
from support.tracked import of_batches, of_epochs
from support.tracked_by import Tracked, close, read

TRACKERS = ("tensorboard", "mlflow", "wandb", "trackio")
TRAINING = Path(__file__).parent / "scripts" / "training.py"
EVERY, BATCHES = 3, 5
LIMIT = 300.0  # seconds that no run takes
STATUS = {"tensorboard": "finished", "mlflow": "FINISHED", "wandb": "finished", "trackio": None}


def environment(folder: Path, **others: str) -> dict[str, str]:
    own = {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db", "TRACKIO_DIR": str(folder / "trackio")}
    return with_support(**{"MULTILEARN_BACKEND": "toy", **own, **others})


def train(folder: Path, *arguments: str, code: int = 0, **variables: str) -> str:
    run = [sys.executable, str(TRAINING), *arguments]
    ended = subprocess.run(
        run, cwd=folder, env=environment(folder, **variables), capture_output=True, text=True, timeout=LIMIT
    )
    assert ended.returncode == code, ended.stderr
    return ended.stdout


def export(folder: Path, tracker: str, *options: str, **variables: str) -> str:
    run = [sys.executable, "-m", "multilearn", "export", "run", "--to", tracker, *options]
    ended = subprocess.run(
        run, cwd=folder, env=environment(folder, **variables), capture_output=True, text=True, timeout=LIMIT
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def require_equal(tracker: str, folder: Path) -> Tracked:
    """That the tracker has one run, with the points of the metric files, once and in order."""
    (found,) = read(tracker, folder, environment(folder))
    run = folder / "run"
    for metric in ("Loss", "Accuracy"):
        expected: Mapping[str, list[tuple[int, float]]] = {
            f"train/{metric}": of_batches(run, EVERY, metric),
            **{f"epoch/{split}/{metric}": of_epochs(run, split, metric) for split in ("train", "valid")},
        }
        for name, points in expected.items():
            of_updates = tracker != "tensorboard" and name.startswith("epoch")
            points = [(x * BATCHES, y) for x, y in points] if of_updates else points
            assert close(found.series[name], points), (name, found.series[name], points)
    assert str(found.settings["seed"]).removesuffix(".0") == "7"
    assert found.attached == 4 * ["a note", "a picture"]
    return found


@pytest.mark.parametrize("tracker", TRACKERS)
def test_killed_and_resumed_inside_an_epoch_it_has_every_point_once(tracker: str, tmp_path: Path) -> None:
    train(tmp_path, tracker, "run", "kill=3.4", code=-signal.SIGKILL)
    said = train(tmp_path, tracker, "run")
    found = require_equal(tracker, tmp_path)
    assert found.status == STATUS[tracker]
    left = said.rsplit("left:", 1)[1].strip()
    # of wandb two threads of OpenTelemetry stay, also after its teardown
    expected = "['OtelBatchLogRecordProcessor', 'OtelPeriodicExportingMetricReader']" if tracker == "wandb" else "[]"
    assert left == expected


@pytest.mark.parametrize("tracker", TRACKERS)
def test_a_completed_run_is_not_logged_again(tracker: str, tmp_path: Path) -> None:
    train(tmp_path, tracker, "run")
    train(tmp_path, tracker, "run")
    require_equal(tracker, tmp_path)


@pytest.mark.parametrize("tracker", ["mlflow", "trackio"])
def test_a_run_that_goes_back_and_on_with_other_settings_is_another_one(tracker: str, tmp_path: Path) -> None:
    train(tmp_path, tracker, "run")
    train(tmp_path, tracker, "run", "from=2", "accumulation=2")
    found = read(tracker, tmp_path, environment(tmp_path))
    updates = [[x for x, _ in each.series["epoch/valid/Loss"]] for each in found]
    assert sorted(updates) == [[5, 10, 13, 16], [5, 10, 15, 20]]
    train(tmp_path, tracker, "run", "from=2", "accumulation=2")
    assert len(read(tracker, tmp_path, environment(tmp_path))) == 2


def test_a_server_that_refuses_is_one_warning(tmp_path: Path) -> None:
    train(tmp_path, "mlflow", "run", MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    log = (tmp_path / "run" / "experiment.log").read_text()
    assert "The run is completed at 4." in log
    (warning,) = [line for line in log.splitlines() if "WARNING" in line and "Nothing was saved" not in line]
    assert "MlflowLogger has failed: ConnectionRefusedError" in warning
    assert warning.endswith("run --to mlflow")


def test_export_makes_up_for_a_server_that_was_away(tmp_path: Path) -> None:
    train(tmp_path, "mlflow", "run", MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    assert read("mlflow", tmp_path, environment(tmp_path)) == []
    export(tmp_path, "mlflow")
    assert require_equal("mlflow", tmp_path).status == "FINISHED"


@pytest.mark.parametrize("tracker", TRACKERS)
def test_export_twice_has_every_point_once(tracker: str, tmp_path: Path) -> None:
    train(tmp_path, "tensorboard", "run", "kill=3.4", code=-signal.SIGKILL)
    others = {"WANDB_MODE": "offline"}
    for _ in range(2):
        assert " points in " in export(tmp_path, tracker, **others)
    (found,) = read(tracker, tmp_path, environment(tmp_path))
    run = tmp_path / "run"
    # with the defaults, a point for an epoch, and no more of the third, which was not finished; TensorBoard as declared
    every = EVERY if tracker == "tensorboard" else 50
    assert close(found.series["train/Loss"], of_batches(run, every))
    x = [epoch if tracker == "tensorboard" else epoch * BATCHES for epoch in (1, 2)]
    assert [point[0] for point in found.series["epoch/valid/Loss"]] == x
    assert found.status == {"tensorboard": "failed", "mlflow": "FAILED", "wandb": "failed", "trackio": None}[tracker]
