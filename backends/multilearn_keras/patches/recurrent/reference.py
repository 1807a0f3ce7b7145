"""LSTM and GRU over a sequence, step by step with torch's own operations: slow, and with gradients of any order.

Sequences are (steps, batch, ...), a mask (steps, batch, 1), true where a step counts; elsewhere the states stay.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["gradient", "gru", "lstm"]


def lstm(
    projected: Tensor, kernel: Tensor, hidden: Tensor, carry: Tensor, mask: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The hidden states and the last carry. `projected` is inputs @ kernel + bias."""
    hiddens = []
    for step, given in enumerate(projected):
        i, f, candidate, o = (given + hidden @ kernel).chunk(4, dim=1)
        following = f.sigmoid() * carry + i.sigmoid() * candidate.tanh()
        shown = o.sigmoid() * following.tanh()
        hidden, carry = (shown, following) if mask is None else (
            shown.where(mask[step], hidden), following.where(mask[step], carry)
        )  # fmt: skip
        hiddens.append(hidden)
    return torch.stack(hiddens), carry


def gru(projected: Tensor, kernel: Tensor, bias: Tensor | None, hidden: Tensor, mask: Tensor | None) -> tuple[Tensor]:
    """The hidden states. `projected` is inputs @ kernel + bias; kernel and bias are the recurrent ones."""
    hiddens = []
    for step, given in enumerate(projected):
        z, r, h = given.chunk(3, dim=1)
        inner = hidden @ kernel if bias is None else hidden @ kernel + bias
        inner_z, inner_r, inner_h = inner.chunk(3, dim=1)
        update = (z + inner_z).sigmoid()
        shown = update * hidden + (1 - update) * (h + (r + inner_r).sigmoid() * inner_h).tanh()
        hidden = shown if mask is None else shown.where(mask[step], hidden)
        hiddens.append(hidden)
    return (torch.stack(hiddens),)


def gradient(
    run: Callable[..., Sequence[Tensor]], inputs: Sequence[Any], given: Sequence[Tensor | None]
) -> tuple[Tensor | None, ...]:
    """The gradients of `inputs`, differentiable again, for those `given` of what `run(*inputs)` returns."""
    outputs = run(*inputs)
    pairs = [(output, to) for output, to in zip(outputs, given, strict=True) if to is not None]
    wanted = [each for each in inputs if each is not None and each.requires_grad]
    of, to = zip(*pairs, strict=True) if pairs else ((), ())
    found = iter(torch.autograd.grad(of, wanted, to, create_graph=True, allow_unused=True))
    return tuple(next(found) if each is not None and each.requires_grad else None for each in inputs)
