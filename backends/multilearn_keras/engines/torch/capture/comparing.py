"""The state of a step: taken and put back, what two ways of running it differ in, and what it writes into besides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

from multilearn_keras.state.assignments import Assigned, place
from multilearn_keras.torch_tracing import tensors_of

__all__ = ["Snapshot", "Writes", "difference", "distance", "largest", "memory_of"]

ROUNDINGS = 8
"""How far a number may be off, in roundings of the largest number in its tensor: 1e-6 of it in single precision."""
IN_DOUBLE = 1e-12


class Snapshot:
    """Copies of tensors, and where torch's random streams are; others are none of a step's business."""

    def __init__(self, tensors: Sequence[torch.Tensor]) -> None:
        self._tensors = tensors
        self.values = [tensor.detach().clone() for tensor in tensors]
        self._stream = torch.get_rng_state()
        self._devices = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None

    def put_back(self) -> None:
        """Make the tensors and the streams what they were."""
        with torch.no_grad():
            for tensor, value in zip(self._tensors, self.values, strict=True):
                tensor.copy_(value)
        torch.set_rng_state(self._stream)
        if self._devices is not None:
            torch.cuda.set_rng_state_all(self._devices)


def difference(found: Any, expected: Any) -> float:
    """How far `found` is from `expected`, in what is allowed: 0 for the same bits, above 1 for too far.

    Allowed are 8 roundings of the largest number of a tensor, and of all tensors in a list, such as gradients: one that
    is zero but for rounding, as that of a bias before a normalisation, has no digits to compare. A count may be another
    one where what it counts is rounded otherwise: whole numbers are only looked at where everything else is the same.
    """
    kinds = [(type(part), tensors_of(part)) for part in _parts(found)]
    pairs = [
        (kind, list(zip(mine, tensors_of(part), strict=True)))
        for (kind, mine), part in zip(kinds, _parts(expected), strict=True)
    ]
    if any((a.shape, a.dtype) != (b.shape, b.dtype) for _, group in pairs for a, b in group):
        return float("inf")
    worst = 0.0
    for kind, group in pairs:
        floating = [(a, b) for a, b in group if b.is_floating_point() or b.is_complex()]
        floor = max((largest(b) for _, b in floating), default=0.0) if kind is list else 0.0
        worst = max([worst, *(distance(a, b, floor) for a, b in floating)])
    whole = [(a, b) for _, group in pairs for a, b in group if not b.is_floating_point()]
    return worst if worst or all(torch.equal(a, b) for a, b in whole) else float("inf")


def distance(found: torch.Tensor, expected: torch.Tensor, floor: float) -> float:
    """The same of two tensors; roundings are those of `floor` where that is larger than what they hold."""
    found, expected = found.detach(), expected.detach()
    if torch.equal(found, expected):
        return 0.0
    finite = expected.isfinite()
    if not torch.equal(found.isfinite(), finite):
        return float("inf")
    # what is infinite or no number is so in both
    off = float((found - expected)[finite].abs().max()) if finite.any() else 0.0
    rounding = IN_DOUBLE if expected.dtype == torch.float64 else ROUNDINGS * torch.finfo(expected.dtype).eps
    allowed = rounding * max(largest(expected), floor)
    return off / allowed if allowed else float("inf") if off else 0.0


def largest(tensor: torch.Tensor) -> float:
    """The largest size of a finite number in it; 0 if there is none."""
    finite = tensor.detach()[tensor.isfinite()]
    return float(finite.abs().max()) if finite.numel() else 0.0


def _parts(nested: Any) -> Sequence[Any]:
    return nested if isinstance(nested, tuple) else (nested,)


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
