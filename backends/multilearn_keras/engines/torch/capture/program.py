"""A graph as Python code of its own: no attribute is looked up and no tree flattened while it runs."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.fx import GraphModule, Node

from multilearn_keras.engines.torch.capture.aliases import Aliases

__all__ = ["Program"]

_aten = torch.ops.aten

# torch's own bindings of these are quicker to call than the operations, and do the same
_DIRECT: dict[Any, Callable[..., Any]] = {
    _aten.add.Tensor: torch.add,
    _aten.addmm.default: torch.addmm,
    _aten.bmm.default: torch.bmm,
    _aten.div.Tensor: torch.div,
    _aten.mm.default: torch.mm,
    _aten.mul.Tensor: torch.mul,
    _aten.permute.default: torch.permute,
    _aten.relu.default: torch.relu,
    _aten.reshape.default: torch.reshape,
    _aten.sub.Tensor: torch.sub,
    _aten.t.default: torch.t,
    _aten.view.default: torch.Tensor.view,
}


class Program:
    """What `module` computes of a list of tensors, as nested as `returned`, whose numbers are places in its results.

    `compiler`: one of `torch.compile`, which is asked at the first call; by default, operations are called one by one.

    `writes`: whether it writes into any of its arguments. Results are in memory of their own: neither an argument nor
    anything captured.
    """

    def __init__(self, module: GraphModule, returned: Any, compiler: str | None = None) -> None:
        aliases = Aliases(module.graph)
        placeholders = [node for node in module.graph.nodes if node.op == "placeholder"]
        self.writes = any(map(aliases.is_written, placeholders))
        self._run = _compiled(module, returned, aliases, compiler)

    def __call__(self, tensors: Sequence[torch.Tensor]) -> Any:
        with torch.no_grad():
            return self._run(*tensors)


def _compiled(module: GraphModule, returned: Any, aliases: Aliases, compiler: str | None) -> Callable[..., Any]:
    if compiler is not None:
        return _by_compiler(module, returned, aliases, compiler)
    code = _Code(module)
    last = _last_uses(module)
    lines: list[str] = []
    parameters: list[str] = []
    for node in module.graph.nodes:
        if node.op == "placeholder":
            parameters.append(node.name)
        elif node.op == "get_attr":
            code.bind(node.name, code.attribute(node))
        elif node.op == "call_function":
            lines.append(code.call(node))
        elif node.op == "output":
            results = node.args[0]
            owned = [code.owned(each, aliases) for each in results]
            lines.append(f"return {code.nested(returned, owned)}")
        if dead := [each.name for each in last.get(node, ())]:
            lines.append(" = ".join((*dead, "None")))
    return code.function(parameters, lines)


def _by_compiler(module: GraphModule, returned: Any, aliases: Aliases, compiler: str) -> Callable[..., Any]:
    # its code is still that of what was traced
    module.recompile()
    code = _Code(module)
    (output,) = (node for node in module.graph.nodes if node.op == "output")
    results = output.args[0]
    code.bind("_graph", torch.compile(module, backend=compiler, fullgraph=True, dynamic=False))
    owned = [code.owned(each, aliases) for each in results]
    parameters = [node.name for node in module.graph.nodes if node.op == "placeholder"]
    called = f"[{', '.join(each.name for each in results)}] = _graph([{', '.join(parameters)}])"
    return code.function(parameters, [called, f"return {code.nested(returned, owned)}"])


class _Code:
    """Pieces of source, and the names that they use."""

    def __init__(self, module: GraphModule) -> None:
        self._module = module
        self.names: dict[str, Any] = {}

    def bind(self, name: str, value: Any) -> str:
        self.names[name] = value
        return name

    def function(self, parameters: Sequence[str], lines: Sequence[str]) -> Callable[..., Any]:
        """What these lines do; a traceback names it as a captured step."""
        source = f"def run({', '.join(parameters)}):\n" + "\n".join(f"    {line}" for line in lines) + "\n"
        exec(compile(source, "<captured step>", "exec"), self.names)
        made: Callable[..., Any] = self.names["run"]
        return made

    def attribute(self, node: Node) -> Any:
        value: Any = self._module
        for part in str(node.target).split("."):
            value = getattr(value, part)
        return value

    def call(self, node: Node) -> str:
        if node.target is operator.getitem:
            return f"{node.name} = {self.argument(node.args[0])}[{node.args[1]!r}]"
        target: Any = node.target
        function = _DIRECT.get(target) or getattr(target, "_op", target)
        arguments = [self.argument(each) for each in node.args]
        arguments += [f"{key}={self.argument(value)}" for key, value in node.kwargs.items()]
        called = self.bind(f"_call_{node.name}", function)
        return f"{node.name} = {called}({', '.join(arguments)})"

    def argument(self, value: Any) -> str:
        if isinstance(value, Node):
            return value.name
        if isinstance(value, (list, tuple)):
            inner = ", ".join(map(self.argument, value))
            return f"[{inner}]"
        if value is None or isinstance(value, (bool, int, str)):
            return repr(value)
        # infinities and types have no source
        return self.bind(f"_value_{len(self.names)}", value)

    def owned(self, node: Any, aliases: Aliases) -> str:
        """A result: a copy where it would be an argument, or something captured, under another name."""
        if aliases.of(node).op in ("placeholder", "get_attr"):
            self.bind("_copy", torch.clone)
            return f"_copy({node.name})"
        return str(node.name)

    def nested(self, returned: Any, results: Sequence[str]) -> str:
        if isinstance(returned, bool) or not isinstance(returned, (int, dict, list, tuple)):
            return self.bind(f"_value_{len(self.names)}", returned)
        if isinstance(returned, int):
            return results[returned]
        if isinstance(returned, dict):
            pairs = (f"{self.argument(key)}: {self.nested(value, results)}" for key, value in returned.items())
            return "{" + ", ".join(pairs) + "}"
        parts = [self.nested(each, results) for each in returned]
        if isinstance(returned, list):
            return f"[{', '.join(parts)}]"
        if hasattr(returned, "_fields"):
            return f"{self.bind(type(returned).__name__, type(returned))}({', '.join(parts)})"
        return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"


def _last_uses(module: GraphModule) -> dict[Node, list[Node]]:
    """After which node others are not needed any more: their memory is free for what follows."""
    seen: set[Node] = set()
    last: dict[Node, list[Node]] = {}
    for node in reversed(module.graph.nodes):
        if node.op == "output":
            seen.update(node.all_input_nodes)
            continue
        for each in (node, *node.all_input_nodes):
            if each not in seen and each.op != "get_attr":
                seen.add(each)
                last.setdefault(node, []).append(each)
    return last
