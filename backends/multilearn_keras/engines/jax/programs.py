"""Steps as jitted programs: one for each combination of shapes, and of many the ones that were used last."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from multilearn.protocols import HostOutput, StepOutput
from multilearn_keras.engines.eager import EagerSteps
from multilearn_keras.engines.packed import Layout, Measures, Packed, packed

__all__ = ["Programs", "asks_for_value", "fetched"]

_log = logging.getLogger("multilearn")

_KEPT = 64
"""Programs of one kind of step that are kept: another one is compiled anew."""

Program = Callable[..., Any]
Function = Callable[..., tuple[Any, Measures]]


class Programs:
    """The programs of one kind of step of an engine, each compiled when it is first called.

    `function(first, ...)` returns what goes on living on the device, and measures, which are packed. `first` is
    donated if asked for. `kind`: what the step is for, as the log calls it. A step that looks at values runs eagerly.
    """

    def __init__(self, kind: str, function: Function, eager: EagerSteps, donated: bool = False) -> None:
        self._kind = kind
        self._function = function
        self._eager = eager
        self._donated = (0,) if donated else ()
        self._programs: dict[Hashable, Program] = {}
        self._told = False

    def __call__(self, key: Hashable, *arguments: Any) -> tuple[Any, Measures]:
        """`key`: equal for arguments of equal structure, types and shapes."""
        program = self._programs.pop(key, None)
        if program is None:
            program = self._compiled()
            self._make_room()
        # used last: the one that goes first is the one not used for longest
        self._programs[key] = program
        try:
            found: tuple[Any, Measures] = program(*arguments)
        except Exception as error:
            if program is self._function or not self._eager.accepts(self._kind, error):
                raise
        else:
            return found
        self._programs[key] = self._function
        return self._function(*arguments)

    def _make_room(self) -> None:
        if len(self._programs) < _KEPT:
            return
        del self._programs[next(iter(self._programs))]
        if not self._told:
            self._told = True
            _log.warning(
                "Steps of %s have had more than %d combinations of shapes, and JAX compiles a program for each: only "
                "the last %d are kept. Pad the batches to a few lengths.",
                self._kind,
                _KEPT,
                _KEPT,
            )

    def _compiled(self) -> Program:
        layouts: list[Layout] = []

        def flat(*arguments: Any) -> tuple[Any, list[Any]]:
            kept, measures = self._function(*arguments)
            tensors, layout = packed(measures, lambda floats: jax.lax.bitcast_convert_type(floats, jnp.int32))
            layouts[:] = [layout]
            return kept, tensors

        jitted = jax.jit(flat, donate_argnums=self._donated)

        def program(*arguments: Any) -> tuple[Any, Measures]:
            kept, tensors = jitted(*arguments)
            return kept, Packed(tensors, layouts[0])

        return program


def asks_for_value(error: BaseException) -> bool:
    """Whether it comes of an array without a value being asked for it."""
    return isinstance(error, (jax.errors.JAXTypeError, jax.errors.JAXIndexError))


def fetched(outputs: Sequence[StepOutput]) -> list[HostOutput]:
    """The measures on the host: all copies from another device are begun before the first one is waited for."""
    found = [output.measures for output in outputs]
    tensors = [tensor for each in found if isinstance(each, Packed) for tensor in each.tensors]
    if tensors and any(device.platform != "cpu" for device in tensors[0].devices()):
        for tensor in tensors:
            tensor.copy_to_host_async()
    return [HostOutput(_on_host(each)) for each in found]


def _on_host(measures: Measures) -> Any:
    return measures.on_host(np.asarray) if isinstance(measures, Packed) else jax.device_get(measures)
