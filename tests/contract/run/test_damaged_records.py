"""A checkpoint that is damaged, or of something else: one error that names all that is wrong, nothing is touched."""

from __future__ import annotations

import re

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from multilearn.checkpoint import CheckpointFolder, HostTensor
from multilearn.errors import MultilearnError, RecordError, RecordMismatch
from multilearn.events import Position
from multilearn_keras import Classification

ONE = Position(1)


def learner_of(directory: Path, units: int = 4, resume: bool = False, epochs: int = 2) -> tuple[ml.Learner, Any, Any]:
    ml.set_seed(3)
    model = keras.Sequential([keras.Input((3,)), layers.Dense(units, activation="relu"), layers.Dense(2)])
    optimizer = keras.optimizers.Adam()
    builder = (
        ml.LearnerBuilder(directory).with_file_checkpointer().num_epochs(epochs).renderer(ml.renderers.SilentRenderer())
    )
    if resume:
        builder = builder.checkpoint(1)
    return builder.build(Classification(model), optimizer, 1e-2), model, optimizer


def batches() -> ml.DataLoader:
    x = np.random.default_rng(0).normal(size=(20, 3)).astype("float32")
    return ml.DataLoader((x, (x.sum(1) > 0).astype("int32")), batch_size=10)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("trained")
    learner_of(directory, epochs=1)[0].fit(batches())
    return directory


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A run of one epoch, to be damaged."""
    return shutil.copytree(trained, tmp_path / "run")


def held(model: Any, optimizer: Any) -> list[bytes]:
    return [ops.convert_to_numpy(variable).tobytes() for variable in [*model.variables, *optimizer.variables]]


def contents(directory: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def refused(run: Path, error: type[MultilearnError], **options: Any) -> str:
    """What going on from epoch 1 says, having touched neither model, optimizer nor directory."""
    learner, model, optimizer = learner_of(run, resume=True, **options)
    optimizer.build(model.trainable_variables)
    before, files = held(model, optimizer), contents(run)
    with pytest.raises(error) as caught:
        learner.fit(batches())
    assert held(model, optimizer) == before
    assert contents(run) == files
    return str(caught.value)


def rewrite(run: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Replace the checkpoint by an intact one of changed content."""
    folder = CheckpointFolder(run / "checkpoint")
    parts = folder.load(ONE)
    change(parts)
    folder.save(ONE, parts)


def test_the_checkpoint_is_sound_before_it_is_damaged(run: Path) -> None:
    learner, model, _ = learner_of(run, resume=True)
    before = [weights.tobytes() for weights in model.get_weights()]
    learner.fit(batches())
    assert len(learner.history["train"]["Loss"]) == 2
    assert before != [weights.tobytes() for weights in model.get_weights()]


def without_layers(told: str) -> str:
    """A message without the names of layers, which Keras numbers over the process."""
    return re.sub(r" \(layer '\w+'\)", "", told)


def test_missing_and_extra_keys_and_other_shapes_and_types_are_named_all_at_once(run: Path) -> None:
    def change(parts: dict[str, Any]) -> None:
        first, second = (parts["model"]["layers"][f"dense.{k}"] for k in (0, 1))
        first["kernel"] = HostTensor.of(np.zeros((3, 5), np.float32))
        first["extra"] = HostTensor.of(np.zeros(1, np.float32))
        second["bias"] = HostTensor.of(np.zeros(2, np.float64))
        del second["kernel"]
        del parts["optim"]["slots"]["momentums"]["layers"]["dense.0"]["bias"]
        parts["optim"]["iterations"] = HostTensor.of(np.zeros(1, np.int64))

    rewrite(run, change)
    told = refused(run, RecordMismatch)
    assert len(re.findall(r"/\w+ \(layer 'dense\w*'\): ", told)) == 4
    said = without_layers(told)
    assert "6 differences" in said
    assert "layers/dense.0/kernel: expected F32 (3, 4), received F32 (3, 5)" in said
    assert "layers/dense.0/extra: not expected, received F32 (1,)" in said
    assert "layers/dense.1/bias: expected F32 (2,), received F64 (2,)" in said
    assert "layers/dense.1/kernel: missing, expected F32 (4, 2)" in said
    assert "slots/momentums/layers/dense.0/bias: missing, expected F32 (4,)" in said
    assert "iterations: expected I64 (), received I64 (1,)" in said


def test_a_wider_model_is_told_each_weight_and_slot_that_does_not_fit(run: Path) -> None:
    said = without_layers(refused(run, RecordMismatch, units=6))
    for where in ("model", "optim/slots/momentums", "optim/slots/velocities"):
        for name, wanted, found in (("0/kernel", (3, 6), (3, 4)), ("0/bias", (6,), (4,)), ("1/kernel", (6, 2), (4, 2))):
            assert f"{where}/layers/dense.{name}: expected F32 {wanted}, received F32 {found}" in said


BROKEN_STREAMS: dict[str, Callable[[dict[str, Any]], object]] = {
    "nothing": lambda random: random.clear(),
    "no framework": lambda random: random.pop("framework"),
    "a state of another shape": lambda random: random.update(unseeded=HostTensor.of(np.zeros(3, np.uint32))),
    "a state of another type": lambda random: random.update(unseeded=HostTensor.of(np.zeros(2, np.float32))),
    "a text": lambda random: random.update(unseeded="state"),
    "a framework's state that is none": lambda random: random.update(
        framework=keras.backend.backend(), native=HostTensor.of(np.zeros(7, np.uint8))
    ),
}


@pytest.mark.parametrize("change", BROKEN_STREAMS.values(), ids=BROKEN_STREAMS)
def test_streams_that_cannot_go_on_are_refused_before_the_model_is_touched(
    run: Path, change: Callable[[dict[str, Any]], object], request: pytest.FixtureRequest
) -> None:
    if "none" in request.node.name and keras.backend.backend() != "torch":
        pytest.skip("only torch lets its stream be recorded")
    rewrite(run, lambda parts: change(parts["scheduler"]["random"]))
    assert "streams" in refused(run, RecordError)


def test_a_checkpoint_without_one_of_its_parts_is_refused(run: Path) -> None:
    rewrite(run, lambda parts: parts.pop("optim"))
    assert "without optim" in refused(run, RecordError)
