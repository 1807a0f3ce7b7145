"""Weights from runs, records and Keras' own files into models, and trained models into files."""

from __future__ import annotations

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from keras import layers
from support.training import BACKEND, assert_equal, ids, learner, numbers, state, twins

from multilearn.checkpoint import KeepLast, MpkGzRecorder, MpkRecorder, SafetensorsRecorder, convert
from multilearn.errors import CheckpointNotFound, ConfigurationError, MultilearnError, RecordError, RecordMismatch
from multilearn.protocols import Output
from multilearn.storage.throw_away import instead_of
from multilearn_keras import Classification, load_weights, save_model
from multilearn_keras.state.keys import variables
from multilearn_keras.state.transfer import record_of

FORMATS = ["a.keras", "a.weights.h5", "a.mpk.gz", "a.mpk", "a.safetensors"]


def nested() -> keras.Model:
    """A functional model with another in it, statistics, and a dropout whose seed state is no weight."""
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(3), layers.BatchNormalization()])
    x = keras.Input((4,))
    return keras.Model(x, layers.Dense(2)(layers.Dropout(0.5)(inner(layers.Dense(4)(x)))))


@keras.saving.register_keras_serializable("tests")
class Tokens(keras.Model):
    """A subclassed one: an embedding, a list of layers, a variable of its own."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.embedding = layers.Embedding(7, 3)
        self.blocks = [layers.Dense(3), layers.Dropout(0.2), layers.LayerNormalization()]
        self.scale = self.add_weight(shape=(), initializer="ones", name="scale")

    def call(self, tokens: Any, training: bool = False) -> Any:
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x, training=training) if isinstance(block, layers.Dropout) else block(x)
        return keras.ops.mean(x, axis=1) * self.scale


def tokens() -> keras.Model:
    model = Tokens()
    model(keras.Input((4,), dtype="int32"))
    return model


MODELS = {"nested": nested, "tokens": tokens}
INPUTS = {"nested": numbers(5, 4), "tokens": ids(7, 5, 4)}


def randomised(model: keras.Model) -> keras.Model:
    """The model with other weights than a new one has, each of them."""
    stream = np.random.default_rng(5)
    for weight in model.weights:
        weight.assign(stream.uniform(0.5, 1.5, weight.shape).astype(weight.dtype))
    return model


def save(model: keras.Model, path: Path) -> Path:
    """As somebody without multilearn would, or with a recorder."""
    if path.name.endswith(".keras"):
        model.save(path)
    elif path.name.endswith(".h5"):
        model.save_weights(path)
    else:
        recorder = {"gz": MpkGzRecorder, "mpk": MpkRecorder, "safetensors": SafetensorsRecorder}[path.suffix[1:]]()
        with open(path, "wb") as file:
            recorder.write(file, record_of(variables(model)), {"part": "model"})
    return path


def seeds(model: keras.Model) -> dict[str, list[int]]:
    return {key: value.tolist() for key, value in state(model).items() if "seed" in key}


def weights(model: keras.Model) -> list[bytes]:
    return [keras.ops.convert_to_numpy(weight).tobytes() for weight in model.weights]


def refused(model: keras.Model, path: Path, error: type[MultilearnError], into: Any = None, **options: Any) -> str:
    """What is said, the model being as it was; `into`: its task, if that is loaded."""
    before = {key: value.tobytes() for key, value in state(model).items()}
    with pytest.raises(error) as caught:
        load_weights(into or model, path, **options)
    assert before == {key: value.tobytes() for key, value in state(model).items()}
    return str(caught.value)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("kind", MODELS)
def test_weights_come_back_bit_for_bit_and_random_streams_stay_as_they_are(tmp_path, kind, name):
    ml.set_seed(1)
    source = randomised(MODELS[kind]())
    path = save(source, tmp_path / name)
    ml.set_seed(2)
    target = MODELS[kind]()
    before = seeds(target)
    load_weights(target, path)
    assert weights(target) == weights(source)
    assert before and seeds(target) == before
    assert path.exists() and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("name", FORMATS)
def test_all_that_does_not_fit_is_listed_and_nothing_is_touched(tmp_path, name):
    path = save(nested(), tmp_path / name)
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(5), layers.BatchNormalization(scale=False)])
    x = keras.Input((4,))
    other = keras.Model(x, layers.Dense(2)(inner(layers.Dense(4, use_bias=False)(x))))
    said = refused(other, path, RecordMismatch)
    assert "Build the model as it was" in said
    if name.endswith((".keras", ".h5")):  # Keras numbers the arrays of a layer: scale=False makes a 3 of 4
        assert "layers/dense/vars/1: not expected, received floats (4,)" in said
        assert "layers/sequential/layers/dense/vars/0: expected floats (4, 5), received floats (4, 3)" in said
        assert "layers/sequential/layers/batch_normalization/vars/3: not expected, received floats (3,)" in said
    else:
        assert "layers/dense.0/bias: not expected, received F32 (4,)" in said
        assert "layers/sequential.0/layers/dense.0/kernel: expected F32 (4, 5), received F32 (4, 3)" in said
        assert "layers/sequential.0/layers/batch_normalization.0/gamma: not expected, received F32 (3,)" in said
        assert "layers/dense.1/kernel: expected F32 (5, 2), received F32 (3, 2)" in said
        assert "seed" not in said


def foreign(path: Path, arrays: dict[str, Any]) -> Path:
    pytest.importorskip("safetensors.numpy").save_file(arrays, path)
    return path


@pytest.mark.parametrize("names", ["keys", "paths"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "float64"])
def test_a_safetensors_file_of_another_program_fits_by_structural_keys_or_by_keras_paths(tmp_path, names, dtype):
    source, target = twins(nested)
    randomised(source)
    held = {key: variable for key, variable in variables(source).items() if "seed" not in key}
    # the names of the second model are others: auto-numbered
    called = list(held) if names == "keys" else [v.path for k, v in variables(target).items() if "seed" not in k]
    values = [keras.ops.convert_to_numpy(variable).astype(dtype) for variable in held.values()]
    load_weights(target, foreign(tmp_path / "a.safetensors", dict(zip(called, values, strict=True))))
    found = {key: value for key, value in state(target).items() if "seed" not in key}
    for key, value in zip(held, values, strict=True):
        assert found[key].dtype == np.float32
        np.testing.assert_array_equal(found[key], value.astype("float32"), err_msg=key)


def test_what_the_models_type_cannot_hold_is_refused(tmp_path):
    model = keras.Sequential([keras.Input((1,)), layers.Dense(1)])
    values = {"layers/dense.0/kernel": np.full((1, 1), 1e300), "layers/dense.0/bias": np.zeros(1, np.int32)}
    said = refused(model, foreign(tmp_path / "a.safetensors", values), RecordMismatch)
    assert "kernel: expected F32 (1, 1), received F64 (1, 1) with values beyond that type" in said
    assert "bias: expected F32 (1,), received I32 (1,)\n" in said


@pytest.mark.parametrize("name", FORMATS)
def test_a_damaged_file_is_a_record_error(tmp_path, name):
    path = save(nested(), tmp_path / name)
    content = path.read_bytes()
    for bad in (
        b"",
        content[: len(content) // 2],
        content[:-1] if "h5" not in name else content[:100],
        b"no such file",
    ):
        path.write_bytes(bad)
        assert path.name in refused(nested(), path, RecordError)


def test_files_that_are_none_of_weights_are_refused(tmp_path):
    model = nested()
    assert "does not exist" in refused(model, tmp_path / "none.keras", CheckpointNotFound)
    (tmp_path / "a.pickle").write_bytes(b"")
    assert ".safetensors" in refused(model, tmp_path / "a.pickle", RecordError)
    with open(tmp_path / "optim-1.mpk", "wb") as file:
        MpkRecorder().write(file, {}, {"part": "optim"})
    assert "begins with model-" in refused(model, tmp_path / "optim-1.mpk", RecordError)
    for unbuilt in (keras.Sequential([layers.Dense(2)]), "model"):
        with pytest.raises(ConfigurationError, match="built"):
            load_weights(unbuilt, save(model, tmp_path / "a.keras"))


@pytest.mark.parametrize("kind", ["soft", "external", "elsewhere"])
def test_weights_that_lead_to_another_file_are_refused(tmp_path, kind):
    model = keras.Sequential([keras.Input((1,)), layers.Dense(1)])
    path = save(model, tmp_path / "a.weights.h5")
    (tmp_path / "secret").write_bytes(bytes(4))
    with h5py.File(path, "r+") as file:
        place = file["layers/dense/vars"]
        del place["1"]
        if kind == "soft":
            place["1"] = h5py.SoftLink("/layers/dense/vars/0")
        elif kind == "external":
            place["1"] = h5py.ExternalLink(tmp_path / "other.h5", "/a")
        else:
            place.create_dataset("1", (1,), "float32", external=[(str(tmp_path / "secret"), 0, 4)])
    assert "another place" in refused(model, path, RecordError)


def test_a_lambda_in_the_file_is_never_run(tmp_path):
    ran = tmp_path / "ran"
    code = f"lambda x: (open({str(ran)!r}, 'w').close(), x)[1]"
    source = keras.Sequential([keras.Input((2,)), layers.Lambda(eval(code)), layers.Dense(1)])
    save_model(source, tmp_path / "a.keras")
    ran.unlink(missing_ok=True)
    target = keras.Sequential([keras.Input((2,)), layers.Lambda(lambda x: x), layers.Dense(1)])
    load_weights(target, tmp_path / "a.keras")
    assert weights(target) == weights(source)
    assert not ran.exists()


def batches() -> ml.DataLoader:
    return ml.DataLoader((numbers(16, 4), ids(2, 16)), batch_size=8, shuffle=True)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[Path, keras.Model]:
    """A run of three epochs, the second of them the best, and its model."""
    ml.set_seed(4)
    model, run = nested(), tmp_path_factory.mktemp("trained") / f"run-{BACKEND}"
    settings = {"with_file_checkpointer": MpkGzRecorder(), "with_checkpointing_strategy": KeepLast(9)}
    fitted = learner(run, Classification(model), "sgd", 0.05, num_epochs=3, **settings)
    fitted.fit(batches(), ml.DataLoader((numbers(6, 4, seed=3), ids(2, 6, seed=3)), batch_size=6))
    return run, model


def test_the_weights_of_a_run_come_from_the_checkpoint_that_is_asked_for(trained, caplog):
    run, model = trained
    for path, which in ((run, "latest"), (run / "checkpoint", 3), (run / "checkpoint/model-3.mpk.gz", "latest")):
        target = nested()
        load_weights(target, path, which)
        assert weights(target) == weights(model)
    values = [
        float((run / f"valid/epoch-{epoch}/Loss.log").read_text().splitlines()[-1].split(",")[0]) for epoch in (1, 2, 3)
    ]
    best, expected = nested(), nested()
    load_weights(best, run, which="best")
    load_weights(expected, run / f"checkpoint/model-{1 + values.index(min(values))}.mpk.gz")
    assert weights(best) == weights(expected)
    task = Classification(nested())
    load_weights(task, str(run).replace(BACKEND, "{backend}"), which="3")
    assert weights(task.model) == weights(model)


def test_a_checkpoint_that_is_not_there_is_refused(trained, tmp_path):
    run, _ = trained
    assert "1, 2, 3" in refused(nested(), run, CheckpointNotFound, which=7)
    assert "3.1" in refused(nested(), run, ConfigurationError, which=3.1)
    assert "nothing was saved" in refused(nested(), tmp_path, CheckpointNotFound)


def test_where_runs_are_only_tried_the_weights_are_those_of_the_trial(trained, tmp_path, monkeypatch):
    """Also of an epoch that it did not come to, and beside a run of before that has others."""
    run, model = trained
    shutil.copytree(run, tmp_path / "there")
    for record in (tmp_path / "there/checkpoint").glob("model-*"):
        record.write_bytes(b"of before")
    monkeypatch.setenv("MULTILEARN_QUICK", str(tmp_path))
    for path in (tmp_path / "there", tmp_path / "fresh"):
        shutil.copytree(run, instead_of(path))
        for asked, which in ((path, "latest"), (path, 7), (path / "checkpoint/model-7.mpk.gz", "latest")):
            target = nested()
            load_weights(target, asked, which)
            assert weights(target) == weights(model)
    best, expected = nested(), nested()
    load_weights(best, tmp_path / "there", "best")
    load_weights(expected, run, "best")
    assert weights(best) == weights(expected)


def test_records_of_a_run_move_into_another_format(trained, tmp_path):
    run, model = trained
    convert(run / "checkpoint/model-3.mpk.gz", tmp_path / "a.safetensors", precision="half")
    target = nested()
    load_weights(target, tmp_path / "a.safetensors")
    for one, other in zip(model.weights, target.weights, strict=True):
        half = keras.ops.convert_to_numpy(one).astype(np.float16).astype(np.float32)
        np.testing.assert_array_equal(half, keras.ops.convert_to_numpy(other))


@pytest.mark.parametrize("write", [save_model, lambda model, path: model.save(path)], ids=["save_model", "model.save"])
def test_a_trained_model_is_saved_and_loaded_by_plain_keras(trained, tmp_path, write: Callable[[Any, Path], None]):
    _, model = trained
    write(model, tmp_path / "a.keras")
    assert [path.name for path in tmp_path.iterdir()] == ["a.keras"]
    loaded = keras.models.load_model(tmp_path / "a.keras")
    assert weights(loaded) == weights(model)
    x = INPUTS["nested"]
    np.testing.assert_allclose(loaded.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-6, atol=1e-6)


def test_a_compiled_model_is_saved_with_its_optimizer_which_loading_weights_leaves_alone(tmp_path):
    model, target = twins(lambda: keras.Sequential([keras.Input((4,)), layers.Dense(2)]))
    for each in (model, target):
        each.compile(keras.optimizers.Adam(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    learner(tmp_path / "run", model, None).fit(batches())
    save_model(model, tmp_path / "a.keras")
    loaded = keras.models.load_model(tmp_path / "a.keras")
    assert int(loaded.optimizer.iterations) == 2
    target.optimizer.build(target.trainable_variables)
    load_weights(target, tmp_path / "a.keras")
    assert weights(target) == weights(model)
    assert int(target.optimizer.iterations) == 0
    assert all(not np.any(keras.ops.convert_to_numpy(slot)) for slot in target.optimizer._momentums)


def test_an_export_that_fails_leaves_the_file_as_it_was(tmp_path):
    class Secretive(layers.Layer):
        def __init__(self, weight: Any) -> None:
            super().__init__()

        def call(self, x: Any) -> Any:
            return x

    path = tmp_path / "a.keras"
    path.write_bytes(b"old")
    model = keras.Sequential([keras.Input((2,)), Secretive(object()), layers.Dense(1)])
    with pytest.raises(ConfigurationError, match="get_config"):
        save_model(model, path)
    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["a.keras"]
    with pytest.raises(ConfigurationError, match=r"ends in \.keras"):
        save_model(nested(), tmp_path / "a.h5")
    with pytest.raises(ConfigurationError, match="not built"):
        save_model(keras.Sequential([layers.Dense(1)]), path)


def test_a_run_goes_on_from_starting_weights(trained, tmp_path):
    run, model = trained
    ml.set_seed(9)
    one, other = nested(), nested()
    load_weights(one, run)
    other.set_weights(model.get_weights())
    for key, variable in variables(other).items():
        if "seed" in key:
            variable.assign(variables(one)[key])
    for name, each in (("one", one), ("other", other)):
        learner(tmp_path / name, Classification(each), "sgd", 0.1).fit(batches())
    assert_equal(one, other)


def test_a_normalization_computes_with_the_statistics_that_were_loaded(tmp_path):
    """Keras' layer keeps what it calculates with beside its weights."""

    def made(shift: float) -> Classification:
        scaled = layers.Normalization()
        scaled.adapt(numbers(20, 3) + np.float32(shift))
        return Classification(keras.Sequential([keras.Input((3,)), scaled, layers.Dense(2)]))

    x, run, saved = numbers(6, 3), tmp_path / "run", made(0)
    learner(run, saved, "sgd", 0.1, with_file_checkpointer=()).fit([(x, ids(2, 6))])
    expected = keras.ops.convert_to_numpy(saved.model(x))
    loaded, resumed = made(5), made(5)
    load_weights(loaded, run)
    learner(run, resumed, "sgd", 0.1, checkpoint="latest").fit([(x, ids(2, 6))])
    for task in (loaded, resumed):
        np.testing.assert_allclose(keras.ops.convert_to_numpy(task.model(x)), expected, rtol=1e-6)


