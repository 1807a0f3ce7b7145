"""What does not fit is refused on the host, naming the rule, before anything is written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from support.training import engine_of, ids, learner, numbers, refused, train, twins

from multilearn import DataLoader, backend
from multilearn.errors import ConfigurationError, DataError
from multilearn_keras import Classification, CompiledModel, MultiLabelClassification, Regression

X = numbers(40, 4)
Y = ids(3, 40)


def flat(activation: Any = None) -> keras.Model:
    return keras.Sequential([keras.Input((4,)), layers.Dense(3, activation=activation)])


def with_last(value: Any, kind: str = "int32") -> np.ndarray:
    """Good labels, but for the very last one."""
    y = Y.astype(kind)
    y[-1] = value
    return y


def classes() -> Any:
    return Classification(flat())


def compiled() -> keras.Model:
    model = flat("softmax")
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def classes_of_steps() -> Any:
    return Classification(keras.Sequential([keras.Input((2, 2)), layers.Dense(3)]))


STEPS = numbers(40, 2, 2)
WRONG: dict[str, tuple[Any, Any, str]] = {
    "too large": (classes, (X, with_last(3)), "from 0 to 2.*the id 3"),
    "negative": (classes, (X, with_last(-1)), "from 0 to 2.*the id -1"),
    "negative, column": (classes, (X, with_last(-1)[:, None]), "from 0 to 2.*the id -1"),
    "too large, 64 bits": (classes, (X, with_last(2**40, "int64")), "from 0 to 2"),
    "fractions": (classes, (X, with_last(0.5, "float32")), "whole numbers.*Regression"),
    "not a number": (classes, (X, with_last(np.nan, "float32")), "whole numbers"),
    "infinite": (classes, (X, with_last(np.inf, "float32")), "from 0 to 2|whole numbers"),
    "text": (classes, (X, Y.astype("str")), "made of numbers"),
    "truth values": (classes, (X, Y > 0), "whole numbers"),
    "too many columns": (classes, (X, np.zeros((40, 4), "float32")), r"class ids of shape \(batch\)"),
    "a sequence": (classes, (X, np.zeros((40, 3, 3), "int32")), r"class ids of shape \(batch\)"),
    "exchanged": (classes, (Y[:, None], X), r"shape \(batch, 4\)\. Found in the training data\."),
    "exchanged, no axis": (classes, (Y, X), r"axis of classes.*an output of shape \(batch\), .*exchanged"),
    "one-hot of nothing": (classes, (X, np.zeros((40, 3), "float32")), "add up to 1"),
    "several hot": (classes, (X, np.ones((40, 3), "int32")), "add up to 1"),
    "negative hot": (classes, (X, np.array([[-1.0, 1, 1]] * 40, "float32")), "not be negative"),
    "one-hot that is not a number": (classes, (X, np.full((40, 3), np.nan, "float32")), "add up to 1"),
    "several arrays": (classes, (X, {"a": Y, "b": Y}), "y one array"),
    "compiled, too large": (compiled, (X, with_last(3)), "the id 3"),
    "compiled, one-hot": (compiled, (X, np.eye(3)[Y]), "class ids"),
    "compiled, fractions": (compiled, (X, with_last(0.5, "float64")), "whole"),
    "steps, one for all": (classes_of_steps, (STEPS, np.zeros(40, "int32")), r"class ids of shape \(batch, 2\)"),
    "steps, too many": (classes_of_steps, (STEPS, np.zeros((40, 3), "int32")), r"shape \(batch, 2\)"),
    "steps, columns": (classes_of_steps, (STEPS, np.zeros((40, 3, 1), "int32")), r"shape \(batch, 2\)"),
    "steps, too large": (classes_of_steps, (STEPS, np.full((40, 2), 3)), "the id 3"),
    "numbers, too few": (lambda: Regression(flat()), (X, np.zeros((40, 2))), "shape of the model's output"),
    "numbers, a sequence": (lambda: Regression(flat()), (X, np.zeros((40, 1, 1))), "shape of the model's output"),
    "numbers, one": (lambda: Regression(flat()), (X, np.zeros(40)), "shape of the model's output"),
    "numbers, none": (lambda: Regression(flat()), X, "y"),
    "inputs of another width": (classes, (numbers(40, 5), Y), r"\(.*5\)"),
    "inputs of another rank": (classes, (numbers(40, 4, 4, 4), Y), "4, 4"),
    "inputs of another name": (classes, ({"left": X, "right": X}, Y), "left"),
    "inputs of text": (classes, (X.astype("str"), Y), "made of numbers.*text"),
    "inputs of dates": (classes, (X.astype("int64").astype("datetime64[s]"), Y), "made of numbers.*datetime64"),
}


@pytest.mark.parametrize(("task", "data", "said"), WRONG.values(), ids=WRONG)
def test_wrong_data_anywhere_in_memory_are_refused(task: Any, data: Any, said: str, tmp_path: Any) -> None:
    with refused(tmp_path / "run", DataError, said):
        learner(tmp_path / "run", task(), "sgd", 0.1).fit(DataLoader(data, 8))


def test_wrong_labels_for_validation_are_refused_before_training(tmp_path: Any) -> None:
    run = tmp_path / "run"
    with refused(run, DataError, "the id 3"):
        learner(run, classes(), "sgd", 0.1).fit(DataLoader((X, Y), 8), DataLoader((X, with_last(3)), 8))


@pytest.mark.parametrize("wrong", [3, -1])
def test_a_wrong_label_in_a_later_batch_of_a_stream_stops_there(wrong: int, tmp_path: Any) -> None:
    batches = [(X[:8], Y[:8]), (X[8:16], np.full(8, wrong))]
    run = learner(tmp_path / "run", Classification(flat()), "sgd", 0.1)
    with pytest.raises(DataError, match=f"the id {wrong}"):
        run.fit(batches)


@pytest.mark.parametrize(
    ("x", "y", "said"),
    [
        (X, with_last(3), r"the id 3\. Found in the {} data\. Number the classes"),
        (X, np.zeros((40, 5)), r"shape \(batch, 5\)\. Found in the {} data\."),
        (X, Y.astype("str"), r"text \(str\)\. Found in the {} data\."),
    ],
    ids=["labels", "a shape", "texts"],
)
def test_a_refusal_says_of_which_data_it_is(x: Any, y: Any, said: str, tmp_path: Any) -> None:
    def batches() -> Any:
        yield from ((x[at : at + 8], y[at : at + 8]) for at in range(0, 40, 8))

    good = DataLoader((X, Y), 8)
    for bad in (DataLoader((x, y), 8), batches):
        with pytest.raises(DataError, match=said.format("training")):
            learner(tmp_path / "a", classes(), "sgd", 0.1).fit(bad, good)
        with pytest.raises(DataError, match=said.format("validation")):
            learner(tmp_path / "b", classes(), "sgd", 0.1).fit(good, bad)


def test_inputs_of_another_width_for_validation_are_refused_with_their_data(tmp_path: Any) -> None:
    with pytest.raises(DataError, match=r"(?s)must fit together.*Found in the validation data\. Compare"):
        learner(tmp_path, classes(), "sgd", 0.1).fit(DataLoader((X, Y), 8), DataLoader((numbers(40, 5), Y), 8))


def test_a_batch_of_arrays_of_different_lengths_is_refused() -> None:
    for batch in ((X, Y[:39]), (X, Y, np.ones(39)), (X, Y, 1.0)):
        with pytest.raises(DataError, match="same number of items"):
            engine_of(Classification(flat()), "sgd", batch)
    with pytest.raises(DataError, match="a tuple of 4"):
        engine_of(Classification(flat()), "sgd", (X, Y, Y, Y))


def test_categories_beyond_32_bits_are_refused() -> None:
    model = keras.Sequential(
        [keras.Input((1,), dtype="int64"), layers.Embedding(5, 2), layers.Flatten(), layers.Dense(3)]
    )
    ids_ = np.zeros((40, 1), "int64")
    engine = engine_of(Classification(model), "sgd", (ids_, Y))
    ids_[-1] = 2**32
    with pytest.raises(DataError, match="32 bits"):
        train(engine, [(ids_, Y)], 0.1)


def functional(end: Any) -> keras.Model:
    x = keras.Input((4,))
    return keras.Model(x, end(layers.Dense(3)(x)))


ENDS = {
    "Dense in a Sequential": lambda: flat("softmax"),
    "Dense, by function": lambda: flat(keras.activations.softmax),
    "Dense in a Functional": lambda: functional(layers.Dense(3, activation="softmax")),
    "Activation": lambda: functional(layers.Activation("softmax", dtype="float32")),
    "Softmax": lambda: functional(layers.Softmax()),
    "an operation": lambda: functional(keras.ops.softmax),
    "nested": lambda: functional(flat_of(3)),
    "nested in a Sequential": lambda: keras.Sequential([keras.Input((4,)), functional(layers.Softmax())]),
    "sigmoid": lambda: flat("sigmoid"),
    "log softmax": lambda: flat("log_softmax"),
    "unbuilt": lambda: keras.Sequential([layers.Dense(3, activation="softmax")]),
    "each step": lambda: keras.Sequential(
        [keras.Input((2, 4)), layers.TimeDistributed(layers.Dense(3, activation="softmax"))]
    ),
}


def flat_of(width: int, activation: str | None = "softmax") -> keras.Model:
    return keras.Sequential([keras.Input((width,)), layers.Dense(3, activation=activation)])


@pytest.mark.parametrize("make", ENDS.values(), ids=ENDS)
def test_a_model_that_ends_in_probabilities_is_refused_as_logits(make: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"from_logits=True.*from_logits=False"):
        Classification(make())
    Classification(make(), from_logits=False)
    compiled = make()
    compiled.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    with pytest.raises(ConfigurationError, match="from_logits"):
        learner("never", compiled, None, None)


@pytest.mark.parametrize("make", [flat, lambda: functional(layers.Dense(3, activation="relu")), lambda: flat("linear")])
def test_models_that_end_otherwise_are_taken(make: Any) -> None:
    Classification(make())


def compiled_with(loss: Any, model: keras.Model) -> keras.Model:
    model.compile("sgd", loss)
    return model


class Normalising(Classification):
    """Its step makes probabilities of what the model outputs."""

    def step(self, batch: Any, training: bool) -> Any:
        raise NotImplementedError


RAW: dict[str, tuple[Callable[[], Any], bool]] = {
    "Dense": (lambda: Classification(flat(), from_logits=False), True),
    "labels": (lambda: MultiLabelClassification(flat(), from_logits=False), True),
    "unbuilt": (lambda: Classification(keras.Sequential([layers.Dense(3)]), from_logits=False), True),
    "compiled": (lambda: compiled_with("sparse_categorical_crossentropy", functional(layers.Dense(3))), True),
    "CompiledModel": (lambda: CompiledModel(compiled_with("binary_crossentropy", flat())), True),
    "nested": (lambda: Classification(functional(flat_of(3, None)), from_logits=False), True),
    "logits": (lambda: Classification(flat()), False),
    "softmax": (lambda: Classification(flat("softmax"), from_logits=False), False),
    "cast": (lambda: Classification(functional(layers.Activation("linear")), from_logits=False), False),
    "other loss": (lambda: Regression(flat()), False),
    "own step": (lambda: Normalising(flat(), from_logits=False), False),
    "positive kernel": (
        lambda: Classification(functional(layers.Dense(3, kernel_constraint="non_neg")), from_logits=False),
        False,
    ),
}


@pytest.mark.parametrize(("make", "said"), RAW.values(), ids=RAW)
def test_a_loss_of_probabilities_that_gets_none_is_noticed(make: Callable[[], Any], said: bool) -> None:
    notes = [note for note in backend.load().asked_by(make()).notes if "takes probabilities" in note]
    assert len(notes) == said
    assert all("without a softmax or sigmoid" in note for note in notes)


def test_task_and_loss_agree_on_logits() -> None:
    with pytest.raises(ConfigurationError, match="from_logits"):
        Classification(flat(), keras.losses.SparseCategoricalCrossentropy(from_logits=False))
    with pytest.raises(ConfigurationError, match="from_logits"):
        Classification(flat("softmax"), keras.losses.SparseCategoricalCrossentropy(True), from_logits=False)


@pytest.mark.parametrize("reduction", ["none", None])
def test_a_loss_that_is_not_one_number_is_refused(reduction: Any) -> None:
    with pytest.raises(ConfigurationError, match="one number"):
        Regression(flat(), keras.losses.MeanSquaredError(reduction=reduction))


@pytest.mark.parametrize("loss", ["mea", 3, object()])
def test_what_is_no_loss_is_refused(loss: Any) -> None:
    for task in (Regression, Classification):
        with pytest.raises(ConfigurationError, match=r"The loss.*Keras.*Received: .*(mea|3|object)"):
            task(flat(), loss)


@pytest.mark.parametrize("given", [flat, layers.Dense, 3, "model"], ids=["a function", "a class", "a number", "a text"])
def test_a_task_takes_a_model(given: Any) -> None:
    with pytest.raises(ConfigurationError, match="Keras model"):
        Classification(given)


def test_what_is_refused_leaves_the_model_as_it_was(tmp_path: Any) -> None:
    model, _ = twins(flat)
    run = learner(tmp_path / "run", Classification(model), "sgd", 0.1)
    with pytest.raises(DataError):
        run.fit(DataLoader((X, with_last(3)), 8))
    learner(tmp_path / "run", Classification(model), "sgd", 0.1).fit(DataLoader((X, Y), 8))
