"""Tensors and numbers that a training step binds to an attribute or an entry, in the place of what was there.

No record has them. A tensor that the next step reads is refused by name; one that is only written, such as the last
output, kept to be looked at, is not, and neither is a table that is made once. Only objects of the user's own classes
are looked at, and the containers in them.

What is read: with NaN in its place, the loss or what the step leaves becomes NaN. Whole numbers have no NaN: they are
read if the same step, taken once more, leaves other ones.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from numbers import Number
from typing import Any

import keras
import numpy as np
from keras import ops

from multilearn.errors import ConfigurationError
from multilearn_keras.state.places import MISSING, Path, Places, places

__all__ = ["Bindings"]

_log = logging.getLogger("multilearn")

_Values = dict[Path, Any]


class Bindings:
    """What the objects of a task hold, to be compared with what they hold after a trial."""

    def __init__(self, task: Any) -> None:
        self._task = task
        self._before = self._now()

    def changed(self) -> bool:
        """Whether a step has bound anything else since."""
        return bool(_rebound(self._before, self._now()) or _renumbered(self._before, self._now()))

    def check(self, step: Callable[[], Any]) -> None:
        """Put back what was rebound. Warn of numbers; raise `ConfigurationError` for tensors that the next step reads.

        `step`: takes the same step as before, eagerly, and returns the loss. If it fails, so does this.
        """
        first = self._now()
        # tensors of a trace have no values
        self._put({path: self._was(path) for path in _rebound(self._before, first) if not _concrete(first[path].value)})
        started = self._now()
        loss = step()
        second = self._now()
        found, numbers = _rebound(started, second), _renumbered(self._before, first) & _renumbered(started, second)
        names = sorted(second[path].called for path in numbers)
        try:
            read = self._read(step, loss, {path: _start(path, started, second) for path in found}, second)
        finally:
            self._put({path: self._was(path) for path in found | numbers})
        if read:
            raise _refusal(sorted(second[path].called for path in read))
        if numbers:
            _log.warning(
                "A training step changes %s: a number of Python changes only when Python runs the step, as when it is "
                "traced, and is in no checkpoint. Use a keras.Variable and assign to it.",
                ", ".join(names),
            )

    def _read(self, step: Callable[[], Any], loss: Any, starts: _Values, second: Places) -> set[Path]:
        """Which of the tensors in `starts` a step reads that has left `second`."""
        floats = {path for path, value in starts.items() if all(map(_is_float, _tensors(value)))}
        whole = starts.keys() - floats
        read: set[Path] = set()

        def taken(values: _Values) -> tuple[Any, Places]:
            self._put({**starts, **values})
            return step(), self._now()

        def spoiled(poisoned: set[Path]) -> bool:
            loss, now = taken({path: _poison(starts[path]) for path in poisoned})
            return _has_nan([loss, *(now[path].value for path in floats if path in now)])

        if floats and not _has_nan([loss, *(second[path].value for path in floats)]) and spoiled(floats):
            read |= {path for path in floats if spoiled({path})}
        if whole:
            _, one = taken({})
            _, again = taken({})
            _, two = taken({path: one[path].value for path in whole if path in one})
            for path in whole & one.keys() & again.keys() & two.keys():
                same, other = (_alike(one[path].value, each[path].value) for each in (again, two))
                if same and not other:
                    read.add(path)
        return read

    def _now(self) -> Places:
        return {path: place for path, place in places(self._task)}

    def _was(self, path: Path) -> Any:
        return self._before[path].value if path in self._before else MISSING

    def _put(self, values: _Values) -> None:
        now = self._now() if values else {}
        for path, value in values.items():
            if path in now:
                now[path].put(value)


def _refusal(names: list[str]) -> ConfigurationError:
    return ConfigurationError(
        "What a training step leaves to the next one must be part of the record: a keras.Variable to which it assigns.",
        received=f"another tensor in {', '.join(names)} after a step, which the next step reads",
        remedy="Make it a variable, such as self.average = keras.Variable(0.0, trainable=False), and call "
        "self.average.assign(...) in the step; or compute it from the batch and the weights.",
    )


def _rebound(before: Places, after: Places) -> set[Path]:
    """Where there is another tensor now, or one for the first time."""
    return {
        path
        for path, place in after.items()
        if (tensors := _tensors(place.value))
        and (path not in before or list(map(id, tensors)) != list(map(id, _tensors(before[path].value))))
    }


def _renumbered(before: Places, after: Places) -> set[Path]:
    return {
        path
        for path, place in after.items()
        if path in before and _is_number(place.value) and _is_number(was := before[path].value) and place.value != was
    }


def _start(path: Path, started: Places, second: Places) -> Any:
    """What a step is to find there: a tensor, be it the one of the step before."""
    return started[path].value if path in started and _tensors(started[path].value) else second[path].value


def _tensors(value: Any) -> list[Any]:
    """The tensor, or those of a tuple."""
    if isinstance(value, tuple):
        return [tensor for each in value for tensor in _tensors(each)]
    return [value] if ops.is_tensor(value) else []


def _is_number(value: Any) -> bool:
    return isinstance(value, Number) and not isinstance(value, (bool, np.bool_))


def _is_float(tensor: Any) -> bool:
    return "float" in str(tensor.dtype)


def _poison(value: Any) -> Any:
    return keras.tree.map_structure(lambda leaf: ops.full_like(leaf, np.nan) if ops.is_tensor(leaf) else leaf, value)


def _concrete(value: Any) -> bool:
    try:
        for tensor in _tensors(value):
            ops.convert_to_numpy(tensor)
    except Exception:
        return False
    return True


def _has_nan(values: list[Any]) -> bool:
    tensors = [tensor for value in values for tensor in _tensors(value) if _is_float(tensor)]
    return any(bool(np.isnan(ops.convert_to_numpy(tensor).astype("float64")).any()) for tensor in tensors)


def _alike(one: Any, other: Any) -> bool:
    pairs = zip(_tensors(one), _tensors(other), strict=False)
    return all(np.array_equal(ops.convert_to_numpy(a), ops.convert_to_numpy(b)) for a, b in pairs)
