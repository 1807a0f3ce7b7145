"""What is asked only after an epoch, asked once before the first: what a user's own objects raise there is raised here.

Copies are asked, of objects that consist of plain data and whose methods use nothing but that and arithmetic: what
reaches further may pass on what it sees, to a study or a tracker, and asking it twice would not be the same. What is
printed meanwhile is not shown, and global random streams are as before.
"""

from __future__ import annotations

import copy
import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, field
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

from multilearn.checkpoint import CheckpointStrategy
from multilearn.early_stopping import StoppingRule
from multilearn.errors import ConfigurationError
from multilearn.events import Split
from multilearn.history import History
from multilearn.protocols import AnyMetric, Batch, Engine, LRScheduler, Metric, entry_of, merge_of, of_device
from multilearn.schedulers import Observing
from multilearn.seeding.streams import kept_globals

__all__ = ["Rehearsal"]

_OURS = frozenset({"multilearn", "multilearn_keras"})
_PLAIN = (type(None), int, float, complex, str, bytes, type, np.ndarray, np.generic)
_CONSTANTS = (type(None), int, float, complex, str, bytes, tuple, frozenset)
_ARITHMETIC = frozenset(
    {"collections", "dataclasses", "functools", "itertools", "math", "numpy", "operator", "statistics"}
)
_EFFECTS = frozenset({"exec", "eval", "input", "open"})
"""Of what Python has built in."""
_UNKNOWN = 0.5
"""Invented, for a metric of which nothing is known yet."""


@dataclass
class Rehearsal:
    """Of a run whose next epoch is `epoch`, after those of `history`; `measured`: its metrics by split; `splits`:
    those that have data."""

    measured: Mapping[Split, Sequence[AnyMetric]]
    history: History
    epoch: int
    splits: Collection[Split]
    _values: dict[str, float] = field(default_factory=dict)

    def metrics(self, engine: Engine, batch: Batch) -> None:
        """Measure a validation batch, and merge and enter what a user's own metrics make of it."""
        metrics = {metric.name: metric for metric in of_device(self.measured[Split.VALID])}
        if not any(map(_is_users, metrics.values())):
            return
        with kept_globals():
            [host] = engine.fetch([engine.eval_step(batch)])
        for name, metric in metrics.items():
            with _tried(metric, "entry", "the first validation batch") as own:
                if own is not None:
                    self._enter(own, copy.deepcopy(host.measures[name]))

    def rule(self, rule: StoppingRule | None) -> None:
        """Ask a stopping rule for its reason."""
        with _tried(rule, "reason", self._invented) as own:
            reason = None if own is None else own.reason(self._after(), self.epoch, 0.0)
            if reason is not None and not isinstance(reason, str):
                raise ConfigurationError(
                    "The reason for stopping a run must be a text, or None.",
                    received=repr(reason),
                    remedy="Return for instance 'enough'.",
                )

    def strategy(self, strategy: CheckpointStrategy) -> None:
        """Ask a checkpointing strategy what it keeps."""
        with _tried(strategy, "keep", self._invented) as own:
            if own is not None:
                frozenset(map(int, own.keep([self.epoch], self._after())))

    def scheduler(self, scheduler: LRScheduler) -> None:
        """Have a schedule observe the epoch."""
        with _tried(scheduler, "observe", self._invented) as own:
            if own is not None and isinstance(own, Observing):
                own.observe(self.epoch, self._after())

    @property
    def _invented(self) -> str:
        return f"invented values of epoch {self.epoch}"

    def _enter(self, metric: Metric, measured: Any) -> None:
        value = entry_of(metric, merge_of(metric, merge_of(metric, None, measured), measured)).value
        if not isinstance(value, str):
            self._values[metric.name] = value

    def _after(self) -> History:
        """The history as it would be: values that were measured on the way, else invented."""
        history = History.from_state(self.history.state())
        for split in self.splits:
            metrics = self.measured[split]
            values = {each.name: self._values.get(each.name, _UNKNOWN) for each in metrics if each.numeric}
            history = history.with_epoch(split, self.epoch, values)
        return history


@contextmanager
def _tried(thing: Any, method: str, on: str) -> Iterator[Any]:
    """A copy of what is a user's own, None for anything else. What is raised says that it was a trial."""
    own = None
    if _is_users(thing) and _is_plain(thing):
        with suppress(Exception):  # what a copy raises is not what was to be tried
            own = copy.deepcopy(thing)
    try:
        with kept_globals(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            yield own
    except Exception as error:
        what = f"{type(thing).__name__}.{method}"
        error.add_note(f"multilearn: {what} was tried on {on}, before the training. Nothing was written.")
        raise


def _is_users(thing: Any) -> bool:
    """Whether it is, or consists of, something that is not of this library."""
    return bool(_modules(thing))


def _is_plain(thing: Any) -> bool:
    """Whether all objects in it are of one module, besides those of this library, or plain data, and methods of theirs
    reach nothing else."""
    users = [each for each in _objects(thing) if _root(type(each)) not in _OURS]
    classes = {of for each in users for of in type(each).__mro__ if _root(of) not in (*_OURS, "builtins", "typing")}
    functions = (each for of in classes for each in vars(of).values() if isinstance(each, FunctionType))
    return len(_modules(thing)) <= 1 and all(map(_is_arithmetic, functions))


def _is_arithmetic(function: FunctionType) -> bool:
    """Whether it has no variables of a function around it, and all that it uses of its module is without effects."""
    names, used = function.__code__.co_names, function.__globals__
    if set(function.__code__.co_freevars) - {"__class__"} or _EFFECTS & {*names} - used.keys():
        return False
    return all(_is_harmless(used[name]) for name in names if name in used)


def _is_harmless(used: Any) -> bool:
    if isinstance(used, ModuleType):
        return used.__name__.partition(".")[0] in (*_OURS, *_ARITHMETIC)
    if isinstance(used, FunctionType):
        return _root(used) in _OURS
    if isinstance(used, type):
        return _root(used) in (*_OURS, *_ARITHMETIC, "builtins") or issubclass(used, Exception)
    return isinstance(used, _CONSTANTS)


def _root(of: type | FunctionType) -> str:
    return of.__module__.partition(".")[0]


def _modules(thing: Any) -> set[str]:
    """The modules of the classes of all objects in it that are not of this library."""
    modules = {type(each).__module__ for each in _objects(thing)}
    return {module for module in modules if module.partition(".")[0] not in _OURS}


def _objects(thing: Any) -> Iterator[Any]:
    """It and what it holds, at any depth, except plain data and collections of that."""
    waiting, seen = [thing], set[int]()
    while waiting:
        each = waiting.pop()
        if id(each) in seen or isinstance(each, _PLAIN):
            continue
        seen.add(id(each))
        if isinstance(each, Mapping):
            waiting += [*each.keys(), *each.values()]
        elif isinstance(each, (list, tuple, set, frozenset)):
            waiting += each
        else:
            yield each
            waiting += getattr(each, "__dict__", {}).values()
