"""What experiment.json says of a Keras experiment, so that a comparison can name what made runs differ."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras
import numpy as np
import pytest
from support.libraries import needs
from support.training import BACKEND

from multilearn import backend
from multilearn.commands.compare.preconditions import first_difference, preconditions
from multilearn.data import as_loader
from multilearn.data.fingerprint import data_facts
from multilearn.run.on_disk import RunOnDisk, open_run
from multilearn_keras import Classification

X = np.linspace(-1, 1, 24 * 4, dtype=np.float32).reshape(24, 4)
Y = np.arange(24, dtype=np.int32) % 3
L = keras.layers


def layers(rate: float = 0.5, kernel: Any = "glorot_uniform") -> keras.Model:
    return keras.Sequential([L.Dense(5, kernel_initializer=kernel), L.Dropout(rate), L.Dense(3)])


def run(directory: Path, make: Callable[[], keras.Model] = layers) -> RunOnDisk:
    ml.set_seed(5)
    described = ml.LearnerBuilder(directory).metrics(ml.metrics.Loss()).renderer(ml.renderers.SilentRenderer())
    learner = described.build(Classification(make()), "adam", 0.01)
    learner.fit(ml.DataLoader((X, Y), 8, shuffle=True), ml.DataLoader((X, Y), 12))
    return open_run(directory)


def declared(make: Callable[[], keras.Model] = layers, optimizer: Any = "adam", **task: Any) -> Any:
    """What a run of it would declare."""
    return backend.load().adopt(Classification(make(), **task), optimizer, 0.01).description


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> RunOnDisk:
    return run(tmp_path_factory.mktemp("base") / "run")


def test_a_second_model_in_the_process_is_the_same_experiment(base: RunOnDisk, tmp_path: Path) -> None:
    again = run(tmp_path / "again")
    assert base.declared["model"]["name"] != again.declared["model"]["name"]
    assert {each.name: each.held for each in preconditions([base, again]) if not each.held} == {}
    assert first_difference([base, again], 0.0) is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"make": lambda: layers(rate=0.25)},
            "The configuration differs in layers/dropout.0: Dropout(rate=0.5) / Dropout(rate=0.25).",
        ),
        (
            {"make": lambda: layers(kernel="zeros")},
            "The configuration differs in layers/dense.0: Dense(kernel_initializer=GlorotUniform()) / "
            "Dense(kernel_initializer=Zeros()).",
        ),
        (
            {"make": lambda: keras.Sequential([*layers().layers, L.Softmax()]), "from_logits": False},
            "The configuration differs in loss: SparseCategoricalCrossentropy(from_logits=True) / "
            "SparseCategoricalCrossentropy(from_logits=False).",
        ),
        (
            {"make": lambda: keras.Sequential([L.Dense(5), L.Dense(3)])},
            "The configuration differs in layers: layers/dense.0, layers/dropout.0, layers/dense.1 / "
            "layers/dense.0, layers/dense.1.",
        ),
        ({"optimizer": "sgd"}, "The configuration differs in optimizer.class: Adam / SGD."),
        ({"optimizer": keras.optimizers.Adam(beta_1=0.8)}, "The configuration differs in optimizer.beta_1: 0.9 / 0.8."),
    ],
    ids=["dropout", "initializer", "loss", "layers", "optimizer", "its parameter"],
)
def test_what_is_configured_otherwise_is_named(base: RunOnDisk, changes: dict[str, Any], said: str) -> None:
    other = declared(**changes)
    assert first_difference([base, replace(base, declared={**base.declared, **other})], 1e-5) == said


def test_one_value_of_the_initial_weights_is_found(base: RunOnDisk, tmp_path: Path) -> None:
    def moved() -> keras.Model:
        model = layers()
        model.build((None, 4))
        kernel = keras.ops.convert_to_numpy(model.layers[2].kernel)
        kernel[4, 2] = np.nextafter(kernel[4, 2], np.float32(9))
        model.layers[2].kernel.assign(kernel)
        return model

    told = first_difference([base, run(tmp_path / "other", moved)], 1e-5)
    assert told is not None and told.startswith("The weights at start differ in layers/dense.1/kernel: ")


STATISTICS = np.float32([[0, 2], [2, 6]])
"""Of mean 1 and 4, and variance 1 and 4."""


def scaled(layer: Any) -> keras.Model:
    return keras.Sequential([keras.Input((2,)), layer, L.Dense(3)])


def adapted(data: np.ndarray) -> keras.Model:
    layer = L.Normalization()
    layer.adapt(data)
    return scaled(layer)


def test_statistics_are_described_by_value() -> None:
    layers_said = [
        declared(make)["model"]["layers"]["layers/normalization.0"]
        for make in (
            lambda: adapted(STATISTICS),
            lambda: adapted(STATISTICS + 1),
            lambda: scaled(L.Normalization(mean=[1.0, 4.0], variance=[1.0, 4.0])),
        )
    ]
    assert (
        layers_said[0]
        == "Normalization(trainable=True, dtype=float32, axis=[-1], mean=~[1 4], variance=~[1 4], invert=False)"
    )
    assert "mean=~[2 5], variance=~[1 4]" in layers_said[1]
    assert layers_said[2] == layers_said[0]
    many = L.Normalization(mean=np.arange(20.0), variance=np.ones(20))
    wide = keras.Sequential([keras.Input((20,)), many, L.Dense(3)])
    # the first of the four sums has the weights 1
    assert "mean=20 in ~[190 " in declared(lambda: wide)["model"]["layers"]["layers/normalization.0"]


def test_other_statistics_are_a_difference_and_roundings_are_none(base: RunOnDisk) -> None:
    exact, rounded, other = (
        replace(base, declared={**base.declared, **declared(lambda data=data: adapted(data))})
        for data in (STATISTICS, STATISTICS * np.float32(1 + 2e-6), STATISTICS + 1)
    )
    assert declared(lambda: adapted(STATISTICS * np.float32(1 + 2e-6))) != declared(lambda: adapted(STATISTICS))
    assert first_difference([exact, rounded], 1e-5) is None
    configurations = [each for each in preconditions([exact, rounded]) if each.name == "configuration"]
    assert configurations[0].held
    assert configurations[0].values[0] == configurations[0].values[1]
    assert first_difference([exact, other], 1e-5) == (
        "The configuration differs in layers/normalization.0: Normalization(mean=~[1 4]) / Normalization(mean=~[2 5])."
    )


class Silent(keras.layers.Layer):
    """It cannot be serialised."""

    def __init__(self, something: object) -> None:
        super().__init__()
        self.something = something
        self.inner = L.Dense(3)

    def call(self, x: Any) -> Any:
        return self.inner(x)


def test_nested_layers_and_layers_that_say_nothing() -> None:
    def make() -> keras.Model:
        inside = keras.Sequential([L.Dense(4), L.TimeDistributed(L.Dense(2)), L.LSTM(2)])
        inputs = keras.Input((4, 1))
        return keras.Model(inputs, Silent(object())(inside(inputs)))

    make()
    told = declared(make)["model"]["layers"]
    assert list(told) == [
        "layers/sequential.0/layers/dense.0",
        "layers/sequential.0/layers/time_distributed.0",
        "layers/sequential.0/layers/time_distributed.0/layer",
        "layers/sequential.0/layers/lstm.0",
        "layers/sequential.0/layers/lstm.0/cell",
        "layers/silent.0",
        "layers/silent.0/inner",
    ]
    assert told["layers/sequential.0/layers/lstm.0"].startswith("LSTM(trainable=True, dtype=float32, units=2, ")
    assert told["layers/silent.0"] == "Silent(trainable=True, dtype=float32, something=object)"
    assert told["layers/silent.0/inner"].startswith("Dense(trainable=True, dtype=float32, units=3, activation=linear")
    assert not any("name=" in text or " at 0x" in text for text in told.values())
    assert told == declared(make)["model"]["layers"]


def test_arrays_of_the_framework_have_the_fingerprint_of_numpys() -> None:
    def facts(x: Any, y: Any) -> Any:
        return data_facts(ml.DataLoader((x, y), 5), None)

    expected = facts(X, Y)
    x, y = keras.ops.convert_to_tensor(X), keras.ops.convert_to_tensor(Y)
    assert facts(x, y) == expected
    assert data_facts(as_loader([(x[:9], y[:9]), (x[9:], y[9:])], "training"), None) == expected
    wrong = keras.ops.convert_to_numpy(x).copy()
    wrong[23, 3] += 1e-6
    assert facts(wrong, y) != expected


@pytest.mark.skipif(BACKEND != "torch", reason="asked once is enough: no framework trains in it")
def test_of_a_tensor_dataset_of_torch_all_items_are_known() -> None:
    torch, data = needs("torch"), needs("torch.utils.data")
    dataset = data.TensorDataset(torch.tensor(X), torch.tensor(Y))
    before = torch.get_rng_state().numpy().tobytes()
    known = data_facts(as_loader(data.DataLoader(dataset, 7, shuffle=True), "training"), None)
    assert known == data_facts(ml.DataLoader((X, Y), 5), None)
    assert data_facts(ml.DataLoader(dataset, 7), None) == known
    assert torch.get_rng_state().numpy().tobytes() == before


def test_the_framework_tells_its_settings(base: RunOnDisk) -> None:
    told = base.declared["sessions"][0]["numerics"]
    assert told == dict(backend.load().numerics())
    assert {type(told[name]) for name in ("tf32", "onednn", "deterministic")} == {bool}
    counts = {name: value for name, value in told.items() if name.endswith("threads")}
    assert all(type(value) is int and value >= 0 for value in counts.values())
    assert base.declared["sessions"][0]["versions"].keys() >= {"python", "multilearn", "keras", "numpy", BACKEND}


@pytest.mark.skipif(BACKEND != "torch", reason="the number of threads can be changed at any time on torch only")
def test_another_number_of_threads_is_named(base: RunOnDisk, tmp_path: Path) -> None:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    try:
        other = run(tmp_path / "other")
    finally:
        torch.set_num_threads(before)
    told = first_difference([base, other], 1e-3)
    assert told == f"The threads differ in torch intra_op_threads: {before} / {before + 1}."
