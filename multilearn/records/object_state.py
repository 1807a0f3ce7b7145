"""The state of an object as a record, and back as it was: also what a record has no word for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

import numpy as np

from multilearn.errors import CheckpointError, RecordError
from multilearn.plain import as_array, as_number
from multilearn.protocols import Record
from multilearn.records.formats import BUILT_IN
from multilearn.records.recorder import Recorder
from multilearn.records.tensors import HostTensor

__all__ = ["as_written", "from_record", "require_savable", "to_record"]

# A map in a record that has one of these as its only key is something else than a map.
_TUPLE, _SCALAR, _TENSOR = "(tuple)", "(scalar)", "(tensor)"
_TEXTS: Final[Mapping[str, tuple[type, Callable[[str], Any]]]] = {
    "(int)": (int, int),
    "(Decimal)": (Decimal, Decimal),
    "(Fraction)": (Fraction, lambda text: Fraction(*map(int, text.split("/")))),
}
_LONG = 63
"""Bits of the whole numbers that every record can hold."""


def to_record(state: Any) -> Any:
    """Maps, lists, tuples, strings, numbers and arrays as what a record holds; anything else as it is.

    Arrays and numbers of a framework come back as numpy's, of the same type: what adds up in 32 bits still does.
    """
    if state is None or isinstance(state, (str, bytes)) or type(state) in (float, bool):
        return state
    if isinstance(state, Mapping):
        return {key: to_record(value) for key, value in state.items()}
    if isinstance(state, (list, tuple)):
        values = [to_record(value) for value in state]
        return values if isinstance(state, list) else {_TUPLE: values}
    if isinstance(state, HostTensor):
        return {_TENSOR: state}
    if type(state) is int and state.bit_length() <= _LONG:
        return state
    for key, (kind, _) in _TEXTS.items():
        if type(state) is kind:
            return {key: str(state)}
    return _tensor(state)


def from_record(record: Any) -> Any:
    """What `to_record` was given. Raises `RecordError` for what it does not write."""
    with as_written("The state of an object"):
        return _from_record(record)


@contextmanager
def as_written(what: str) -> Iterator[None]:
    """While it lasts this part of a record is read: whatever Python raises is a `RecordError`."""
    try:
        yield
    except RecordError:
        raise
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        rule = f"{what} must be as this version writes it."
        raise RecordError.unusable(rule, f"{type(error).__name__}: {str(error)[:100]}") from error


def _tensor(state: Any) -> Any:
    own = isinstance(state, (np.ndarray, np.generic))
    array = state if own else as_array(state)
    if array is None:
        return as_number(state)
    try:
        tensor = HostTensor.of(array)
    except CheckpointError:  # complex numbers, dates: the recorder says where they are
        return state
    # 0-d arrays of numpy can be changed in place, those of frameworks are their numbers
    is_scalar = isinstance(state, np.generic) if own else not array.shape
    return {_SCALAR: tensor} if is_scalar else tensor


def _from_record(record: Any) -> Any:
    if isinstance(record, Mapping):
        if len(record) == 1:
            ((key, value),) = record.items()
            if key == _TUPLE:
                return tuple(_from_record(each) for each in value)
            if key == _SCALAR:
                return value.numpy()[()]
            if key == _TENSOR:
                return value
            if key in _TEXTS:
                return _TEXTS[key][1](value)
        return {key: _from_record(value) for key, value in record.items()}
    if isinstance(record, list):
        return [_from_record(value) for value in record]
    return record.numpy().copy() if isinstance(record, HostTensor) else record


def require_savable(recorder: Recorder, schedule: Record) -> None:
    """Raise what `recorder` raises for this part of a record `scheduler-N`: `CheckpointError`, naming the place.

    One that is not built in is not asked: it may do more than write, and hold more.
    """
    if type(recorder) in map(type, BUILT_IN):
        with open(os.devnull, "wb") as nowhere:
            recorder.write(nowhere, schedule, {"part": "scheduler", "checkpoint": "1"})
