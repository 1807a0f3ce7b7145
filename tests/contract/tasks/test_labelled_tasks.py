"""Several labels, tokens with padding, and language models: loss, count and what metrics get, against numpy."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, optimizers
from support.training import (
    chunks,
    cross_entropy,
    engine_of,
    entries,
    evaluate,
    ids,
    numbers,
    seen,
    state,
    trained,
    twins,
)

from multilearn import backend
from multilearn.errors import ConfigurationError, DataError
from multilearn.metrics import Accuracy, Loss, OfOutput
from multilearn.outputs import SeveralOutputs
from multilearn.protocols import Output
from multilearn_keras import Classification, LanguageModel, MultiLabelClassification, Regression, SequenceClassification

KERNEL = "layers/dense.0/kernel"


class Seen:
    """Hands the tensors of an output to the host as they are."""

    name, unit, numeric = "Seen", "", True

    def __init__(self, *fields: str) -> None:
        self.fields = fields

    def measure(self, ops: Any, output: Any) -> dict[str, Any]:
        return {field: getattr(output, field) for field in self.fields}

    def merge(self, state: Any, measured: Any) -> Any:
        return measured

    def entry(self, state: Any) -> Any: ...


def dense(width: int, *shape: int, activation: Any = None) -> keras.Model:
    return keras.Sequential([keras.Input(shape), layers.Dense(width, activation=activation, use_bias=False)])


def binary_cross_entropy(logits: np.ndarray, y: np.ndarray) -> np.ndarray:
    p = 1 / (1 + np.exp(-logits.astype("float64")))
    return -(y * np.log(p) + (1 - y) * np.log(1 - p))


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits.astype("float64"))
    return powers / powers.sum(-1, keepdims=True)


@pytest.mark.parametrize("kind", ["float64", "bool", "uint8"])
def test_labels_of_any_type_and_the_mean_over_them(kind: str) -> None:
    model, x = twins(lambda: dense(3, 4))[0], numbers(6, 4)
    y = ids(2, 6, 3).astype(kind)
    found = seen(MultiLabelClassification(model), (x, y), "targets", "logits")
    logits = x @ state(model)[KERNEL]
    assert found["loss"] == pytest.approx(binary_cross_entropy(logits, y.astype("float64")).mean(), rel=1e-5)
    assert found["count"] == 6
    np.testing.assert_array_equal(found["targets"], y.astype("int32"))
    assert found["targets"].dtype == np.int32
    np.testing.assert_allclose(found["logits"], logits, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("time", "column"), [((), False), ((5,), False), ((5,), True)], ids=["items", "steps", "steps, column"]
)
def test_one_label_is_a_binary_classification_with_or_without_its_axis(time: tuple[int, ...], column: bool) -> None:
    model, x = twins(lambda: dense(1, *time, 4))[0], numbers(6, *time, 4)
    y, weight = ids(2, 6, *time), np.linspace(0.5, 2, 6, dtype="float32")
    batch = (x, y[..., None] if column else y, weight)
    found = seen(MultiLabelClassification(model), batch, "targets", "weights")
    each = binary_cross_entropy((x @ state(model)[KERNEL])[..., 0], y)
    by_item = np.broadcast_to(weight.reshape(6, *(1 for _ in time)), y.shape)
    assert found["loss"] == pytest.approx((each * by_item).mean(), rel=1e-5)
    assert found["count"] == y.size
    assert found["targets"].shape == (*y.shape, 1)
    np.testing.assert_allclose(found["weights"], by_item)


def test_masked_steps_have_no_labels() -> None:
    model = twins(lambda: keras.Sequential([keras.Input((4, 2)), layers.Masking(), layers.Dense(2, use_bias=False)]))[0]
    x, y = numbers(3, 4, 2), ids(2, 3, 4, 2)
    x[0, 2:] = x[2, 1:] = 0
    counted = np.any(x != 0, axis=-1)
    found = seen(MultiLabelClassification(model), (x, y), "weights")
    each = binary_cross_entropy(x @ state(model)[KERNEL], y).mean(-1)
    assert found["loss"] == pytest.approx(each[counted].mean(), rel=1e-5)
    assert found["count"] == counted.sum()
    np.testing.assert_array_equal(found["weights"], counted)


def test_probabilities_of_labels_and_other_losses() -> None:
    x, y = numbers(6, 4), ids(2, 6, 3)
    plain = twins(lambda: dense(3, 4))[0]
    squashed = twins(lambda: dense(3, 4, activation="sigmoid"))[0]
    expected = seen(MultiLabelClassification(plain, "binary_crossentropy"), (x, y))["loss"]
    assert seen(MultiLabelClassification(squashed, from_logits=False), (x, y))["loss"] == pytest.approx(
        expected, rel=1e-5
    )
    focal = MultiLabelClassification(plain, keras.losses.BinaryFocalCrossentropy(from_logits=True, gamma=0.0))
    assert seen(focal, (x, y))["loss"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("y", "said"),
    [
        (np.full((6, 3), 2), "0 or 1.*values from 2 to 2"),
        (np.full((6, 3), 0.5), "0 or 1.*smooth"),
        (np.full((6, 3), -1), "0 or 1"),
        (np.full((6, 3), np.nan), "0 or 1"),
        (np.full((6, 3), "yes"), r"made of numbers.*text \(str\)"),
        (np.zeros((6,), int), r"shape of the model's output, \(batch, 3\).*shape \(batch\)"),
        (np.zeros((6, 2), int), r"\(batch, 3\).*\(batch, 2\)"),
        ({"a": np.zeros((6, 3))}, "y one array"),
    ],
    ids=["two", "a half", "below", "no number", "text", "no axis", "too few", "a dict"],
)
def test_wrong_labels_are_refused_before_a_step(y: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        engine_of(MultiLabelClassification(dense(3, 4)), "sgd", (numbers(6, 4), y))


@pytest.mark.parametrize("task", [MultiLabelClassification, SequenceClassification, LanguageModel])
@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
def test_an_activated_model_is_no_model_of_logits(task: Any, activation: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"ends in a {activation}.*from_logits=False"):
        task(dense(3, 4, activation=activation))
    with pytest.raises(ConfigurationError, match="must agree"):
        name = "BinaryCrossentropy" if task is MultiLabelClassification else "SparseCategoricalCrossentropy"
        task(dense(3, 4), getattr(keras.losses, name)(from_logits=False))


@pytest.mark.parametrize("task", [Classification, MultiLabelClassification, Regression])
def test_weights_are_of_items_along_their_first_axes(task: Any) -> None:
    model = dense(3, 4, 2)
    y = {Classification: ids(3, 6, 4), MultiLabelClassification: ids(2, 6, 4, 3), Regression: numbers(6, 4, 3)}[task]
    x = numbers(6, 4, 2)
    for wrong in (np.ones((6, 3)), np.ones((6, 4, 3)), np.ones((6, 4, 1, 1))):
        with pytest.raises(DataError, match=r"Sample weights must have the shape \(batch, 4\)"):
            engine_of(task(model), optimizers.SGD(), (x, y, wrong))
    by_item = np.random.default_rng(1).uniform(0.5, 2, 6).astype("float32")
    expected = seen(task(model), (x, y, np.repeat(by_item[:, None], 4, axis=1)))
    weight = by_item if task is Regression else by_item[:, None]
    assert seen(task(model), (x, y, weight))["loss"] == pytest.approx(float(expected["loss"]), rel=1e-6)


@pytest.mark.parametrize(
    ("padding", "loss"),
    [(-1, "categorical"), (0, "sparse_categorical"), (2, "categorical"), (99, "sparse_categorical")],
)
def test_padding_is_counted_neither_in_the_loss_nor_in_metrics(padding: int, loss: str) -> None:
    model, x = twins(lambda: dense(3, 4, 2))[0], numbers(5, 4, 2)
    y = ids(3, 5, 4)
    y[0, 1:] = y[3] = padding
    counted = y != padding
    found = seen(SequenceClassification(model, f"{loss}_crossentropy", padding=padding), (x, y), "targets", "weights")
    logits = x @ state(model)[KERNEL]
    each = cross_entropy(logits, np.where(counted, y, 0))
    assert found["loss"] == pytest.approx(each[counted].mean(), rel=1e-5)
    assert found["count"] == counted.sum()
    np.testing.assert_array_equal(found["targets"], y)
    np.testing.assert_array_equal(found["weights"], counted)


def embedded(vocabulary: int = 5, classes: int = 3) -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((None,), dtype="int32"),
            layers.Embedding(vocabulary, 4, mask_zero=True),
            layers.Dense(classes),
        ]
    )


def padded_texts(vocabulary: int = 5, time: int = 6) -> np.ndarray:
    x = np.random.default_rng(0).integers(1, vocabulary, (8, time)).astype("int32")
    x[np.arange(time) >= np.array([6, 2, 5, 3, 6, 4, 2, 5])[:, None]] = 0
    return x


def test_padding_and_a_mask_of_the_model_both_leave_out() -> None:
    x, y = padded_texts(), ids(3, 8, 6)
    y[:3, 0] = -1
    model = twins(embedded)[0]
    counted = (x != 0) & (y != -1)
    found = seen(SequenceClassification(model, padding=-1), (x, y))
    each = cross_entropy(keras.ops.convert_to_numpy(model(x)), np.where(counted, y, 0))
    assert (found["loss"], found["count"]) == (pytest.approx(each[counted].mean(), rel=1e-5), counted.sum())


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "mean_with_sample_weight"])
def test_a_weight_for_each_text_is_that_of_its_tokens_that_are_no_padding(reduction: str) -> None:
    x, y = padded_texts(), ids(3, 8, 6)
    y[:3, 0] = -1
    model = twins(embedded)[0]
    weight = np.random.default_rng(1).uniform(0.5, 2, 8).astype("float32")
    each = cross_entropy(keras.ops.convert_to_numpy(model(x)), np.maximum(y, 0)) * weight[:, None]
    counted = (x != 0) & (y != -1)
    weights = np.where(counted, weight[:, None], 0)
    divisor = counted.sum() if reduction == "sum_over_batch_size" else weights.sum()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction=reduction)
    given = weight if reduction == "sum_over_batch_size" else weight[:, None]
    found = seen(SequenceClassification(model, loss, padding=-1), (x, y, given), "weights")
    assert found["loss"] == pytest.approx(each[counted].sum() / divisor, rel=1e-5)
    assert found["count"] == pytest.approx(divisor, rel=1e-6)
    np.testing.assert_allclose(found["weights"], weights, rtol=1e-6)


def test_accumulated_padded_batches_are_a_step_by_their_tokens_and_a_batch_of_padding_changes_nothing() -> None:
    model, x, y = dense(3, 6, 2), numbers(8, 6, 2), ids(3, 8, 6)
    y[:3, 0] = y[6:] = -1
    (kernel,) = model.get_weights()
    counted, batches = y != -1, chunks((x, y), 2)
    found = trained(SequenceClassification(model, padding=-1), optimizers.SGD(), batches, 0.5, n=4, accumulate=True)
    assert [count for _, count in found] == [each.sum() for each in np.split(counted, 4)]
    error = softmax(x @ kernel) - np.eye(3)[y]
    each = cross_entropy(x @ kernel, np.maximum(y, 0))
    assert sum(loss * count for loss, count in found if count) == pytest.approx(each[counted].sum(), rel=1e-5)
    kernel = kernel - 0.5 * x[counted].T @ error[counted] / counted.sum()
    np.testing.assert_allclose(model.get_weights()[0], kernel, rtol=1e-5, atol=1e-6)


def test_a_sequence_needs_a_class_for_each_position() -> None:
    with pytest.raises(ConfigurationError, match="use Classification"):
        engine_of(SequenceClassification(dense(3, 4)), optimizers.SGD(), (numbers(6, 4), ids(3, 6)))
    with pytest.raises(ConfigurationError, match="padding, the class id of the targets"):
        SequenceClassification(dense(3, 4, 2), padding=0.5)


def test_a_language_model_predicts_the_next_token() -> None:
    text = padded_texts()
    model = twins(lambda: embedded(classes=5))[0]
    found = seen(LanguageModel(model, padding=0), text, "targets", "weights", "logits")
    counted = text[:, 1:] != 0
    logits = keras.ops.convert_to_numpy(model(text[:, :-1]))
    each = cross_entropy(logits, text[:, 1:])
    assert (found["loss"], found["count"]) == (pytest.approx(each[counted].mean(), rel=1e-5), counted.sum())
    np.testing.assert_array_equal(found["targets"], text[:, 1:])
    np.testing.assert_array_equal(found["weights"], counted)
    for same in ((text,), (text[:, :-1], text[:, 1:])):
        again = seen(LanguageModel(model, padding=0), same)
        assert (again["loss"], again["count"]) == (found["loss"], found["count"])


def test_weights_of_the_tokens_of_a_text_are_those_of_the_targets() -> None:
    text = ids(5, 8, 6)
    model = twins(lambda: dense_on_tokens(5))[0]
    weight = np.random.default_rng(1).uniform(0, 2, (8, 6)).astype("float32")
    each = cross_entropy(keras.ops.convert_to_numpy(model(text[:, :-1])), text[:, 1:])
    for given, used in ((weight, weight[:, 1:]), (weight[:, 1:], weight[:, 1:]), (weight[:, 0], weight[:, :1])):
        found = seen(LanguageModel(model), (text, None, given))
        assert (found["loss"], found["count"]) == (pytest.approx((each * used).mean(), rel=1e-5), 40)


def dense_on_tokens(classes: int) -> keras.Model:
    """Of a fixed length, one less than that of the text."""
    return keras.Sequential([keras.Input((5,), dtype="int32"), layers.Embedding(5, 4), layers.Dense(classes)])


WRONG_TEXTS = {
    "a row": (np.zeros(6, "int32"), r"\(batch, time\).*shape \(6,\)"),
    "one token": (np.zeros((6, 1), "int32"), "at least 2"),
    "a dict": ({"ids": np.zeros((6, 6), "int32")}, "'ids'"),
    "an unknown token": (np.full((6, 6), 7), "from 0 to 4.*the id 7"),
    "an unknown first token": (np.array([[9, 1, 1, 1, 1, 1]] * 6), "the id 9"),
    "padding that cannot be looked up": (np.full((6, 6), -1), "the id -1"),
    "fractions": (np.full((6, 6), 0.5), "whole numbers"),
}


@pytest.mark.parametrize(("text", "said"), WRONG_TEXTS.values(), ids=WRONG_TEXTS)
def test_wrong_texts_are_refused_before_a_step(text: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        engine_of(LanguageModel(embedded(classes=5), padding=-1), "sgd", text)


def branches() -> keras.Model:
    x = keras.Input((4,))
    return keras.Model(
        x,
        {
            "kind": layers.Dense(3, activation="softmax", name="kind")(x),
            "ill": layers.Dense(1, activation="sigmoid", name="ill")(x),
            "size": layers.Dense(1, name="size")(x),
        },
    )


LOSSES = {"kind": "sparse_categorical_crossentropy", "ill": "binary_crossentropy", "size": "mse"}


def test_metrics_of_each_output_of_a_compiled_model_are_those_of_arithmetic() -> None:
    model = twins(branches)[0]
    model.compile("sgd", LOSSES, loss_weights={"kind": 0.5, "ill": 1.0, "size": 2.0})
    x, y = numbers(12, 4), {"kind": ids(3, 12), "ill": ids(2, 12, 1), "size": numbers(12, 1)}
    weight = np.linspace(0.5, 1.5, 12, dtype="float32")
    batch = (x, y, dict.fromkeys(y, weight))
    metrics = (Loss(), OfOutput("kind", Accuracy()), *(OfOutput(name, Loss()) for name in y))
    engine = engine_of(model, None, batch, metrics=metrics)
    found = entries(metrics, engine.fetch([engine.eval_step(batch)]))
    engine.release()
    kind, ill, size = (x @ model.get_layer(name).get_weights()[0] for name in y)
    each = {
        "kind": cross_entropy(kind, y["kind"]),
        "ill": binary_cross_entropy(ill, y["ill"])[:, 0],
        "size": (size - y["size"])[:, 0] ** 2,
    }
    expected = {name: np.mean(loss * weight) for name, loss in each.items()}
    for name, loss in expected.items():
        assert found[f"{name} Loss"].value == pytest.approx(loss, rel=1e-5)
    total = 0.5 * expected["kind"] + expected["ill"] + 2 * expected["size"]
    assert found["Loss"].value == pytest.approx(total, rel=1e-5)
    assert found["kind Accuracy"].value == pytest.approx(np.mean(kind.argmax(-1) == y["kind"]), abs=1e-6)


def test_the_outputs_of_a_list_are_called_like_their_layers() -> None:
    model = twins(branches)[0]
    several = keras.Model(model.input, [model.output["kind"], model.output["ill"]])
    several.compile("sgd", ["sparse_categorical_crossentropy", "binary_crossentropy"])
    batch = (numbers(12, 4), (ids(3, 12), ids(2, 12)))
    engine = engine_of(several, None, batch, metrics=(Loss(), OfOutput("ill", Seen("targets", "logits"))))
    measured = engine.fetch([engine.eval_step(batch)])[0].measures["ill Seen"]
    np.testing.assert_array_equal(measured["targets"], batch[1][1][:, None])
    assert measured["logits"].shape == (12, 1)


def test_a_metric_of_an_output_that_is_not_there_is_refused() -> None:
    model = twins(branches)[0]
    model.compile("sgd", LOSSES)
    batch = (numbers(12, 4), {"kind": ids(3, 12), "ill": ids(2, 12, 1), "size": numbers(12, 1)})
    with pytest.raises(ConfigurationError, match=r"'colour'.*'kind', 'ill', 'size'|'colour'.*'ill', 'kind', 'size'"):
        engine_of(model, None, batch, metrics=(Loss(), OfOutput("colour", Accuracy())))
    with pytest.raises(ConfigurationError, match=r"several outputs by name.*Received: ClassificationOutput"):
        engine_of(Classification(dense(3, 4)), "sgd", (numbers(4, 4), ids(3, 4)), metrics=(OfOutput("a", Accuracy()),))
    with pytest.raises(ConfigurationError, match="name of an output and a metric"):
        OfOutput("kind", Accuracy)  # type: ignore[arg-type]


def test_wrong_targets_of_one_of_several_outputs_are_refused() -> None:
    model = twins(branches)[0]
    model.compile("sgd", LOSSES)
    good = {"kind": ids(3, 12), "ill": ids(2, 12, 1), "size": numbers(12, 1)}
    for wrong, said in (({"kind": np.full(12, 3)}, "the id 3"), ({"ill": np.full((12, 1), 2)}, "from 0 to 1")):
        with pytest.raises(DataError, match=said):
            engine_of(model, None, (numbers(12, 4), {**good, **wrong}))
    with pytest.raises(ConfigurationError, match="one output"):
        engine_of(Classification(twins(branches)[0], from_logits=False), "sgd", (numbers(12, 4), ids(3, 12)))


def test_a_compiled_binary_model_hands_over_labels_and_takes_shares() -> None:
    model = twins(lambda: dense(2, 4, activation="sigmoid"))[0]
    model.compile("sgd", "binary_crossentropy")
    y = np.array([[0.9, 0.2], [0.0, 1.0], [0.5, 0.6]], "float32")
    task = backend.load().adopt(model, None, None).task
    found = seen(task, (numbers(3, 4), y), "targets", "logits", "from_logits")
    np.testing.assert_array_equal(found["targets"], [[1, 0], [0, 1], [0, 1]])
    assert not found["from_logits"]
    with pytest.raises(DataError, match="from 0 to 1"):
        engine_of(model, None, (numbers(3, 4), np.array([[-1, 1]] * 3)))


class Both:
    """A task of one's own with two outputs, and no look at its batches."""

    def __init__(self, model: keras.Model) -> None:
        self.model = model

    def step(self, batch: Any, training: bool) -> SeveralOutputs:
        found = self.model(batch["x"], training=training)
        parts = {
            name: Output(keras.ops.mean(keras.ops.square(found[name] - batch[name])), keras.ops.shape(batch["x"])[0])
            for name in ("a", "b")
        }
        return SeveralOutputs(parts["a"].loss + 2 * parts["b"].loss, parts["a"].count, parts)


