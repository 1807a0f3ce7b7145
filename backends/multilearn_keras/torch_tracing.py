"""A function of tensors as a flat graph of ATen operations, forward and backward."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import torch
from torch._guards import TracingContext, tracing
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx import GraphModule, Node
from torch.fx.experimental.proxy_tensor import get_proxy_mode, has_proxy_slot, make_fx
from torch.overrides import TorchFunctionMode

from multilearn.data import flat, mapped

__all__ = ["LARGEST", "CannotCapture", "TooLarge", "TracedGraph", "tensors_of", "trace"]

LARGEST = 12_000
"""Operations of a graph, of which gradients are two thirds. To trace one takes a millisecond, and to run one 10 µs."""


class CannotCapture(Exception):
    """What a function does cannot be in a graph; the message says what."""


class TooLarge(CannotCapture):
    """It does more than a graph should have, of this batch."""


@dataclass(frozen=True)
class TracedGraph:
    """The graph takes a list of tensors and returns one; `returned` is what the function did, with tensors replaced by
    their places in that list."""

    module: GraphModule
    returned: Any


def trace(function: Callable[[Sequence[torch.Tensor]], Any], tensors: Sequence[torch.Tensor]) -> TracedGraph:
    """Run `function` once, as a real step that changes what it changes, and write down what it does.

    What it reads besides its arguments is captured by reference: a parameter that is updated in place is seen.
    Raises `CannotCapture` if it looks at the value of a tensor, and whatever the function raises itself.
    """
    template: list[Any] = []

    # make_fx counts the arguments of a plain function
    def flat(arguments: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        result = function(arguments)
        places = count()
        template.append(mapped(lambda leaf: next(places) if isinstance(leaf, torch.Tensor) else leaf, result))
        return tensors_of(result)

    unread = _ValuesUnread()
    # the tracer describes each tensor with a fake one: half of the time would be spent on a new mode for each
    described = tracing(TracingContext(FakeTensorMode(allow_fallback_kernels=True)))
    try:
        with described, unread:
            module = make_fx(flat)(list(tensors))
    except CannotCapture as error:
        # Keras puts words of its own around what is raised inside of a layer
        raise (TooLarge if unread.is_too_large else CannotCapture)(unread.reason) from error
    except RuntimeError as error:
        if "tracing tensor" in str(error) or "data-dependent" in str(error):
            raise CannotCapture(unread.reason) from error
        raise
    for node in module.graph.nodes:
        if _has_shape_of_values(node):
            raise CannotCapture(f"the values of a tensor decide the shape of another one ({node.target})")
    return TracedGraph(module, template[0])


def tensors_of(nested: Any) -> list[torch.Tensor]:
    """The tensors in lists, tuples and dicts, in their order."""
    return [leaf for leaf in flat(nested) if isinstance(leaf, torch.Tensor)]


_READING = frozenset(
    getattr(torch.Tensor, name)
    for name in ("numpy", "tolist", "__array__", "__dlpack__", "data_ptr", "untyped_storage", "equal", "allclose")
) | {torch.equal, torch.allclose}
# the tracer refuses these itself, but not for what comes from outside of the step, such as a variable
_READING_STATE = frozenset(
    getattr(torch.Tensor, name)
    for name in ("item", "__bool__", "__int__", "__float__", "__complex__", "__index__", "is_nonzero")
) | {torch.is_nonzero}


class _ValuesUnread(TorchFunctionMode):
    """Some ways to a value go past the tracer: what was read would silently stay what it was in this step.

    Constants that the step makes itself may be asked, as in Keras' loop over time steps, and nothing that depends on
    tensors from outside of it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.reason = "it looks at the value of a tensor"
        self.is_too_large = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        mode = get_proxy_mode()
        if mode is not None and len(mode.tracer.graph.nodes) > (LARGEST // 3 if torch.is_grad_enabled() else LARGEST):
            # counted, for what a clock says would not be the same in a resumed run
            self.is_too_large = True
            self.reason = f"it has more than {LARGEST} operations, gradients included, as with a loop in Python"
            raise TooLarge(self.reason)
        outside = any(map(_is_from_outside, tensors_of((args, kwargs))))
        if func in _READING or (func in _READING_STATE and outside):
            self.reason = f"{self.reason} ({func.__name__})"
            raise CannotCapture(self.reason)
        result = func(*args, **(kwargs or {}))
        if outside:
            for tensor in tensors_of(result):
                setattr(tensor, _OUTSIDE, True)
        return result


_OUTSIDE = "_multilearn_depends_on_what_is_outside_of_the_step"


def _is_from_outside(tensor: torch.Tensor) -> bool:
    mode = get_proxy_mode()
    return mode is not None and (hasattr(tensor, _OUTSIDE) or not has_proxy_slot(tensor, mode.tracer))


def _has_shape_of_values(node: Node) -> bool:
    """Whether its result is as long as values say, which the code after it may have counted."""
    if node.op != "call_function" or torch.Tag.dynamic_output_shape not in getattr(node.target, "tags", ()):
        return False
    if node.target is not torch.ops.aten.index.Tensor:
        return True
    picked = [each.meta["val"].dtype for each in node.args[1] if each is not None]
    return any(dtype in (torch.bool, torch.uint8) for dtype in picked)
