"""A graph rearranged so that it computes the same with less: each pass says why it may."""

from __future__ import annotations

from typing import Any

import torch
from torch.fx import GraphModule, Node

from multilearn_keras.engines.torch.capture.aliases import Aliases, is_needed, is_pure

__all__ = ["relayout", "simplify"]

_aten = torch.ops.aten
_FOLDED_BYTES = 4 << 20
"""Larger constants are cheaper to make again than to keep."""
_UNINITIALISED = frozenset({_aten.empty.memory_format, _aten.empty_like.default, _aten.empty_strided.default})
_LAYOUT_DEPENDENT = frozenset(
    {_aten.as_strided.default, _aten.as_strided_.default, _aten.set_.source_Storage, _aten.view.dtype}
)


def simplify(module: GraphModule) -> None:
    """Leave out what changes no bit: aliases, constants that are made again in each step, what is computed twice."""
    for rearrange in (_without_detaching, _folded, _once, _permuted_once):
        rearrange(module)
        module.graph.eliminate_dead_code(is_needed)


def relayout(module: GraphModule) -> bool:
    """Drop the copies that only change the layout of a tensor. Whether there were any.

    Operations are functions of values, whatever the strides, so that dropping a copy changes no result beyond the order
    in which a kernel adds, if nothing writes into the copy or what it is a copy of, and nothing asks for strides. What
    follows may not be viewable any more, therefore `view` becomes `reshape`.
    """
    if any(node.target in _LAYOUT_DEPENDENT for node in module.graph.nodes):
        return False
    aliases = Aliases(module.graph)
    copies = [
        node
        for node in module.graph.nodes
        if node.target is _aten.clone.default and not aliases.is_written(node) and not aliases.is_written(node.args[0])
    ]
    if not copies:
        return False
    for node in copies:
        _replace(module, node, node.args[0])
    for node in module.graph.nodes:
        if node.target in (_aten.view.default, _aten._unsafe_view.default):
            node.target = _aten.reshape.default
    _permuted_once(module)
    with_biases(module)
    return True


def _without_detaching(module: GraphModule) -> None:
    """The same memory under another name; there is no tape here that it would be cut from."""
    for node in list(module.graph.nodes):
        if node.target in (_aten.detach.default, _aten.alias.default):
            _replace(module, node, node.args[0])


def _folded(module: GraphModule) -> None:
    """What depends on numbers in the code alone, and is not written to, is computed once."""
    aliases = Aliases(module.graph)
    known: dict[Node, Any] = {}
    for node in list(module.graph.nodes):
        if not is_pure(node) or node.target in _UNINITIALISED or aliases.is_written(node):
            continue
        literal = node.target is _aten.lift_fresh_copy.default and node.args[0].op == "get_attr"
        if literal:
            known[node] = getattr(module, node.args[0].target).clone()
        elif all(each in known for each in node.all_input_nodes):
            arguments, options = torch.fx.map_arg((node.args, node.kwargs), known.__getitem__)
            with torch.no_grad():
                value = node.target(*arguments, **options)
            if not isinstance(value, torch.Tensor) or value.untyped_storage().nbytes() <= _FOLDED_BYTES:
                known[node] = value
    for at, (node, value) in enumerate(known.items()):
        if isinstance(value, torch.Tensor) and any(user not in known for user in node.users):
            name = f"_folded_{at}"
            module.register_buffer(name, value)
            with module.graph.inserting_before(node):
                _replace(module, node, module.graph.get_attr(name))


def _once(module: GraphModule) -> None:
    """The same operation on the same tensors, which nothing writes to, gives the same."""
    aliases = Aliases(module.graph)
    seen: dict[Any, Node] = {}
    for node in list(module.graph.nodes):
        if node.op == "get_attr":
            key: Any = node.target
        elif is_pure(node) and not any(map(aliases.is_written, (node, *node.all_input_nodes))):
            key = node.target, _hashable(node.args), _hashable(node.kwargs)
        else:
            continue
        first = seen.setdefault(key, node)
        if first is not node:
            _replace(module, node, first)


def _permuted_once(module: GraphModule) -> None:
    """A permutation of a permutation is one, or none; all are views of the same memory."""
    for node in list(module.graph.nodes):
        if node.target is not _aten.permute.default or node.args[0].target is not _aten.permute.default:
            continue
        source, inner = node.args[0].args
        order = [inner[axis] for axis in node.args[1]]
        if order == list(range(len(order))):
            _replace(module, node, source)
        else:
            node.args = (source, order)


def _replace(module: GraphModule, node: Node, by: Node) -> None:
    node.replace_all_uses_with(by)
    module.graph.erase_node(node)


def _hashable(given: Any) -> Any:
    if isinstance(given, (list, tuple)):
        return tuple(map(_hashable, given))
    if isinstance(given, dict):
        return tuple((key, _hashable(value)) for key, value in given.items())
    if isinstance(given, slice):
        return "slice", _hashable((given.start, given.stop, given.step))
    # 1, 1.0 and True are equal, and not the same argument
    return given if isinstance(given, Node) else (type(given), given, str(given))


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
