"""A learner that does not train: it takes the first step apart, for `multilearn diff-step`, and ends the process."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NoReturn

from multilearn.events import Split
from multilearn.learner.inputs import examine
from multilearn.learner.learner import Learner
from multilearn.learner.start import BuiltRun
from multilearn.run import trace
from multilearn.schedulers.schedule import spanned

__all__ = ["TracingLearner"]


class TracingLearner(Learner):
    """`fit` writes what the backend sees on the way of the first batch to the file `path`; see `run.trace`."""

    def __init__(self, run: BuiltRun, path: Path) -> None:
        super().__init__(run)
        self._path = path

    def fit(self, train: Any, valid: Any = None) -> NoReturn:
        run, settings = self._run, self._run.settings
        with ExitStack() as stack:
            data = examine(train, None, run.seed, stack)
            schedule = spanned(run.subject.scheduler, settings.epochs, data.batches[Split.TRAIN], settings.accumulation)
            rate = schedule.learning_rate(0)
            example = data.examples[Split.TRAIN]
            trace.write(list(run.backend.walk(run.subject, example, rate, settings.devices)), self._path)
        sys.exit()
