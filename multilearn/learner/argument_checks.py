"""Whether an argument is what a method of the builder takes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import Any, get_args

from multilearn import backend as backends
from multilearn.arguments import as_whole, choice, require, shown, whole_in_environment
from multilearn.environment_variables import DEVICES
from multilearn.errors import ConfigurationError
from multilearn.events import Position, Split
from multilearn.learner.window import NanPolicy
from multilearn.loggers import FileMetricLogger, MetricLogger
from multilearn.loggers.tracker import TrackerLogger
from multilearn.metrics import AnyMetric, HostMetric, Metric, UpdateMetric
from multilearn.protocols import Backend, Compiler, Device, Devices
from multilearn.storage.layout import file_name

__all__ = [
    "as_metric",
    "device_names",
    "devices_of_run",
    "one_compiler",
    "one_policy",
    "require_callable",
    "require_loggers",
    "require_metric",
    "require_name",
    "require_taking_one",
    "which_checkpoint",
]

_LONGEST = 200
_NAMED = ("latest", "best")


def one_policy(policy: NanPolicy) -> NanPolicy:
    """One of the NaN policies there are."""
    remedy = 'To stop at once when training diverged, leave it out: that is "stop".'
    choice('A NaN policy is one of "stop", "skip" and "ignore"', policy, get_args(NanPolicy), remedy)
    return policy


def one_compiler(compiler: Compiler | None, capture: bool) -> Compiler | None:
    """One of the compilers there are, for steps that are captured."""
    if compiler is None:
        return None
    rule = 'A compiler is "inductor", which is torch\'s, or "xla", which is TensorFlow\'s and JAX\'s'
    choice(rule, compiler, get_args(Compiler), "To let each framework run steps as it does by default, leave it out.")
    if not capture:
        raise ConfigurationError(
            "What is compiled is the captured step.",
            received=f"capture=False and compile={compiler!r}",
            remedy="Leave out one of the two.",
        )
    return compiler


def require_callable(function: object, rule: str) -> None:
    """Raise `ConfigurationError` for what cannot be called, such as the result of a call."""
    if not callable(function) or isinstance(function, type):
        raise ConfigurationError(rule, received=repr(function)[:_LONGEST], remedy="Give the function itself.")


def require_taking_one(function: Callable[..., object], rule: str, what: str) -> None:
    """Raise `ConfigurationError` for a function that cannot be called with one argument, which is `what`."""
    import inspect  # only if such a function is given

    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # of what is built in, nothing may be known
        return
    try:
        signature.bind(None)
    except TypeError:
        name = getattr(function, "__name__", type(function).__name__)
        received = f"{name}{signature}"[:_LONGEST]
        raise ConfigurationError(rule, received=received, remedy=f"Have it take one argument, {what}.") from None


def require_loggers(loggers: Sequence[MetricLogger]) -> None:
    """Raise `ConfigurationError` for what is no metric logger, or would write the same lines twice."""
    for logger in loggers:
        require(logger, MetricLogger, "A metric logger must have the methods log(event), flush() and close().")
    for number, logger in enumerate(loggers):
        if any(_is_the_same(logger, each) for each in loggers[:number]):
            raise ConfigurationError(
                "A metric logger is given once, and so are those that write into one place.",
                received=f"{type(logger).__name__} twice",
                remedy="Remove one of the two.",
            )


def _is_the_same(one: MetricLogger, other: MetricLogger) -> bool:
    if isinstance(one, TrackerLogger) and type(one) is type(other):
        return replace(one, every=other.every) == other
    return one is other or type(one) is type(other) is FileMetricLogger


def as_metric(metric: Any) -> Any:
    """A metric of Keras' own, or its name, in the adaptor that the backend has for it; anything else as it is."""
    keras = sys.modules.get("keras")
    if not isinstance(metric, str) and (keras is None or not isinstance(metric, getattr(keras, "Metric", ()))):
        return metric
    return backends.load().adopt_metric(metric)


