"""What training and evaluating share on JAX; and the engine of a model that is not being trained."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import keras
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from multilearn.data import flat, mapped
from multilearn.metrics import Metric
from multilearn.protocols import Batch, HostOutput, Shard, StepOutput
from multilearn_keras.devices import jax_device
from multilearn_keras.engines.compiled import EagerSteps, Measures, Packed, PackedLayout, RecentlyUsed, chain, packed
from multilearn_keras.engines.evaluation import KerasEvalEngine
from multilearn_keras.engines.jax.live import laid_out
from multilearn_keras.engines.jax.world import JaxWorld, peers
from multilearn_keras.engines.model import OpenedModel
from multilearn_keras.engines.signatures import joint_signature, signature
from multilearn_keras.state.keys import variables
from multilearn_keras.tasks import CompiledModel
from multilearn_keras.world import current

__all__ = ["JaxEvalEngine", "OnJax", "Programs"]

T = TypeVar("T")
Program = Callable[..., Any]
Function = Callable[..., tuple[Any, Measures]]


class Programs:
    """The programs of one kind of step of an engine, each compiled when it is first called.

    `function(first, ...)` returns what stays on the device, and measures, which are packed. `first` is
    donated if asked for. `kind`: what the step is for, as the log calls it. A step that looks at values runs eagerly.
    `everywhere`: the sharding of what is returned; None on one device.
    """

    def __init__(self, kind: str, function: Function, eager: EagerSteps, donated: bool, everywhere: Any) -> None:
        self._kind = kind
        self._function = function
        self._eager = eager
        self._donated = (0,) if donated else ()
        self._everywhere = everywhere
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

        def packing(*arguments: Any) -> tuple[Any, list[Any]]:
            kept, measures = self._function(*arguments)
            tensors, layout = packed(measures, lambda floats: jax.lax.bitcast_convert_type(floats, jnp.int32))
            layouts[:] = [layout]
            return kept, tensors

        jitted = jax.jit(packing, donate_argnums=self._donated, out_shardings=self._everywhere)

        def program(*arguments: Any) -> tuple[Any, Measures]:
            kept, tensors = jitted(*arguments)
            return kept, Packed(tensors, layouts[0])

        return program


def asks_for_value(error: BaseException) -> bool:
    """Whether it comes of an array without a value being asked for it."""
    return isinstance(error, (jax.errors.JAXTypeError, jax.errors.JAXIndexError))


class DeviceMesh:
    """Devices that share the rows of every batch; everything else is on each of them.

    A program is written for the whole batch, so that draws, batch statistics and metrics are those of the whole batch,
    and XLA adds what the devices do to each other's rows.
    """

    def __init__(self, devices: Sequence[jax.Device]) -> None:
        mesh = Mesh(np.array(devices), ("rows",))
        self._size = len(devices)
        self._rows = NamedSharding(mesh, PartitionSpec("rows"))
        self.everywhere = NamedSharding(mesh, PartitionSpec())

    def share(self, batch: Batch) -> Batch:
        """Equal parts of a batch of host arrays over the devices; if there are none, all of it on each of them.

        It is not filled up and cut inside of the program: XLA cannot partition every model over unequal parts, and ends
        the process for a gradient through a sort (jax 0.10.2).
        """
        lengths = {len(leaf) for leaf in flat(batch)}
        equal = len(lengths) == 1 and not max(lengths) % self._size
        return jax.device_put(batch, self._rows if equal else self.everywhere)

    def join(self, shard: Shard, own: Batch) -> Batch:
        """As `share`, of a batch of which this process has its own rows."""
        if shard.whole or shard.total % self._size:
            world = current()
            assert isinstance(world, JaxWorld)
            return self.replicate(world.whole(shard, own))
        return mapped(
            lambda leaf: jax.make_array_from_process_local_data(self._rows, leaf, (shard.total, *leaf.shape[1:])), own
        )

    def replicate(self, values: T) -> T:
        """Arrays on each of the devices; one of them may share memory with `values`."""
        replicated: T = jax.tree.map(lambda value: laid_out(value, self.everywhere), values)
        return replicated


class OnJax(OpenedModel):
    """Copies to the host, and a look at a batch that computes nothing."""

    @cached_property
    def _mesh(self) -> DeviceMesh | None:
        """Of several devices."""
        if current().size > 1:
            return DeviceMesh(jax.devices())
        return DeviceMesh(list(map(jax_device, self._devices))) if len(self._devices) > 1 else None

    def _placed(self, given: Batch, prepared: Callable[[Batch], Batch] | None = None) -> tuple[Hashable, Batch]:
        """The key of the program for a batch of a loader, and the batch as the program takes it."""
        shard = given if isinstance(given, Shard) else None
        batch = (prepared or self._prepared)(given if shard is None else shard.batch)
        if shard is not None and self._mesh is not None:
            return joint_signature(batch, shard.total), self._mesh.join(shard, batch)
        return signature(batch), batch if self._mesh is None else self._mesh.share(batch)

    def _on_device(self) -> AbstractContextManager[Any]:
        """Of several processes: on a device of this one, which Keras' names are not of; the end of another is an error
        here."""
        return super()._on_device() if current().size == 1 else peers()

    def _agree(self) -> None:
        """After every step: whether a process has a reason to stop."""
        if isinstance(world := current(), JaxWorld):
            world.agree()

    def _replicated(self, values: T) -> T:
        """Arrays where steps take theirs from; they may share memory with `values`."""
        return values if self._mesh is None else self._mesh.replicate(values)

    def fetch(self, outputs: Sequence[StepOutput]) -> Sequence[HostOutput]:
        found = [output.measures for output in outputs]
        tensors = [tensor for each in found if isinstance(each, Packed) for tensor in each.tensors]
        if tensors and any(device.platform != "cpu" for device in tensors[0].devices()):
            # all copies are begun before the first one is waited for
            for tensor in tensors:
                tensor.copy_to_host_async()
        with self._on_device():
            return [
                HostOutput(each.on_host(np.asarray) if isinstance(each, Packed) else jax.device_get(each))
                for each in found
            ]

    def _jitted(self, kind: str, function: Function, donated: bool = False) -> Function:
        """What runs `function`, given a key of its arguments and these, compiled unless that is not wanted."""
        if not self._options.capture:
            return lambda _, *arguments: function(*arguments)
        everywhere = None if self._mesh is None else self._mesh.everywhere
        return Programs(kind, function, self._eager, donated, everywhere)

    @cached_property
    def _eager(self) -> EagerSteps:
        return EagerSteps(asks_for_value)

    def _probe_eagerly(self, batch: Batch, metrics: Sequence[Metric], training: bool) -> Any:
        return super()._probe(batch, metrics, training)

    def _probe(self, batch: Batch, metrics: Sequence[Metric], training: bool) -> Any:
        if isinstance(self._task, CompiledModel) or not self._options.capture:
            # Keras makes variables for a compiled loss at its first call, which must not be a traced one
            return super()._probe(batch, metrics, training)
        found = list(variables(self._task).values())

        def stepped(values: list[jax.Array], batch: Batch) -> Any:
            pairs = list(zip(found, values, strict=True))
            with keras.StatelessScope(pairs, collect_losses=True, initialize_variables=False):
                return self._measured(metrics, self._step(batch, training))

        try:
            jax.eval_shape(stepped, [variable.value for variable in found], batch)
        except Exception as error:
            if not any(map(asks_for_value, chain(error))):
                raise
            return super()._probe(batch, metrics, training)
        finally:
            # Keras gives what the step has made its first values at the end of a scope: not of one that is traced
            with keras.StatelessScope():
                pass
        return None


class JaxEvalEngine(OnJax, KerasEvalEngine):
    """The values go into the jitted steps as arguments."""

    def _set_up(self) -> None:
        self._eval = self._jitted("evaluation", self._evaluate_on)
        self._predict = self._jitted("prediction", self._predict_on)
        self._shared_values = self._replicated(self._values)

    def eval_step(self, batch: Batch) -> StepOutput:
        with self._on_device():
            key, batch = self._placed(batch)
            measures = self._eval(key, self._shared_values, batch)[1]
            self._agree()
            return StepOutput(measures)

    def predict_step(self, batch: Batch) -> Any:
        with self._on_device():
            key, inputs = self._placed(batch, self._prepared_inputs)
            return self._predict(key, self._shared_values, inputs)[0]

    def _evaluate_on(self, values: list[Any], batch: Batch) -> tuple[None, Measures]:
        return None, self._evaluated(batch, self._options.eval_metrics, self._pairs(values))

    def _predict_on(self, values: list[Any], inputs: Any) -> tuple[Any, Measures]:
        return self._predicted(inputs, self._pairs(values)), {}
