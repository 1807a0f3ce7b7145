"""What of a task an engine steps: all of it, or one of its turns; evaluated are all turns together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from multilearn.outputs import TurnsOutput
from multilearn.protocols import Batch, Output, Subject
from multilearn_keras.engines.inputs import require_output
from multilearn_keras.engines.measured import raised_by
from multilearn_keras.state.keys import all_layers
from multilearn_keras.tasks.turns import TrainedInTurn, require_held, turns_of

__all__ = ["OneTurn", "TurnSubject", "is_built", "needs_building", "stepped"]


@dataclass(frozen=True)
class TurnSubject(Subject):
    """What one turn of a task is for an engine: its optimizer and its schedule."""

    turn: str


class Turns:
    """A task with turns, evaluated: what all of them return, the sum of their losses."""

    def __init__(self, task: Any) -> None:
        self.model = task.model
        self.layers = [task.model, *all_layers(task).values()]
        self._task = task
        self._turns = turns_of(task)
        held = set(map(id, self.layers))
        for name, turn in self._turns.items():
            require_held(name, turn, held)

    def step(self, batch: Batch, training: bool) -> Output:
        outputs = {name: self._taken(name, batch, training) for name in self._turns}
        return self._together(sum(output.loss for output in outputs.values()), outputs)

    def _taken(self, name: str, batch: Batch, training: bool) -> Output:
        where = f"{type(self._task).__name__}.turns[{name!r}].step"
        with raised_by(where):
            return require_output(self._turns[name].step(batch, training), where)

    def _together(self, loss: Any, outputs: Mapping[str, Output]) -> Output:
        found = [outputs.get(name) for name in self._turns]
        return TurnsOutput(
            loss,
            next(iter(outputs.values())).count,
            outputs,
            ops.stack([0.0 if each is None else ops.cast(each.loss, "float32") for each in found]),
            ops.stack([0.0 if each is None else ops.cast(each.count, "float32") for each in found]),
        )


class OneTurn(Turns):
    """One of its turns, trained."""

    def __init__(self, task: Any, name: str) -> None:
        super().__init__(task)
        self.model = TrainedInTurn(name, self._turns[name])
        self._name = name

    def step(self, batch: Batch, training: bool) -> Output:
        return self.alone(batch, training) if training else super().step(batch, training)

    def alone(self, batch: Batch, training: bool) -> Output:
        """This turn's output, also of a batch that is evaluated."""
        output = self._taken(self._name, batch, training)
        return self._together(output.loss, {self._name: output})


def stepped(task: Any, turn: str | None) -> Any:
    """What has the `model` and the `step` of an engine."""
    if turn is not None:
        return OneTurn(task, turn)
    return Turns(task) if turns_of(task) else task


def needs_building(task: Any) -> bool:
    """Whether a step is needed to build the model; of turns, anything that their task holds: it is recorded with the
    first of them."""
    layers = task.layers if isinstance(task, Turns) else [task.model]
    return not all(map(is_built, layers))


def is_built(model: keras.Model | TrainedInTurn) -> bool:
    """Whether it has all its variables: Keras calls a model built whose layers are not, after `model.build(shape)`."""
    return all(layer.built for layer in model._flatten_layers())
