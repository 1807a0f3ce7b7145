"""The process that trains: `python -m multilearn.testing.child REQUEST ANSWER`, on the backend of its environment."""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from multilearn import LearnerBuilder, set_seed
from multilearn.errors import ConfigurationError
from multilearn.learner.interrupter import Interrupter
from multilearn.renderers import SilentRenderer
from multilearn.storage.layout import RunDirectory
from multilearn.testing.promise import Request

__all__ = ["main"]


class _Counting(Interrupter):
    """Counts how often it is asked, and has a reason after so many times: a place in the run that can be repeated."""

    def __init__(self, stop_after: int | None) -> None:
        super().__init__()
        self.asked = 0
        self._stop_after = stop_after

    @property
    def reason(self) -> str | None:
        """As in `Interrupter`."""
        self.asked += 1
        if self._stop_after is not None and self.asked > self._stop_after:
            return super().reason or "stopped by the test"
        return super().reason


def main(request: Path, answer: Path) -> None:
    """Train as the request says; the answer is how often the loop asked whether to stop."""
    asked = Request(**json.loads(request.read_text(encoding="utf-8")))
    sys.path[:] = asked.search
    train: Callable[[LearnerBuilder], object] = getattr(_module(asked), asked.name)
    set_seed(asked.seed)
    interrupter = _Counting(asked.stop_after)
    builder = LearnerBuilder(asked.directory).renderer(SilentRenderer()).with_interrupter(interrupter)
    if asked.saves:
        builder = builder.with_file_checkpointer()
    if asked.resumes:
        builder = builder.checkpoint("latest")
    train(builder)
    if not RunDirectory(Path(asked.directory)).experiment.exists():
        raise ConfigurationError(
            "The function must fit a learner made from the builder that it is given.",
            received=f"{asked.name}, which left nothing in the builder's directory",
            remedy="Write for instance: def train(builder): builder.build(task, 'adam', 1e-3).fit(loader)",
        )
    answer.write_text(str(interrupter.asked), encoding="ascii")


def _module(asked: Request) -> Any:
    """By its name, so that it can import its neighbours; by its file if no import leads to that very file."""
    try:
        found = importlib.util.find_spec(asked.module)
    except (ImportError, ValueError):
        found = None
    if found is not None and found.origin is not None and Path(found.origin).resolve() == Path(asked.file):
        return importlib.import_module(asked.module)
    spec = importlib.util.spec_from_file_location(asked.module, asked.file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[asked.module] = module
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
