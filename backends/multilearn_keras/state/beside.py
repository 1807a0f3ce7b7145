"""What layers look things up in, and keep in no variable: vocabularies, bins, salts, statistics that were given.

A record has it beside the variables of its layer, under names that begin with `%`, as no key of a variable does: each
value as JSON, in a tensor of bytes. It is compared and never put into a layer: lookup tables are part of how a model is
built. A record without such names is one of before they were written, and fits any model.

Of Keras' layers it is known where they keep it. Of others it is what they save by Keras' own hooks, `save_assets` and
`save_own_variables`, besides the values of variables; of those without hooks, the arrays of numpy in their attributes.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator, Mapping
from itertools import chain, zip_longest
from typing import Any
from weakref import WeakKeyDictionary

import keras
import numpy as np

from multilearn.checkpoint import HostTensor
from multilearn.errors import RecordMismatch
from multilearn.printable import plural
from multilearn.storage.reading import parsed
from multilearn_keras.state.derived import arrays_of, on_host, saved_by_hooks
from multilearn_keras.state.keys import all_layers, flatten, nest

__all__ = ["Beside", "difference", "is_beside", "kept_beside", "known_beside", "require_alike", "without_beside"]

_log = logging.getLogger("multilearn")

_MARK = "%"
_MARKS = 1 << 24
_ROUNDING = 1e-6
_SHOWN = 80
_KEPT_BY = {
    keras.layers.Discretization: ("bin_boundaries",),
    keras.layers.Hashing: ("num_bins", "mask_value", "salt"),
    keras.layers.HashedCrossing: ("num_bins",),
}
_OF_LOOKUPS = ("num_oov_indices", "oov_method", "salt", "invert")
_vocabularies: WeakKeyDictionary[Any, tuple[Any, list[Any]]] = WeakKeyDictionary()


class Beside:
    """All of it in a task, or a model."""

    def __init__(self, task: Any) -> None:
        self._layers = {key: layer for key, layer in all_layers(task).items() if _keeps(key, layer)}

    def added_to(self, model: dict[str, Any]) -> dict[str, Any]:
        """The part `model` of a record, which has the variables, with it."""
        found = {
            f"{key}/{_MARK}{name}": HostTensor.of(np.frombuffer(json.dumps(value).encode(), np.uint8))
            for key, layer in self._layers.items()
            for name, value in kept_beside(layer).items()
        }
        return nest({**flatten(model), **found}) if found else model

    def require_same(self, model: Any) -> None:
        """Raise `RecordMismatch` for all in which the layers have something else than this part of a record says."""
        if isinstance(model, Mapping) and self._layers:
            self.require_same_by_key(flatten(model))

    def require_same_by_key(self, received: Mapping[str, Any]) -> None:
        """The same of tensors by key."""
        lines = []
        for key, layer in self._layers.items():
            for name, here in kept_beside(layer).items():
                leaf = received.get(f"{key}/{_MARK}{name}")
                if isinstance(leaf, HostTensor) and (found := difference(_of_tensor(leaf), here)):
                    lines.append(f"{key}: {name} {found}")
        require_alike(lines)


def require_alike(lines: list[str]) -> None:
    """Raise `RecordMismatch` if there is any line that says a difference."""
    if lines:
        raise RecordMismatch(
            "The vocabularies, bins and statistics of layers must be those that the weights were trained with.",
            received="\n  ".join([f"{plural(len(lines), 'difference')}, recorded / here:", *lines]),
            remedy="Give the layers what is recorded, as by set_vocabulary, or adapt them to the same data.",
        )


def without_beside(model: Any) -> Any:
    """The part `model` of a record, of variables alone; what is no map is left to those who check its structure."""
    if not isinstance(model, Mapping):
        return model
    kept = {name: (value, without_beside(value)) for name, value in model.items() if not is_beside(str(name))}
    # a map of nothing else goes too
    return {name: rest for name, (value, rest) in kept.items() if rest != {} or value == {}}


def is_beside(key: str) -> bool:
    """Whether a key of a record is that of something beside the variables."""
    last = key.rpartition("/")[2]
    return last.startswith(_MARK) and last != _MARK and not last.startswith(("%25", "%2F"))


def kept_beside(layer: keras.layers.Layer) -> dict[str, Any]:
    """What one layer keeps so, by name, as JSON has it: numbers, texts, lists of these, None."""
    kept = chain(_known(layer), saved_by_hooks(layer), arrays_of(layer))
    return {name: _plain(value) for name, value in kept}


def known_beside(layer: keras.layers.Layer) -> dict[str, Any]:
    """The same without asking a layer of the user's own to save anything."""
    return {name: _plain(value) for name, value in _known(layer)}


