"""A step taken apart, for `multilearn diff-step`: every layer's output, and every gradient, of one batch.

The step runs eagerly, in a scope that gives every variable its value and drops what is assigned: forward pass,
backward pass and evaluation all begin with the same state. The gradient at the output of a layer is that with respect
to zeros which are added to it, for a framework that differentiates functions keeps no tape of what was in between.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from keras import ops

from multilearn.data import mapped
from multilearn.protocols import Phase, Traced
from multilearn_keras.keras_internals import Operation
from multilearn_keras.state.keys import layers_of, variables
from multilearn_keras.state.transfer import to_host

__all__ = ["traced_step", "traced_variables"]

Array = np.ndarray[Any, Any]
_EPSILON = {"F64": 2.0**-52, "F32": 2.0**-23, "F16": 2.0**-10, "BF16": 2.0**-7}
Place = tuple[str, int]  # a layer's key, and which of its calls


def traced_step(task: Any, batch: Any) -> Iterator[Traced]:
    """All that comes before an update of the built model, which is left as it is. The batch has the model's types."""
    batch = mapped(ops.convert_to_tensor, batch)
    walk = _Walk(task, batch)
    for at, leaf in enumerate(keras.tree.flatten(batch)):
        yield _seen(Phase.BATCH, f"array {at}", "of the batch", leaf)
    yield from traced_variables(task, Phase.WEIGHTS)
    yield from walk.forward()
    yield from walk.backward()
    yield from walk.evaluation()


def traced_variables(task: Any, phase: Phase) -> Iterator[Traced]:
    """The variables as they are."""
    for key, variable in variables(task).items():
        yield _seen(phase, key, _kind_of(variable), variable)


class _Walk:
    """One task and batch, whose step runs as often as it takes."""

    def __init__(self, task: Any, batch: Any) -> None:
        self._task, self._batch = task, batch
        self._state = variables(task)
        self._keys = _Keys(task)
        self._calls = _Calls(self._keys)

    def forward(self) -> Iterator[Traced]:
        loss = self._loss(True, {}, self._calls)
        yield from self._calls.traced(Phase.FORWARD)
        yield _seen(Phase.LOSS, "loss", "of the task", loss)

    def backward(self) -> Iterator[Traced]:
        """The gradients of what `forward` went through, from the loss back."""
        trained = {key: variable for key, variable in self._state.items() if variable.trainable}
        zeros = self._calls.zeros

        def loss_of_variables(values: Sequence[Any]) -> Any:
            own = {id(variable): value for variable, value in zip(trained.values(), values, strict=True)}
            return self._loss(True, own, _Calls(self._keys))

        def loss_of_zeros(values: Sequence[Any]) -> Any:
            given = iter(values)
            added = {place: [next(given) for _ in held] for place, held in zeros.items()}
            return self._loss(True, {}, _Calls(self._keys, added))

        # apart: with something added to it an output is another tensor, without what a framework keeps at the first
        # one, such as the logits that a loss looks for
        found = _gradients(loss_of_variables, [variable.value for variable in trained.values()])
        of_variables = dict(zip(trained, found, strict=True))
        rest = iter(_gradients(loss_of_zeros, [zero for held in zeros.values() for zero in held]))
        of_outputs = {place: tuple(next(rest) for _ in held) for place, held in zeros.items()}
        for (key, _), gradients in reversed(of_outputs.items()):
            yield _seen(Phase.BACKWARD, key, self._keys.kinds[key], *gradients)
        for key in sorted(of_variables, key=self._calls.last_use, reverse=True):
            yield _seen(Phase.GRADIENTS, key, _kind_of(trained[key]), of_variables[key])

    def evaluation(self) -> Iterator[Traced]:
        calls = _Calls(self._keys)
        self._loss(False, {}, calls)
        yield from calls.traced(Phase.EVALUATION)

    def _loss(self, training: bool, own: Mapping[int, Any], calls: _Calls) -> Any:
        values = [(variable, own.get(id(variable), variable.value)) for variable in self._state.values()]
        with keras.StatelessScope(values, collect_losses=True), calls.watched():
            return self._task.step(self._batch, training).loss


class _Keys:
    """What layers are called: by their place in the task; operations of functional models, which have none, by kind."""

    def __init__(self, task: Any) -> None:
        self._named: dict[int, tuple[str, Operation]] = {
            id(layer): (key, layer) for key, layer in layers_of(task).items()
        }
        self._count: Counter[str] = Counter()
        self.kinds: dict[str, str] = {key: type(layer).__name__ for key, layer in layers_of(task).items()}

    def __getitem__(self, operation: Operation) -> str:
        if id(operation) not in self._named:
            kind = type(operation).__name__
            key = f"{kind}.{self._count[kind]}"
            self._count[kind] += 1
            # kept, so that no other object gets its id
            self._named[id(operation)] = key, operation
            self.kinds[key] = kind
        return self._named[id(operation)][0]


