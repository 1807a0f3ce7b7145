"""What training and evaluating share on PyTorch; and the engine of a model that is not being trained."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import keras
import numpy as np
import torch

from multilearn.data import mapped
from multilearn.metrics import Metric
from multilearn.protocols import Batch, HostOutput, Shard, StepOutput
from multilearn_keras.engines.evaluation import KerasEvalEngine
from multilearn_keras.engines.joint import JointOutput, Tried, by_number
from multilearn_keras.engines.model import OpenedModel
from multilearn_keras.engines.torch.capture.captured import Captured
from multilearn_keras.keras_internals import backend_module
from multilearn_keras.state.keys import all_layers

__all__ = ["OnTorch", "TorchEvalEngine"]


class OnTorch(OpenedModel):
    """Copies to the device and back, and steps that are captured.

    `_mapping`: variables with the values that evaluating gives them; `_eval`: what measures a prepared batch with them.
    """

    _mapping: Sequence[tuple[keras.Variable, torch.Tensor]]
    _eval: Callable[[Batch], dict[str, dict[str, Any]]]

    def eval_step(self, batch: Batch) -> StepOutput:
        if self._joint is not None:
            return self._joint_step(lambda own: self._eval(self._prepared(own)), batch, training=False)
        batch = self._prepared(batch)
        with self._on_device():
            return StepOutput(self._eval(batch))

    def _joint_step(
        self, step: Callable[[Batch], Mapping[str, Mapping[str, Any]]], shard: Shard, training: bool
    ) -> JointOutput:
        """`step` of this process's rows of a batch, and what all processes measured."""
        joint = self._joint
        assert joint is not None
        with self._on_device(), torch.no_grad() if not training else nullcontext(), joint.rows(shard, training) as own:
            measures = step(own)
        with torch.no_grad():
            leaves = [leaf.reshape(-1) for of_metric in measures.values() for leaf in of_metric.values()]
            wish = torch.tensor([joint.world.wish], device=leaves[0].device)
            packed = torch.cat([part.contiguous().view(torch.uint8) for part in (wish, *leaves)])
            width = 1 + joint.row_bytes(shard, training)
            rows = joint.world.gather_rows(torch.nn.functional.pad(packed, (0, width - len(packed))))
        joint.world.agreed = bool(rows[:, 0].any())
        return JointOutput({}, rows[:, 1:], shard, training)

    def fetch(self, outputs: Sequence[StepOutput]) -> Sequence[HostOutput]:
        if self._joint is not None:
            return [self._joint.on_host(output) for output in outputs if isinstance(output, JointOutput)]
        measures = [measured for output in outputs for measured in output.measures.values()]
        arrays = iter(on_host([leaf for measured in measures for leaf in measured.values()]))
        return [
            HostOutput({name: {leaf: next(arrays) for leaf in measured} for name, measured in output.measures.items()})
            for output in outputs
        ]

    def _captured(self, name: str, run: Any, state: Any = tuple, first_only: bool = False, refuse: Any = None) -> Any:
        """`run(batch)`, of a prepared batch, as a graph where that is asked for."""
        device = self._device_name()
        if not self._options.capture:
            return lambda batch: run(mapped(lambda leaf: owned(leaf, device), batch))
        return Captured(
            name,
            run,
            state,
            own=lambda leaf: owned(leaf, device),
            borrowed=lambda leaf: borrowed(leaf, device),
            passes=self._options.passes,
            compiler=self._options.compile if self._options.compile == "inductor" else None,
            refuse=refuse,
            first_only=first_only,
            joint=self._joint,
        )

    def _measured_of(self, batch: Batch) -> dict[str, dict[str, Any]]:
        with torch.no_grad():
            return self._evaluated(batch, self._options.eval_metrics, self._mapping)

    def _device_name(self) -> str:
        with self._on_device():
            return str(backend_module("core").get_device())

    def _probe(self, batch: Batch, metrics: Sequence[Metric], training: bool) -> Any:
        with torch.no_grad():
            return super()._probe(batch, metrics, training)

    def _measures_of(self, batch: Batch, training: bool) -> Tried:
        with torch.no_grad():
            return super()._measures_of(batch, training)


