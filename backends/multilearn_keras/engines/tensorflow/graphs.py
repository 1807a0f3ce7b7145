"""Steps as TensorFlow graphs: traced once for a class of batches, then called with nothing in between.

A class of batches shares structure, types, and the lengths of all axes but the open ones: the first, and those that the
model declares to be of any length.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python.eager import context

from multilearn.data import flat, mapped
from multilearn.data.aligned import is_lent
from multilearn_keras.devices import has_gpu
from multilearn_keras.engines.compiled import EagerSteps, Measures, Packed, RecentlyUsed, packed
from multilearn_keras.engines.signatures import Open, Pattern, patterned, structure

__all__ = ["GraphStep", "Graphs", "left_as_it_is", "left_measured"]

_log = logging.getLogger("multilearn")

Graph = Callable[..., Any]
Left = Callable[[Any], tuple[list[Any], Callable[[Sequence[Any]], Any]]]


@dataclass(frozen=True)
class GraphStep:
    """What is to be traced. `kind`: what it is for, as the log calls it.

    `left`: makes flat tensors of what `function` returns, and says how to put it together again.
    """

    kind: str
    function: Callable[..., Any]
    left: Left


class Graphs:
    """The graphs of one engine. `opened` says which axes a batch declares to be open.

    `exact`: batches of these shapes are compiled by XLA.
    """

    def __init__(self, opened: Callable[[Any], Open], exact: frozenset[Pattern] = frozenset()) -> None:
        self._opened = opened
        self._exact = exact
        self._open: dict[Hashable, Open] = {}
        self._graphs = RecentlyUsed()
        self._eager = EagerSteps(_asks_for_value)
        # a GPU has to have a copy anyhow
        self._borrows = not has_gpu()

    def __call__(self, step: GraphStep, batch: Any, scalars: Sequence[tf.Tensor] = ()) -> Any:
        """What `step` makes of a batch and of 0-d tensors."""
        arrays = [self._tensor(leaf) for leaf in flat(batch)]
        of = step.kind, step.function, structure(batch)
        axes = self._open.get(of)
        if axes is None:
            axes = self._open[of] = self._opened(batch)
        lengths = tuple(tuple(array.shape) for array in arrays)
        compiled = lengths in self._exact
        pattern = lengths if compiled else patterned(lengths, axes)
        graph = self._graphs.get((of, pattern, compiled))
        if graph is None:
            # no array is kept alive by what stands for it
            made = _Making(step, mapped(lambda leaf: "", batch), arrays, scalars)
            graph = self._compiled(of, pattern, made) if compiled else self._plain(of, pattern, made)
        return graph(arrays, *scalars)

    def _tensor(self, leaf: Any) -> tf.Tensor:
        """Over the same memory, if that may be used as it is."""
        if self._borrows and isinstance(leaf, np.ndarray) and is_lent(leaf):
            return tf.experimental.dlpack.from_dlpack(leaf.__dlpack__())
        return tf.convert_to_tensor(leaf)

    def _compiled(self, of: Hashable, pattern: Pattern, made: _Making) -> Graph:
        """By XLA; if it cannot, without."""

        def attempted(arrays: list[tf.Tensor], *scalars: tf.Tensor) -> Any:
            try:
                graph = made.traced(pattern, compiled=True)
                result = graph(arrays, *scalars)
            except (tf.errors.OpError, TypeError, ValueError, NotImplementedError, AttributeError) as error:
                graph = self._plain(of, patterned(pattern, self._open[of]), made)
                result = graph(arrays, *scalars)
                # it is XLA's fault only if the step can do without
                line = f"{type(error).__name__}: {str(error).strip().splitlines()[0][:200]}"
                _log.warning("Steps of %s run without XLA, which refuses them: %s", made.step.kind, line)
            self._graphs.put((of, pattern, True), graph, made.step.kind)
            return result

        return attempted

    def _plain(self, of: Hashable, pattern: Pattern, made: _Making) -> Graph:
        graph = self._graphs.get((of, pattern, False))
        if graph is None and any(self._open[of]):
            with suppress(Exception):
                graph = made.traced(pattern)
            if graph is None:
                # the step asks for a length: there is a graph for each (what it raises next does not come of that)
                self._open[of] = tuple(frozenset() for _ in self._open[of])
                return self._plain(of, patterned(made.lengths(), ()), made)
        graph = graph or self._traced_or_eager(made, pattern)
        self._graphs.put((of, pattern, False), graph, made.step.kind)
        return graph

    def _traced_or_eager(self, made: _Making, pattern: Pattern) -> Graph:
        try:
            return made.traced(pattern)
        except Exception as error:
            if not self._eager.accepts(made.step.kind, error):
                raise
            return made.eager()


@dataclass(frozen=True)
class _Making:
    """How a graph is made of a step, for batches like one."""

    step: GraphStep
    structure: Any
    arrays: Sequence[tf.Tensor]
    scalars: Sequence[tf.Tensor]

    def lengths(self) -> Pattern:
        return tuple(tuple(array.shape) for array in self.arrays)

    def traced(self, pattern: Pattern, compiled: bool = False) -> Graph:
        rebuilt: list[Any] = []

        def flat(arrays: list[tf.Tensor], *scalars: tf.Tensor) -> list[tf.Tensor]:
            left, back = self.step.left(self.step.function(self._batch(arrays), *scalars))
            rebuilt[:] = [back]
            return left

        signature = [tf.TensorSpec(shape, array.dtype) for shape, array in zip(pattern, self.arrays, strict=True)]
        scalars = (tf.TensorSpec(scalar.shape, scalar.dtype) for scalar in self.scalars)
        traced = tf.function(
            flat, input_signature=[signature, *scalars], autograph=False, jit_compile=True if compiled else None
        ).get_concrete_function()
        call, (back,) = _called_flat(traced), rebuilt
        return lambda arrays, *scalars: back(call([*arrays, *scalars]))

    def eager(self) -> Graph:
        function = self.step.function
        return lambda arrays, *scalars: function(self._batch(arrays), *scalars)

    def _batch(self, arrays: Sequence[tf.Tensor]) -> Any:
        following = iter(arrays)
        return mapped(lambda _: next(following), self.structure)


def left_measured(measures: Measures) -> tuple[list[Any], Callable[[Sequence[Any]], Packed]]:
    """The measures of a step, packed."""
    tensors, layout = packed(measures, lambda floats: tf.bitcast(floats, tf.int32))
    return tensors, lambda found: Packed(found, layout)


def left_as_it_is(predicted: Any) -> tuple[list[Any], Callable[[Sequence[Any]], Any]]:
    """Whatever nest of tensors a model says."""
    return list(tf.nest.flatten(predicted)), lambda found: tf.nest.pack_sequence_as(predicted, found)


def _called_flat(traced: Any) -> Callable[[list[tf.Tensor]], Sequence[tf.Tensor]]:
    """The graph without the binding and checking of arguments, which take longer than many a step."""
    inner = traced._inference_function
    name, outputs = inner.name, len(inner.function_type.flat_outputs)
    captured = list(traced.captured_inputs)

    def call(tensors: list[tf.Tensor]) -> Sequence[tf.Tensor]:
        # `traced` is named so that it lives as long as what is called by its name
        return context.context().call_function(name, tensors + captured, outputs) if traced is not None else ()

    return call


def _asks_for_value(error: BaseException) -> bool:
    """Whether it comes of a tensor without a value being asked for it."""
    messages = ("SymbolicTensor", "symbolic tf.Tensor", "only available when eager execution is enabled")
    return isinstance(error, tf.errors.OperatorNotAllowedInGraphError) or any(word in str(error) for word in messages)