def test_a_task_of_ones_own_with_dicts_in_and_out() -> None:
    inputs = keras.Input((4,))
    model = keras.Model(inputs, {"a": layers.Dense(1, name="a")(inputs), "b": layers.Dense(2, name="b")(inputs)})
    x, y = numbers(12, 4), {"a": numbers(12, 1, seed=1), "b": numbers(12, 2, seed=2)}
    kernels = {name: model.get_layer(name).get_weights()[0] for name in y}
    metrics = (Loss(), OfOutput("a", Loss()), OfOutput("b", Loss()))
    engine = engine_of(Both(model), optimizers.SGD(), {"x": x, **y}, metrics=metrics)
    host = engine.fetch([engine.train_step({"x": x, **y}, 0.01, True)])[0].measures
    engine.release()
    errors = {name: x @ kernel - y[name] for name, kernel in kernels.items()}
    expected = {name: np.mean(error**2) for name, error in errors.items()}
    assert float(host["Loss"]["loss"]) == pytest.approx(expected["a"] + 2 * expected["b"], rel=1e-5)
    for name, weight in (("a", 1.0), ("b", 2.0)):
        assert float(host[f"{name} Loss"]["loss"]) == pytest.approx(expected[name], rel=1e-5)
        moved = kernels[name] - 0.01 * weight * 2 * x.T @ errors[name] / errors[name].size
        np.testing.assert_allclose(model.get_layer(name).get_weights()[0], moved, rtol=1e-5, atol=1e-6)


def test_predicting_batches_of_tokens_alone_asks_for_what_goes_into_the_model() -> None:
    text = padded_texts()
    assert LanguageModel(embedded(classes=5)).inputs(text).shape == (8, 5)
    assert LanguageModel(embedded(classes=5)).inputs((text, text)) is text
    assert Classification(dense(3, 4)).inputs((text, 1)) is text
    assert evaluate(engine_of(LanguageModel(dense_on_tokens(5)), "sgd", ids(5, 4, 6)), [ids(5, 2, 6)])[0][1] == 10
