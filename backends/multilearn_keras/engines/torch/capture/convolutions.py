"""What goes together with a convolution: its bias."""

from __future__ import annotations

import torch
from torch.fx import GraphModule, Node

from multilearn_keras.engines.torch.capture.aliases import is_needed

__all__ = ["with_biases"]

_aten = torch.ops.aten
_RESHAPED = frozenset({_aten.reshape.default, _aten.view.default, _aten._unsafe_view.default})


def with_biases(module: GraphModule) -> None:
    """Have convolutions add the bias that is added to them.

    Its gradient stays a sum of its own: the convolution's backward adds one number after the other, with more rounding.
    """
    for node in list(module.graph.nodes):
        if node.target is _aten.add.Tensor:
            _join_bias(node)
    module.graph.eliminate_dead_code(is_needed)


def _join_bias(add: Node) -> None:
    summand, bias = add.args[:2]
    if add.kwargs or not isinstance(summand, Node) or not isinstance(bias, Node) or bias.target not in _RESHAPED:
        return
    moved = summand.target is _aten.permute.default
    convolution = summand.args[0] if moved else summand
    if convolution.target is not _aten.convolution.default or convolution.args[2] is not None:
        return
    if any(len(node.users) > 1 for node in {summand, convolution}):
        return
    vector, rank = bias.args[0], len(_shape(convolution))
    axis = list(summand.args[1]).index(1) if moved else 1
    wanted = [1] * rank
    wanted[axis] = _shape(convolution)[1]
    if _shape(bias) != wanted or len(_shape(vector)) != 1:
        return
    arguments = list(convolution.args)
    arguments[2] = vector
    # the vector may come later in the graph than the convolution
    with add.graph.inserting_before(add):
        joined = add.graph.call_function(convolution.target, tuple(arguments))
        joined.meta = dict(convolution.meta)
        result = joined
        if moved:
            result = add.graph.call_function(_aten.permute.default, (joined, summand.args[1]))
            result.meta = dict(summand.meta)
    add.replace_all_uses_with(result)


def _shape(node: Node) -> list[int]:
    return list(node.meta["val"].shape)
