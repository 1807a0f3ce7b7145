"""What a process is asked to train, and what it answers: two small JSON files."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from multilearn.errors import ConfigurationError

__all__ = ["Answer", "Request", "place_of"]


@dataclass(frozen=True)
class Request:
    """Train what the function at `file`, `module`, `name` says, in `directory`.

    `search`: where imports are looked for. `saves`: with checkpoints; `resumes`: from the latest of them.
    `stop_after`: how often the loop may ask whether to stop before the answer is yes; None for never.
    """

    file: str
    module: str
    name: str
    search: tuple[str, ...]
    directory: str
    seed: int
    saves: bool = False
    resumes: bool = False
    stop_after: int | None = None

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Request:
        return cls(**json.loads(path.read_text(encoding="utf-8")))


@dataclass(frozen=True)
class Answer:
    """How often the loop asked whether to stop."""

    asked: int

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Answer:
        return cls(**json.loads(path.read_text(encoding="utf-8")))


def place_of(function: Callable[[Any], object]) -> dict[str, Any]:
    """Where another process finds the function: the first fields of a request.

    Raises `ConfigurationError` for a function that no import leads to.
    """
    file = inspect.getsourcefile(function) if inspect.isfunction(function) else None
    if file is None or not function.__qualname__.isidentifier():
        raise ConfigurationError(
            "What is trained on every framework is a function of a module, for each has a process of its own.",
            received=repr(function),
            remedy="Define it with def at the top level of the test's file, or of a module it imports.",
        )
    return {
        "file": str(Path(file).resolve()),
        "module": function.__module__,
        "name": function.__qualname__,
        "search": tuple(sys.path),
    }
