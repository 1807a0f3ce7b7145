"""A builder as data: read from a TOML file or from the experiment.json of a run, and written as TOML."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from multilearn.builder.from_toml import Declaration, declared_by_file, declared_by_run
from multilearn.builder.to_toml import to_toml
from multilearn.learner.settings import Settings
from multilearn.storage.location import Location

__all__ = ["AsData"]


@dataclass(frozen=True, init=False)
class AsData:
    """What every builder of settings can do; its methods are named as the keys of the table are."""

    _settings: Settings

    def __init__(self, directory: str | os.PathLike[str], overwrite: bool = False) -> None:
        object.__setattr__(self, "_settings", Settings(Location.of(directory), overwrite))

    @classmethod
    def from_toml(cls, path: str | os.PathLike[str], directory: str | os.PathLike[str] | None = None) -> Self:
        """The builder that a TOML file describes: what `to_toml` writes, where everything but `directory` may be left
        out, metrics are on both splits unless it says otherwise, and the name of a type alone stands for its defaults.

        `directory`: where to run instead of where the file says.

        Raises `ConfigurationError` for a file that is none, for unknown keys (with the nearest known name), and for
        all that the methods of the builder refuse.
        """
        return cls._declared(declared_by_file(Path(path).expanduser(), directory))

    @classmethod
    def from_experiment(cls, run: str | os.PathLike[str], directory: str | os.PathLike[str] | None = None) -> Self:
        """The builder that the run in the directory `run` was declared with, from its experiment.json.

        Relative paths are relative to the directory that they were relative to then; of a run that was moved, the
        directory is `run`. `directory`: where to run instead, for the first one holds a run. What was in the builder
        and is not data, such as a metric of the user's, is missing, and a warning says so.
        """
        return cls._declared(declared_by_run(Path(run).expanduser(), directory))

    def to_toml(self) -> str:
        """This builder as TOML, from which `from_toml` makes an equal one. Paths are as they were written: a relative
        one is relative to the current directory when the file is read.

        Raises `ConfigurationError` where something in it is not data: a metric, strategy, rule, recorder, logger or
        renderer of the user's, an interrupter. Those are added after `from_toml`.
        """
        return to_toml(self._settings)

    @classmethod
    def _declared(cls, declaration: Declaration) -> Self:
        builder = cls(declaration.directory, declaration.overwrite)
        for method, positional, named in declaration.calls:
            builder = getattr(builder, method)(*positional, **named)
        return builder

    def _with(self, **changes: Any) -> Self:
        builder = object.__new__(type(self))
        object.__setattr__(builder, "_settings", replace(self._settings, **changes))
        return builder
