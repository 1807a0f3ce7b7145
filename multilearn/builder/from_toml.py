"""A builder as data: the table of a TOML file, which is also in experiment.json.

The keys are the methods of `LearnerBuilder`, the types are classes of `multilearn`, with their parameters.
"""

from __future__ import annotations

import os
import tomllib
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from multilearn.arguments import flag
from multilearn.builder.tables import (
    LOGGERS,
    METRICS,
    RECORDERS,
    RENDERERS,
    RULES,
    STRATEGIES,
    Role,
    refuse_unknown,
    thing_of,
)
from multilearn.errors import ConfigurationError
from multilearn.events import Split
from multilearn.learner.argument_checks import splits_of
from multilearn.printable import printable
from multilearn.run.experiment import earlier, read_document
from multilearn.storage.layout import RunDirectory
from multilearn.storage.reading import read_whole
from multilearn.storage.throw_away import found

__all__ = ["Call", "declared_by_file", "declared_by_run"]

_SPLITS = (Split.TRAIN, Split.VALID)
_LARGEST = 1 << 18
"""Bytes of a TOML file: two hundred times what one has."""
_DOTS = 200  # in a line: what the parser takes for a name grows with the square of its parts

_Reader = Callable[[str, Any], Iterable["Call"]]
"""The calls that a key and its value stand for."""


class Call(NamedTuple):
    """A method of `LearnerBuilder`, or its constructor, and the arguments."""

    method: str
    positional: tuple[Any, ...] = ()
    named: Mapping[str, Any] = {}


def declared_by_file(path: Path, directory: str | os.PathLike[str] | None) -> list[Call]:
    """The builder that a TOML file describes, in `directory` if there is one."""
    return _declaration(_read_toml(path), directory, str(path))


def declared_by_run(run: Path, directory: str | os.PathLike[str] | None) -> list[Call]:
    """The builder that the run in the directory `run` was declared with; warns of what is missing in it."""
    path = RunDirectory(found(run)).experiment
    document = _read_experiment(path)
    table, not_data = dict(document["builder"]), [str(each) for each in document["not_data"]]
    _locate(table, run, document)
    if not_data:
        # shown at the line that calls the builder's method
        warnings.warn(printable(f"Not in {path}, and must be added again: {', '.join(not_data)}"), stacklevel=3)
    return _declaration(table, directory, str(path))


def _read_toml(path: Path) -> dict[str, Any]:
    """The table in a file. Raises `ConfigurationError` for a file that is missing or not TOML."""
    try:
        text = read_whole(path, _LARGEST).decode()
        if any(line.count(".") > _DOTS for line in text.splitlines()):
            raise ValueError(f"a line with more than {_DOTS} dots")
        table = tomllib.loads(text)
        _require_numbers(table)
        return table
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigurationError(
            "A builder is read from a TOML file.", received=f"{path}: {error}", remedy="Compare it with .to_toml()."
        ) from error


def _require_numbers(value: Any) -> None:
    """Raise `ValueError` for a whole number of more than the 64 bits that TOML has: Python may not even write it."""
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError("a whole number of more than 64 bits")
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _require_numbers(each)


def _locate(table: dict[str, Any], run: Path, document: Mapping[str, Any]) -> None:
    """Have relative paths in `table` lead where they led when the run was made, as far as its place tells."""
    written = table.get("directory")
    if not isinstance(written, str) or written.startswith("~") or Path(written).is_absolute():
        return
    sessions, _ = earlier(RunDirectory(found(run)).experiment)
    backend = sessions[0].backend if sessions else ""
    own = Path(written.replace("{backend}", backend).replace("{seed}", str(document.get("seed"))))
    here = run.absolute()
    with suppress(OSError):  # there may be no current directory
        if own.resolve() == here.resolve():
            return
    base = here.parents[len(own.parts) - 1] if here.parts[-len(own.parts) :] == own.parts else None
    table["directory"] = str(here if base is None else base / written)
    source = table.get("checkpoint")
    if base is not None and isinstance(source, dict) and isinstance(directory := source.get("directory"), str):
        table["checkpoint"] = {**source, "directory": str(base / os.path.expanduser(directory))}


