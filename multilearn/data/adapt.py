"""What `fit` was given, as a loader."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from multilearn.data.adaptors import PyDatasetBatches, Streamed, tf_batches, torch_batches
from multilearn.data.aligned import in_new_memory
from multilearn.data.arrays import fresh, is_tensor
from multilearn.data.epochs import BoundedEpochs, first_of_each, next_ones, unbounded
from multilearn.data.loader import DataLoader
from multilearn.errors import DataError
from multilearn.protocols import Batch, Loader

__all__ = ["Batches", "as_loader", "epoch_of", "out_of_order", "take"]


_SHUFFLING = ("shuffle", "shuffles")
"""What a loader, of a user's or wrapped here, may say of its order."""


class Batches:
    """A sequence of ready batches, in its own order in every epoch."""

    def __init__(self, batches: Sequence[Batch]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    @in_new_memory
    def iterate(self, seed: int, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Copies of the batches from number `start` (from 0) on, whatever seed and epoch."""
        for number in range(start, len(self.batches)):
            yield fresh(self.batches[number])


def as_loader(data: Any, split: str, *, endless: bool = False) -> Loader:
    """`data` itself if it is a loader; else what yields batches, wrapped as one. Its arrays become numpy's.

    Taken are a list of batches, a torch `DataLoader`, a `tf.data.Dataset`, a `keras.utils.PyDataset`, what Grain makes,
    any other iterable of batches, a generator (for one epoch), and a function that makes one. What can save its place
    (`state_dict` and `load_state_dict`, or iterators with `get_state` and `set_state`) continues there.

    Raises `DataError` for anything else, as arrays, and items that are no batches yet; and unless it may be `endless`,
    for what says that it is.
    """
    if isinstance(data, Loader) and not isinstance(data, type):
        return data
    if isinstance(data, list):
        return Batches(data)
    if _is(data, "torch.utils.data", "DataLoader"):
        without_indices = _is(data.dataset, "torch.utils.data", "IterableDataset")
        if not (without_indices and hasattr(data, "state_dict")):
            return torch_batches(data)
    if _is(data, "tensorflow", "data.Dataset"):
        return tf_batches(data, endless=endless)
    if hasattr(data, "on_epoch_end") and hasattr(data, "__getitem__") and hasattr(type(data), "num_batches"):
        return PyDatasetBatches(data)
    if _is_no_batches(data) or isinstance(data, type):
        raise _refusal(data, split)
    if hasattr(data, "to_iter_dataset") and hasattr(data, "__getitem__"):
        return Streamed(data, lambda epoch: _numbered(data, epoch), repeatable=True)
    if isinstance(data, Iterator):
        return _of_iterator(data)
    if hasattr(data, "__iter__"):
        return Streamed(data, lambda _: iter(data))
    if callable(data):
        return Streamed(data, lambda _: iter(data()))
    raise _refusal(data, split)


def take(data: Any, batches: int) -> BoundedEpochs:
    """The first `batches` batches of each epoch of `data`, which is whatever `fit` takes: for a short trial, or for
    less validation.

    The workers of a loader may have made more of them.

    >>> loader = DataLoader([0, 1, 2, 3, 4, 5, 6, 7, 8, 9], 2, shuffle=True)
    >>> len(take(loader, 3)), len(loader.take(3)), len(loader.take(50))
    (3, 3, 5)
    """
    return first_of_each(as_loader(data, "given", endless=True), batches)


def epoch_of(data: Any, batches: int) -> BoundedEpochs:
    """`data`, which is whatever `fit` takes, in epochs of `batches` batches: each has the next ones. It is what Keras
    calls `steps_per_epoch`: for data without an end, or so many that validation should not wait for their end.

    When all batches of `data` were taken, also inside an epoch, its next pass begins, shuffled as its epoch of that
    number. A run is resumed at the batch where it was, also inside an epoch, if `data` can be resumed inside one.
    If it cannot, a run that is resumed at the end of an epoch goes through all batches before it once more.

    >>> loader = DataLoader([0, 1, 2, 3, 4], 2).epoch_of(2)
    >>> [[batch.tolist() for batch in loader.iterate(0, epoch)] for epoch in (1, 2, 3)]
    [[[0, 1], [2, 3]], [[4], [0, 1]], [[2, 3], [4]]]
    """
    return next_ones(as_loader(data, "given", endless=True), batches)


def out_of_order(loader: Loader) -> str | None:
    """What makes the batches of a loader other than the items in their order; None if nothing is known to."""
    loader = unbounded(loader)
    options = loader.options() if isinstance(loader, DataLoader) else {}
    found = []
    if any(said is True for said in (options.get("shuffle"), *(getattr(loader, of, None) for of in _SHUFFLING))):
        found.append("it shuffles")
    if isinstance(loader, DataLoader) and options["drop_last"] and (left := len(loader.source) % options["batch_size"]):
        found.append(f"it leaves out the last {left} items (drop_last)")
    return " and ".join(found) or None


def _is(data: Any, module: str, name: str) -> bool:
    """Whether `data` is of a class of a library that is already imported."""
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return isinstance(found, type) and isinstance(data, found)


def _is_no_batches(data: Any) -> bool:
    """Arrays, text, and datasets of items."""
    if isinstance(data, (tuple, Mapping, str, bytes, set, frozenset)) or is_tensor(data) or hasattr(data, "__array__"):
        return True
    grain = hasattr(data, "to_iter_dataset")
    indexed = hasattr(data, "__getitem__") and not hasattr(data, "state_dict") and not grain
    return indexed and (hasattr(data, "column_names") or not hasattr(data, "__iter__"))


def _numbered(data: Any, epoch: int) -> Iterator[Any]:
    """The batches of an epoch of a Grain `MapDataset`, which counts on, and shuffles again, from one to the next.

    It hands out None for what is filtered out.
    """
    first = (epoch - 1) * len(data)
    return (batch for number in range(first, first + len(data)) if (batch := data[number]) is not None)


def _of_iterator(data: Any) -> Streamed:
    if not (hasattr(data, "get_state") and hasattr(data, "set_state")):
        once = iter([data])
        return Streamed(None, lambda _: next(once, None), again=False, owned=False)
    beginning = data.get_state()

    def opened(_: int) -> Iterator[Any]:
        data.set_state(beginning)
        return iter(data)

    return Streamed(None, opened, owned=False)


def _refusal(data: Any, split: str) -> DataError:
    return DataError(
        f"The {split} data must be a loader (with a method iterate(seed, epoch, start)), a list of batches, "
        "or an iterable of batches.",
        received=type(data).__name__,
        remedy="Wrap arrays as multilearn.DataLoader((x, y), batch_size=64), a dataset of items in the same way.",
    )
