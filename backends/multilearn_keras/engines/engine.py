"""What the three engines share: a model and its optimizer, and the records of both."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import keras

from multilearn.checkpoint import nbytes
from multilearn.errors import MultilearnError
from multilearn.metrics import Metric
from multilearn.protocols import Batch, EngineOptions, Example, Phase, Record, Shard, StepOutput, Subject, Traced
from multilearn_keras.diff_step import traced_step, traced_variables
from multilearn_keras.engines.fixed import Fixed, RateGuard
from multilearn_keras.engines.joint_check import HALF, Named, require_joint, require_same_model
from multilearn_keras.engines.mismatch import require_same
from multilearn_keras.engines.model import OpenedModel
from multilearn_keras.engines.stepped import OneTurn
from multilearn_keras.engines.updates import measured_of_update, require_mean, try_on, without_gradient
from multilearn_keras.optimizers.adopt import (
    rate_variable,
    refuse_built_for_another,
    require_trainable,
    track_all,
)
from multilearn_keras.random.seeds import require_streams, restore_streams, streams
from multilearn_keras.state.assignments import Assigned, kept_by_keras, refusal
from multilearn_keras.state.beside import Beside, without_beside
from multilearn_keras.state.derived import derive
from multilearn_keras.state.host_copies import HostCopies
from multilearn_keras.state.keys import flatten, held_by, variables
from multilearn_keras.state.optimizer_keys import optimizer_variables
from multilearn_keras.state.places import Readings
from multilearn_keras.state.rebound import Bindings
from multilearn_keras.state.transfer import Assigning, assign, is_seed_state, record_of, specification, to_device
from multilearn_keras.tasks.constant_outputs import refuse_constant_outputs, refuse_unmoved, softmaxes_of_one
from multilearn_keras.tasks.layer_losses import warned_of_unused_losses
from multilearn_keras.tasks.supervised import Supervised
from multilearn_keras.world import current

__all__ = ["KerasEngine"]


class KerasEngine(OpenedModel, ABC):
    """One Keras model and optimizer. A framework's engine adds the steps, and its own copies to and from the host.

    `gradients_of`, where processes share batches: the gradients and the statistics that a step of a batch makes, on the
    host, by variable: of all of it here; or of this process's part here, and of the others in the other processes."""

    gradients_of: Callable[[Batch, Shard | None], tuple[Named, Named]]

    def __init__(self, subject: Subject, examples: Sequence[Example], options: EngineOptions) -> None:
        super().__init__(subject.task, options, getattr(subject, "turn", None))
        self._optimizer = subject.optimizer
        self._model_copies, self._slot_copies = HostCopies(), HostCopies()
        self._readings = Readings(subject.task)
        with self._on_device():
            self._examples = examples = self._entered(examples)
            self._open(examples)
            refuse_unmoved(self._task, examples[0].batch, self._output_shape)
            self._state: dict[str, keras.Variable] = {}
            self._recorded = set(map(id, variables(self._task).values()))
            splits = ((options.train_metrics, True), (options.eval_metrics, False))
            with softmaxes_of_one() as met, warned_of_unused_losses(self._task, self._model):
                for example, (metrics, training) in zip(examples, splits, strict=False):
                    self._try(example, metrics, training)
            # what the task holds besides its model may be built now
            self._state = variables(self._task)
            self._recorded |= set(map(id, self._state.values()))
            self._rate = rate_variable(self._optimizer)
            if not self._optimizer.built:
                self._optimizer.build(self._model.trainable_variables)
            track_all(self._optimizer)
            self._beside = Beside(self._task)
            # a resumed run does it too: what is trained must be a function of the record
            derive(self._task)
            self._trained = list(self._model.trainable_variables)
            trained = {id(variable) for variable in self._trained}
            self._kept = [variable for variable in self._state.values() if id(variable) not in trained]
            # a batch that is skipped leaves these as they were, while random streams continue
            self._statistics = [variable for variable in self._kept if not is_seed_state(variable)]
            few = self._few(examples[0].batch)
            refuse_constant_outputs(self._task, few, met)
            self._require_gradient(few)
            self._joint = self._join(examples, training=True)
            self._set_up()
            require_same_model(current(), self._state)
            if self._joint is not None:
                half = any(layer.compute_dtype in HALF for layer in self._model._flatten_layers())
                require_joint(self.gradients_of, lambda n: self._few(examples[0].batch, n), self._joint, half)
            self._rate_guard = RateGuard(self._rate)
            self._fixed = self._as_it_is()

    @abstractmethod
    def _set_up(self) -> None:
        """Make what the steps of this framework need."""

    @abstractmethod
    def _reaches(self, batch: Batch) -> bool:
        """Whether the loss of an evaluated batch has a gradient, be it zero, by anything that is trained."""

    @abstractmethod
    def train_step(self, batch: Batch, lr: float, update: bool) -> StepOutput: ...

    def record(self) -> Record:
        model = self._beside.added_to(record_of(self._state, self._values_of(self._state), self._model_copies))
        return {"model": model, **self.record_of_training()}

    def record_of_training(self) -> Record:
        """Its parts besides that of the model."""
        optim = record_of(self._slots, self._values_of(self._slots), self._slot_copies)
        return {"optim": optim, "random": streams()}

    def walk(self, batch: Batch, lr: float) -> Iterator[Traced]:
        """One training step, taken apart: see `multilearn.protocols.Backend.walk`."""
        with self._on_device():
            yield from traced_step(self._task, self._prepared(batch))
            self.train_step(batch, lr, update=True)
            self.release()
            yield from traced_variables(self._task, Phase.UPDATE)

    def verify(self) -> None:
        self._fixed.verify()

    def nbytes(self) -> int:
        return nbytes({"model": self._beside.added_to(specification(self._state)), "optim": specification(self._slots)})

    def restore(self, record: Record) -> None:
        self.take(record, self.checked(record))

    def checked(self, record: Record) -> Assigning:
        """What a record that fits assigns; nothing is touched. Raises `RecordMismatch`."""
        parts = {"model": held_by(flatten(record["model"]), self._state, self._task), "optim": self._slots}
        expected = {part: specification(held) for part, held in parts.items()}
        received = {"model": without_beside(record["model"]), "optim": record["optim"]}
        self._beside.require_same(record["model"])
        require_same(self._task, self._optimizer, expected, received)
        require_streams(record["random"])
        pairs = [
            (variable, tensors[key])
            for part, held in parts.items()
            for tensors in [flatten(received[part])]
            for key, variable in held.items()
        ]
        for variable, tensor in pairs:
            if tensor.dtype in ("F64", "I64"):
                # it may not fit into the 32 bits it has on another framework: found before anything is touched
                to_device(variable, tensor)
        return pairs

    def take(self, record: Record, pairs: Assigning, derived: bool = False) -> bool:
        """Assign what was `checked`. Whether what is derived from it has changed; `derived`: it has already."""
        with self._rate_guard.opened():
            for variable, tensor in pairs:
                assign(variable, tensor)
        derived = derive(self._task) or derived
        if derived:
            # steps that were compiled have the old values as constants
            self._set_up()
            self._fixed = self._as_it_is()
        restore_streams(record["random"])
        return derived

    def finish(self) -> None:
        self.release()
        self._optimizer.finalize_variable_values(self._trained)

    def release(self) -> None:
        """Where the framework trains the model object itself nothing is to be put back."""
        self._rate_guard.release()

    def _as_it_is(self) -> Fixed:
        return Fixed(self._task, self._optimizer, self._state, self._readings, compiled=self._options.capture)

    def _require_recorded(self, found: Sequence[Assigned]) -> None:
        # in the trial, what the step itself has made is not too late
        recorded = set(map(id, (self._state or variables(self._task)).values()))
        self._recorded |= recorded | set(map(id, kept_by_keras(self._model)))
        if lost := [each for each in found if id(each.variable) not in self._recorded]:
            raise refusal(lost)

    def _trial(self, batch: Batch, metrics: Sequence[Metric], training: bool) -> None:
        """Looks also at what the step binds to attributes: only if there is any, it takes the step again."""
        if not training:
            with self._readings.watched():
                super()._trial(batch, metrics, training)
            return
        bindings, failure = Bindings(self._task), None
        try:
            with self._readings.watched():
                self._probe(batch, metrics, training)
        except MultilearnError:
            raise
        except Exception as error:
            failure = error
        if bindings.changed():
            try:
                bindings.check(lambda: self._probe_eagerly(batch, metrics, training))
            except MultilearnError:
                raise
            except Exception as error:
                failure = failure or error
        if failure is not None:
            raise failure

    def _values_of(self, variables: Mapping[str, keras.Variable]) -> Mapping[str, Any] | None:
        """The current value of each, where it is kept outside of the variable."""
        return None

    @cached_property
    def _slots(self) -> dict[str, keras.Variable]:
        return optimizer_variables(self._optimizer, self._state)

    def _check_model(self) -> None:
        super()._check_model()
        require_trainable(self._model)
        if self._options.accumulate or current().size > 1:
            require_mean(self._task)
        refuse_built_for_another(self._optimizer, self._model)
        self._tried(
            lambda: try_on(self._options.update_metrics, self._ops, self._model, self._turn),
            "Metrics of updates must fit the model.",
            "Write measure_update in the functions that it is given.",
        )

    def _require_gradient(self, batch: Batch) -> None:
        """Raise `ConfigurationError` if the loss of one of our tasks, a compiled model or a turn has none."""
        if self._turn is None and not isinstance(self._task, Supervised):
            return
        try:
            reaches = self._reaches(batch)
        except Exception:
            # some models take batches of one size only
            return
        if not reaches:
            raise without_gradient(len(self._trained), self._turn)

    def _scoped_loss(self, batch: Batch, values: Sequence[Any] = ()) -> Any:
        """The loss of an evaluated batch; what is assigned on the way is dropped."""
        with keras.StatelessScope(values, collect_losses=True):
            step = self._stepped.alone if isinstance(self._stepped, OneTurn) else self._step
            return step(batch, False).loss

    def _of_update(self, gradients: Sequence[Any], weights: Sequence[Any], taken: Any) -> dict[str, dict[str, Any]]:
        """What metrics of updates measure of what the optimizer is about to get; `taken` if batches are skipped."""
        metrics, taken = self._options.update_metrics, taken if self._options.skip_non_finite else None
        return measured_of_update(metrics, self._ops, self._optimizer, gradients, weights, taken, self._turn)
