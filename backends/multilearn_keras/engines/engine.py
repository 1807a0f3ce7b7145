"""What the three engines share: preparing batches, checking what fits, records."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import Any

import keras
import numpy as np
from keras import ops

from multilearn.checkpoint import require_match
from multilearn.data import mapped
from multilearn.errors import ConfigurationError, DataError, MultilearnError
from multilearn.metrics import Metric
from multilearn.outputs import Output
from multilearn.protocols import Batch, EngineOptions, Example, HostOutput, Record, StepOutput, Subject
from multilearn_keras.array_ops import KerasOps
from multilearn_keras.devices import check_lives_on, resolve
from multilearn_keras.optimizers import adopt_optimizer, rate_variable, require_trainable, track_all
from multilearn_keras.slots import optimizer_variables
from multilearn_keras.streams import restore_streams, streams
from multilearn_keras.transfer import assign, record_of, specification, to_device
from multilearn_keras.variables import flatten, variables

__all__ = ["KerasEngine"]

_INT32 = np.iinfo(np.int32)
_PROBED = 2


class KerasEngine(ABC):
    """One Keras model and optimizer. A framework's engine adds the steps, and its own copies to and from the host."""

    def __init__(self, subject: Subject, examples: Sequence[Example], options: EngineOptions) -> None:
        self._task = subject.task
        self._optimizer = subject.optimizer
        self._options = options
        self._ops = KerasOps()
        # what Keras keeps the weights in; in half precision its layers do the casting
        kept = getattr(self._model, "variable_dtype", None)
        self._float = kept if kept in ("float32", "float64") else "float32"
        self._scope_name = None if options.device is None else str(resolve(options.device))
        with self._on_device():
            self._output_shape = self._build(mapped(self._host, examples[0].batch))
            self._check_model()
            for example in examples:
                self._check(example.batch if example.whole is None else example.whole)
            self._rate = rate_variable(self._optimizer)
            if not self._optimizer.built:
                self._optimizer.build(self._model.trainable_variables)
            track_all(self._optimizer)
            self._state = variables(self._task)
            self._trained = list(self._model.trainable_variables)
            trained = {id(variable) for variable in self._trained}
            self._kept = [variable for variable in self._state.values() if id(variable) not in trained]
            splits = (options.train_metrics, options.eval_metrics)
            for example, metrics in zip(examples, splits, strict=False):
                self._try(example.batch, metrics)
            self._set_up()

    @property
    def _model(self) -> keras.Model:
        return self._task.model

    @abstractmethod
    def _set_up(self) -> None:
        """Make what the steps of this framework need."""

    @abstractmethod
    def train_step(self, batch: Batch, lr: float, update: bool) -> StepOutput: ...

    @abstractmethod
    def eval_step(self, batch: Batch) -> StepOutput: ...

    def fetch(self, outputs: Sequence[StepOutput]) -> Sequence[HostOutput]:
        return [
            HostOutput(
                {
                    name: {leaf: ops.convert_to_numpy(value) for leaf, value in measured.items()}
                    for name, measured in output.measures.items()
                }
            )
            for output in outputs
        ]

    def record(self) -> Record:
        return {
            "model": record_of(self._state, self._values_of(self._state)),
            "optim": record_of(self._slots, self._values_of(self._slots)),
            "random": streams(),
        }

    def restore(self, record: Record) -> None:
        parts = {"model": self._state, "optim": self._slots}
        expected = {part: specification(held) for part, held in parts.items()}
        require_match(expected, {part: record[part] for part in parts}, "the model and the optimizer")
        pairs = [
            (variable, received[key])
            for part, held in parts.items()
            for received in [flatten(record[part])]
            for key, variable in held.items()
        ]
        for variable, tensor in pairs:
            if tensor.dtype == "I64":
                # a count may be too large for the 32 bits it has on another framework: found before anything is touched
                to_device(variable, tensor)
        for variable, tensor in pairs:
            assign(variable, tensor)
        restore_streams(record["random"])

    def release(self) -> None:  # noqa: B027
        """Nothing to put back where the framework trains the model object itself."""

    def _values_of(self, variables: Mapping[str, keras.Variable]) -> Mapping[str, Any] | None:
        """The current value of each, where it is kept outside of the variable."""
        return None

    @cached_property
    def _slots(self) -> dict[str, keras.Variable]:
        return optimizer_variables(self._optimizer, self._state)

    def _on_device(self) -> AbstractContextManager[Any]:
        return nullcontext() if self._scope_name is None else keras.device(self._scope_name)

    def _measured(self, metrics: Sequence[Metric], output: Output) -> dict[str, dict[str, Any]]:
        return {metric.name: dict(metric.measure(self._ops, output)) for metric in metrics}

    def _evaluated(self, batch: Batch, metrics: Sequence[Metric]) -> dict[str, dict[str, Any]]:
        """The measures of a batch; whatever the model assigns on the way (seeds, statistics) is dropped."""
        mapping = [(variable, variable.value) for variable in self._trained]
        with keras.StatelessScope(mapping, collect_losses=True):
            return self._measured(metrics, self._task.step(batch, False))

    def _prepared(self, batch: Batch) -> Batch:
        """A batch of host arrays in the types the model takes, after a look at its labels."""
        self._check(batch)
        return mapped(self._host, batch)

    def _host(self, leaf: Any) -> Any:
        if keras.ops.is_tensor(leaf):
            return leaf
        array = np.asarray(leaf)
        # no framework takes numbers in the byte order of another machine
        array = array.astype(array.dtype.newbyteorder("="), copy=False)
        if array.dtype.kind == "f":
            return array.astype(self._float, copy=False)
        if array.dtype.kind in "iu" and not np.can_cast(array.dtype, np.int32):
            if array.size and (array.min() < _INT32.min or array.max() > _INT32.max):
                raise DataError(
                    "Whole numbers in a batch must fit into 32 bits: JAX has no others.",
                    received=f"values from {array.min()} to {array.max()}",
                    remedy="Number the categories from 0, or convert the values to float.",
                )
            return array.astype(np.int32)
        return array.astype(np.int32) if array.dtype == np.uint16 else array

    def _build(self, batch: Batch) -> Any:
        """Build the model where it is not yet, and say the shape of its output; None where it has several.

        Only a task that checks its batches says what of them is the model's input; another one's step is run as it is.
        """
        if not hasattr(self._task, "check"):
            if not self._model.built:
                self._try_step(batch)
            return (None,)
        x = batch[0] if isinstance(batch, tuple) else batch
        symbolic = mapped(lambda a: keras.KerasTensor(a.shape, keras.backend.standardize_dtype(a.dtype)), x)
        try:
            output = self._model(symbolic, training=False)
        except Exception:
            # a model that cannot be called symbolically says in its own words what is wrong with the batch
            output = self._try_model(x)
        return tuple(output.shape) if hasattr(output, "shape") else (None,)

    def _try_step(self, batch: Batch) -> None:
        try:
            # not in a stateless scope, which has no values yet for what the model's regularizers are about
            self._task.step(mapped(lambda a: ops.convert_to_tensor(a[:_PROBED]), batch), False)
        except Exception as error:
            raise DataError(
                "The step of the task must accept the first batch.",
                received=f"{type(error).__name__}: {error}",
                remedy="Build the model before, or compare the batch with what the step unpacks.",
            ) from error

    def _try_model(self, x: Any) -> Any:
        try:
            with keras.StatelessScope():
                return self._model(mapped(lambda a: ops.convert_to_tensor(a[:_PROBED]), x), training=False)
        except Exception as error:
            shapes = keras.tree.map_structure(lambda a: tuple(a.shape), x)
            raise DataError(
                "The model must accept the inputs of the first batch.",
                received=f"inputs of shape {shapes}, and the model said: {error}",
                remedy="Compare them with the model's Input.",
            ) from error

    def _check_model(self) -> None:
        require_trainable(self._model)
        if self._options.accumulate and getattr(getattr(self._task, "loss", None), "reduction", None) == "sum":
            raise ConfigurationError(
                "Accumulated gradients are averaged, so the loss must be a mean.",
                received="a loss with reduction='sum'",
                remedy="Leave the reduction at its default, or leave .grads_accumulation out.",
            )
        adopt_optimizer(self._optimizer, self._model)
        if self._scope_name is not None:
            check_lives_on(self._model.trainable_variables[0], self._scope_name)

    def _check(self, batch: Batch) -> None:
        check = getattr(self._task, "check", None)
        if check is not None:
            check(batch, self._output_shape)

    def _try(self, batch: Batch, metrics: Sequence[Metric]) -> None:
        """Evaluate a few items, so that what does not fit shows before anything is written."""
        few = mapped(lambda leaf: ops.convert_to_tensor(self._host(leaf[:_PROBED])), batch)
        try:
            self._probe(few, metrics)
        except MultilearnError:
            raise
        except Exception as error:
            raise DataError(
                "Task, metrics and batch must fit together.",
                received=f"{type(error).__name__}: {error}",
                remedy="Compare the shapes of the batch with the model's Input and output.",
            ) from error

    def _probe(self, batch: Batch, metrics: Sequence[Metric]) -> None:
        self._evaluated(batch, metrics)
