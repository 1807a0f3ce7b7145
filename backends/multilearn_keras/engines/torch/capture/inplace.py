"""Results that take the memory of an argument that is used no more: fresh memory costs more than the sum in it."""

from __future__ import annotations

from typing import Any

import torch
from torch.fx import GraphModule, Node

from multilearn_keras.engines.torch.capture.aliases import Aliases

__all__ = ["write_in_place"]

_aten = torch.ops.aten

# elementwise in their first argument: the same bits, at the same place
_IN_PLACE: dict[Any, Any] = {
    operation: getattr(getattr(_aten, f"{operation.overloadpacket.__name__}_"), operation._overloadname)
    for operation in (
        *(_aten.add.Tensor, _aten.sub.Tensor, _aten.mul.Tensor, _aten.mul.Scalar, _aten.div.Tensor),
        *(_aten.relu.default, _aten.neg.default, _aten.sqrt.default, _aten.rsqrt.default, _aten.exp.default),
        *(_aten.tanh.default, _aten.sigmoid.default, _aten.bitwise_xor.Tensor, _aten.bitwise_and.Scalar),
    )
}
_COMMUTATIVE = frozenset({_aten.add.Tensor, _aten.mul.Tensor})
_GRADIENTS = {
    _aten.threshold_backward.default: _aten.threshold_backward.grad_input,
    _aten.tanh_backward.default: _aten.tanh_backward.grad_input,
    _aten.sigmoid_backward.default: _aten.sigmoid_backward.grad_input,
    _aten.gelu_backward.default: _aten.gelu_backward.grad_input,
}


def write_in_place(module: GraphModule, exact: bool) -> None:
    """Have elementwise operations write over their first argument, where it is of the result's shape and type, not an
    argument of the graph, nothing captured and no result, and nothing reads it, or a view of it, afterwards.

    `exact`: only where the result would have had the same layout, on which it depends in which order others add it up.
    """
    order = {node: at for at, node in enumerate(module.graph.nodes)}
    aliases = Aliases(module.graph)
    last: dict[Node, int] = {}
    kept: set[Node] = set()
    for node in order:
        root = aliases.of(node)
        if node.op in ("placeholder", "get_attr", "output"):
            kept.add(root)
        last[root] = max([last.get(root, 0), *(order[user] for user in node.users)])
    kept |= {aliases.of(node) for node in order if any(user.op == "output" for user in node.users)}
    for node, at in order.items():
        over = _writes_over(node)
        if over is None or aliases.of(over) in kept or last[aliases.of(over)] > at:
            continue
        others = [each for each in node.all_input_nodes if each is not over]
        if any(aliases.of(each) is aliases.of(over) for each in others) or not _alike(node, over, exact):
            continue
        # from here on the two are one
        last[aliases.of(over)] = last[aliases.of(node)]
        if aliases.of(node) in kept:
            kept.add(aliases.of(over))
        if node.target in _GRADIENTS:
            node.kwargs = {**node.kwargs, "grad_input": over}
            node.target = _GRADIENTS[node.target]
        else:
            if node.args[0] is not over:
                node.args = (over, node.args[0], *node.args[2:])
            node.target = _IN_PLACE[node.target]
        aliases.join(node, over)
    module.graph.lint()


def _writes_over(node: Node) -> Node | None:
    """The argument whose place the result could take."""
    if node.target in _GRADIENTS:
        return node.args[0]
    if node.target not in _IN_PLACE:
        return None
    if node.target in _COMMUTATIVE and not node.kwargs and isinstance(node.args[1], Node):
        # a bias is smaller than what it is added to
        first, second = node.args[:2]
        if not (isinstance(first, Node) and _alike(node, first, exact=False)):
            return second
    return node.args[0] if isinstance(node.args[0], Node) else None


def _alike(node: Node, other: Node, exact: bool) -> bool:
    mine, its = node.meta.get("val"), other.meta.get("val")
    if not (isinstance(mine, torch.Tensor) and isinstance(its, torch.Tensor)):
        return False
    # what is expanded has less memory than elements
    dense = all(stride for stride, length in zip(its.stride(), its.shape, strict=True) if length > 1)
    same_layout = not exact or mine.stride() == its.stride()
    return mine.shape == its.shape and mine.dtype == its.dtype and dense and same_layout
