"""`tf.data.Dataset`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from multilearn.data.adaptors.iterable import Streamed
from multilearn.errors import DataError

__all__ = ["tf_batches"]

_log = logging.getLogger("multilearn")

_INFINITE = -1
_READING = ("ReadVariableOp", "ResourceGather", "ResourceGatherNd")
_SURPRISING = ("Random", "Shuffle", "Generator", "PyFunc", "StatefulUniform")

_gone_through: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
"""How often each dataset was gone through, in any number of runs."""


def tf_batches(dataset: Any, *, endless: bool = False) -> Streamed:
    """The batches of a dataset. Epoch e is the e-th time that it is gone through, in a resumed run too.

    With `reshuffle_each_iteration` its order is another one each time; what comes out is a function of the seeds that
    the pipeline was given, and below a `.repeat()` also of how far it was gone through before, which a resumed run does
    not repeat. Variables that its functions change, such as the state of the generator of a Keras layer, go on from
    epoch to epoch and are restored. Raises `DataError` for an infinite one, unless it may be `endless`.
    """
    if int(dataset.cardinality()) == _INFINITE and not endless:
        raise DataError(
            "An epoch must end.",
            received="a tf.data.Dataset that repeats for ever",
            remedy="Leave .repeat() out, or say how many batches an epoch has: multilearn.epoch_of(dataset, n).",
        )
    changed, repeatable, shuffles = _known(dataset)
    ways = _Ways(dataset)
    if not (changed and repeatable):
        return Streamed(dataset, ways.opened, repeatable=repeatable, shuffles=shuffles)
    drawing = _Drawing(dataset, ways.opened_again, changed)
    return Streamed(drawing, drawing.opened, shuffles=shuffles)


class _Ways:
    """The iterations over a dataset: each iterator that is made, by anyone, advances the seeds of its shuffles."""

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset
        self._looked_at: Iterator[Any] | None = None

    def opened(self, epoch: int) -> Iterator[Any]:
        """The batches of an epoch. A look at the first one of an epoch that has been is one at the next epoch."""
        looked_at, self._looked_at = self._looked_at, None
        if looked_at is None or epoch != _gone_through[self._dataset]:
            looked_at = self.opened_again(epoch)
        return self._kept_after_a_look(looked_at)

    def opened_again(self, epoch: int) -> Iterator[Any]:
        """The same, without such a look."""
        gone_through = _gone_through.get(self._dataset, 0)
        for _ in range(gone_through + 1, epoch):
            iter(self._dataset)
        _gone_through[self._dataset] = max(gone_through + 1, epoch)
        return iter(self._dataset)

    def _kept_after_a_look(self, batches: Iterator[Any]) -> Iterator[Any]:
        for number, batch in enumerate(batches):
            try:
                yield batch
            except GeneratorExit:
                self._looked_at = chain([batch], batches) if number == 0 else None
                raise


class _Drawing:
    """A dataset whose functions change `variables`. Its state: what they were before the epoch, and the batches since.

    What they are now is no state: a pipeline works ahead.
    """

    def __init__(self, dataset: Any, opened: Callable[[int], Iterator[Any]], variables: Sequence[Any]) -> None:
        self._dataset = dataset
        self._opened = opened
        self._variables = variables
        self._begun = self._values()
        self._batches = 0
        self._restored = False

    def __len__(self) -> int:
        return len(self._dataset)

    def state_dict(self) -> dict[str, Any]:
        return {"variables": self._begun, "batches": self._batches}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for variable, value in zip(self._variables, state["variables"], strict=True):
            variable.assign(value)
        self._begun, self._batches, self._restored = list(state["variables"]), int(state["batches"]), True

    def opened(self, epoch: int) -> Iterator[Any]:
        """The batches from where `load_state_dict` put it, else those of an epoch that begins."""
        skipped = self._batches if self._restored else 0
        self._begun, self._batches, self._restored = self._values(), 0, False
        batches = self._counted(self._opened(epoch))
        for _ in range(skipped):
            next(batches, None)
        return batches

    def _counted(self, batches: Iterator[Any]) -> Iterator[Any]:
        for batch in batches:
            self._batches += 1
            yield batch
        self._begun, self._batches = self._values(), 0

    def _values(self) -> list[Any]:
        return [np.array(variable.numpy()) for variable in self._variables]


def _known(dataset: Any) -> tuple[list[Any], bool, bool]:
    """The variables that a pipeline may change, whether another process gets the same batches, and whether it shuffles;
    none, and no, in a TensorFlow whose inside is another."""
    try:
        stages = list(_stages(dataset))
        in_order = dataset.options().deterministic is not False
        # as far as one can see: nothing draws, or shuffles unseeded
        repeatable = in_order and all(_keeps_order(stage, repeated) for stage, repeated in stages)
        return _changed(dataset), repeatable, any("Shuffle" in type(stage).__name__ for stage, _ in stages)
    except (AttributeError, TypeError, ValueError):
        return [], False, False


def _changed(dataset: Any) -> list[Any]:
    changed: dict[int, Any] = {}
    # what is cached was drawn once, in the first epoch of any process
    for stage, _ in _stages(dataset, until="Cache"):
        found = [variable for wrapped in stage._functions() for variable in _assigned(wrapped.function.graph)]
        if found and "Parallel" in type(stage).__name__:
            _log.warning(
                "A function of the tf.data pipeline draws random numbers, or changes variables, in parallel calls: "
                "which batch gets which number is up to the threads, and no two runs are the same. Put it in a "
                ".map(...) of its own without num_parallel_calls."
            )
        changed.update((id(variable), variable) for variable in found)
    return list(changed.values())


def _assigned(graph: Any) -> list[Any]:
    """The variables from outside of a function that it does more with than read them."""
    inside = {id(outer): inner.name for outer, inner in graph.captures}
    changing = {
        tensor.name
        for operation in graph.get_operations()
        if operation.type not in _READING
        for tensor in operation.inputs
    }
    return [variable for variable in graph.variables if inside.get(id(variable.handle)) in changing]


def _stages(stage: Any, repeated: bool = False, until: str | None = None) -> Iterator[tuple[Any, bool]]:
    """All of a pipeline, or what comes after a stage, and whether it is gone through several times in one epoch."""
    name = type(stage).__name__
    if until is not None and until in name:
        return
    yield stage, repeated
    for source in stage._inputs():
        yield from _stages(source, repeated or "Repeat" in name, until)


def _keeps_order(stage: Any, repeated: bool) -> bool:
    name = type(stage).__name__
    if "Shuffle" in name or "Random" in name:
        # how often its seeds have moved on is then not the number of epochs
        moves = repeated and getattr(stage, "_reshuffle_each_iteration", None) is not False
        return not moves and any(int(getattr(stage, seed)) for seed in ("_seed", "_seed2"))
    if str(getattr(stage, "_deterministic", "default")) in ("false", "False"):
        return False
    function = getattr(stage, "_map_func", None)
    if function is None:
        return True
    graph = function.function.graph
    return not any(map(_surprises, graph.get_operations())) and not ("Parallel" in name and _assigned(graph))


def _surprises(operation: Any) -> bool:
    """Whether it draws, or calls Python."""
    kind = operation.type
    return not kind.startswith("Stateless") and any(word in kind for word in _SURPRISING)
