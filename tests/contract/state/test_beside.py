"""What layers look things up in is recorded beside the weights, and another one is refused on every way in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops
from support.training import BACKEND, engine_of, learner, numbers, state

import multilearn as ml
from multilearn.checkpoint import SafetensorsRecorder
from multilearn.errors import RecordMismatch
from multilearn_keras import Regression, load_weights, save_model
from multilearn_keras.state.beside import without_beside

X, Y = np.abs(numbers(16, 2)) * 3, numbers(16, 1)
DATA = ml.DataLoader((X, Y), 8)


@keras.saving.register_keras_serializable("tests")
class Table(layers.Layer):
    """Multiplies by a table that is no variable, and by a factor that is one; both are saved as Keras says."""

    def __init__(self, table: Any = (1.0, 2.0), names: Any = ("a", "b"), **named: Any) -> None:
        super().__init__(**named)
        self.table, self.names = np.array(table, "float32"), list(names)

    def build(self, shape: Any) -> None:
        self.factor = self.add_weight(shape=(shape[-1],), initializer="ones", name="factor")

    def call(self, x: Any) -> Any:
        return x * ops.convert_to_tensor(self.table) * self.factor

    def save_own_variables(self, store: Any) -> None:
        super().save_own_variables(store)
        store["halved"] = ops.convert_to_numpy(self.factor) / 2
        store["table"] = self.table

    def load_own_variables(self, store: Any) -> None:
        self.factor.assign(store["0"])

    def save_assets(self, folder: str) -> None:
        Path(folder, "names.txt").write_text("\n".join(self.names))

    def load_assets(self, folder: str) -> None:
        """The names are given."""


class Scaled(layers.Layer):
    """Divides by statistics that it keeps in a plain attribute, and saves nowhere."""

    def __init__(self, scale: Any = (1.0, 2.0), **named: Any) -> None:
        super().__init__(**named)
        self.scale = np.array(scale, "float32")

    def call(self, x: Any) -> Any:
        return x / ops.convert_to_tensor(self.scale.reshape(-1, 2)[0])


def model_of(*before: Any, dtype: str = "float32") -> keras.Model:
    ml.set_seed(3)
    return keras.Sequential([keras.Input((2,), dtype=dtype), *before, layers.Flatten(), layers.Dense(1)])


def discretized(*bins: float) -> keras.Model:
    return model_of(layers.Discretization(list(bins), output_mode="int"), layers.Embedding(4, 2))


PAIRS = [
    (
        lambda: model_of(Scaled()),
        lambda: model_of(Scaled([1.0, 4.0])),
        "layers/scaled.0: attribute scale of 2 entries; first difference at 1: 2.0 / 4.0",
    ),
    (
        lambda: model_of(Scaled(np.ones(2002))),
        lambda: model_of(Scaled([*np.ones(2001), np.inf])),
        "layers/scaled.0: attribute scale 'float32 (2002,) sha256 ",
    ),
    (
        lambda: discretized(0.5, 1.5, 2.0),
        lambda: discretized(0.5, 1.25, 2.0),
        "layers/discretization.0: bin_boundaries of 3 entries; first difference at 1: 1.5 / 1.25",
    ),
    (
        lambda: discretized(0.5, 1.5, 2.0),
        lambda: discretized(0.5, 1.5),
        "bin_boundaries of 3 entries, here 2; first difference at 2: 2.0 / None",
    ),
    (
        lambda: model_of(layers.Normalization(mean=[1.0, 2.0], variance=[4.0, 9.0])),
        lambda: model_of(layers.Normalization(mean=[1.0, 2.0], variance=[4.0, 1.0])),
        "layers/normalization.0: variance of 2 entries; first difference at 1: 9.0 / 1.0",
    ),
    (
        lambda: model_of(Table()),
        lambda: model_of(Table([1.0, 3.0])),
        "layers/table.0: saved table of 2 entries; first difference at 1: 2.0 / 3.0",
    ),
    (
        lambda: model_of(Table()),
        lambda: model_of(Table(names=["a", "c"])),
        "layers/table.0: asset names.txt of 2 entries; first difference at 1: 'b' / 'c'",
    ),
]


@pytest.mark.parametrize(
    ("one", "other", "said"), PAIRS, ids=["array", "large array", "a bin", "bins", "statistics", "saved", "asset"]
)
def test_a_record_of_another_one_is_refused_and_touches_nothing(one: Any, other: Any, said: str) -> None:
    engine = engine_of(Regression(one()), "sgd", (X[:8], Y[:8]))
    record = engine.record()
    engine.restore(record)
    model = other()
    before = state(model)
    refusing = engine_of(Regression(model), "sgd", (X[:8], Y[:8]))
    with pytest.raises(RecordMismatch) as refused:
        refusing.restore(record)
    assert said in str(refused.value)
    refusing.release()
    assert {key: value.tobytes() for key, value in state(model).items()} == {
        key: value.tobytes() for key, value in before.items()
    }
    refusing.restore({**record, "model": without_beside(record["model"])})


def test_every_way_in_refuses_another_one(tmp_path: Path) -> None:
    run, quiet, recorder = tmp_path / "run", ml.renderers.SilentRenderer(), SafetensorsRecorder()
    trained = Regression(discretized(0.5, 1.5))
    learner(run, trained, "sgd", 0.1, with_file_checkpointer=recorder, num_epochs=1).fit(DATA)
    evaluator = ml.Evaluator(run, renderer=quiet, metric_loggers=[], recorder=recorder)
    file = run / "checkpoint" / f"model-1.{recorder.extension}"
    builder = ml.LearnerBuilder(run).renderer(quiet).with_file_checkpointer(recorder).num_epochs(2)

    def ways(task: Any) -> list[Any]:
        return [
            lambda: evaluator.evaluate(task, DATA, checkpoint="latest"),
            lambda: list(evaluator.predict(task, DATA, checkpoint="latest")),
            lambda: load_weights(task, run, recorder=recorder),
            lambda: load_weights(task.model, file),
            lambda: builder.checkpoint("latest").build(task, "sgd", 0.1).fit(DATA),
        ]

    for way in ways(Regression(discretized(0.5, 1.75))):
        with pytest.raises(RecordMismatch, match=r"first difference at 1: 1\.5 / 1\.75"):
            way()
    for way in ways(Regression(discretized(0.5, np.float32(1.5000001)))):
        way()


@pytest.mark.parametrize(("one", "other", "said"), [PAIRS[2], PAIRS[4], PAIRS[6]], ids=["bins", "statistics", "asset"])
def test_a_file_of_keras_with_another_one_is_refused(tmp_path: Path, one: Any, other: Any, said: str) -> None:
    path = tmp_path / "model.keras"
    save_model(one(), path)
    with pytest.raises(RecordMismatch) as refused:
        load_weights(other(), path)
    assert said.partition(": ")[2].removeprefix("asset ") in str(refused.value)
    load_weights(one(), path)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="layers that look up in tables run in TensorFlow's graphs only")
def test_vocabularies_and_salts(tmp_path: Path) -> None:
    whole = np.random.default_rng(0).integers(0, 9, (16, 2))
    adapted, other = (layers.IntegerLookup(output_mode="tf_idf") for _ in range(2))
    adapted.adapt(whole)
    other.adapt(whole[:6])

    def looking(*tokens: int) -> keras.Model:
        return model_of(layers.IntegerLookup(vocabulary=list(tokens)), layers.Embedding(6, 2), dtype="int64")

    def hashed(salt: int) -> keras.Model:
        return model_of(layers.Hashing(5, salt=salt), layers.Embedding(6, 2), dtype="int64")

    def texts(*words: str) -> keras.Model:
        return model_of(Reading(words), dtype="int64")

    for one, second, said in (
        (looking(3, 5, 7), looking(3, 5), "vocabulary of 4 entries, here 3; first difference at 3: 7 / None"),
        (looking(3, 5, 7), looking(3, 6, 7), "first difference at 2: 5 / 6"),
        (hashed(1), hashed(2), "layers/hashing.0: salt of 2 entries; first difference at 0: 1 / 2"),
        (
            texts("a", "b"),
            texts("a", "c"),
            "words/lookup_layer: vocabulary of 4 entries; first difference at 3: 'b'",
        ),
    ):
        engine = engine_of(Regression(one), "sgd", (whole[:8], Y[:8]))
        record = engine.record()
        engine.restore(record)
        with pytest.raises(RecordMismatch) as refused:
            engine_of(Regression(second), "sgd", (whole[:8], Y[:8])).restore(record)
        assert said in str(refused.value)
    path = tmp_path / "model.keras"
    models = [model_of(each, dtype="int64") for each in (adapted, other)]
    save_model(models[0], path)
    with pytest.raises(RecordMismatch, match="vocabulary"):
        load_weights(models[1], path)


class Reading(layers.Layer):
    """Has a vectorization of texts, which data on this way never reach."""

    def __init__(self, words: Any) -> None:
        super().__init__()
        self.words = layers.TextVectorization(vocabulary=list(words))

    def build(self, shape: Any) -> None:
        """There is nothing to build."""

    def call(self, x: Any) -> Any:
        return ops.cast(x, "float32")


def test_what_is_kept_is_plain_data_in_the_record_and_has_a_name_of_its_own(tmp_path: Path) -> None:
    engine = engine_of(Regression(discretized(0.5, 1.5)), "sgd", (X[:8], Y[:8]))
    kept = engine.record()["model"]["layers"]["discretization.0"]["%bin_boundaries"]
    assert json.loads(kept.array.tobytes()) == [0.5, 1.5]
