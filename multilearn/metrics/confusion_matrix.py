"""The confusion matrix: which class is taken for which."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from multilearn.arguments import optional_whole, settle, whole
from multilearn.errors import ConfigurationError
from multilearn.metrics.items import NOT_COUNTED, class_items, named
from multilearn.protocols import ArrayOps, Entry, Measured, Output, State, Tensor

__all__ = ["DENSE", "ConfusionMatrix", "Matrix", "parsed"]

Matrix = np.ndarray[Any, Any]

DENSE = 32
"""Of more classes than this the value has only the cells that are not zero."""

_MOST = 2**15
_LONGEST = 80


@dataclass(frozen=True)
class ConfusionMatrix:
    """How many items of each class (rows) were found to be of each class (columns), over the epoch: a text metric.

    `classes`: how many there are, or their names; None asks the task. Items of weight zero, and those whose target is
    `ignore_index`, are counted nowhere. Needs a `ClassificationOutput`; the first class wins ties.

    The value is JSON in one line: `{"counts": [[5, 1], [0, 4]]}`, with names `{"classes": ["cat", "dog"], "counts":
    [[5, 1], [0, 4]]}`; of more than 32 classes the cells that are not zero: `{"classes": 1000, "cells": [[3, 5, 2],
    ...]}`, which reads "2 of class 3 found to be of class 5". The summary of a run draws it as a table; `matrix` gives
    the numbers.

    >>> ConfusionMatrix.matrix('{"counts": [[5, 1], [0, 4]]}')
    array([[5, 1],
           [0, 4]])
    >>> ConfusionMatrix().name, ConfusionMatrix(3).name
    ('ConfusionMatrix', 'ConfusionMatrix(3)')
    """

    classes: int | Sequence[str] | None = None
    ignore_index: int | None = None

    unit: ClassVar[str] = "matrix"
    numeric: ClassVar[bool] = False
    costly: ClassVar[bool] = True

    def __post_init__(self) -> None:
        remedy = "Give their number or their names, all different, or leave it out to have as many as the task."
        if isinstance(names := self.classes, Sequence) and not isinstance(names, (str, bytes)):
            if not names or len(set(names)) != len(names) or not all(isinstance(n, str) and n.strip() for n in names):
                rule = "Names in the classes of ConfusionMatrix differ and are not empty."
                raise ConfigurationError(rule, received=repr(names), remedy=remedy)
            settle(self, classes=tuple(names))
        elif self.classes is not None:
            settle(self, classes=whole("The classes of ConfusionMatrix", self.classes, 1, remedy))
        settle(self, ignore_index=optional_whole("The ignore_index of ConfusionMatrix", self.ignore_index))

    @property
    def name(self) -> str:
        words = [] if self.classes is None else [str(self.classes)]
        if self._names:
            joined = ", ".join(self._names)
            short = f"{self._names[0]} to {self._names[-1]}, {len(self._names)} classes"
            words = [joined if len(joined) <= _LONGEST else short]
        return named("ConfusionMatrix", *words, ignore_index=self.ignore_index)

    def measure(self, ops: ArrayOps, output: Output) -> Mapping[str, Tensor]:
        items = class_items(ops, output, self.name, self.ignore_index)
        self._require(items.classes)
        predicted = ops.argmax(items.logits)
        # a target that is no class falls out of the matrix, whatever was predicted
        known = ops.both(ops.greater(items.targets, -1), ops.greater(items.classes, items.targets))
        cells = ops.add(ops.multiply(items.targets, items.classes), predicted)
        cells = items.only(ops, ops.where(known, cells, NOT_COUNTED))
        if items.classes > DENSE:
            # fewer numbers than the matrix has
            return {"cells": cells, "classes": ops.int32(items.classes)}
        return {"counts": ops.tally(cells, items.classes**2)}

    def merge(self, state: State | None, measured: Measured) -> State:
        if "counts" in measured:
            counts = np.asarray(measured["counts"]).astype(np.int64)
            matrix = counts.reshape(math.isqrt(counts.size), -1)
            return {"matrix": matrix if state is None else state["matrix"] + matrix}
        cells = np.ravel(measured["cells"]).astype(np.int64)
        cells = cells[cells != NOT_COUNTED]
        counts = np.ones_like(cells)
        if state is not None:
            cells, counts = np.concatenate([state["cells"], cells]), np.concatenate([state["counts"], counts])
        cells, places = np.unique(cells, return_inverse=True)
        sums = np.zeros_like(cells)
        np.add.at(sums, places, counts)
        return {"cells": cells, "counts": sums, "classes": int(measured["classes"])}

    def entry(self, state: State) -> Entry:
        content: dict[str, Any] = {"classes": self._names} if self._names else {}
        if "matrix" in state:
            content["counts"] = state["matrix"].tolist()
        else:
            rows, columns = np.divmod(state["cells"], state["classes"])
            cells = np.stack([rows, columns, state["counts"]], axis=-1).tolist()
            content = {"classes": state["classes"], "cells": cells}
        return Entry(json.dumps(content, ensure_ascii=False))

    @staticmethod
    def matrix(source: State | str) -> Matrix:
        """The counts, (classes, classes), int64, of a state, or of a value as logged: rows are targets."""
        if isinstance(source, str):
            return parsed(source)[0]
        if "matrix" in source:
            return np.asarray(source["matrix"])
        matrix = np.zeros(source["classes"] ** 2, np.int64)
        matrix[source["cells"]] = source["counts"]
        return matrix.reshape(source["classes"], -1)

    @property
    def _names(self) -> tuple[str, ...]:
        return self.classes if isinstance(self.classes, tuple) else ()

    def _require(self, classes: int) -> None:
        expected = len(self._names) or self.classes or classes
        if classes != expected:
            raise ConfigurationError(
                f"The metric {self.name} needs a task of {expected} classes.",
                received=f"{classes} classes",
                remedy="Leave classes out to have as many as the task.",
            )
        if classes > _MOST:
            raise ConfigurationError(
                f"A ConfusionMatrix has at most {_MOST} classes.", received=f"{classes} classes", remedy="Leave it out."
            )


def parsed(text: str) -> tuple[Matrix, tuple[str, ...]]:
    """The counts, (classes, classes), int64, and the names, if any, of a value. Raises `ConfigurationError`.

    >>> parsed('{"classes": ["cat", "dog"], "counts": [[5, 1], [0, 4]]}')[1]
    ('cat', 'dog')
    """
    try:
        if not text.startswith("{"):
            return _of_rows(text)
        content = json.loads(text)
        if "cells" in content:
            return _dense(content["classes"], content["cells"]), ()
        matrix, names = np.array(content["counts"], np.int64), tuple(content.get("classes", ()))
        if matrix.shape != (len(matrix), len(matrix)) or (names and len(names) != len(matrix)):
            raise ValueError(f"counts of shape {matrix.shape} for {len(names)} names")
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError) as fault:
        raise ConfigurationError(
            'The value of a ConfusionMatrix is JSON, such as {"counts": [[5, 1], [0, 4]]}.',
            received=f"{text[:60]!r} ({fault})",
            remedy="Give what this version logged.",
        ) from fault
    return matrix, names


def _of_rows(text: str) -> tuple[Matrix, tuple[str, ...]]:
    """What version 0.1 logged: `5 1; 0 4`, `cat: 5 1; dog: 0 4`, or of many classes `40 classes; 3>5 2; 7>7 9`."""
    rows = text.split("; ")
    if rows[0].endswith(" classes"):
        cells = [[int(number) for number in re.split("[> ]", cell)] for cell in rows[1:]]
        return _dense(int(rows[0].removesuffix(" classes")), cells), ()
    matrix = np.array([[int(number) for number in row.rpartition(": ")[2].split(" ")] for row in rows], np.int64)
    if matrix.shape != (len(rows), len(rows)):
        raise ValueError(f"counts of shape {matrix.shape}")
    return matrix, tuple(row.rpartition(": ")[0] for row in rows if ": " in row)


def _dense(classes: int, cells: Sequence[Sequence[int]]) -> Matrix:
    if not 0 <= classes <= _MOST:
        raise ValueError(f"{classes} classes")
    matrix = np.zeros((classes, classes), np.int64)
    for row, column, count in cells:
        matrix[row, column] = count
    return matrix
