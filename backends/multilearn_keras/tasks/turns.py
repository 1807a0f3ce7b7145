"""Several losses in one task, each with its variables and its optimizer, which take turns on every batch."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from typing import Any

import keras

from multilearn.arguments import settle, whole
from multilearn.errors import ConfigurationError
from multilearn.protocols import LRScheduler, Output
from multilearn.schedulers.turns import PerTurn
from multilearn_keras.optimizers.adopt import adopt_optimizer, adopt_schedule

__all__ = ["TrainedInTurn", "Turn", "adopt_optimizers", "adopt_schedules", "refuse_turns", "require_held", "turns_of"]


@dataclass(frozen=True)
class Turn:
    """One loss of a task, and what it trains: `self.turns = {"critic": Turn(self.critic, self.criticise), ...}`.

    `model`: the layer or model whose trainable variables this turn trains, or a list of them.
    `step(batch, training)`: returns an `Output`, as the step of any task; it may call every model of the task.
    `times`: so many updates on each batch, each with draws of its own. `every`: only on every so many batches of the
    run, the first time when so many have passed: with 5 on the batches 5, 10 and so on, also after a resume.

    Turns are taken in the order of the mapping, each with what the one before has made of the models.
    """

    model: Any
    step: Callable[[Any, bool], Output]
    times: int = 1
    every: int = 1

    def __post_init__(self) -> None:
        models = self.model if isinstance(self.model, (list, tuple)) else [self.model]
        if not models or not all(isinstance(each, keras.layers.Layer) for each in models):
            raise ConfigurationError(
                "A turn trains a Keras layer or model, or a list of them.",
                received=f"a {type(self.model).__name__}" + (f" of {len(models)}" if models is self.model else ""),
                remedy="Write Turn(self.critic, self.criticise), with the model first.",
            )
        if not callable(self.step) or isinstance(self.step, type):
            raise ConfigurationError(
                "The step of a turn is a function of a batch and of training, which returns an Output.",
                received=repr(self.step)[:200],
                remedy="Give the method itself: Turn(self.critic, self.criticise).",
            )
        often = {"times": self.times, "every": self.every}
        remedy = "For one update on each batch, leave it out."
        settle(self, **{name: whole(f"{name} of a turn", value, 1, remedy) for name, value in often.items()})


class TrainedInTurn:
    """What one turn trains, as an engine looks at a model."""

    def __init__(self, name: str, turn: Turn) -> None:
        self.name = name
        self._layers = turn.model if isinstance(turn.model, (list, tuple)) else [turn.model]

    @property
    def trainable_variables(self) -> list[keras.Variable]:
        return _once(variable for layer in self._layers for variable in layer.trainable_variables)

    @property
    def variables(self) -> list[keras.Variable]:
        return _once(variable for layer in self._layers for variable in layer.variables)

    @property
    def built(self) -> bool:
        return all(layer.built for layer in self._layers)

    @property
    def variable_dtype(self) -> str:
        return str(self._layers[0].variable_dtype)

    @property
    def dtype_policy(self) -> Any:
        """The one with scaled losses, if any of the layers has it."""
        policies = [layer.dtype_policy for layer in self._layers]
        return next((each for each in policies if each.name == "mixed_float16"), policies[0])

    @property
    def optimizer(self) -> Any:
        """That of a compiled model."""
        return getattr(self._layers[0], "optimizer", None) if len(self._layers) == 1 else None

    def _flatten_layers(self) -> list[keras.layers.Layer]:
        return _once(each for layer in self._layers for each in layer._flatten_layers())


def turns_of(task: Any) -> dict[str, Turn]:
    """The turns of a task, by name, in their order; none of a task that is stepped as a whole.

    Raises `ConfigurationError` for turns that cannot be taken.
    """
    turns = getattr(task, "turns", None) if not isinstance(task, keras.Model) else None
    if turns is None:
        return {}
    if not isinstance(turns, Mapping) or not turns or not all(isinstance(each, Turn) for each in turns.values()):
        raise ConfigurationError(
            "The turns of a task are a mapping from names to Turn objects, at least one.",
            received=f"{type(task).__name__}.turns, a {type(turns).__name__}"
            + (
                f" of {', '.join(type(each).__name__ for each in turns.values()) or 'nothing'}"
                if isinstance(turns, Mapping)
                else ""
            ),
            remedy='Write self.turns = {"critic": Turn(self.critic, self.criticise), ...}.',
        )
    for name in turns:
        if not isinstance(name, str) or not name or "/" in name:
            raise ConfigurationError(
                "A turn is named by a text without a slash.",
                received=repr(name),
                remedy='Name it for what it trains, such as "generator".',
            )
    if all(turn.every > 1 for turn in turns.values()):
        raise ConfigurationError(
            "At least one turn must be taken on every batch.",
            received=", ".join(f"{name!r} with every={turn.every}" for name, turn in turns.items()),
            remedy="Leave every out for one of them.",
        )
    return dict(turns)


def refuse_turns(task: Any, what: str) -> None:
    """Raise `ConfigurationError` for a task with turns."""
    if turns := turns_of(task):
        raise ConfigurationError(
            f"{what} looks at one step and its optimizer.",
            received=f"a task with the turns {_listed(turns)}",
            remedy="Give an object that has the model of one of them as model, and its step as step.",
        )


def require_held(name: str, turn: Turn, held: Container[int]) -> None:
    """Raise `ConfigurationError` unless what a turn trains is among these layers, which are recorded."""
    models = turn.model if isinstance(turn.model, (list, tuple)) else [turn.model]
    if lost := [model.name for model in models if id(model) not in held]:
        raise ConfigurationError(
            "What a turn trains must be in an attribute of the task, or of its layers: that is what records have.",
            received=f"{', '.join(lost)} of the turn {name!r}, to which no attribute leads",
            remedy=f"Keep it in one: self.{name} = ..., before self.turns.",
        )


def adopt_optimizers(given: Any, turns: Mapping[str, Turn]) -> dict[str, keras.optimizers.Optimizer]:
    """The optimizer of each turn. `given`: a mapping by turn; a name, of which each turn gets one of its own; or None
    for those of compiled models."""
    if isinstance(given, keras.optimizers.Optimizer):
        raise ConfigurationError(
            "Each turn has an optimizer of its own, which keeps state for the variables of that turn.",
            received=f"one {type(given).__name__} for the turns {_listed(turns)}",
            remedy=f"Give one for each: {_example(turns)}.",
        )
    if not isinstance(given, Mapping):
        given = dict.fromkeys(turns, given)
    _require_turns("Optimizers", given, turns, complete=True)
    for name, turn in turns.items():
        if given[name] is None and TrainedInTurn(name, turn).optimizer is None:
            raise ConfigurationError(
                "Each turn has an optimizer, which may be left out only for a compiled model.",
                received=f"None for {name!r}",
                remedy=f"Give one for each: {_example(turns)}.",
            )
    adopted = {name: adopt_optimizer(given[name], TrainedInTurn(name, turn)) for name, turn in turns.items()}
    seen: dict[int, str] = {}
    for name, optimizer in adopted.items():
        inner = id(getattr(optimizer, "inner_optimizer", optimizer))
        if inner in seen:
            raise ConfigurationError(
                "Each turn has an optimizer of its own, which keeps state for the variables of that turn.",
                received=f"one {type(optimizer).__name__} for {seen[inner]!r} and {name!r}",
                remedy=f"Make two: {_example(turns)}.",
            )
        seen[inner] = name
    return adopted


def adopt_schedules(given: Any, optimizers: Mapping[str, keras.optimizers.Optimizer]) -> PerTurn:
    """The schedule of each turn: of a mapping by turn; of anything else, that of all. None is the optimizer's own."""
    by_turn: Mapping[str, Any] = given if isinstance(given, Mapping) else dict.fromkeys(optimizers, given)
    _require_turns("Learning rates", by_turn, optimizers, complete=False)
    found: list[tuple[str, LRScheduler]] = [
        (name, adopt_schedule(by_turn.get(name), optimizer)) for name, optimizer in optimizers.items()
    ]
    return PerTurn(tuple(found))


def _require_turns(what: str, given: Mapping[Any, Any], turns: Mapping[str, Any], *, complete: bool) -> None:
    unknown = [repr(name) for name in given if name not in turns]
    missing = [repr(name) for name in turns if name not in given] if complete else []
    if unknown or missing:
        faults = [
            f"{', '.join(names)} {which}" for names, which in ((unknown, "unknown"), (missing, "missing")) if names
        ]
        raise ConfigurationError(
            f"{what} are given by turn: {_listed(turns)}.",
            received="; ".join(faults),
            remedy=f"Write {_example(turns)}."
            if what == "Optimizers"
            else "Turns that are left out have the rate of their optimizer.",
        )


def _example(turns: Mapping[str, Any]) -> str:
    return "{" + ", ".join(f'"{name}": keras.optimizers.Adam()' for name in turns) + "}"


def _listed(turns: Mapping[str, Any]) -> str:
    return ", ".join(map(repr, turns))


def _once(items: Any) -> list[Any]:
    return list({id(item): item for item in items}.values())
