"""Several processes train as one does: the curve, what is evaluated and predicted, who writes, and how they end."""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import numpy as np
import pytest
from support.environments import with_support
from support.processes import LIMIT, until
from support.training import BACKEND

from multilearn.checkpoint import CheckpointFolder, MpkGzRecorder
from multilearn.errors import ConfigurationError, WorldError
from multilearn.launch.environments import ranks
from multilearn.protocols import LaunchedRank
from multilearn.storage.layout import RunDirectory

if BACKEND == "jax":
    pytest.skip("on JAX one process has all devices: see test_several_devices", allow_module_level=True)

# of keras, and so not before the other backends are left out
from support import ranks as trainings

CLOSE = 1e-5  # relative; losses of 200 updates stay within 2e-6
SIZE = trainings.BEGINNING

SCRIPT = """
import sys, time
import multilearn as ml
import keras, numpy as np
from multilearn_keras import Classification

class Slow:
    def __init__(self, loader):
        self.loader = loader
    def __len__(self):
        return len(self.loader)
    def iterate(self, seed, epoch, start=0):
        for number, batch in enumerate(self.loader.iterate(seed, epoch, start)):
            # whoever waits for some batches of the second epoch finds the run there
            time.sleep(2.0 if epoch == 2 and start + number > 2 else 0.0)
            yield batch

ml.set_seed(1)
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8), keras.layers.Dropout(0.2), keras.layers.Dense(2)])
builder = ml.LearnerBuilder("run").metrics(ml.metrics.Loss()).num_epochs(3).with_file_checkpointer().restore_best()
builder = builder.engine(capture=False)
rng = np.random.default_rng(0)
data = rng.normal(size=(80, 4)).astype("float32"), rng.integers(0, 2, 80)
loader = ml.DataLoader(data, 8, shuffle=True)
for described in builder, builder.checkpoint("latest"):
    learner = described.build(Classification(model), "adam", 0.01)
    learner.fit(Slow(loader), [(data[0][:20], data[1][:20])])
    print("after fit", learner.stopped_by)
"""