class Headed:
    """A task with a head besides its model, which its first step builds."""

    def __init__(self) -> None:
        self.model = keras.Sequential([keras.Input((3,)), layers.Dense(4)])
        self.head = layers.Dense(1)

    def step(self, batch: Any, training: bool) -> Output:
        predicted = self.predict(batch)
        return Output(keras.ops.mean((predicted - batch[1]) ** 2), keras.ops.shape(batch[1])[0])

    def predict(self, batch: Any) -> Any:
        return self.head(self.model(batch[0]))


def test_what_a_task_builds_in_its_step_is_loaded_where_it_is_built_and_else_refused_by_name(tmp_path, caplog):
    x, saved = numbers(6, 3), Headed()
    data, run = [(x, x[:, :1])], tmp_path / "run"
    learner(run, saved, "sgd", 0.1, with_file_checkpointer=()).fit(data)
    expected = keras.ops.convert_to_numpy(saved.predict((x,)))
    unbuilt, built = Headed(), Headed()
    said = refused(unbuilt.model, run, RecordMismatch, into=unbuilt)
    assert "task/head/kernel: not expected" in said and "task.step(batch, training=False)" in said
    built.step(tuple(map(keras.ops.convert_to_tensor, data[0])), False)
    load_weights(built, run)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(built.predict((x,))), expected)
    load_weights(unbuilt.model, run)
    assert weights(unbuilt.model) == weights(saved.model)
    # the other ways in build it themselves
    (predicted,) = ml.predict(Headed(), data, checkpoint="latest", directory=run)
    np.testing.assert_allclose(predicted, expected, rtol=1e-6)
    loss = ml.Evaluator(run, renderer=ml.renderers.SilentRenderer()).evaluate(Headed(), data, checkpoint="latest")
    assert loss["Loss"] == pytest.approx(np.mean((expected - x[:, :1]) ** 2), rel=1e-5)
    # a file of Keras has none of it
    saved.model.save(tmp_path / "a.keras")
    load_weights(built, tmp_path / "a.keras")
    assert "no values for task/head/bias, task/head/kernel" in caplog.text
