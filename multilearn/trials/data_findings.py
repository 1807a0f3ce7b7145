"""What the batches themselves say: values that are not finite, items that contradict each other, levels of a loss."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from multilearn.data import flat, leaves
from multilearn.printable import plural
from multilearn.protocols import Batch

__all__ = ["arrays_in", "constant_losses", "of_data", "of_targets"]

_FAR = 50.0  # from zero, for what a network gets and gives

Arrays = Sequence[np.ndarray[Any, Any]]


def of_targets(batches: Sequence[Batch]) -> Iterator[str]:
    """What makes it too easy."""
    y = arrays_in(batches, 1)
    if y and len(y[0]) > 1 and all((each == each[:1]).all() for each in y):
        yield "All items have the same target, which any model learns: shuffle, or give more batches."


def of_data(batches: Sequence[Batch]) -> Iterator[str]:
    """What makes it hard, or impossible."""
    x, y = arrays_in(batches, 0), arrays_in(batches, 1)
    for path, leaf in leaves(list(batches), "batches"):
        if getattr(leaf, "dtype", np.dtype("O")).kind == "f" and not np.isfinite(leaf).all():
            yield f"{path} has values that are not finite: {int((~np.isfinite(leaf)).sum())} of {leaf.size}."
    if count := _conflicts(x, y):
        yield (
            f"{plural(count, 'item')} of {len(x[0])} {'has' if count == 1 else 'have'} the inputs of another item and "
            "another target: no model can tell them apart, so the loss cannot come to zero."
        )
    if (
        largest := _largest([each for each in x if _is_float(each) or (each.dtype == np.uint8 and each.ndim > 2)])
    ) > _FAR:
        yield f"Inputs are as large as {largest:.4g}: divide pixels by 255, standardize columns."
    if (largest := _largest(list(filter(_is_float, y)))) > _FAR:
        yield f"Targets are as large as {largest:.4g}: standardize them, for weights begin near zero."


def _is_float(array: np.ndarray[Any, Any]) -> bool:
    return bool(array.dtype.kind == "f")


def _largest(arrays: Arrays) -> float:
    return max((float(np.abs(each[np.isfinite(each)]).max(initial=0)) for each in arrays), default=0.0)


def arrays_in(batches: Sequence[Batch], part: int) -> list[np.ndarray[Any, Any]]:
    """The arrays of x (0) or y (1) of batches as Keras has them, of all items; none where that is not to be known."""
    found = [flat(batch[part]) for batch in batches if isinstance(batch, tuple) and len(batch) > part]
    if not found or len(found) < len(batches):
        return []
    try:
        return [np.concatenate([np.asarray(each) for each in column]) for column in zip(*found, strict=True)]
    except (TypeError, ValueError):
        return []


def _conflicts(x: Arrays, y: Arrays) -> int:
    """How many items have the inputs of an earlier one, and other targets."""
    if not x or not y or len({len(each) for each in (*x, *y)}) != 1:
        return 0
    targets: dict[bytes, bytes] = {}
    found = 0
    for item in range(len(x[0])):
        inputs, target = (b"".join(np.asarray(each[item]).tobytes() for each in part) for part in (x, y))
        found += targets.setdefault(inputs, target) != target
    return found


def constant_losses(y: Arrays) -> list[float]:
    """Of answers that are the same for every item, the losses of the best: for classes or labels their entropy, in
    nats, for numbers the mean square and the mean absolute deviation."""
    if len(y) != 1 or not y[0].size or y[0].dtype.kind not in "biuf":
        return []
    (targets,) = y
    if targets.ndim > 1 and targets.shape[-1] > 1 and set(np.unique(targets)) <= {0, 1}:
        if (targets.sum(axis=-1) == 1).all():
            return [_entropy(targets.argmax(axis=-1))]
        return [float(np.mean([_entropy(label) for label in targets.reshape(-1, targets.shape[-1]).T]))]
    if targets.dtype.kind in "biu" or set(np.unique(targets)) <= {0, 1}:
        return [_entropy(targets)]
    rows = targets.reshape(len(targets), -1).astype(np.float64)
    return [float(((rows - rows.mean(0)) ** 2).mean()), float(np.abs(rows - np.median(rows, axis=0)).mean())]


def _entropy(ids: np.ndarray[Any, Any]) -> float:
    counts = Counter(ids.ravel().tolist())
    return -sum(count / ids.size * math.log(count / ids.size) for count in counts.values())
