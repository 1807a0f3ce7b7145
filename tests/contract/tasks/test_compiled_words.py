"""What `compile` is told besides the loss: metrics as in the history of Keras' own fit, eager steps, others by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops
from support.training import BACKEND, ids, learner, numbers, twins

import multilearn as ml
from multilearn import DataLoader
from multilearn.errors import ConfigurationError
from multilearn_keras import Classification

N = 16  # two batches of 8
WEIGHTS = np.linspace(0, 2, N, dtype="float32")
MORE = WEIGHTS[::-1].copy()


def within(y: Any, p: Any) -> Any:
    return ops.cast(ops.less(ops.abs(ops.cast(y, "float32") - p), 0.4), "float32")


def binary() -> keras.Model:
    return keras.Sequential([keras.Input((4,)), layers.Dense(1, activation="sigmoid")])


def classifier() -> keras.Model:
    return keras.Sequential([keras.Input((4,)), layers.Dense(3, activation="softmax")])


def padded() -> keras.Model:
    return keras.Sequential([keras.Input((4, 5)), layers.Masking(), layers.Dense(3, activation="softmax")])


def branches(nest: Callable[[Any, Any], Any]) -> keras.Model:
    x = keras.Input((4,))
    return keras.Model(x, nest(layers.Dense(3, activation="softmax", name="kind")(x), layers.Dense(1, name="size")(x)))


class Branches(keras.Model):
    """Has no graph from which the outputs could be known."""

    def __init__(self) -> None:
        super().__init__()
        self.kind, self.size = layers.Dense(3, activation="softmax"), layers.Dense(1)

    def call(self, x: Any) -> Any:
        return {"size": self.size(x), "kind": self.kind(x)}


X, Y = numbers(N, 4), ids(3, N)
SPARSE = "sparse_categorical_crossentropy"
BY_NAME = {"loss": {"kind": SPARSE, "size": "mse"}, "metrics": {"size": ["mae"], "kind": "accuracy"}}
BOTH = {"kind": Y, "size": numbers(N, 1)}
CASES: dict[str, tuple[Callable[[], keras.Model], dict[str, Any], Any]] = {
    "binary": (
        binary,
        {
            "loss": "binary_crossentropy",
            "metrics": ["accuracy", keras.metrics.Recall(name="found"), within],
            "weighted_metrics": ["accuracy", keras.metrics.Precision(name="precise")],
        },
        (X, ids(2, N, 1), WEIGHTS),
    ),
    "one-hot": (
        classifier,
        {"loss": "categorical_crossentropy", "metrics": ["acc", keras.metrics.F1Score("macro", name="f1")]},
        (X, np.eye(3, dtype="float32")[Y]),
    ),
    "padded sequences": (
        padded,
        {"loss": SPARSE, "metrics": ["accuracy", "accuracy"], "weighted_metrics": ["accuracy"]},
        (numbers(N, 4, 5) * (np.arange(4) < 2 + ids(3, N, 1))[..., None], ids(3, N, 4), np.stack([WEIGHTS] * 4, 1)),
    ),
    "a dict of outputs": (
        lambda: branches(lambda kind, size: {"size": size, "kind": kind}),
        {**BY_NAME, "weighted_metrics": {"kind": ["accuracy"]}},
        (X, BOTH, {"kind": WEIGHTS, "size": MORE}),
    ),
    "a list of outputs": (
        lambda: branches(lambda kind, size: [size, kind]),
        {"loss": ["mse", SPARSE], "metrics": [["mae", keras.metrics.RootMeanSquaredError(name="rms")], ["accuracy"]]},
        (X, [BOTH["size"], Y]),
    ),
    "no graph": (Branches, BY_NAME, (X, BOTH)),
}


def test_metrics_of_compile_have_the_names_and_values_of_keras_own_history(tmp_path: Path) -> None:
    make, words, data = CASES["binary"]
    ours, theirs = twins(make)
    ours.compile(keras.optimizers.SGD(0.1), **words)
    theirs.compile(keras.optimizers.SGD(0.1), **words, run_eagerly=BACKEND == "tensorflow")
    x, y, weights = data
    options = {"batch_size": 8, "epochs": 2, "shuffle": False, "verbose": 0}
    kept = theirs.fit(x, y, sample_weight=weights, validation_data=data, **options).history
    run = learner(tmp_path / "run", ours, None, None, num_epochs=2)
    run.fit(DataLoader(data, 8), DataLoader(data, 8))
    named = {name for name in kept if not name.startswith("val_") and not name.endswith("loss")}
    for split, prefix in (("train", ""), ("valid", "val_")):
        found = run.history[split]
        assert set(found) == {*named, "Loss"}
        for name in named:
            np.testing.assert_allclose(found[name], kept[prefix + name], rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("case", [case for case in CASES if case != "binary"])
def test_whatever_a_model_outputs_they_are_those_of_keras_own_evaluation(tmp_path: Path, case: str) -> None:
    make, words, data = CASES[case]
    ours, theirs = twins(make)
    ours.compile(keras.optimizers.SGD(0.0), **words)
    theirs.compile(keras.optimizers.SGD(0.0), **words, run_eagerly=BACKEND == "tensorflow")
    x, y, weights = (*data, None)[:3]
    kept = theirs.evaluate(x, y, sample_weight=weights, batch_size=8, verbose=0, return_dict=True)
    run = learner(tmp_path / "run", ours, None, None)
    run.fit(DataLoader(data, 8))
    named = {name for name in kept if not name.endswith("loss")}
    found = run.history["train"]
    assert set(found) == {*named, "Loss"}
    for name in named:
        np.testing.assert_allclose(found[name], [kept[name]], rtol=1e-5, atol=1e-6, err_msg=name)


def compiled(model: keras.Model, **words: Any) -> keras.Model:
    model.compile(keras.optimizers.SGD(0.1), **words)
    return model


def with_metrics() -> keras.Model:
    return compiled(binary(), loss="binary_crossentropy", metrics=["accuracy", keras.metrics.AUC()])


BINARY = (X, ids(2, N, 1))


def test_a_resumed_run_has_the_metrics_of_the_uninterrupted_one(tmp_path: Path) -> None:
    """Keras numbers a second AUC of the process; the run knows the first one of its model."""
    histories = []
    for name, epochs in (("whole", [2]), ("parts", [1, 2])):
        for number, until in enumerate(epochs):
            ml.set_seed(1)
            builder = ml.LearnerBuilder(tmp_path / name).renderer(ml.renderers.SilentRenderer()).num_epochs(until)
            builder = builder.with_file_checkpointer().restore_best("auc", direction="highest").metrics("accuracy")
            run = (builder.checkpoint("latest") if number else builder).build(with_metrics())
            run.fit(DataLoader(BINARY, 8), DataLoader(BINARY, 8))
        histories.append({split: dict(values) for split, values in run.history.items()})
    assert histories[0] == histories[1]
    assert set(histories[0]["valid"]) == {"accuracy", "auc", "Loss"}


def test_accuracy_by_name_is_that_of_the_task_or_model(tmp_path: Path) -> None:
    for name, task, y in (
        ("task", Classification(classifier(), from_logits=False), Y),
        ("column", compiled(classifier(), loss=SPARSE), Y[:, None]),
        ("labels", compiled(binary(), loss="binary_crossentropy"), BINARY[1]),
    ):
        run = (
            ml.LearnerBuilder(tmp_path / name)
            .renderer(ml.renderers.SilentRenderer())
            .metrics("accuracy")
            .build(task, "sgd", 0.0)
        )
        kernel, bias = run.fit([(X, y)]).get_weights()
        scores = X @ kernel + bias
        right = scores[:, 0] > 0 if name == "labels" else scores.argmax(-1)
        assert run.history["train"]["accuracy"] == (pytest.approx(np.mean(right == np.ravel(y))),)


def test_a_name_that_keras_does_not_know_is_refused_with_the_nearest(tmp_path: Path) -> None:
    builder = ml.LearnerBuilder(tmp_path / "run")
    with pytest.raises(ConfigurationError, match=r"'acuracy'\. Did you mean 'accuracy'"):
        builder.metrics("acuracy")
    with pytest.raises(ConfigurationError, match=r"'loss'\. Give the object: multilearn\.metrics\.Loss\(\)"):
        builder.metrics("loss")
    with pytest.raises(ConfigurationError, match=r"'binary_acuracy'\. Did you mean 'binary_accuracy'"):
        builder.build(compiled(binary(), loss="mse", metrics=["binary_acuracy"]))
    with pytest.raises(ConfigurationError, match="must fit the outputs"):
        builder.build(compiled(branches(lambda kind, size: [kind, size]), loss="mse", metrics={"weight": "mae"}))


def test_run_eagerly_runs_every_step_as_it_is_written(tmp_path: Path) -> None:
    calls = []

    class Counting(layers.Dense):
        def call(self, x: Any, training: Any = None) -> Any:
            calls.append(1)
            return super().call(x)

    model = keras.Sequential([keras.Input((4,)), Counting(1)])
    compiled(model, loss="mse", run_eagerly=True)
    run = learner(tmp_path / "run", model, None, None)
    calls.clear()
    run.fit(DataLoader((X, numbers(N, 1)), 2))
    assert len(calls) >= N / 2
    assert '"capture": false' in (tmp_path / "run" / "experiment.json").read_text()
    builder = ml.LearnerBuilder(tmp_path / "other").engine(compile="xla")
    with pytest.raises(ConfigurationError, match="run_eagerly=True, and compile='xla'"):
        builder.build(model)


def test_words_without_effect_are_named_in_the_log(tmp_path: Path) -> None:
    model = compiled(binary(), loss="mse", steps_per_execution=4, jit_compile=BACKEND != "jax")
    learner(tmp_path / "run", model, None, None).fit([BINARY])
    log = (tmp_path / "run" / "experiment.log").read_text()
    assert "compile(steps_per_execution=4) has no effect" in log
    assert f"compile(jit_compile={BACKEND != 'jax'}) has no effect" in log


@pytest.mark.parametrize("method", ["test_step", "predict_step", "compute_metrics", "make_train_function"])
def test_what_keras_fit_would_call_of_a_model_is_refused(tmp_path: Path, method: str) -> None:
    own = type("Own", (keras.Sequential,), {method: lambda self, *args, **kwargs: None})
    model = compiled(own([keras.Input((4,)), layers.Dense(1)]), loss="mse")
    for task in (model, Classification(model)):
        with pytest.raises(ConfigurationError, match=f"own {method} is written for Keras' own loop.*Own.{method}"):
            ml.LearnerBuilder(tmp_path / "run").build(task, "sgd", 0.1)
    if method == "predict_step":
        with pytest.raises(ConfigurationError, match="own predict_step"):
            list(ml.predict(model, [X]))
    assert not (tmp_path / "run").exists()


def test_a_model_of_half_precision_compiled_without_scaling_of_the_loss_is_trained_without(tmp_path: Path) -> None:
    for scaled in (True, False):
        model = keras.Sequential([keras.Input((4,)), layers.Dense(1, dtype="mixed_float16")])
        model.dtype_policy = keras.DTypePolicy("mixed_float16")
        model.compile("sgd", "mse", auto_scale_loss=scaled)
        for given in (None, "sgd"):
            run = ml.LearnerBuilder(tmp_path / "run").build(model, given)
            optimizer = run._run.subject.optimizer
            assert isinstance(optimizer, keras.optimizers.LossScaleOptimizer) == scaled


def test_an_evaluation_measures_what_the_model_was_compiled_with(tmp_path: Path) -> None:
    model = with_metrics()
    evaluator = ml.Evaluator(tmp_path / "run", metrics=["accuracy"], renderer=ml.renderers.SilentRenderer())
    found = evaluator.evaluate(model, DataLoader(BINARY, 8))
    loss, accuracy, auc = model.evaluate(*BINARY, batch_size=8, verbose=0)
    assert found == pytest.approx({"Loss": loss, "accuracy": accuracy, "auc": auc}, rel=1e-5)