NAMING_DEVICES = """
import sys
import multilearn as ml
import keras, numpy as np
from multilearn_keras import Classification

print("before fit")
ml.set_seed(1)
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8), keras.layers.Dropout(0.2), keras.layers.Dense(2)])
rng = np.random.default_rng(0)
data = rng.normal(size=(40, 4)).astype("float32"), rng.integers(0, 2, 40)
builder = ml.LearnerBuilder("run", overwrite=True).num_epochs(2)
learner = (builder.devices(sys.argv[1:]) if sys.argv[1:] else builder).build(Classification(model), "sgd", 0.1)
learner.fit(ml.DataLoader(data, 8, shuffle=True))
weights = np.concatenate([keras.ops.convert_to_numpy(each).ravel() for each in model.trainable_variables])
found = [*learner.history["train"]["Loss"], *weights.tolist(), *keras.ops.convert_to_numpy(keras.random.uniform((2,)))]
print("after fit", *map(repr, map(float, found)))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Mapping[int, Any]:
    folder = tmp_path_factory.mktemp("ranks")
    return {SIZE: trainings.of_processes(folder), 1: trainings.found(folder)}


CASES = [
    *(("perceptron", what) for what in ("batches", "norms", "valid", "predicted", "evaluated")),
    *(("masked", what) for what in ("batches", "norms", "valid")),
    ("sharded", "batches"),
    ("game", "batches"),
]


@pytest.mark.parametrize(("name", "what"), CASES)
def test_several_processes_give_what_one_gives(found: Mapping[int, Any], name: str, what: str) -> None:
    assert found[1][name][what]
    assert found[SIZE][name][what] == pytest.approx(found[1][name][what], rel=CLOSE, abs=CLOSE)


def test_a_run_is_resumed_by_as_many_processes_bit_for_bit_and_by_others_alike(found: Mapping[int, Any]) -> None:
    for size in (SIZE, 1):
        expected, resumed = found[size]["perceptron"]["batches"][3:], found[size]["resumed"]["batches"]
        assert resumed == pytest.approx(expected, rel=CLOSE)
    assert found[SIZE]["resumed"]["batches"] == found[SIZE]["perceptron"]["batches"][3:]


@pytest.mark.parametrize(
    ("name", "rule", "received"),
    [
        ("mean", "nothing but BatchNormalization mixes its items", "the gradient of "),
        ("contrastive", "nothing but BatchNormalization mixes its items", "the gradient of "),
        ("pairs", "one axis of every draw is that of the items", "(4,) for 2 items and of (9,) for 3, by the Pairs"),
        ("sum", "the loss must be a mean", "reduction='sum'"),
        ("unlike", "the same initial weights", "bias: "),
    ],
)
def test_what_processes_cannot_share_is_refused_by_name(
    found: Mapping[int, Any], name: str, rule: str, received: str
) -> None:
    said = found[SIZE]["refused"][name]
    assert rule in said and received in said


@contextmanager
def running(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """The script on two processes, which the command line starts."""
    (folder / "script.py").write_text(SCRIPT)
    command = [sys.executable, "-m", "multilearn", "run", "--devices", "2", "-b", BACKEND, "script.py"]
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=with_support(OMP_NUM_THREADS="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """The exit code, and what was printed."""
    output, _ = process.communicate(timeout=LIMIT)
    return process.returncode, output


def progress(folder: Path) -> int:
    """Bytes that are written of the second epoch."""
    file = folder / "run" / "train" / "epoch-2" / "Loss.log"
    return file.stat().st_size if file.exists() else 0


def pid_of(rank: int, folder: Path, launcher: subprocess.Popen[str], after: int = 0) -> int:
    """Of the process of a rank that has trained some batches of the second epoch, and so has saved the first."""
    deadline = time.monotonic() + LIMIT
    while progress(folder) <= after:
        assert time.monotonic() < deadline and launcher.poll() is None, launcher.stdout and launcher.stdout.read()
        time.sleep(0.05)
    for process in Path("/proc").glob("[0-9]*"):
        try:
            variables = (process / "environ").read_bytes().split(b"\0")
            here = os.readlink(process / "cwd") == str(folder)
        except OSError:
            continue
        if here and f"RANK={rank}".encode() in variables:
            return int(process.name)
    raise AssertionError(f"no rank {rank}")


def checkpoints(folder: Path) -> list[str]:
    return list(map(str, CheckpointFolder(RunDirectory(folder / "run").checkpoints, MpkGzRecorder()).positions()))


@pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")
def test_a_signal_to_one_rank_stops_all_with_one_checkpoint_and_a_rank_that_is_killed_ends_all(tmp_path: Path) -> None:
    with running(tmp_path) as process:
        rank = pid_of(1, tmp_path, process)
        os.kill(rank, signal.SIGINT)
        until(lambda: len(checkpoints(tmp_path)) > 1, lambda: process.poll() is None)
        first, second = checkpoints(tmp_path)
        before = progress(tmp_path)
        assert pid_of(1, tmp_path, process, before) == rank
        os.kill(rank, signal.SIGKILL)
        code, output = ended(process)
    assert first == "1" and second.startswith("2.")
    assert output.count("after fit SIGINT") == 2
    assert code == 128 + signal.SIGKILL
    assert "multilearn: rank 1 was killed by SIGKILL, and so the others are ended." in output
    assert f"another rank has ended; its last checkpoint is {second}" in output and "Traceback" not in output
    assert checkpoints(tmp_path) == [first, second]


@pytest.mark.skipif(BACKEND != "torch", reason="TensorFlow's meets before the first tensor: see test_meeting")
def test_a_world_that_does_not_form_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    world: Any = import_module("multilearn_keras.engines.torch.world")
    variables = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "MASTER_ADDR": "127.0.0.1"}
    for name, value in {**variables, "MASTER_PORT": ranks(2)[0]["MASTER_PORT"]}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MULTILEARN_PATIENCE", "0.2")
    place = LaunchedRank.of_environment()
    assert place is not None
    with pytest.raises(WorldError, match=r"All 2 ranks meet at 127\.0\.0\.1:\d+ within 0\.2 seconds"):
        world.connected(place)


@pytest.mark.skipif(BACKEND != "torch", reason="on one framework, since none has a part in it")
def test_a_script_that_names_devices_goes_on_once_with_what_they_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As with the toy in tests/core, and here with layers and random numbers of Keras."""
    (tmp_path / "script.py").write_text(NAMING_DEVICES)
    command, env = [sys.executable, "script.py", "cpu:0", "cpu:1"], with_support(OMP_NUM_THREADS="1")
    several = subprocess.run(command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, text=True, check=True).stdout
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["script.py"])
    runpy.run_path("script.py", run_name="__main__")
    printed = [
        [line.split() for line in text.splitlines() if " fit" in line] for text in (several, capsys.readouterr().out)
    ]
    for lines in printed:
        assert [line[0] for line in lines] == ["before", "after"]
    one, other = ([float(word) for word in lines[-1][2:]] for lines in printed)
    assert other == pytest.approx(one, rel=CLOSE, abs=CLOSE)


def test_without_a_script_a_fit_starts_no_processes(tmp_path: Path) -> None:
    task = trainings.classifier()
    learner = ml.LearnerBuilder(tmp_path / "run").devices(["cpu:0", "cpu:1"]).build(task, "sgd", 0.1)
    with pytest.raises(ConfigurationError, match="each of which runs the script"):
        learner.fit([(np.zeros((4, 6), "float32"), np.zeros(4, "int64"))])
    assert not (tmp_path / "run").exists()
