"""A model on its device: built on the first batch, with task, metrics and data looked at before anything is done."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import keras
from keras import ops

from multilearn.data import flat, mapped
from multilearn.errors import DataError, MultilearnError, found_in
from multilearn.metrics import Metric
from multilearn.protocols import Batch, EngineOptions, Example, Output
from multilearn_keras.devices import check_lives_on, named
from multilearn_keras.engines.inputs import (
    host_array,
    preprocessing_of,
    refuse_complex,
    refused_inputs,
    require_items,
    require_numeric,
    require_output,
    said,
    symbolic,
)
from multilearn_keras.engines.joint import SHARED, TRAIN_ALONE, Joint, Measures, Tried, items_of
from multilearn_keras.engines.measured import measured, raised_by, trial_failed
from multilearn_keras.engines.signatures import signature
from multilearn_keras.engines.stepped import needs_building, stepped
from multilearn_keras.metrics.array_ops import KerasOps
from multilearn_keras.random.rows import begin_step
from multilearn_keras.state.assignments import Assigned, assigned_besides

__all__ = ["OpenedModel"]

T = TypeVar("T")

_PROBED = 2


class OpenedModel:
    """What training and evaluating a model have in common."""

    def __init__(self, task: Any, options: EngineOptions, turn: str | None = None) -> None:
        self._task = task
        self._turn = turn
        self._stepped = stepped(task, turn)
        self._options = options
        self._ops = KerasOps()
        # what Keras keeps the weights in; in half precision its layers do the casting
        kept = getattr(self._model, "variable_dtype", None)
        self._float = kept if kept in ("float32", "float64") else "float32"
        self._devices = named(options.devices)
        self._scope_name = str(self._devices[0]) if options.devices else None
        self._output_shape: Any = (None,)
        self._recorded: set[int] = set()
        self._preprocess = preprocessing_of(task)
        self._tried_on: list[Hashable] = []
        self._joint: Joint | None = None

    @property
    def _model(self) -> keras.Model:
        return self._stepped.model

    def _on_device(self) -> AbstractContextManager[Any]:
        return nullcontext() if self._scope_name is None else keras.device(self._scope_name)

    def _measured(self, metrics: Sequence[Metric], output: Output) -> dict[str, dict[str, Any]]:
        return {metric.name: measured(metric, "measure", self._ops, output) for metric in metrics}

    def _evaluated(self, batch: Batch, metrics: Sequence[Metric], values: Sequence[Any]) -> dict[str, dict[str, Any]]:
        """The measures of a batch; whatever the model assigns on the way (seeds, statistics) is dropped.

        `values`: pairs of a variable and the value it is to have.
        """
        with keras.StatelessScope(values, collect_losses=True):
            return self._measured(metrics, self._step(batch, False))

    def _step(self, batch: Batch, training: bool) -> Output:
        """One step, wherever one is taken. Raises `ConfigurationError` if in training it assigns what is not recorded:
        that is looked at whenever the task's code runs, and not where a graph or a program does.
        """
        begin_step()
        step = f"{type(self._task).__name__}.step"
        with raised_by(step):
            if not training:
                return require_output(self._stepped.step(batch, False), step)
            with assigned_besides(self._recorded) as found:
                output = require_output(self._stepped.step(batch, True), step)
        if found:
            self._require_recorded(found)
        return output

    def _require_recorded(self, found: Sequence[Assigned]) -> None:
        """Raise `ConfigurationError` if anything in `found` is not recorded."""

    def _prepared(self, batch: Batch) -> Batch:
        """A batch of a loader as host arrays in the types the model takes, after a look at its labels."""
        batch = self._preprocessed(batch)
        require_items(batch)
        try:
            self._check(batch)
            return mapped(self._host, batch)
        except Exception:
            require_numeric(batch)
            raise

    def _preprocessed(self, batch: Batch) -> Batch:
        return batch if self._preprocess is None else self._preprocess(batch)

    def _entered(self, examples: Sequence[Example]) -> Sequence[Example]:
        """As the model sees them. All items of a loader at once are not preprocessed."""
        if self._preprocess is None:
            return examples
        preprocess = self._preprocess
        return self._tried(
            lambda: [Example(preprocess(each.batch), data=each.data) for each in examples],
            "The model's preprocessor must accept the first batch.",
            "Compare the batch with what it takes.",
        )

    def _host(self, leaf: Any) -> Any:
        return host_array(leaf, self._float)

    def _open(self, examples: Sequence[Example]) -> None:
        """Build the model where it is not yet, and look at the labels of all examples."""
        for example in examples:
            with found_in(example.data):
                require_items(example.batch)
                require_numeric(example.batch)
        self._output_shape = self._build(mapped(self._host, examples[0].batch))
        self._check_model()
        for example in examples:
            with found_in(example.data):
                self._check(example.batch if example.whole is None else example.whole)

    def _check_model(self) -> None:
        if self._scope_name is not None and self._model.variables:
            check_lives_on(self._model.variables[0], self._scope_name)

    def _check(self, batch: Batch) -> None:
        check = getattr(self._task, "check", None)
        if check is not None:
            check(batch, self._output_shape)

    def _build(self, batch: Batch) -> Any:
        """Build the model where it is not yet, and say the shape of its output, nested as the model nests it.

        Only a task with `inputs` says what of a batch goes into the model; another one's step is run as it is.
        """
        if hasattr(self._task, "inputs"):
            return self._build_on(self._task.inputs(batch))
        if needs_building(self._stepped):
            # not in a stateless scope, which has no values yet for what the model's regularizers are about
            self._tried(
                lambda: self._stepped.step(self._few(batch), False),
                "The step of the task must accept the first batch.",
                "Build the model before, or compare the batch with what the step unpacks.",
            )
        return (None,)

    def _build_on(self, x: Any) -> Any:
        refuse_complex(x, self._model)
        inputs = symbolic(x, self._model)
        try:
            output = self._model(inputs, training=False)
        except Exception:
            # a model that cannot be called symbolically says in its own words what is wrong with the batch: all of it,
            # for a Sequential that is built in part takes no other number of items, and would say only that
            output = self._try_model(x)
        return keras.tree.map_structure(lambda tensor: tuple(tensor.shape), output)

    def _try_model(self, x: Any) -> Any:
        try:
            with keras.StatelessScope():
                return self._model(mapped(self._tensor, x), training=False)
        except Exception as error:
            raise refused_inputs(error, x, self._model) from error

    def _join(self, examples: Sequence[Example], training: bool) -> Joint | None:
        """What is to be known of batches that are shared with other processes; None if there are no others."""

        def tried(items: int, training: bool) -> Tried:
            batch = examples[0 if training else -1].batch
            return self._tried(lambda: self._measures_of(self._few(batch, items), training), SHARED, TRAIN_ALONE)

        return Joint.of(tried, len(flat(examples[0].batch)[0]), training)

    def _measures_of(self, batch: Batch, training: bool) -> Tried:
        metrics = self._options.train_metrics if training else self._options.eval_metrics
        output, measures = self._probed(batch, metrics, training)
        return float(output.count), measures

    def _few(self, batch: Batch, items: int | None = None) -> Batch:
        if items is not None:
            batch = items_of(batch, items)
        return mapped(lambda leaf: self._tensor(leaf[: items or _PROBED]), batch)

    def _tensor(self, leaf: Any) -> Any:
        # a copy, for a model may write into its inputs
        return ops.copy(ops.convert_to_tensor(self._host(leaf)))

    def _try(self, example: Example, metrics: Sequence[Metric], training: bool = False) -> None:
        """Take a step with a few items, so that what does not fit shows before anything is written."""
        with found_in(example.data):
            try:
                few = self._few(example.batch)
                if (alike := (signature(few), tuple(map(id, metrics)), training)) not in self._tried_on:
                    self._trial(few, metrics, training)
                    self._tried_on.append(alike)
            except MultilearnError:
                raise
            except Exception:
                # all of them: some models (stateful ones) take batches of one size only
                try:
                    self._trial(mapped(self._tensor, example.batch), metrics, training)
                except MultilearnError:
                    raise
                except Exception as error:
                    raise trial_failed(error) from error

    def _tried(self, attempt: Callable[[], T], rule: str, remedy: str) -> T:
        try:
            return attempt()
        except MultilearnError:
            raise
        except Exception as error:
            raise DataError(rule, received=f"{type(error).__name__}: {said(error)}", remedy=remedy) from error

    def _trial(self, batch: Batch, metrics: Sequence[Metric], training: bool) -> None:
        self._probe(batch, metrics, training)

    def _probe_eagerly(self, batch: Batch, metrics: Sequence[Metric], training: bool) -> Any:
        return self._probe(batch, metrics, training)

    def _probe(self, batch: Batch, metrics: Sequence[Metric], training: bool) -> Any:
        """A step that leaves nothing behind. Its loss, if it is no traced one."""
        return self._probed(batch, metrics, training)[0].loss

    def _probed(self, batch: Batch, metrics: Sequence[Metric], training: bool) -> tuple[Output, Measures]:
        # Keras looks for the variables that are regularized in the scope, and nowhere else
        values = [(variable, variable.value) for variable in self._model.trainable_variables]
        with keras.StatelessScope(values, collect_losses=True):
            output = self._step(batch, training)
            return output, self._measured(metrics, output)
