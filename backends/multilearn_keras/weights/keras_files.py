"""Keras' own files, `.keras` and `.weights.h5`: weights out of them, and a trained model into one.

Of a file only arrays are read: no configuration is interpreted and no code is run.
"""

from __future__ import annotations

import math
import os
import shutil
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import h5py
import keras

from multilearn.errors import ConfigurationError, RecordError, RecordMismatch
from multilearn.printable import plural, printable
from multilearn.storage import atomic
from multilearn.storage import reading as regular
from multilearn_keras.state.beside import require_alike
from multilearn_keras.state.derived import derive
from multilearn_keras.state.transfer import assign, to_host
from multilearn_keras.weights.keras_archives import differences_beside

__all__ = ["KERAS_FILES", "built", "load_keras_file", "mismatch", "save_model"]

KERAS_FILES = (".keras", ".weights.h5")

_MEMBER = "model.weights.h5"
_OF_THE_OPTIMIZER = "optimizer/"
_SLACK = 1 << 26
_LARGEST_CHUNK = 1 << 24


def load_keras_file(model: keras.Model, path: Path) -> None:
    """Put the weights in a `.keras` or `.weights.h5` file into `model`; the optimizer's are left out.

    Raises `RecordError` for a file that is damaged, and `RecordMismatch` with all that is missing, not expected or of
    another shape. Whatever is raised, the model is as it was.
    """
    _require_file(path)
    with TemporaryDirectory(prefix="multilearn-") as folder:
        own, copy = Path(folder, "own.weights.h5"), Path(folder, "copy.weights.h5")
        model.save_weights(own)
        expected = _datasets(own)
        if path.name.endswith(".keras"):
            _extract(path, copy, 16 * own.stat().st_size + _SLACK)
            _require_alike(model, path, Path(folder, "own.keras"))
        else:
            copy = path
        if lines := _differences(expected, _datasets(copy, path)):
            raise mismatch(path, lines)
        _load(model, copy, path)


def built(rule: str, given: Any) -> keras.Model:
    """The model that is given, or a task's. Raises `ConfigurationError`, with this rule, for what is no built model."""
    model = given if isinstance(given, keras.Model) else getattr(given, "model", None)
    if not isinstance(model, keras.Model) or not model.built:
        raise ConfigurationError(
            rule,
            received="a model that is not built" if isinstance(model, keras.Model) else type(given).__name__,
            remedy="Give it an Input, or call it on a batch before.",
        )
    return model


def mismatch(path: Path, lines: list[str], remedy: str | None = None) -> RecordMismatch:
    """The error that lists all that does not fit."""
    return RecordMismatch(
        "Weights must have the names, shapes and kinds of those of the model.",
        received="\n  ".join([f"{plural(len(lines), 'difference')} in {path}:", *map(printable, lines)]),
        remedy=remedy or "Build the model as it was when they were saved, and call it on a batch.",
    )


def _require_file(path: Path) -> None:
    try:
        with regular.opened(path):
            pass
    except OSError as error:
        raise _broken(path, error) from error


def _extract(path: Path, target: Path, largest: int) -> None:
    """Copy the weights out of the archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            size = archive.getinfo(_MEMBER).file_size
            if size > largest:
                raise RecordError(
                    f"The weights of this model, and what else is kept with them, take at most {largest} bytes.",
                    received=f"{path} with {size}",
                    remedy="It is damaged, or the file of another, larger model.",
                )
            with archive.open(_MEMBER) as packed, open(target, "wb") as file:
                shutil.copyfileobj(packed, file)
    except RecordError:
        raise
    except Exception as error:
        raise _broken(path, error) from error


def _require_alike(model: keras.Model, path: Path, own: Path) -> None:
    """Raise `RecordMismatch` if layers of the model look things up in something else than those in the archive."""
    try:
        model.save(own)
    except Exception:
        # a layer without get_config, for instance: nothing is known of what such a file would say
        return
    try:
        lines = differences_beside(path, own)
    except Exception as error:
        raise _broken(path, error) from error
    require_alike(lines)


def _datasets(path: Path, said: Path | None = None) -> dict[str, str]:
    """By name, what each array in a file holds, and its shape; the optimizer's are left out."""
    try:
        with h5py.File(path, "r") as file:
            found: dict[str, str] = {}
            _walk(file, "", found, set())
    except Exception as error:
        # what reads HDF5 raises anything where it comes upon what no writer has written
        raise _broken(said or path, error) from error
    return {name: dataset for name, dataset in found.items() if not name.startswith(_OF_THE_OPTIMIZER)}


