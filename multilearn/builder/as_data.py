"""A builder as data: read from a TOML file or from the experiment.json of a run, and written as TOML."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Self

from multilearn.builder.branch import Branch
from multilearn.builder.from_toml import Call, declared_by_file, declared_by_run
from multilearn.builder.tables import LOGGERS, METRICS, RECORDERS, RENDERERS, RULES, STRATEGIES, table_of
from multilearn.checkpoint import DEFAULT
from multilearn.errors import ConfigurationError
from multilearn.events import Split
from multilearn.foreign_words import Suggesting
from multilearn.learner.settings import Registered, Settings
from multilearn.plain import as_number
from multilearn.run.log import file_log
from multilearn.storage.location import Location

__all__ = ["AsData", "declared"]


@dataclass(frozen=True, init=False)
class AsData(Suggesting):
    """What every builder of settings can do; its methods are named as the keys of the table are."""

    _settings: Settings
    _branch: Branch = field(init=False, repr=False, compare=False)

    def __init__(self, directory: str | os.PathLike[str], overwrite: bool = False) -> None:
        object.__setattr__(self, "_settings", Settings(Location.of(directory), overwrite))
        object.__setattr__(self, "_branch", Branch())

    @classmethod
    def from_toml(cls, path: str | os.PathLike[str], directory: str | os.PathLike[str] | None = None) -> Self:
        """The builder that a TOML file describes: what `to_toml` writes, where everything but `directory` may be left
        out, metrics are on both splits unless it says otherwise, and the name of a type alone stands for its defaults.

        `directory`: where to run instead of where the file says.

        Raises `ConfigurationError` for a file that is none, for unknown keys (with the nearest known name), and for
        all that the methods of the builder refuse.
        """
        return cls._declared(*declared_by_file(Path(path).expanduser(), directory))

    @classmethod
    def from_experiment(cls, run: str | os.PathLike[str], directory: str | os.PathLike[str] | None = None) -> Self:
        """The builder that the run in the directory `run` was declared with, from its experiment.json.

        Relative paths are relative to the directory that they were relative to then; of a run that was moved, the
        directory is `run`. `directory`: where to run instead, for the first one holds a run. What was in the builder
        and is not data, such as a metric of the user's, is missing, and a warning says so.
        """
        return cls._declared(*declared_by_run(Path(run).expanduser(), directory))

    def to_toml(self) -> str:
        """This builder as TOML, from which `from_toml` makes an equal one. Paths are as they were written: a relative
        one is relative to the current directory when the file is read.

        Raises `ConfigurationError` if something in it is not data: a metric, strategy, rule, recorder, logger or
        renderer of the user's, an interrupter. Those are added after `from_toml`.
        """
        import tomli_w

        table, left_out = declared(self._settings)
        if left_out:
            raise ConfigurationError(
                "Only data can be written as TOML.",
                received=", ".join(left_out),
                remedy="Write the builder before these are added, and add them after from_toml.",
            )
        text = tomli_w.dumps(table)
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ConfigurationError(
                "TOML is written in UTF-8.",
                received=f"{text[error.start : error.end]!a} in {self._settings.directory.written!a} or another name",
                remedy="Use a path whose name is UTF-8.",
            ) from error
        return text

    @classmethod
    def _declared(cls, made: Call, *calls: Call) -> Self:
        builder = cls(*made.positional)
        for method, positional, named in calls:
            builder = getattr(builder, method)(*positional, **named)
        return builder

    def _with(self, **changes: Any) -> Self:
        builder = object.__new__(type(self))
        object.__setattr__(builder, "_settings", replace(self._settings, **changes))
        object.__setattr__(builder, "_branch", self._branch.grown(builder))
        return builder


def declared(settings: Settings) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The table, and in words what is in the builder and is not data: a metric or a renderer of the user's."""
    table: dict[str, Any] = {"directory": settings.directory.written, "overwrite": settings.overwrite}
    left_out: list[str] = []

    def write(key: str, value: Any, tell: Callable[[Any], Any] = lambda value: value) -> None:
        if value is not None:
            try:
                table[key] = tell(value)
            except ConfigurationError:
                left_out.append(f".{key}({value!r})")

    table["num_epochs"], table["grads_accumulation"] = settings.epochs, settings.accumulation
    write("validate_every", settings.validate_every if settings.validate_every > 1 else None)
    write("checkpoint_every", settings.checkpoint_every, _parameters)
    write("restore_best", settings.restore_best, _parameters)
    write("devices", settings.devices or None, list)
    write("nan_policy", settings.nan_policy)
    write("summary", settings.show_summary)
    engine = {"capture": settings.capture, "compile": settings.compile, "passes": settings.passes}
    write("engine", {name: chosen for name, chosen in engine.items() if chosen is not None})
    write("file_checkpointer", settings.recorder, lambda recorder: table_of(recorder, RECORDERS))
    if settings.strategy is not DEFAULT:
        write("checkpointing_strategy", settings.strategy, lambda strategy: table_of(strategy, STRATEGIES))
    write("early_stopping", settings.early_stopping, lambda rule: table_of(rule, RULES))
    if settings.resume is not None:
        source = settings.resume.written or settings.resume.directory
        table["checkpoint"] = {"which": settings.resume.which} | ({} if source is None else {"directory": str(source)})
    table["metrics"] = _metric_tables(settings.metrics, left_out)
    if settings.loggers is not None:
        try:
            table["metric_loggers"] = [table_of(logger, LOGGERS) for logger in settings.loggers]
        except ConfigurationError:
            left_out.append(f".metric_loggers({', '.join(type(logger).__name__ for logger in settings.loggers)})")
    if settings.application_log is None:
        table["application_logger"] = False
    elif settings.application_log is not file_log:
        left_out.append(".with_application_logger(...)")
    if settings.renderer is not None:
        try:
            table["renderer"] = table_of(settings.renderer, RENDERERS)
        except ConfigurationError:
            left_out.append(f".renderer({type(settings.renderer).__name__})")
    if settings.on_epoch:
        names = (getattr(function, "__name__", type(function).__name__) for function in settings.on_epoch)
        left_out.append(f".on_epoch({', '.join(names)})")
    if settings.interrupter is not None:
        left_out.append(".with_interrupter(...)")
    return table, tuple(left_out)


def _metric_tables(registered: Sequence[Registered], left_out: list[str]) -> list[dict[str, Any]]:
    tables: list[dict[str, Any]] = []
    for each in registered:
        try:
            entry = {**table_of(each.metric, METRICS), "plotted": each.plotted}
        except ConfigurationError:
            left_out.append(f".metric_{each.split}({each.metric!r})")
            continue
        if tables and tables[-1] == {**entry, "splits": [Split.TRAIN.value]} and each.split is Split.VALID:
            tables[-1]["splits"].append(each.split.value)
        else:
            tables.append({**entry, "splits": [each.split.value]})
    return tables


def _parameters(thing: Any) -> dict[str, Any]:
    values = {field.name: getattr(thing, field.name) for field in fields(thing)}
    return {
        name: value.value if isinstance(value, Split) else as_number(value)
        for name, value in values.items()
        if value is not None
    }
