"""What training and evaluating share on TensorFlow; and the engine of a model that is not being trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from multilearn.data import mapped
from multilearn.protocols import Batch, Example, HostOutput, Shard, StepOutput
from multilearn_keras.engines.compiled import Measures, Packed
from multilearn_keras.engines.evaluation import KerasEvalEngine
from multilearn_keras.engines.joint import JointOutput
from multilearn_keras.engines.model import OpenedModel
from multilearn_keras.engines.signatures import declared_open, shapes
from multilearn_keras.engines.tensorflow.graphs import Graphs, GraphStep, left_as_it_is, left_measured
from multilearn_keras.engines.tensorflow.joint import JointSteps
from multilearn_keras.engines.tensorflow.world import peers

__all__ = ["OnTensorFlow", "TensorFlowEvalEngine"]


class OnTensorFlow(OpenedModel):
    """Steps are traced with an unknown batch size from the start: a ragged batch retraces nothing,
    and a resumed run runs the same graphs as the one it continues."""

    _graphs: Graphs
    _shared: JointSteps | None
    _examples: Sequence[Example]
    _mapping: Sequence[tuple[keras.Variable, Any]]
    """Variables with the values that evaluating gives them."""

    def eval_step(self, batch: Batch) -> StepOutput:
        if self._joint is not None:
            return self._joint_step("evaluation", self._evaluate, batch)[0]
        with self._on_device():
            return self._measure("evaluation", self._evaluate, batch)

    def fetch(self, outputs: Sequence[StepOutput]) -> Sequence[HostOutput]:
        if self._joint is not None:
            return [self._joint.on_host(output) for output in outputs if isinstance(output, JointOutput)]
        return [HostOutput(_on_host(output.measures)) for output in outputs]

    def _set_up_graphs(self) -> None:
        """Forget the graphs. XLA takes batches just like the first ones of a run, so that the choice is the same in
        one that is resumed."""
        asked = self._options.compile == "xla"
        exact = frozenset(shapes(example.batch) for example in self._examples) if asked else frozenset()
        self._shared = None if self._joint is None else JointSteps(self._joint)
        self._graphs = Graphs(lambda batch: declared_open(batch, self._model, self._output_shape), exact)

    def _measure(self, kind: str, function: Callable[..., Measures], batch: Batch, *scalars: tf.Tensor) -> StepOutput:
        """What `function` measures of a batch of the host."""
        return StepOutput(self._run(GraphStep(kind, function, left_measured), self._prepared(batch), *scalars))

    def _joint_step(
        self,
        kind: str,
        function: Callable[..., Measures],
        shard: Shard,
        *scalars: tf.Tensor,
        training: bool = False,
        prepared: Callable[[Batch], Batch] | None = None,
    ) -> tuple[JointOutput, Any]:
        """What all processes measured of a batch by `function`, and that of this one as it is."""
        shared = self._shared
        assert shared is not None
        with self._on_device(), peers():
            own = (prepared or self._prepared)(shard.batch)
            step = shared.step(kind, function, shard, training)
            rows, measured = self._run(step, own, *scalars, shared.numbers(kind, shard, own, training))
            return shared.output(rows.numpy(), shard, training), measured

    def _evaluate(self, batch: Batch) -> Measures:
        return self._evaluated(batch, self._options.eval_metrics, self._mapping)

    def _run(self, step: GraphStep, batch: Batch, *scalars: tf.Tensor) -> Any:
        if not self._options.capture or tf.config.functions_run_eagerly():
            return step.function(mapped(tf.convert_to_tensor, batch), *scalars)
        return self._graphs(step, batch, scalars)


def _on_host(measures: Measures) -> Any:
    if isinstance(measures, Packed):
        return measures.on_host(lambda tensor: tensor.numpy())
    return mapped(ops.convert_to_numpy, measures)


class TensorFlowEvalEngine(OnTensorFlow, KerasEvalEngine):
    """The values are captured by the graphs, so other values ask for other graphs."""

    def _set_up(self) -> None:
        self._mapping = self._pairs(self._values)
        self._set_up_graphs()

    def predict_step(self, batch: Batch) -> Any:
        if self._joint is not None:
            return self._joint_step("prediction", self._predict, batch, prepared=self._prepared_inputs)
        with self._on_device():
            step = GraphStep("prediction", self._predict, left_as_it_is)
            return self._run(step, self._prepared_inputs(batch))

    def _predict(self, inputs: Any) -> Any:
        return self._predicted(inputs, self._mapping)