class TorchEvalEngine(OnTorch, KerasEvalEngine):
    """Steps without gradients."""

    def _set_up(self) -> None:
        self._mapping = self._pairs(self._values)
        self._modules = ModuleValues(self._task, self._mapping)
        self._eval = self._captured("evaluation", self._measured_of)
        self._predict = self._captured("prediction", self._predicted_of)

    def predict_step(self, batch: Batch) -> Any:
        if self._joint is not None:
            nested: list[Any] = []

            def measured(own: Batch) -> Mapping[str, Mapping[str, Any]]:
                nested.append(self._predict(self._prepared_inputs(own)))
                return by_number(nested[0])

            return self._joint_step(measured, batch, training=False), nested[0]
        inputs = self._prepared_inputs(batch)
        with self._on_device():
            return self._predict(inputs)

    def _measured_of(self, batch: Batch) -> dict[str, dict[str, Any]]:
        with self._modules.in_place():
            return super()._measured_of(batch)

    def _predicted_of(self, inputs: Any) -> Any:
        with torch.no_grad(), self._modules.in_place():
            return self._predicted(inputs, self._mapping)


class ModuleValues:
    """Other values for the parameters and buffers in the `TorchModuleWrapper`s of a task.

    `values`: pairs of a variable and the value it is to have.
    """

    def __init__(self, task: Any, values: Sequence[tuple[keras.Variable, torch.Tensor]]) -> None:
        given = {id(variable.value): value for variable, value in values if variable.value is not value}
        self._places = [
            (store, name, tensor, given[id(tensor)])
            for layer in all_layers(task).values()
            if given and isinstance(layer, keras.layers.TorchModuleWrapper)
            for module in layer.module.modules()
            for store in (module._parameters, module._buffers)
            for name, tensor in store.items()
            if id(tensor) in given
        ]

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """While it lasts the modules have them; it may begin and end while a step is captured."""
        for store, name, _, value in self._places:
            store[name] = value
        try:
            yield
        finally:
            for store, name, tensor, _ in self._places:
                store[name] = tensor


def on_host(tensors: Sequence[torch.Tensor]) -> list[np.ndarray[Any, Any]]:
    """Copies, in the same order: from another device, the tensors of one type are brought over together."""
    if all(tensor.device.type == "cpu" and tensor.dtype != torch.bfloat16 for tensor in tensors):
        return [np.array(tensor.detach().numpy()) for tensor in tensors]
    kinds: dict[torch.dtype, list[int]] = {}
    for place, tensor in enumerate(tensors):
        kinds.setdefault(tensor.dtype, []).append(place)
    found: list[Any] = [None] * len(tensors)
    for places in kinds.values():
        together = keras.ops.convert_to_numpy(torch.cat([tensors[place].reshape(-1) for place in places]))
        ends = np.cumsum([tensors[place].numel() for place in places])
        for place, part in zip(places, np.split(together, ends[:-1]), strict=True):
            found[place] = part.reshape(tensors[place].shape)
    return found


def owned(leaf: Any, device: str) -> torch.Tensor:
    """A copy, for a model may write into its inputs: `x += noise` would go into the data that was loaded."""
    if isinstance(leaf, np.ndarray):
        # to another device it is copied anyhow; torch takes neither negative strides nor arrays it must not write to
        owned = np.array(leaf, order="C") if device == "cpu" else np.require(leaf, requirements=["C", "W"])
        return torch.from_numpy(owned).to(device)
    return keras.ops.convert_to_tensor(leaf).to(device, copy=True)


def borrowed(leaf: Any, device: str) -> torch.Tensor:
    """A tensor that is only read, and may be the memory of `leaf`."""
    if isinstance(leaf, np.ndarray):
        tensor = torch.from_numpy(np.require(leaf, requirements=["C", "W"]))
        return tensor if device == "cpu" else tensor.to(device)
    return keras.ops.convert_to_tensor(leaf).to(device).contiguous()