def difference(recorded: Any, here: Any) -> str | None:
    """What differs, in words; floats may differ by roundings."""
    if _alike(recorded, here):
        return None
    if not (isinstance(recorded, list) and isinstance(here, list)):
        return f"{_said(recorded)} / {_said(here)}"
    at, (one, other) = next(each for each in enumerate(zip_longest(recorded, here)) if not _alike(*each[1]))
    sizes = f"of {len(recorded)} entries" + (f", here {len(here)}" if len(recorded) != len(here) else "")
    return f"{sizes}; first difference at {at}: {_said(one)} / {_said(other)}"


def _keeps(key: str, layer: Any) -> bool:
    try:
        return bool(kept_beside(layer))
    except Exception as error:
        # of a hook of the user's own
        said = "What %s (%s) saves besides its variables is in no checkpoint: %s: %s"
        _log.warning(said, key or "the model", type(layer).__name__, type(error).__name__, str(error)[:200])
        return False


def _known(layer: Any) -> Iterator[tuple[str, Any]]:
    if hasattr(layer, "lookup_table") and callable(getattr(layer, "get_vocabulary", None)):
        yield "vocabulary", _vocabulary(layer)
        yield from ((name, getattr(layer, name, None)) for name in _OF_LOOKUPS)
        if (weights := getattr(layer, "idf_weights_const", None)) is not None:
            yield "idf_weights", weights
    for kind, names in _KEPT_BY.items():
        if isinstance(layer, kind):
            yield from ((name, getattr(layer, name)) for name in names)
    if isinstance(layer, keras.layers.Normalization) and layer.input_mean is not None:
        yield from (("mean", layer.input_mean), ("variance", layer.input_variance))


def _vocabulary(layer: Any) -> list[Any]:
    """Read once for each table: making a list of it takes long, and another vocabulary is another table."""
    known = _vocabularies.get(layer)
    if known is None or known[0] is not layer.lookup_table:
        known = _vocabularies[layer] = layer.lookup_table, list(layer.get_vocabulary())
    return known[1]


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        # some of numpy's texts and numbers are Python's too, of another type
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return _plain(on_host(value).tolist())


def _of_tensor(tensor: HostTensor) -> Any:
    try:
        return parsed(tensor.array.tobytes(), marks=_MARKS)
    except ValueError as error:
        raise RecordMismatch(
            "The vocabularies, bins and statistics of layers are recorded as JSON.",
            received=str(error)[:200],
            remedy="Use another checkpoint.",
        ) from error


def _alike(one: Any, other: Any) -> bool:
    if isinstance(one, list) and isinstance(other, list):
        return one == other or (len(one) == len(other) and all(map(_alike, one, other)))
    numbers = all(isinstance(each, (int, float)) and not isinstance(each, bool) for each in (one, other))
    if numbers and float in (type(one), type(other)):
        return math.isclose(one, other, rel_tol=_ROUNDING) or (one != one and other != other)
    return type(one) is type(other) and bool(one == other)


def _said(value: Any) -> str:
    said = repr(value)
    return said if len(said) <= _SHOWN else f"{said[:_SHOWN]}..."
