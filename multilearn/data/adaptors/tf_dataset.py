"""`tf.data.Dataset`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from multilearn.data.adaptors.streamed import Streamed
from multilearn.errors import DataError

__all__ = ["tf_batches"]

_INFINITE = -1
_SURPRISING = ("Random", "Shuffle", "Generator", "PyFunc", "StatefulUniform")


def tf_batches(dataset: Any) -> Streamed:
    """The batches of a dataset. Epoch e is the e-th time that it is gone through, in a resumed run too.

    With `reshuffle_each_iteration` its order is another one each time; what comes out is a function of the seeds that
    the pipeline was given, and below a `.repeat()` also of how far it was gone through before, which a resumed run does
    not repeat. Raises `DataError` for an infinite one.
    """
    if int(dataset.cardinality()) == _INFINITE:
        raise DataError(
            "An epoch must end.",
            received="a tf.data.Dataset that repeats for ever",
            remedy="Leave .repeat() out, or say how many batches an epoch has: .take(n).",
        )
    gone_through = 0

    def opened(epoch: int) -> Iterator[Any]:
        nonlocal gone_through
        # each iterator that is made moves the seeds of a shuffle on
        for _ in range(gone_through + 1, epoch):
            iter(dataset)
        gone_through = max(gone_through + 1, epoch)
        return iter(dataset)

    return Streamed(dataset, opened, repeatable=_repeatable(dataset))


def _repeatable(dataset: Any) -> bool:
    """Whether another process gets the same batches: as far as one can see nothing draws, or shuffles unseeded."""
    if dataset.options().deterministic is False:
        return False
    try:
        return all(_keeps_order(stage, repeated) for stage, repeated in _stages(dataset))
    except (AttributeError, TypeError, ValueError):
        return False


def _stages(stage: Any, repeated: bool = False) -> Iterator[tuple[Any, bool]]:
    """All of a pipeline, and whether it is gone through several times in one epoch."""
    yield stage, repeated
    for source in stage._inputs():
        yield from _stages(source, repeated or "Repeat" in type(stage).__name__)


def _keeps_order(stage: Any, repeated: bool) -> bool:
    name = type(stage).__name__
    if "Shuffle" in name or "Random" in name:
        # how often its seeds have moved on is then not the number of epochs
        moves = repeated and getattr(stage, "_reshuffle_each_iteration", None) is not False
        return not moves and any(int(getattr(stage, seed)) for seed in ("_seed", "_seed2"))
    if str(getattr(stage, "_deterministic", "default")) in ("false", "False"):
        return False
    function = getattr(stage, "_map_func", None)
    return function is None or not any(map(_surprises, function.function.graph.get_operations()))


def _surprises(operation: Any) -> bool:
    """Whether it draws, or calls Python."""
    kind = operation.type
    return not kind.startswith("Stateless") and any(word in kind for word in _SURPRISING)
