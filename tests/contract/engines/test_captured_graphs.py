"""Graphs and the passes over them: programs made at random compute the same, whatever shares memory with what."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.training import BACKEND

if BACKEND != "torch":
    pytest.skip(f"{BACKEND} has graphs of its own", allow_module_level=True)

import torch

from multilearn_keras.engines.torch.capture.aliases import write_in_place
from multilearn_keras.engines.torch.capture.passes import relayout, simplify
from multilearn_keras.engines.torch.capture.program import Program
from multilearn_keras.torch_tracing import CannotCapture, trace

Tensors = list[torch.Tensor]

# What a line of a program does with tensors of 3 x 3 that there are: it gives one more, or writes into one.
LINES: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "relu": lambda a, b: torch.relu(a),
    "tanh": lambda a, b: torch.tanh(a),
    "clone": lambda a, b: a.clone(),
    "contiguous": lambda a, b: a.clone(memory_format=torch.contiguous_format),
    "detach": lambda a, b: a.detach(),
    "transpose": lambda a, b: a.permute(1, 0),
    "view": lambda a, b: a.reshape(9).view(3, 3),
    "row": lambda a, b: a[:1].expand(3, 3),
    "constant": lambda a, b: a + torch.tensor([1.0, 2.0, 3.0]) * torch.arange(3),
    "sum": lambda a, b: a + b.sum(0, keepdim=True),
    "mm": lambda a, b: a.mm(b),
    "add_": lambda a, b: a.add_(b.clone()),
    "mul_": lambda a, b: a.mul_(0.5),
    "copy_": lambda a, b: a.copy_(b.clone()),
    "zero_": lambda a, b: a.zero_(),
}
WRITING = frozenset(name for name in LINES if name.endswith("_"))

lines = st.lists(
    st.tuples(st.sampled_from(sorted(LINES)), st.integers(0, 20), st.integers(0, 20)), min_size=1, max_size=14
)


def program_of(steps: Sequence[tuple[str, int, int]], state: torch.Tensor) -> Callable[[Sequence[torch.Tensor]], Any]:
    def run(arguments: Sequence[torch.Tensor]) -> Any:
        pool = [*arguments, state]
        for name, first, second in steps:
            a, b = pool[first % len(pool)], pool[second % len(pool)]
            if name in WRITING and 0 in a.stride():
                # torch does not write into what is expanded
                continue
            pool.append(LINES[name](a, b))
        return {"last": pool[-1], "all": [pool[-3], pool[len(pool) // 2]], "none": None}

    return run


def passes(module: Any, which: str) -> None:
    if which != "traced":
        simplify(module)
    if which == "rearranged":
        relayout(module)
    if which in ("in place", "rearranged"):
        write_in_place(module, exact=which == "in place")


def start() -> tuple[Tensors, torch.Tensor]:
    numbers = torch.linspace(-2.0, 2.0, 27).reshape(3, 3, 3)
    return [numbers[0].clone(), numbers[1].clone()], numbers[2].clone()


@pytest.mark.parametrize("which", ["traced", "simplified", "in place", "rearranged"])
@given(steps=lines)
@settings(max_examples=600 if "MULTILEARN_MUTATIONS" in os.environ else 20, deadline=None)
def test_a_graph_computes_and_changes_what_the_program_does(which: str, steps: list[tuple[str, int, int]]) -> None:
    arguments, state = start()
    with torch.no_grad():
        expected = program_of(steps, state)(arguments)
    traced_arguments, traced_state = start()
    with torch.no_grad():
        traced = trace(program_of(steps, traced_state), traced_arguments)
    passes(traced.module, which)
    program = Program(traced.module, traced.returned)
    given_arguments, fresh = start()
    before = [each.clone() for each in given_arguments]
    traced_state.copy_(fresh)
    found = program(given_arguments)
    assert found["none"] is None
    for mine, its in zip((found["last"], *found["all"]), (expected["last"], *expected["all"]), strict=True):
        torch.testing.assert_close(mine, its, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(traced_state, state, rtol=1e-5, atol=1e-6)
    for mine, its in zip(given_arguments, arguments, strict=True):
        torch.testing.assert_close(mine, its, rtol=1e-5, atol=1e-6)
    if not program.writes:
        assert all(torch.equal(a, b) for a, b in zip(given_arguments, before, strict=True))
    # a result is nobody else's memory
    for each in (found["last"], *found["all"]):
        for other in (*given_arguments, traced_state):
            assert each.untyped_storage().data_ptr() != other.untyped_storage().data_ptr()


def traced(function: Callable[[Tensors], Any], *tensors: torch.Tensor) -> Any:
    with torch.no_grad():
        return trace(function, list(tensors)).module


def targets(module: Any) -> list[str]:
    return [str(node.target) for node in module.graph.nodes if node.op == "call_function"]


def test_a_copy_of_what_is_written_to_later_is_kept() -> None:
    def function(tensors: Tensors) -> torch.Tensor:
        (x,) = tensors
        y = x * 2
        kept = y.clone()
        y.mul_(3)
        return kept + y

    module = traced(function, torch.ones(2, 2))
    simplify(module)
    assert not relayout(module)
    assert "aten.clone.default" in targets(module)
    torch.testing.assert_close(Program(module, 0)([torch.ones(2, 2)]), torch.full((2, 2), 8.0))


def test_numbers_of_the_code_are_computed_once_and_what_is_computed_twice_as_well() -> None:
    def function(tensors: Tensors) -> torch.Tensor:
        (x,) = tensors
        return (x + torch.tensor(2.0) * 3) * torch.tanh(x) + torch.tanh(x).detach()

    module = traced(function, torch.ones(2))
    simplify(module)
    assert targets(module) == ["aten.add.Tensor", "aten.tanh.default", "aten.mul.Tensor", "aten.add.Tensor"]


def test_convolutions_take_their_bias_and_lose_copies_of_the_layout() -> None:
    def function(tensors: Tensors) -> torch.Tensor:
        x, kernel, bias = tensors
        moved = x.permute(0, 3, 1, 2).clone(memory_format=torch.contiguous_format)
        y = torch.conv2d(moved, kernel.permute(3, 2, 0, 1)).permute(0, 2, 3, 1) + bias.view(1, 1, 1, 4)
        return y.permute(0, 3, 1, 2).permute(0, 2, 3, 1)

    tensors = torch.randn(2, 6, 6, 3), torch.randn(3, 3, 3, 4), torch.randn(4)
    module = traced(function, *tensors)
    simplify(module)
    assert relayout(module)
    moved, convolved = "aten.permute.default", "aten.convolution.default"
    assert targets(module) == [moved, moved, convolved, moved]
    torch.testing.assert_close(Program(module, 0)(list(tensors)), function(list(tensors)), rtol=1e-5, atol=1e-6)


def test_results_are_nested_as_the_function_nests_them() -> None:
    def function(tensors: Tensors) -> Any:
        (x,) = tensors
        return {"a": (x + 1,), 3: [x + 2, {"none": None, "flag": True, "number": 1.5}]}

    with torch.no_grad():
        found = trace(function, [torch.zeros(1)])
    result = Program(found.module, found.returned)([torch.zeros(1)])
    assert result == {"a": (torch.ones(1),), 3: [torch.full((1,), 2.0), {"none": None, "flag": True, "number": 1.5}]}


@pytest.mark.parametrize(
    "function",
    [
        lambda t: t[0] * (1 if t[0].sum() > 0 else 2),
        lambda t: t[0] * t[0].tolist()[0],
        lambda t: t[0][t[0] > 0],
        lambda t: torch.from_numpy(t[0].numpy() * 2),
        lambda t: t[0] * STATE.item(),
        lambda t: t[0] * (1 if STATE + 1 > 0 else 2),
    ],
    ids=["a branch", "a list", "a mask", "an array", "a number of its state", "a comparison of its state"],
)
def test_values_that_are_looked_at_are_refused(function: Callable[[Tensors], Any]) -> None:
    with pytest.raises(CannotCapture, match=r"values? of a tensor"), torch.no_grad():
        trace(function, [torch.ones(3)])


STATE = torch.tensor(2.0)


def test_loops_over_numbers_that_the_code_makes_are_unrolled() -> None:
    def function(tensors: Tensors) -> torch.Tensor:
        (x,) = tensors
        at = torch.tensor(0)
        while at < 3:
            x, at = x * 2, at + 1
        return x

    module = traced(function, torch.ones(1))
    simplify(module)
    assert targets(module) == ["aten.mul.Tensor"] * 3
