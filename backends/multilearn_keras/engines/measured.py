"""What metrics measure, as tensors on every framework; and who raised what a trial of a step met."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from numbers import Real
from typing import Any

import keras
import numpy as np
from keras import ops

from multilearn.errors import ConfigurationError, DataError, MultilearnError
from multilearn.protocols import Metric, UpdateMetric
from multilearn_keras.engines.inputs import described, said

__all__ = ["measured", "raised_by", "trial_failed", "who_raised"]

_BY = "multilearn: raised by "
_UNKNOWN = "in a compiled step the length of an axis may be unknown, and x.shape[0] is None"
_COUNT = "Count with the ops that it is given, ops.size(output.targets) or ops.sum; or take keras.ops.shape(x)[0]."
_OF_CODE = (AttributeError, NameError, LookupError, ImportError, NotImplementedError)
"""Of a line of code, whatever the shapes are."""


def measured(metric: Metric | UpdateMetric, method: str, *given: Any) -> dict[str, Any]:
    """What `method` of a metric, `measure` or `measure_update`, returns. Numbers are made tensors, which an engine
    takes to the host: int32 and float32, as the functions of `ArrayOps` return.

    Raises `ConfigurationError`, naming the metric, for what is no dict of tensors and numbers.
    """
    with raised_by(f"{method} of the metric {metric.name}"):
        try:
            found = getattr(metric, method)(*given)
        except (TypeError, ValueError) as error:
            if "None" in str(error):
                error.add_note(f"multilearn: {_UNKNOWN}. {_COUNT}")
            raise
    if not isinstance(found, Mapping):
        raise _no_tensors(metric, method, described(found))
    return {name: _tensor(value, metric, method, name) for name, value in found.items()}


def _tensor(value: Any, metric: Any, method: str, name: str) -> Any:
    if ops.is_tensor(value):
        return value
    if value is None:
        raise ConfigurationError(
            f"The metric {metric.name}: what {method} returns must be a tensor or a number.",
            received=f"None as {name!r}; {_UNKNOWN}",
            remedy=_COUNT,
        )
    try:
        return ops.convert_to_tensor(value, _dtype(value))
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise _no_tensors(metric, method, f"{described(value)} as {name!r}") from error


def _dtype(value: Any) -> str | None:
    """That of the tensor of what is no tensor; None leaves it to Keras. Raises `TypeError` for text and objects."""
    if isinstance(value, (keras.Variable, list, tuple)):
        return None
    if not isinstance(value, (Real, np.generic, np.ndarray)):
        raise TypeError(f"no number: {type(value).__name__}")
    kind = np.asarray(value).dtype.kind
    return {"b": "bool", "i": "int32", "u": "int32", "f": "float32"}[kind] if kind in "biuf" else None


def _no_tensors(metric: Any, method: str, received: str) -> ConfigurationError:
    return ConfigurationError(
        f"The metric {metric.name}: {method} must return a dict of tensors or numbers.",
        received=received,
        remedy="Return for instance {'total': ops.sum(values), 'count': ops.size(values)}.",
    )


@contextmanager
def raised_by(who: str) -> Iterator[None]:
    """What is raised while it lasts has a note that says whose it is."""
    try:
        yield
    except MultilearnError:
        raise
    except Exception as error:
        if not who_raised(error):
            error.add_note(f"{_BY}{who}")
        raise


def who_raised(error: BaseException) -> str:
    """As `raised_by` noted it; empty if it did not."""
    notes = getattr(error, "__notes__", ())
    return next((note.removeprefix(_BY) for note in notes if note.startswith(_BY)), "")


def trial_failed(error: Exception) -> DataError:
    """The error for what was raised when a step was tried on the first batch."""
    who = who_raised(error)
    remedy = "Compare the shapes of the batch with the model's Input and output."
    return DataError(
        "Task, metrics and batch must fit together.",
        received=f"{type(error).__name__}{who and f' raised by {who}'}: {said(error)}",
        remedy="The traceback has the line that raised it." if isinstance(error, _OF_CODE) else remedy,
    )