def require_metric(metric: AnyMetric, split: str, plotted: bool) -> None:
    """Raise `ConfigurationError` for a metric that cannot be registered on the split, or not be plotted."""
    if isinstance(metric, type) or not isinstance(metric, (HostMetric, UpdateMetric)):
        require(metric, Metric, "A metric must have name, unit, numeric, measure, merge and entry.")
    if isinstance(metric, UpdateMetric) and split != Split.TRAIN:
        raise ConfigurationError(
            f"{metric.name} is measured of the optimizer's updates, which only training has.",
            received=f"{metric.name} on {split}",
            remedy="Register it in training: .metrics(...), or .metric_train_numeric(...).",
        )
    if plotted and not metric.numeric:
        raise ConfigurationError(
            "Only a numeric metric can be plotted.",
            received=f"{metric.name}, whose values are text",
            remedy=f"Register it with .metric_{split}(...).",
        )
    require_name(metric.name, "metric")


def splits_of(metric: AnyMetric) -> tuple[Split, ...]:
    """The splits that it is measured on if none is named."""
    return (Split.TRAIN,) if isinstance(metric, UpdateMetric) else (Split.TRAIN, Split.VALID)


def require_name(name: str, of: str) -> None:
    """Raise `ConfigurationError` for a name that is empty, or too long for a file."""
    if not isinstance(name, str) or not name.strip():
        remedy = "Give it one."
        if of == "evaluation" and not isinstance(name, str):
            remedy = "All data are one argument, such as multilearn.DataLoader((x, y), batch_size=64)."
        raise ConfigurationError(f"The name of the {of} must be a text.", received=shown(name), remedy=remedy)
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise ConfigurationError(
            f"The name of the {of} must be a text that can be written.",
            received=f"{name[:40]!a}, with an unpaired surrogate",
            remedy="Remove it.",
        ) from error
    if len(file_name(name)) > _LONGEST:
        raise ConfigurationError(
            f"The name of the {of} becomes a file name, of at most {_LONGEST} bytes.",
            received=f"{name[:40]!r}..., which takes {len(file_name(name))}",
            remedy="Shorten it.",
        )


def device_names(devices: Devices) -> tuple[str, ...]:
    """The names of the devices that are named."""
    names: Sequence[Any] = () if devices is None else (devices,)
    if isinstance(devices, Sequence) and not isinstance(devices, str):
        names = devices
    if not all(isinstance(name, (str, Device)) for name in names):
        raise ConfigurationError(
            "Devices are given by name.", received=repr(devices), remedy='Write ["gpu:0", "gpu:1"], or "all".'
        )
    if not names:
        raise ConfigurationError(
            "A learner trains on at least one device.",
            received=repr(devices),
            remedy="Leave it out for the framework's first.",
        )
    return tuple(map(str, names))


def devices_of_run(names: tuple[str, ...], backend: Backend) -> tuple[str, ...]:
    """The devices that a script names, or those that `multilearn run --devices` asks for.

    Raises `ConfigurationError` for what `backend` does not have, and if they are not as many.
    """
    wanted = whole_in_environment(DEVICES, 1, "Unset it, or use multilearn run --devices N.")
    if wanted is not None and not names:
        names = tuple(f"{backend.devices()[0].kind}:{index}" for index in range(wanted))
    found = backend.find_devices(names)
    if wanted not in (None, len(found)):
        raise ConfigurationError(
            f"{DEVICES} and .devices(...) must ask for the same number of devices.",
            received=f"{wanted} and {len(found)}",
            remedy="Leave one of the two out.",
        )
    return names


def which_checkpoint(which: int | str) -> str:
    """The name of a checkpoint as text: of an epoch, `"latest"`, `"best"`, or one inside an epoch."""
    epoch = as_whole(which)
    name = which if epoch is None else str(epoch)
    if isinstance(name, str) and name in _NAMED:
        return name
    if not isinstance(name, str) or not name[:1].isdigit():
        remedy = f"Write it in quotes: {str(which)!r}." if isinstance(which, float) else "Write for instance 3."
        if isinstance(which, str) and (near := get_close_matches(which, _NAMED, 1)):
            remedy = f"Did you mean {near[0]!r}?"
        raise ConfigurationError(
            "A checkpoint is named by an epoch (int) or by text: 'latest', 'best', or '3.120' inside an epoch.",
            received=shown(which),
            remedy=remedy,
        )
    if Position.parse(name).epoch < 1:
        raise ConfigurationError(
            "Epochs are counted from 1.", received=which, remedy="To start at the beginning, leave it out."
        )
    return name
