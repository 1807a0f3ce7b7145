"""A model that is not being trained: evaluated, and asked for predictions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from multilearn.data import mapped
from multilearn.errors import DataError
from multilearn.metrics import Metric
from multilearn.protocols import Batch, EngineOptions, Example, Record
from multilearn_keras.engines.inputs import require_numeric
from multilearn_keras.engines.joint import Tried, by_number
from multilearn_keras.engines.mismatch import require_same_model
from multilearn_keras.engines.model import OpenedModel
from multilearn_keras.state.beside import Beside, without_beside
from multilearn_keras.state.derived import Derived
from multilearn_keras.state.keys import flatten, held_by, nest, variables, without_task
from multilearn_keras.state.transfer import record_of, specification, to_device
from multilearn_keras.tasks import unpack

__all__ = ["KerasEvalEngine", "ModelAlone"]


@dataclass(frozen=True)
class ModelAlone:
    """A model without a loss: it can predict."""

    model: keras.Model


class KerasEvalEngine(OpenedModel, ABC):
    """The model object is left alone: what `restore` takes over is held beside it."""

    def __init__(self, task: Any, examples: Sequence[Example], options: EngineOptions) -> None:
        super().__init__(task, options)
        self._derived = Derived(task, ())
        with self._on_device():
            self._examples = examples = self._entered(examples)
            if options.eval_metrics:
                self._open(examples)
                # before its state is listed: the step may build what the task holds besides its model
                for example in examples:
                    self._try(example, options.eval_metrics)
            else:
                self._open_inputs(examples[0].batch)
            self._state = variables(task)
            self._beside = Beside(task)
            self._values = [variable.value for variable in self._state.values()]
            self._derived = Derived(task, self._pairs(self._values))
            self._joint = self._join(examples, training=False)
            self._set_up()

    @abstractmethod
    def _set_up(self) -> None:
        """Make what the steps of this framework need: called again when there are other values."""

    def to_host(self, predicted: Any) -> Any:
        if self._joint is None:
            return mapped(ops.convert_to_numpy, predicted)
        output, nested = predicted
        arrays = iter(self._joint.joined(output))
        return mapped(lambda _: next(arrays), nested)

    def _measures_of(self, batch: Batch, training: bool) -> Tried:
        if self._options.eval_metrics:
            return super()._measures_of(batch, training)
        return 0.0, by_number(self._predicted(self._inputs(batch), ()))

    def record(self) -> Record:
        return self._beside.added_to(record_of(self._state, dict(zip(self._state, self._values, strict=True))))

    def restore(self, model: Record) -> None:
        received = without_task(flatten(model), self._state)
        held = held_by(received, self._state, self._task)
        self._beside.require_same(model)
        require_same_model(self._task, specification(held), without_beside(nest(received)))
        with self._on_device():
            self._values = [
                to_device(variable, received[key]) if key in held else value
                for (key, variable), value in zip(self._state.items(), self._values, strict=True)
            ]
            self._derived = Derived(self._task, self._pairs(self._values))
            self._set_up()

    def verify(self) -> None:
        """Nothing is trained that could be changed."""

    def release(self) -> None:
        """Nothing was changed."""

    def _pairs(self, values: Sequence[Any]) -> list[tuple[keras.Variable, Any]]:
        return list(zip(self._state.values(), values, strict=True))

    def _evaluated(self, batch: Batch, metrics: Sequence[Metric], values: Sequence[Any]) -> dict[str, dict[str, Any]]:
        with self._derived.in_place():
            return super()._evaluated(batch, metrics, values)

    def _open_inputs(self, batch: Batch) -> None:
        require_numeric(batch, self._inputs(batch))
        if hasattr(self._task, "predict"):
            self._tried(
                lambda: self._predicted(self._few(batch), ()),
                "The task's predict must accept the first batch.",
                "Build the model before, or compare the batch with what predict unpacks.",
            )
        else:
            self._build_on(mapped(self._host, self._inputs(batch)))
        self._check_model()

    def _inputs(self, batch: Batch) -> Any:
        """What of a batch is looked at for a prediction: all of it only by a task that has its own `predict`."""
        if hasattr(self._task, "predict"):
            return batch
        return self._task.inputs(batch) if hasattr(self._task, "inputs") else unpack(batch)[0]

    def _prepared_inputs(self, batch: Batch) -> Any:
        """What of a batch of a loader a prediction is made of, as `_prepared` has it."""
        batch = self._preprocessed(batch)
        inputs = self._inputs(batch)
        try:
            return mapped(self._host, inputs)
        except DataError:
            require_numeric(batch, inputs)
            raise

    def _predicted(self, inputs: Any, values: Sequence[Any]) -> Any:
        """What the model says; whatever it assigns on the way is dropped."""
        own = getattr(self._task, "predict", None)
        with self._derived.in_place(), keras.StatelessScope(values):
            return self._model(inputs, training=False) if own is None else own(inputs)