def _read_experiment(path: Path) -> dict[str, Any]:
    """What `declared` gave when experiment.json at `path` was written, and the rest of it."""
    try:
        document = read_document(path)
        return {**document, "builder": dict(document["builder"]), "not_data": list(document["not_data"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            "The experiment.json of a run has the builder it was declared with.",
            received=f"{path}: {type(error).__name__}: {error}",
            remedy="Give the directory of a run.",
        ) from error


def _declaration(table: Mapping[str, Any], directory: str | os.PathLike[str] | None, where: str) -> list[Call]:
    """As calls of the builder's own methods, which check what they are given; its constructor first."""
    table = {**table} if directory is None else {**table, "directory": directory}
    recorder = table.get("file_checkpointer")
    if isinstance(recorder, Mapping) and recorder.get("precision") in ("full", "half"):  # of version 0.1
        table["file_checkpointer"] = {key: value for key, value in recorder.items() if key != "precision"}
        if recorder["precision"] == "half":
            warnings.warn(
                printable(f"Not of {where}: precision. Records are full; convert exports half."), stacklevel=4
            )
    refuse_unknown(table, ["directory", "overwrite", *_METHODS], where)
    if "directory" not in table:
        raise ConfigurationError(
            f"{where} must say the directory.", received="none", remedy='Write directory = "runs/a".'
        )
    made = Call("__init__", (table["directory"], _flag(table.get("overwrite", False), "overwrite")))
    return [made, *(call for key, value in table.items() if key in _METHODS for call in _METHODS[key](key, value))]


def _metrics(key: str, tables: Any) -> Iterator[Call]:
    for number, table in enumerate(_listed(tables, key)):
        where = f"{key}[{number}]"
        entry = {"type": table} if isinstance(table, str) else dict(_table(table, where))
        named = entry.pop("splits", None)
        plotted = entry.pop("plotted", None)
        metric = thing_of(entry, METRICS, where)
        splits = splits_of(metric) if named is None else _listed(named, f"{where}.splits")
        refuse_unknown(splits, [split.value for split in _SPLITS], f"{where}.splits", "name")
        if not splits:
            rule, remedy = f"{where} is measured on at least one split.", "Leave out splits for both, or the metric."
            raise ConfigurationError(rule, received="splits = []", remedy=remedy)
        plotted = metric.numeric if plotted is None else _flag(plotted, f"{where}.plotted")
        for split in splits:
            yield Call(f"metric_{split}_numeric" if plotted else f"metric_{split}", (metric,))


def _loggers(key: str, loggers: Any) -> Iterator[Call]:
    tables = enumerate(_listed(loggers, key))
    yield Call(key, tuple(thing_of(table, LOGGERS, f"{key}[{number}]") for number, table in tables))


def _application_logger(key: str, wanted: Any) -> Iterator[Call]:
    if not _flag(wanted, key):
        yield Call("with_application_logger", (None,))


def _value(key: str, value: Any) -> Iterator[Call]:
    yield Call(key, (value,))


def _thing(known: Role, method: str | None = None) -> _Reader:
    """Of a type of `known`, by its table."""

    def read(key: str, table: Any) -> Iterator[Call]:
        yield Call(method or key, (thing_of(table, known, key),))

    return read


def _arguments(*known: str) -> _Reader:
    def read(key: str, arguments: Any) -> Iterator[Call]:
        refuse_unknown(_table(arguments, key), known, key)
        if key == "checkpoint" and "which" not in arguments:
            raise ConfigurationError("checkpoint must say which.", received=repr(arguments), remedy='which = "latest".')
        yield Call(key, named=arguments)

    return read


_METHODS: Final[Mapping[str, _Reader]] = {
    "application_logger": _application_logger,
    "checkpoint": _arguments("which", "directory"),
    "checkpoint_every": _arguments("batches", "minutes"),
    "checkpointing_strategy": _thing(STRATEGIES, "with_checkpointing_strategy"),
    "devices": lambda key, names: [Call(key, (_listed(names, key),))],
    "early_stopping": _thing(RULES),
    "engine": _arguments("capture", "compile", "passes"),
    "file_checkpointer": _thing(RECORDERS, "with_file_checkpointer"),
    "grads_accumulation": _value,
    "metric_loggers": _loggers,
    "metrics": _metrics,
    "nan_policy": _value,
    "num_epochs": _value,
    "renderer": _thing(RENDERERS),
    "restore_best": _arguments("metric", "split", "direction"),
    "validate_every": _value,
    "summary": lambda key, wanted: [Call(key)] if _flag(wanted, key) else [],
}


def _flag(value: Any, where: str) -> bool:
    return flag(where, value, "Write true or false, without quotes.")


def _table(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{where} must be a table.", received=repr(value), remedy="Compare with .to_toml().")
    return value


def _listed(value: Any, where: str) -> Sequence[Any]:
    if not isinstance(value, (list, tuple)):
        raise ConfigurationError(f"{where} must be a list.", received=repr(value), remedy="Put it into [ ].")
    return value