def _walk(group: Any, prefix: str, found: dict[str, str], seen: set[int]) -> None:
    for name in group:
        path = f"{prefix}{name}"
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise ValueError(f"{path} is a link to another place")
        entry = group[name]
        address = h5py.h5o.get_info(entry.id).addr
        if address in seen:
            raise ValueError(f"{path} is there under another name too")
        seen.add(address)
        if isinstance(entry, h5py.Group):
            _walk(entry, f"{path}/", found, seen)
        else:
            if not isinstance(entry, h5py.Dataset) or entry.external or entry.is_virtual:
                raise ValueError(f"{path} keeps its data in another place")
            if math.prod(entry.chunks or ()) * entry.dtype.itemsize > max(entry.nbytes, _LARGEST_CHUNK):
                raise ValueError(f"{path} has pieces larger than itself")
            found[path] = f"{_kind(entry)} {tuple(entry.shape or ())}"


def _kind(dataset: Any) -> str:
    if dataset.dtype.kind == "V" and dataset.dtype.itemsize == 2 and dataset.attrs.get("dtype") == "bfloat16":
        return "floats"
    return {"f": "floats", "i": "integers", "u": "integers", "b": "bools"}.get(dataset.dtype.kind, str(dataset.dtype))


def _differences(expected: Mapping[str, str], received: Mapping[str, str]) -> list[str]:
    lines = [
        f"{name}: missing, expected {wanted}"
        if name not in received
        else f"{name}: expected {wanted}, received {received[name]}"
        for name, wanted in expected.items()
        if received.get(name) != wanted
    ]
    return lines + [f"{name}: not expected, received {received[name]}" for name in received if name not in expected]


def _load(model: keras.Model, path: Path, said: Path) -> None:
    """Have Keras put the weights into the model; if it raises, all is put back, as the optimizer's state always is."""
    optimizer = getattr(model, "optimizer", None)
    slots = [(variable, to_host(variable)) for variable in getattr(optimizer, "variables", ())]
    weights = [(variable, to_host(variable)) for variable in model.variables]
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Skipping variable loading for optimizer")
            model.load_weights(path)
        derive(model)
    except Exception as error:
        for variable, tensor in weights:
            assign(variable, tensor)
        derive(model)
        raise _broken(said, error) from error
    finally:
        for variable, tensor in slots:
            assign(variable, tensor)


def _broken(path: Path, what: object) -> RecordError:
    return RecordError(
        "A file of Keras weights must be intact, as Keras writes it.",
        received=f"{path}: {what}",
        remedy="Save it again with model.save or model.save_weights, into one file.",
    )


def save_model(model: Any, path: str | os.PathLike[str]) -> None:
    """Write a model, or a task's, into a `.keras` file, which plain Keras loads on any backend.

    It is what `model.save` writes: architecture and weights, and of a compiled model also how it is compiled and the
    state of its optimizer. The file is durable on return; if anything fails it is as it was. Classes of your own need
    `keras.saving.register_keras_serializable` or `custom_objects` where the file is loaded.

    Raises `ConfigurationError` for what is no built model, and for one that Keras cannot write.
    """
    path = Path(path).expanduser()
    model = built("Only a built model can be saved.", model)
    if path.suffix != ".keras":
        raise ConfigurationError(
            "The file of a model ends in .keras.",
            received=path.name,
            remedy="To keep the weights in another format, save a run and convert its records.",
        )
    temporary = path.with_name(f"{path.stem}.tmp.keras")
    try:
        model.save(temporary)
        with open(temporary, "r+b") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except (NotImplementedError, TypeError, ValueError) as error:
        raise ConfigurationError(
            "Keras must be able to write the model.",
            received=f"{type(error).__name__}: {error}",
            remedy="Give each layer of your own a get_config.",
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
    atomic.sync_folder(path.absolute().parent)
