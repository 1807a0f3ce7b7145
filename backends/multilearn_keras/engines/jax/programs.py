"""Steps as jitted programs: one for each combination of shapes, and of many the ones that were used last."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from multilearn.protocols import HostOutput, StepOutput
from multilearn_keras.engines.eager import EagerSteps
from multilearn_keras.engines.packed import Measures, Packed, PackedLayout, packed
from multilearn_keras.engines.recent import RecentlyUsed

__all__ = ["Programs", "asks_for_value", "fetched"]

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
        self._programs = RecentlyUsed()

    def __call__(self, key: Hashable, *arguments: Any) -> tuple[Any, Measures]:
        """`key`: equal for arguments of equal structure, types and shapes."""
        program = self._programs.get(key)
        if program is None:
            program = self._compiled()
            self._programs.put(key, program, self._kind)
        try:
            returned: tuple[Any, Measures] = program(*arguments)
        except Exception as error:
            if program is self._function or not self._eager.accepts(self._kind, error):
                raise
        else:
            return returned
        self._programs.put(key, self._function, self._kind)
        return self._function(*arguments)

    def _compiled(self) -> Program:
        layouts: list[PackedLayout] = []

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