class _Calls:
    """What layers returned, in the order in which they were done; with `added` put on top of it.

    `zeros` is what can be added: one for every floating-point tensor among the outputs. What a framework only traces
    (the inside of a loop on JAX) has no values, and is left out.
    """

    def __init__(self, keys: _Keys, added: Mapping[Place, Sequence[Any]] | None = None) -> None:
        self._keys = keys
        self._added = added
        self._count: Counter[str] = Counter()
        self._done: dict[Place, Sequence[Any]] = {}
        self.zeros: dict[Place, list[Any]] = {}

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Every call of a layer or operation meanwhile is seen."""
        original = Operation.__call__

        def call(operation: Operation, *args: Any, **kwargs: Any) -> Any:
            return self._returned(operation, original(operation, *args, **kwargs))

        Operation.__call__ = call
        try:
            yield
        finally:
            Operation.__call__ = original

    def traced(self, phase: Phase) -> Iterator[Traced]:
        for (key, _), tensors in self._done.items():
            yield _seen(phase, key, self._keys.kinds[key], *tensors)

    def last_use(self, key: str) -> int:
        """When the layer that a variable belongs to was last done, counted in calls; -1 for one that never was."""
        used = {place: at for at, (place, _) in enumerate(self._done)}
        parts = key.split("/")
        owners = ("/".join(parts[:length]) for length in range(len(parts) - 1, -1, -1))
        return next((used[owner] for owner in owners if owner in used), -1)

    def _returned(self, operation: Operation, outputs: Any) -> Any:
        key = self._keys[operation]
        place = key, self._count[key]
        self._count[key] += 1
        tensors = [leaf for leaf in keras.tree.flatten(outputs) if keras.ops.is_tensor(leaf)]
        if self._added is not None:
            return self._on_top(outputs, self._added.get(place, ()))
        if tensors and not any(map(_is_symbolic, tensors)):
            self._done[place] = tensors
            self.zeros[place] = [ops.zeros_like(tensor) for tensor in tensors if _is_float(tensor)]
        return outputs

    def _on_top(self, outputs: Any, added: Sequence[Any]) -> Any:
        rest = iter(added)

        def on_top(leaf: Any) -> Any:
            return leaf + next(rest) if added and keras.ops.is_tensor(leaf) and _is_float(leaf) else leaf

        return keras.tree.map_structure(on_top, outputs)


def _gradients(function: Callable[[Sequence[Any]], Any], at: Sequence[Any]) -> Sequence[Any]:
    """Of a scalar function of tensors, with zeros for those it does not depend on."""
    if not at:
        return []
    framework = keras.backend.backend()
    if framework == "torch":
        import torch

        leaves = [value.detach().clone().requires_grad_() for value in at]
        found = torch.autograd.grad(function(leaves), leaves, allow_unused=True)
        return [torch.zeros_like(leaf) if each is None else each for leaf, each in zip(leaves, found, strict=True)]
    if framework == "tensorflow":
        import tensorflow

        leaves = [tensorflow.convert_to_tensor(value) for value in at]
        with tensorflow.GradientTape() as tape:
            tape.watch(leaves)
            loss = function(leaves)
        zero = tensorflow.UnconnectedGradients.ZERO
        return [tensorflow.convert_to_tensor(each) for each in tape.gradient(loss, leaves, unconnected_gradients=zero)]
    import jax

    of_jax: Sequence[Any] = jax.grad(function)(list(at))
    return of_jax


def _kind_of(variable: keras.Variable) -> str:
    return "trainable" if variable.trainable else "not trainable"


def _seen(phase: Phase, key: str, kind: str, *tensors: Any) -> Traced:
    """Copies on the host, of types that numpy knows by itself."""
    copies = [to_host(tensor) for tensor in tensors]
    epsilons = [_EPSILON.get(copy.dtype, 0.0) for copy in copies]
    return Traced(phase, key, kind, tuple(copy.numpy() for copy in copies), max(epsilons, default=0.0))


def _is_float(tensor: Any) -> bool:
    return keras.backend.is_float_dtype(keras.backend.standardize_dtype(tensor.dtype))


def _is_symbolic(tensor: Any) -> bool:
    """Whether it stands for values and has none."""
    framework = keras.backend.backend()
    if framework == "jax":
        import jax

        return isinstance(tensor, jax.core.Tracer)
    return framework == "tensorflow" and not hasattr(tensor, "numpy")
