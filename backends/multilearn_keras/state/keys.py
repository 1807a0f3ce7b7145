"""The keys of everything that has state in a task: paths through attributes and positions, never through names.

A key depends on how a model is written, not on how often models were built in the process, nor on the framework:

* Sequential and functional models give `layers/<class>.<k>`, counted per class in the order of `.layers`;
* lists, tuples and deques give `<class>.<k>` likewise, dicts their keys, in sorted order;
* everything else gives the name of the attribute, sorted, without leading underscores.

What is shared belongs to the first place that reaches it. A metric's variables are state like any other, except those
of metrics that `compile` adds. So is what plain objects hold (dataclasses, namespaces, classes of the user's own),
except layers.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

import keras

from multilearn.errors import ConfigurationError, RecordMismatch
from multilearn_keras.state.holders import attributes, children, is_helper, kind_of

__all__ = ["OF_THE_TASK", "all_layers", "flatten", "held_by", "layers_of", "nest", "variables", "without_task"]

OF_THE_TASK = "task/"

_log = logging.getLogger("multilearn")

T = TypeVar("T")
Path = tuple[str, ...]
Found = dict[Path, keras.Variable]


def variables(task: Any) -> dict[str, keras.Variable]:
    """All state of a task: its model's variables, and under `task/<attribute>/...` what the task itself holds; or of a
    model or layer: trainable variables, others, states of its seed generators and of its metrics.

    Raises `ConfigurationError` if a variable of a layer cannot be given a key.
    """
    return _keyed(_found(task))


def held_by(record: Iterable[str], state: Mapping[str, T], task: Any) -> dict[str, T]:
    """`state`, which is by the keys of `variables(task)`, as far as a record with these keys has it.

    That is all of it. Only a record of version 0.1 has nothing of metrics, of plain objects and of attributes of a task
    called `_self_...`: these are left out then, and the log says so.
    """
    listed = {id(variable) for variable in _model_of(task).variables}
    later = {"/".join(path) for path, variable in _found(task)[1].items() if id(variable) not in listed}
    if not later or not later.isdisjoint(record):
        return dict(state)
    _log.warning("The record has no values for %s, which keep their present values.", ", ".join(sorted(later)))
    return {key: each for key, each in state.items() if key not in later}


def without_task(record: Mapping[str, T], state: Iterable[str]) -> dict[str, T]:
    """`record`, flat, without what its task holds besides `state`: of a model alone, or of a task whose evaluated step
    does without, as without a metric that only training updates.
    """
    own = set(state)
    return {key: each for key, each in record.items() if key in own or not key.startswith(OF_THE_TASK)}


def layers_of(task: Any) -> dict[str, keras.layers.Layer]:
    """The layers of a task's model by their keys: those of their variables, without the last part. The model is ""."""
    return {"/".join(path): layer for path, layer in _walk_layers(task.model, (), {})}


def all_layers(task: Any) -> dict[str, keras.layers.Layer]:
    """Those of `layers_of`, and under `task/<attribute>/...` the layers that the task itself holds."""
    model, seen = _model_of(task), dict[int, object]()
    found = list(_walk_layers(model, (), seen))
    if task is not model:
        for name, child in attributes(task, wide=True):
            found += _walk_layers(child, ("task", _escape(name)), seen)
    return {"/".join(path): layer for path, layer in found}


def nest(flat: Mapping[str, T]) -> dict[str, Any]:
    """`{"a/b": x}` as `{"a": {"b": x}}`."""
    nested: dict[str, Any] = {}
    for key, leaf in flat.items():
        *parents, last = key.split("/")
        at = nested
        for parent in parents:
            at = at.setdefault(parent, {})
            if not isinstance(at, dict):
                break
        if not isinstance(at, dict) or last in at:
            raise ConfigurationError(
                "No key may be a prefix of another one.",
                received=f"{key!r} and a key that is a prefix of it, or begins with it",
                remedy="Rename one of the two attributes.",
            )
        at[last] = leaf
    return nested


