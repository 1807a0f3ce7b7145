"""Starting weights: out of a run, a record, a safetensors file or one of Keras, into a model on any backend."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import ml_dtypes
import numpy as np

from multilearn.checkpoint import Contents, HostTensor, Recorder, nbytes, read_file
from multilearn.errors import CheckpointNotFound, RecordError
from multilearn.evaluation.model import placed, weights_of
from multilearn.learner.argument_checks import which_checkpoint
from multilearn.printable import printable
from multilearn.records.formats import BUILT_IN
from multilearn.records.recorder import FORMAT
from multilearn.storage import throw_away
from multilearn_keras.state.beside import Beside, is_beside
from multilearn_keras.state.derived import derive
from multilearn_keras.state.keys import OF_THE_TASK, flatten, held_by, variables
from multilearn_keras.state.transfer import assign, is_seed_state, specification, to_device
from multilearn_keras.weights.keras_files import KERAS_FILES, built, load_keras_file, mismatch

__all__ = ["load_weights"]

_log = logging.getLogger("multilearn")

_SEED_STATE = ("U32", (2,))
_PATHS = 1 << 26
_REMEDY_OF_THE_TASK = (
    "What a task builds in its step must be built before: call task.step(batch, training=False) on a batch. For the "
    "weights of the model alone, give the model: load_weights(task.model, ...)."
)


def load_weights(
    model: Any, path: str | os.PathLike[str], which: int | str = "latest", *, recorder: Recorder | None = None
) -> None:
    """Put saved weights into a built model, or a task's, of the same architecture, whatever backend they were saved on.

    `path`: the directory of a run (`{backend}` and `{seed}` in it are replaced), and `which` of its checkpoints (an
    epoch, `"latest"`, `"best"`, or `"3.120"` for 120 batches into epoch 3); or a file: a record (`model-3.mpk.gz`,
    `.mpk`, `.safetensors`), a safetensors file of another program whose names are the structural keys
    (`layers/dense.0/kernel`) or the paths of the Keras variables (`sequential/dense/kernel`), a `.keras` file, or one
    of Keras' `.weights.h5`. `recorder`: of the run or the record, where it is one of your own.

    All that a task holds is loaded, and must be built: what its step builds, by calling that on a batch before. Of the
    record of a task, a model takes its own weights; a file of Keras has no others, and a warning names what a task
    holds besides. Only weights are loaded: the states of the optimizer and of random streams are left as they are.
    Floats are converted to the model's type. Nothing in a file is executed.

    Raises `CheckpointNotFound`, `RecordError` for a damaged file, `ConfigurationError` for a model without weights, and
    `RecordMismatch` with all that is missing, not expected, or of another shape or kind. Then the model is as it was.
    """
    path = throw_away.found(placed(path))
    keras_model = built("Weights can only be loaded into a built model.", model)
    if not os.path.exists(path):
        raise CheckpointNotFound(
            "Weights are in the directory of a run, or in a file.",
            received=f"{path}, which does not exist",
            remedy="Check the path.",
        )
    if path.name.endswith(KERAS_FILES) and not path.is_dir():
        load_keras_file(keras_model, path)
        _warn_of_the_task(model, keras_model, path)
        return
    held = variables(model)
    own = Beside(model)
    limit = nbytes(own.added_to(specification(held)))
    contents = _of_run(path, which, recorder, limit) if path.is_dir() else _of_file(path, recorder, limit)
    received = _tensors(contents, path)
    own.require_same_by_key(received)
    # a record of a task has what its model needs
    tensors = {
        key: tensor
        for key, tensor in received.items()
        if not is_beside(key) and not (model is keras_model and key.startswith(OF_THE_TASK))
    }
    _assign(tensors, held_by(tensors, held, model), path)
    derive(model)


def _of_run(path: Path, which: int | str, recorder: Recorder | None, limit: int) -> Contents:
    run = path.parent if path.name == "checkpoint" and not (path / "checkpoint").exists() else path
    position, weights, notes = weights_of(which_checkpoint(which), run, recorder, limit)
    for note in notes:
        _log.warning("%s", printable(note))
    _log.info("Weights of checkpoint %s of %s.", position, printable(str(run)))
    return weights


def _of_file(path: Path, recorder: Recorder | None, limit: int) -> Contents:
    recorders = [*([] if recorder is None else [recorder]), *BUILT_IN]
    extensions = [*KERAS_FILES, *(f".{each.extension}" for each in recorders)]
    if not path.name.endswith(tuple(extensions)):
        raise RecordError(
            f"Weights are in a run's directory, or in a file that ends in {', '.join(extensions)}.",
            received=path,
            remedy="Check the path, or save them in one of these formats.",
        )
    try:
        contents = read_file(path, recorder, limit)
    except OSError as error:
        raise RecordError("A file of weights must be readable.", received=error, remedy="Check the path.") from error
    if (part := contents.metadata.get("part", "model")) != "model":
        raise RecordError(
            "Weights are in the part model of a checkpoint.",
            received=f"{path}, its part {part}",
            remedy="Take the file that begins with model-.",
        )
    return contents


def _tensors(contents: Contents, path: Path) -> dict[str, HostTensor]:
    """The tensors in a record by key, or in a file of another program by name."""
    ours = contents.metadata.get("format") == FORMAT
    if (size := _of_paths(contents.item, 0)) > _PATHS:
        raise RecordError(
            f"The names of the tensors in a record may have at most {_PATHS} characters together.",
            received=f"{size} in {path}",
        )
    found = flatten(contents.item) if ours else dict(contents.item)
    if plain := [key for key, leaf in found.items() if not isinstance(leaf, HostTensor)]:
        raise mismatch(path, [f"{key}: not expected, received no tensor" for key in plain])
    return found


def _of_paths(nested: Mapping[str, Any], above: int) -> int:
    """How many characters the paths of all leaves have: a long name above many others is short in the file."""
    return sum(
        _of_paths(value, above + len(name) + 1) if isinstance(value, Mapping) else above + len(name)
        for name, value in nested.items()
    )


def _assign(received: Mapping[str, HostTensor], held: Mapping[str, keras.Variable], path: Path) -> None:
    """Check all, then put each weight into its variable."""
    by_key = {key: variable for key, variable in held.items() if not is_seed_state(variable)}
    by_path = {variable.path: variable for variable in by_key.values()}
    wanted = by_key
    if len(by_path) == len(by_key) and len(by_path.keys() & received.keys()) > len(by_key.keys() & received.keys()):
        wanted = by_path
    left_out = {key for key, tensor in received.items() if (tensor.dtype, tensor.shape) == _SEED_STATE}
    lines, pairs = [], []
    for name, variable in wanted.items():
        blank = specification({"weight": variable})["weight"]
        if name not in received:
            lines.append(f"{name}: missing, expected {blank}")
        elif (tensor := _converted(received[name], blank)) is None:
            fits = received[name].shape == blank.shape and _kind(received[name]) == _kind(blank)
            reason = " with values beyond that type" if fits else ""
            lines.append(f"{name}: expected {blank}, received {received[name]}{reason}")
        else:
            pairs.append((variable, tensor))
    extra = [name for name in received if name not in wanted and name not in left_out]
    lines += [f"{name}: not expected, received {received[name]}" for name in extra]
    if lines:
        of_the_task = any(line.startswith(OF_THE_TASK) for line in lines)
        raise mismatch(path, lines, _REMEDY_OF_THE_TASK if of_the_task else None)
    for variable, tensor in pairs:
        # a number may be too large for this framework: found before anything is touched
        to_device(variable, tensor)
    for variable, tensor in pairs:
        assign(variable, tensor)


def _warn_of_the_task(task: Any, model: keras.Model, path: Path) -> None:
    """A file of Keras has the weights of a model."""
    own = {} if task is model else variables(task)
    kept = [key for key, held in own.items() if key.startswith(OF_THE_TASK) and not is_seed_state(held)]
    if kept:
        _log.warning("%s has no values for %s, which keep their present values.", printable(str(path)), ", ".join(kept))


def _converted(tensor: HostTensor, blank: HostTensor) -> HostTensor | None:
    """The tensor in the type of a variable's record; None if it does not fit."""
    if tensor.shape != blank.shape:
        return None
    if tensor.dtype == blank.dtype:
        return tensor
    if _kind(tensor) != _kind(blank):
        return None
    array = tensor.numpy()
    own = np.dtype(ml_dtypes.bfloat16) if blank.dtype == "BF16" else blank.array.dtype
    with np.errstate(over="ignore"):
        converted = np.asarray(array.astype(own), order="C")
    same = np.isfinite(array) == np.isfinite(converted) if _kind(tensor) == "f" else array == converted
    return HostTensor.of(converted) if np.all(same) else None


def _kind(tensor: HostTensor) -> str:
    return "f" if tensor.dtype == "BF16" else tensor.array.dtype.kind.replace("u", "i")
