"""A record of other trainable layers, another optimizer or another model says which, and how to go on."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras
import pytest
from keras import layers, optimizers
from support.training import learner, numbers

from multilearn.errors import RecordMismatch
from multilearn_keras import Regression, load_weights

DATA = numbers(16, 5), numbers(16, seed=1)


def run(directory: Path, optimizer: Any, frozen: bool = True, units: int = 4, **settings: Any) -> keras.Model:
    ml.set_seed(2)
    backbone = layers.Dense(units, name="backbone", trainable=not frozen)
    model = keras.Sequential([keras.Input((5,)), backbone, layers.Dense(1, name="head")])
    with_checkpoints = {"with_file_checkpointer": (), "num_epochs": 2 if "checkpoint" in settings else 1, **settings}
    learner(directory, Regression(model), optimizer, 0.01, **with_checkpoints).fit(ml.DataLoader(DATA, 8))
    return model


def test_what_differs_is_named_and_the_remedy_works(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    trained = run(tmp_path / "run", optimizers.Adam())
    said = {
        r"trainable now, and not when saved: 'backbone'.*load_weights\(model, directory\).*new directory": {
            "frozen": False,
            "optimizer": optimizers.Adam(),
        },
        r"another optimizer: SGD keeps momentums, and the record has momentums, velocities": {
            "optimizer": optimizers.SGD(momentum=0.9)
        },
        r"another optimizer: SGD keeps nothing": {"optimizer": optimizers.SGD()},
        r"bias \(layer 'backbone'\): expected F32 \(6,\)(.|\n)*kernel \(layer 'head'\)": {
            "units": 6,
            "optimizer": optimizers.Adam(),
        },
    }
    for text, changed in said.items():
        with pytest.raises(RecordMismatch, match=f"(?s){text}"):
            run(tmp_path / "run", checkpoint="latest", **changed)
    run(tmp_path / "run", optimizers.AdamW(), checkpoint="latest")
    assert "The run was trained with Adam and is resumed with AdamW" in caplog.text
    run(tmp_path / "without state", optimizers.SGD())
    assert "configured otherwise" not in caplog.text
    run(tmp_path / "without state", optimizers.SGD(), frozen=False, checkpoint="latest")
    changed = r"layers/dense\.0 was Dense\(trainable=False, .* and is Dense\(trainable=True, "
    assert re.search(f"Layers are configured otherwise than before: {changed}", caplog.text)
    run(tmp_path / "unfrozen", optimizers.Adam(), frozen=False)
    with pytest.raises(RecordMismatch, match="trainable when saved, and not now: 'backbone'"):
        run(tmp_path / "unfrozen", optimizers.Adam(), checkpoint="latest")
    # as the message says
    load_weights(trained, tmp_path / "unfrozen")
    learner(tmp_path / "new", Regression(trained), optimizers.SGD(), 0.1).fit(ml.DataLoader(DATA, 8))


def test_an_evaluation_of_another_model_names_the_layer(tmp_path: Path) -> None:
    run(tmp_path / "run", "sgd")
    other = keras.Sequential([keras.Input((5,)), layers.Dense(6, name="hidden"), layers.Dense(1, name="head")])
    with pytest.raises(RecordMismatch, match=r"layers/dense\.0/bias \(layer 'hidden'\): expected F32 \(6,\)"):
        list(ml.predict(other, ml.DataLoader(DATA, 8), checkpoint="latest", directory=tmp_path / "run"))