def flatten(nested: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `nest`. Whatever is no map is a leaf."""
    flat: dict[str, Any] = {}
    for name, value in nested.items():
        if not isinstance(name, str) or "/" in name:
            raise RecordMismatch("The names in a record are texts without a slash.", received=repr(name))
        if isinstance(value, Mapping):
            flat.update({f"{name}/{key}": leaf for key, leaf in flatten(value).items()})
        else:
            flat[name] = value
    return flat


def _model_of(task: Any) -> Any:
    return task if isinstance(task, keras.layers.Layer) else task.model


def _found(task: Any) -> tuple[Found, Found]:
    """What records of version 0.1 have, under the keys that it has there, and what else there is."""
    old = _Walk(wide=False, known=()).of(task)
    return old, _Walk(wide=True, known=old.values()).of(task)


def _keyed(found: tuple[Found, Found]) -> dict[str, keras.Variable]:
    old, new = found
    if both := sorted("/".join(path) for path in old.keys() & new.keys()):
        raise ConfigurationError(
            "The names under which one object keeps its state must differ, not counting leading underscores.",
            received=f"{both[0]!r} twice",
            remedy="Rename one of the two.",
        )
    together = {"/".join(path): variable for path, variable in (old | new).items()}
    return flatten(nest(together)) if new else together


class _Walk:
    """Through a task, once. `known`: variables that have a key."""

    def __init__(self, *, wide: bool, known: Iterable[keras.Variable]) -> None:
        self._wide = wide
        self._seen: dict[int, object] = {id(variable): variable for variable in known}

    def of(self, task: Any) -> Found:
        # a task may be a layer: its keys are those of any other task
        model = task if isinstance(task, keras.Model) else getattr(task, "model", task)
        found = dict(self._through(model, (), plain=False))
        if task is not model:
            self._seen[id(task)] = task
            held = list(attributes(task, wide=self._wide))
            own = dict(self._children(task, held, ("task",), plain=False))
            if own and any(path[0] == "task" for path in found):
                raise ConfigurationError(
                    "A model whose task has variables of its own must not keep state in an attribute `task`.",
                    received=f"{type(model).__name__}.task",
                    remedy="Rename that attribute.",
                )
            found |= own
        return found

    def _through(self, thing: Any, path: Path, *, plain: bool) -> Iterator[tuple[Path, keras.Variable]]:
        """`plain`: in a plain object, whose layers may be those of other models."""
        if isinstance(thing, keras.random.SeedGenerator):
            thing = thing.state
        if id(thing) in self._seen or kind_of(thing, wide=self._wide) is None:
            return
        if plain and isinstance(thing, keras.layers.Layer):
            return
        self._seen[id(thing)] = thing
        if isinstance(thing, keras.Variable):
            yield path, thing
            return
        held = list(children(thing, wide=self._wide))
        yield from self._children(thing, held, path, plain=plain or is_helper(thing))
        if self._wide and isinstance(thing, (keras.layers.Layer, keras.metrics.Metric)):
            self._refuse_unreachable(thing, path)

    def _children(
        self, parent: Any, held: list[tuple[str, Any]], path: Path, *, plain: bool
    ) -> Iterator[tuple[Path, keras.Variable]]:
        taken: set[str] = set()
        for name, child in held:
            state = list(self._through(child, (*path, _escape(name)), plain=plain))
            if state and name in taken:
                raise ConfigurationError(
                    "The names under which one object keeps its state must differ, not counting leading underscores.",
                    received=f"{name!r} twice in {_described(parent, path)}",
                    remedy="Rename one of the two.",
                )
            if state:
                taken.add(name)
            yield from state

    def _refuse_unreachable(self, thing: Any, path: Path) -> None:
        lost = [
            f"{variable.name} {tuple(variable.shape)}" for variable in thing.variables if id(variable) not in self._seen
        ]
        if lost:
            raise ConfigurationError(
                "Records find a layer's variables through its attributes, and through lists, tuples and dicts in them.",
                received=f"{', '.join(lost)} of {_described(thing, path)}, which no attribute leads to",
                remedy="Keep each in an attribute of the layer that uses it.",
            )


def _walk_layers(thing: Any, path: Path, seen: dict[int, object]) -> Iterator[tuple[Path, keras.layers.Layer]]:
    if id(thing) in seen or not isinstance(thing, (keras.layers.Layer, list, tuple, dict)):
        return
    seen[id(thing)] = thing
    if isinstance(thing, keras.layers.Layer):
        yield path, thing
    for name, child in children(thing, wide=True):
        yield from _walk_layers(child, (*path, _escape(name)), seen)


def _escape(name: str) -> str:
    """Injective: no slash in a path's part, and no empty part."""
    return name.replace("%", "%25").replace("/", "%2F") or "%"


def _described(thing: Any, path: Path) -> str:
    return f"{type(thing).__name__} at {'/'.join(path)!r}" if path else type(thing).__name__
