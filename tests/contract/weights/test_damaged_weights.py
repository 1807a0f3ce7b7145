"""Files of weights, mutated: loaded as they are, or refused by one error of ours, and the model is untouched."""

from __future__ import annotations

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import hypothesis
import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers
from safetensors.numpy import save_file

from multilearn.errors import MultilearnError
from multilearn_keras import load_weights

EXAMPLES = 600 if "MULTILEARN_MUTATIONS" in os.environ else 8
KINDS = ["a.keras", "a.weights.h5", "a.safetensors"]
calm = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="MULTILEARN_MUTATIONS" not in os.environ,
    suppress_health_check=list(hypothesis.HealthCheck),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("weights")


@pytest.fixture(scope="module")
def model() -> keras.Model:
    ml.set_seed(3)
    return keras.Sequential([keras.Input((3,)), layers.Dense(4, name="first"), layers.Dense(2, name="second")])


@pytest.fixture(scope="module")
def sound(folder: Path, model: keras.Model) -> dict[str, bytes]:
    """The three files, all with the same weights."""
    model.save(folder / "a.keras")
    model.save_weights(folder / "a.weights.h5")
    arrays = {each.path: np.asarray(keras.ops.convert_to_numpy(each)) for each in model.variables}
    save_file(arrays, folder / "a.safetensors")
    return {name: (folder / name).read_bytes() for name in KINDS}


def held(model: keras.Model) -> list[bytes]:
    return [array.tobytes() for array in model.get_weights()]


def loaded(model: keras.Model, path: Path) -> bool:
    """Whether it was; else the model is as it was."""
    model.set_weights([np.full(each.shape, 7, np.float32) for each in model.get_weights()])
    before = held(model)
    try:
        load_weights(model, path)
    except MultilearnError:
        assert held(model) == before
        return False
    return True


@pytest.mark.parametrize("name", KINDS)
@calm
@given(data=st.data())
def test_bytes(model: keras.Model, folder: Path, sound: dict[str, bytes], name: str, data: st.DataObject) -> None:
    content = bytearray(sound[name])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=8))
    (folder / f"b{name}").write_bytes(content)
    if loaded(model, folder / f"b{name}") and name == "a.keras":
        found = held(model)
        assert loaded(model, folder / name) and held(model) == found  # an archive has checksums


def test_the_files_are_sound_before_they_are_mutated(model: keras.Model, folder: Path, sound: dict[str, bytes]) -> None:
    found = []
    for name in sound:
        assert loaded(model, folder / name)
        found.append(held(model))
    assert found[0] == found[1] == found[2]


def archive(weights: bytes, name: str = "model.weights.h5", packed: int = zipfile.ZIP_STORED) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w", packed) as file:
            file.writestr(name, weights)

    return write


def deep(path: Path) -> None:
    with h5py.File(path, "w") as file:
        group = file
        for _ in range(3000):
            group = group.create_group("a")


def another_place(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["layers"] = h5py.ExternalLink("/etc/passwd", "/")


def of_texts(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["layers/first/vars/0"] = ["a", "b"]


def huge(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset(
            "layers/first/vars/0", (1 << 30, 1 << 10), "f8", chunks=(1 << 14, 1 << 10), compression="gzip"
        )


HOSTILE: dict[str, Callable[[Path], object]] = {
    "a bomb.keras": archive(bytes(80 << 20), packed=zipfile.ZIP_DEFLATED),
    "in lzma.keras": archive(b"no HDF5", packed=zipfile.ZIP_LZMA),
    "elsewhere.keras": archive(b"", "../model.weights.h5"),
    "empty.keras": lambda path: path.write_bytes(b""),
    "deep.weights.h5": deep,
    "elsewhere.weights.h5": another_place,
    "of texts.weights.h5": of_texts,
    "huge.weights.h5": huge,
    "a pipe.weights.h5": os.mkfifo,
    "a pipe.keras": os.mkfifo,
    "a pipe.safetensors": os.mkfifo,
    "without end.keras": lambda path: path.symlink_to("/dev/zero"),
    "without end.safetensors": lambda path: path.symlink_to("/dev/zero"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_hostile_is_refused(model: keras.Model, tmp_path: Path, name: str) -> None:
    HOSTILE[name](tmp_path / name)
    assert not loaded(model, tmp_path / name)
