"""Which tensors of a graph share memory, and which results can take the memory of an argument."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any

import torch
from torch.fx import Graph, GraphModule, Node

__all__ = ["Aliases", "is_needed", "is_pure", "write_in_place"]

_aten = torch.ops.aten

# their schemas do not say that the result may be the argument's memory
_SILENT_VIEWS = frozenset({_aten._unsafe_view.default, _aten.reshape.default})

# nor that these write into running statistics
_SILENT_WRITES = {
    _aten.native_batch_norm.default: (3, 4),
    _aten.cudnn_batch_norm.default: (3, 4),
    _aten.miopen_batch_norm.default: (3, 4),
}


class Aliases:
    """Classes of nodes that may share memory. It errs on the safe side: all results of an operation are one class."""

    def __init__(self, graph: Graph) -> None:
        self._parents: dict[Node, Node] = {}
        self._attributes: dict[str, Node] = {}
        written: list[Node] = []
        for node in graph.nodes:
            if node.op == "get_attr":
                self.join(node, self._attributes.setdefault(str(node.target), node))
            if node.op != "call_function":
                continue
            for argument, is_written in _shared(node):
                self.join(node, argument)
                if is_written:
                    written.append(argument)
        self._written = {self.of(node) for node in written}

    def of(self, node: Node) -> Node:
        """A node that stands for all that may share memory with this one."""
        while (parent := self._parents.get(node, node)) is not node:
            node = parent
        return node

    def is_written(self, node: Node) -> bool:
        """Whether anything in the graph writes into its memory, before or after."""
        return self.of(node) in self._written

    def join(self, a: Node, b: Node) -> None:
        """From here on `a` may be the memory of `b`, which is older."""
        self._parents[self.of(a)] = self.of(b)


def is_pure(node: Node) -> bool:
    """Whether it computes the same from the same, and nothing else."""
    if node.op != "call_function":
        return False
    if node.target is operator.getitem:
        return True
    schema, tags = getattr(node.target, "_schema", None), getattr(node.target, "tags", ())
    return (
        schema is not None
        and not schema.is_mutable
        and node.target not in _SILENT_WRITES
        and torch.Tag.nondeterministic_seeded not in tags
    )


def is_needed(node: Node) -> bool:
    """Whether it does something also where its result is not used."""
    return node.op in ("placeholder", "output") or (node.op == "call_function" and not is_pure(node))


def _shared(node: Node) -> Iterator[tuple[Node, bool]]:
    """The arguments whose memory its result may be, and whether it writes into them."""
    if node.target is operator.getitem:
        yield node.args[0], False
        return
    for position in _SILENT_WRITES.get(node.target, ()):
        if isinstance(node.args[position], Node):
            yield node.args[position], True
    if node.target in _SILENT_VIEWS:
        yield node.args[0], False
    schema = getattr(node.target, "_schema", None)
    if schema is None:
        for each in node.all_input_nodes:
            # not one of torch's operations: it may do anything
            yield each, True
        return
    for position, argument in enumerate(schema.arguments):
        if argument.alias_info is not None:
            given = node.args[position] if position < len(node.args) else node.kwargs.get(argument.name)
            for each in _nodes(given):
                yield each, argument.alias_info.is_write


def _nodes(given: Any) -> Iterator[Node]:
    if isinstance(given, Node):
        yield given
    elif isinstance(given, (list, tuple)):
        for each in given:
            yield from _nodes(each)


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
