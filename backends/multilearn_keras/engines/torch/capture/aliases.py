"""Which tensors of a graph share memory, and which of them are written to: what a pass must know."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any

import torch
from torch.fx import Graph, Node

__all__ = ["Aliases", "is_needed", "is_pure"]

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
