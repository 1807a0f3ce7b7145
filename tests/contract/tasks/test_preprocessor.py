"""A model's preprocessor, as those of keras-hub have one, is applied wherever batches go in; texts need one."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras
import numpy as np
import pytest
from keras import layers, losses, ops
from support.training import BACKEND, assert_equal, learner, refused, twins

from multilearn.data.fingerprint import data_facts
from multilearn.errors import DataError
from multilearn.metrics import Loss
from multilearn.protocols import Output
from multilearn.renderers import SilentRenderer
from multilearn_keras import Classification, Regression

TEXTS = ["a cat sat", "dogs", "cats and dogs sit", "a", "", "sat a cat", "thrée dogs", "d d d"]
ENCODED = [text.encode() for text in TEXTS]
LABELS = np.array([0, 1, 2, 0, 1, 2, 0, 1], "int32")
NUMBERS = np.ones((8, 4), "float32")
BATCH, WORDS = 4, 4


def tokens(texts: Any) -> np.ndarray:
    """(items, WORDS): a number for each word, 0 for none."""
    numbered = [[1 + sum(map(ord, word)) % 30 for word in text.split()] for text in texts]
    return np.array([(row + [0] * WORDS)[:WORDS] for row in numbered], "int32")


class WordBag(keras.Model):
    """A model of token ids, whose preprocessor takes lists of `str` and nothing else, as many a tokenizer does."""

    def __init__(self) -> None:
        super().__init__()
        self.embedded, self.dropout, self.head = layers.Embedding(32, 4), layers.Dropout(0.5), layers.Dense(3)
        self.build((None, WORDS))

    def preprocessor(self, texts: Any) -> np.ndarray:
        assert isinstance(texts, list), type(texts)
        return tokens(texts)

    def preprocess_samples(self, x: Any, y: Any = None, sample_weight: Any = None) -> Any:
        return keras.utils.pack_x_y_sample_weight(self.preprocessor(x), y, sample_weight)

    def build(self, shape: Any) -> None:
        self.embedded.build(shape)
        self.head.build((None, 4))

    def call(self, ids: Any, training: bool = False) -> Any:
        return self.head(self.dropout(ops.mean(self.embedded(ids), axis=1), training=training))


class Bare(WordBag):
    """The same model, and no preprocessor."""

    preprocessor = None


class Rows:
    """A dataset of items."""

    def __len__(self) -> int:
        return len(TEXTS)

    def __getitem__(self, index: int) -> Any:
        return TEXTS[index], LABELS[index]


class Sequence(keras.utils.PyDataset):
    def __len__(self) -> int:
        return -(-len(TEXTS) // BATCH)

    def __getitem__(self, number: int) -> Any:
        span = slice(number * BATCH, (number + 1) * BATCH)
        return TEXTS[span], LABELS[span]


def columns(x: Any, **options: Any) -> ml.DataLoader:
    return ml.DataLoader((x, LABELS), BATCH, **options)


def generated(texts: Any) -> Callable[[], Any]:
    spans = [slice(first, first + BATCH) for first in range(0, len(TEXTS), BATCH)]
    return lambda: ((texts[span], LABELS[span]) for span in spans)


def of_torch() -> Any:
    return import_module("torch.utils.data").DataLoader(Rows(), BATCH)


def of_tensorflow() -> Any:
    return import_module("tensorflow").data.Dataset.from_tensor_slices((TEXTS, LABELS)).batch(BATCH)


LOADERS: dict[str, Callable[[], Any]] = {
    "a DataLoader": lambda: columns(np.array(TEXTS)),
    "a generator of bytes": lambda: generated(ENCODED),
    "a PyDataset": Sequence,
    "torch": of_torch,
    "tensorflow": of_tensorflow,
}


def made(name: str) -> Any:
    """The loader. A framework that does not train is imported after the one that does."""
    if name in ("torch", "tensorflow") and find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    return LOADERS[name]()


def trained(directory: Path, model: Any, *data: Any, epochs: int = 1, resume: bool = False) -> Any:
    """The losses of training and validation."""
    settings: dict[str, Any] = {"num_epochs": epochs, "with_file_checkpointer": ()}
    if resume:
        settings["checkpoint"] = "latest"
    run = learner(directory, Classification(model), "sgd", 0.5, **settings)
    run.fit(*data)
    return [run.history[split]["Loss"] for split in run.history]


def assert_equal_weights(one: keras.Model, other: keras.Model) -> None:
    for mine, yours in zip(one.trainable_variables, other.trainable_variables, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(mine), ops.convert_to_numpy(yours))


def test_texts_are_trained_evaluated_and_predicted_as_tokens_are(tmp_path: Path) -> None:
    texts, numbers = columns(np.array(TEXTS)), columns(tokens(TEXTS))
    (of_texts, _), (of_numbers, _) = twins(WordBag), twins(Bare)
    found = trained(tmp_path / "texts", of_texts, texts, texts)
    assert found == trained(tmp_path / "numbers", of_numbers, numbers, numbers)
    assert_equal_weights(of_texts, of_numbers)
    evaluator = ml.Evaluator(tmp_path / "texts", [Loss()], renderer=SilentRenderer())
    assert evaluator.evaluate(Classification(of_texts), texts)["Loss"] == pytest.approx(found[1][0], rel=1e-6)


@pytest.mark.parametrize("name", LOADERS)
def test_texts_out_of_every_loader_reach_the_preprocessor(name: str) -> None:
    data, model = made(name), WordBag()
    predicted = np.concatenate(list(ml.predict(model, data, capture=False)))
    expected = ops.convert_to_numpy(model(tokens(TEXTS)))
    np.testing.assert_allclose(predicted, expected, rtol=1e-5, atol=1e-6)


def test_a_compiled_model_trains_on_texts_as_on_tokens(tmp_path: Path) -> None:
    ends = []
    for kind, x in ((WordBag, np.array(TEXTS)), (Bare, tokens(TEXTS))):
        ml.set_seed(1)
        model = kind()
        model.compile(keras.optimizers.SGD(0.1), losses.SparseCategoricalCrossentropy(from_logits=True))
        learner(tmp_path / kind.__name__, model, None).fit(columns(x))
        ends.append(model)
    assert_equal_weights(*ends)


def test_one_epoch_and_one_more_are_two(tmp_path: Path) -> None:
    def data() -> ml.DataLoader:
        return columns(np.array(TEXTS), shuffle=True, transform=lambda item: item)

    (at_once, parts), resumed = twins(WordBag), WordBag()
    ml.set_seed(1)
    found = trained(tmp_path / "two", at_once, data(), epochs=2)
    ml.set_seed(1)
    trained(tmp_path / "parts", parts, data())
    ml.set_seed(5)
    assert trained(tmp_path / "parts", resumed, data(), epochs=2, resume=True) == found
    assert_equal(at_once, resumed)


@pytest.mark.parametrize("name", LOADERS)
def test_texts_that_no_preprocessor_takes_are_refused_with_their_place(tmp_path: Path, name: str) -> None:
    data, model = made(name), Bare()
    said = r"A batch is made of numbers.*Received: batch\[0\]: text \((str|bytes)\)\. .*Encode it.*preprocessor"
    run = learner(tmp_path / "run", Classification(model), "sgd", 0.1)
    with pytest.raises(DataError, match=said):
        run.fit(data)
    with refused(tmp_path / "run" / "train", DataError, said):
        run.fit(columns(tokens(TEXTS)), data)
    with pytest.raises(DataError, match=said):
        ml.Evaluator(tmp_path / "run", [Loss()], renderer=SilentRenderer()).evaluate(Classification(model), data)
    with pytest.raises(DataError, match=said):
        ml.predict(model, data)


def test_each_of_several_texts_is_a_list(tmp_path: Path) -> None:
    class Pairs(WordBag):
        def preprocessor(self, texts: Any) -> np.ndarray:
            assert isinstance(texts["first"], list)
            assert [len(each) for each in texts["others"]] == [2] * len(texts["first"])
            return tokens([" ".join([one, *more]) for one, more in zip(*texts.values(), strict=True)])

    of_pairs, of_tokens = Pairs(), Bare()
    of_tokens.set_weights(of_pairs.get_weights())
    others = np.array([ENCODED, ENCODED[::-1]]).T
    pairs = {"first": np.array(TEXTS), "others": others}
    joined = tokens([" ".join(each) for each in zip(TEXTS, TEXTS, TEXTS[::-1], strict=True)])
    found = np.concatenate(list(ml.predict(of_pairs, ml.DataLoader(pairs, BATCH, shuffle=False), capture=False)))
    np.testing.assert_allclose(found, ops.convert_to_numpy(of_tokens(joined)), rtol=1e-5, atol=1e-6)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    data = columns(np.array([*ENCODED[:-1], b"\xff\xd8\xff"], object))
    with pytest.raises(DataError, match=r"must be str, or bytes in UTF-8\. Received: b'\\xff\\xd8\\xff'"):
        list(ml.predict(WordBag(), data, capture=False))


class Own:
    """A task with a step and a check, which are for numbers."""

    def __init__(self) -> None:
        self.model = WordBag()

    def step(self, batch: Any, training: bool) -> Output:
        logits = self.model(batch["x"], training=training)
        each = losses.sparse_categorical_crossentropy(batch["y"], logits, True)
        return Output(ops.mean(each), ops.shape(batch["y"])[0])

    def check(self, batch: Any, shape: Any) -> None:
        assert batch["x"].min() >= 0

    def predict(self, batch: Any) -> Any:
        return self.model(batch["x"])


def test_a_task_with_its_own_step_gets_no_texts(tmp_path: Path) -> None:
    said = r"batch\['x'\]: text \(str\)\. .*Encode it"
    batch = {"x": np.array(TEXTS), "y": LABELS}
    with refused(tmp_path / "run" / "train", DataError, said):
        learner(tmp_path / "run", Own(), "sgd", 0.1).fit(ml.DataLoader(batch, BATCH))
    with pytest.raises(DataError, match=said):
        ml.predict(Own(), ml.DataLoader(batch, BATCH))
    later = [{"x": tokens(TEXTS), "y": LABELS}, batch]
    with pytest.raises(DataError, match=said):
        learner(tmp_path / "later", Own(), "sgd", 0.1).fit(later)
    with pytest.raises(DataError, match=said):
        list(ml.predict(Own(), later))


def test_labels_in_words_are_refused_though_texts_are_preprocessed(tmp_path: Path) -> None:
    data = ml.DataLoader((np.array(TEXTS), np.array(["cat", "dog"] * 4)), BATCH)
    with pytest.raises(DataError, match=r"batch\[1\]: text \(str\)\. Found in the training data\. Encode it"):
        learner(tmp_path / "run", Classification(WordBag()), "sgd", 0.1).fit(data)
    # a prediction does not look at them
    assert sum(map(len, ml.predict(WordBag(), data, capture=False))) == len(TEXTS)


IMAGES = np.arange(6 * 4 * 4, dtype="float32").reshape(6, 4, 4) / 50
MEANS = np.arange(1.0, 7.0, dtype="float32")[:, None]


class Shrinking(keras.Model):
    """Images become rows of their means before the model sees them, which takes no others."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = layers.Dense(1)

    def preprocessor(self, images: Any) -> np.ndarray:
        return np.asarray(images).mean(axis=2)

    def preprocess_samples(self, x: Any, y: Any = None, sample_weight: Any = None) -> Any:
        return keras.utils.pack_x_y_sample_weight(self.preprocessor(x), y, sample_weight)

    def call(self, inputs: Any) -> Any:
        return self.dense(inputs)


