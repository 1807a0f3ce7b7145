"""Tensors that operations write into although they were there before: state that is in no Keras variable."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

from multilearn_keras.state.assignments import Assigned, place
from multilearn_keras.torch_tracing import tensors_of

__all__ = ["Writes", "memory_of"]

# its result is its argument, a constant that was made without any operation
_MADE_UNSEEN = frozenset({torch.ops.aten.lift_fresh.default, torch.ops.aten.lift.default})


class Writes(TorchDispatchMode):
    """Meanwhile, what is written into is noted. `own`: tensors that may be."""

    def __init__(self, own: Sequence[torch.Tensor]) -> None:
        super().__init__()
        self._made = {memory_of(tensor) for tensor in own}
        self._found: dict[int, tuple[StorageWeakRef, Assigned]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        for tensor in _written(func, args, kwargs):
            if (at := memory_of(tensor)) not in self._made and at not in self._found:
                what = f"a tensor {tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}, no keras.Variable"
                self._found[at] = StorageWeakRef(tensor.untyped_storage()), Assigned(what, place())
        result = func(*args, **kwargs)
        given = set() if func in _MADE_UNSEEN else {memory_of(tensor) for tensor in tensors_of([args, kwargs])}
        self._made |= {memory_of(tensor) for tensor in tensors_of(result)} - given
        return result

    def found(self, known: Sequence[torch.Tensor]) -> list[Assigned]:
        """What was written into and is still there, besides `known`. Results of what ran must be gone."""
        those = {memory_of(tensor) for tensor in known}
        return [each for at, (ref, each) in self._found.items() if at not in those and not ref.expired()]


def memory_of(tensor: torch.Tensor) -> int:
    """The same for all tensors that share memory, as long as one of them lives."""
    return tensor.untyped_storage()._cdata


def _written(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Iterator[torch.Tensor]:
    schema = getattr(func, "_schema", None)
    if schema is None or not schema.is_mutable:
        return
    for position, argument in enumerate(schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            yield from tensors_of(args[position] if position < len(args) else kwargs.get(argument.name))