def test_data_are_preprocessed_for_training_evaluation_and_predictions(tmp_path: Path) -> None:
    ml.set_seed(1)
    model = Shrinking()
    model.compile("sgd", "mse")
    run = learner(tmp_path / "run", model, "sgd", 0.0)
    data = ml.DataLoader((IMAGES, MEANS), 3, shuffle=False)
    run.fit(data, data)
    kernel, bias = (ops.convert_to_numpy(each) for each in model.trainable_variables)
    expected = IMAGES.mean(axis=2) @ kernel + bias
    loss = pytest.approx([np.mean((expected - MEANS) ** 2)], rel=1e-5)
    assert run.history["train"]["Loss"] == loss
    assert run.history["valid"]["Loss"] == loss
    evaluated = ml.Evaluator(tmp_path / "run", [Loss()], renderer=SilentRenderer()).evaluate(model, data)
    assert [evaluated["Loss"]] == loss
    predicted = np.concatenate(list(ml.predict(model, data)))
    np.testing.assert_allclose(predicted, expected, rtol=1e-5)


def test_a_preprocessor_that_does_not_take_the_batch_is_named(tmp_path: Path) -> None:
    data, run = ml.DataLoader((np.zeros((6, 2), "float32"), MEANS), 4), tmp_path / "run"
    with refused(run / "train", DataError, "preprocessor must accept the first batch"):
        learner(run, Regression(Shrinking()), "sgd", 0.1).fit(data)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="tf.data is TensorFlow's")
def test_the_fingerprint_of_tensors_of_text_is_that_of_their_str() -> None:
    tf = import_module("tensorflow")
    (of_tensors,) = data_facts(ml.DataLoader(tf.constant(TEXTS), 2), None).values()
    (of_str,) = data_facts(ml.DataLoader(np.array(TEXTS), 2), None).values()
    assert of_tensors == of_str
