"""What there is to show of a run, folded from its events: where it is, and the curve of each plotted metric."""

from __future__ import annotations

import math

import numpy as np

from multilearn.events import Attached, Event, MetricInfo, Reading, Split, SplitEnded, Started, Stepped
from multilearn.plots.series import BoundedSeries
from multilearn.renderers.run_state import RunState

__all__ = ["Board"]

_CHUNK = 1024  # steps that are folded at once: the thread that trains is to have little to do for each
_NONE = Reading(math.nan)


class Board:
    """A run that begins, or is resumed, with `started`; `now` in seconds on a steady clock. No terminal is known here.

    `names`: the plotted metrics as they were registered. x counts epochs: the third of four batches of epoch 2 is at
    1.75. Until the first epoch has said how long it is, x counts batches.
    """

    def __init__(self, started: Started, now: float) -> None:
        self.state = RunState(started, now)
        self.infos: dict[str, MetricInfo] = {}
        for infos in started.metrics.values():
            for info in infos:
                if info.name not in self.infos or info.plotted:
                    self.infos[info.name] = info
        self.names = [name for name, info in self.infos.items() if info.plotted]
        plotted = [info.name for info in started.metrics.get(Split.TRAIN, ()) if info.plotted]
        self._series = {name: BoundedSeries() for name in plotted}
        self._steps: list[Stepped] = []
        self._update = started.update
        self.attached: list[Attached] = []
        self.version = 0
        self._length = started.batches.get(Split.TRAIN)

    def take(self, event: Event, now: float) -> None:
        self.version += 1
        self.state.take(event, now)
        if isinstance(event, Stepped):
            if event.split is Split.TRAIN:
                self._steps.append(event)
                if len(self._steps) == _CHUNK:
                    self._fold()
        elif isinstance(event, SplitEnded) and event.split is Split.TRAIN and self.state.batch:
            self._fold()
            if self._length is None:
                for series in self._series.values():
                    series.stretch(event.epoch - 1, 1 / self.state.batch)
            self._length = self.state.batch
        elif isinstance(event, Attached):
            self.attached.append(event)

    @property
    def batches(self) -> dict[str, BoundedSeries]:
        """Of each plotted metric of training its values in the batches."""
        self._fold()
        return self._series

    @property
    def update(self) -> int:
        """How many updates were done."""
        self._fold()
        return self._update

    @property
    def in_epochs(self) -> bool:
        """Whether it is known how long an epoch is."""
        return self._length is not None

    @property
    def x(self) -> float:
        """How far the run is."""
        done = [x for series in self.batches.values() if (x := series.last) is not None]
        known = (epoch for curves in self.state.curves.values() for values in curves.values() for epoch in values)
        return max([*done, *known], default=0.0)

    @property
    def share(self) -> float:
        """How much of the run is done, from 0 to 1: validation is not counted."""
        state = self.state
        if state.finished is not None and state.finished.reason is None and state.finished.error is None:
            return 1.0
        within = 1.0 if state.split is not Split.TRAIN else state.batch / (state.total or math.inf)
        return min(1.0, (state.epoch - 1 + min(1.0, within)) / state.started.epochs)

    def epochs(self, split: Split, name: str) -> dict[int, float]:
        """The exact values after each epoch, in their order."""
        return dict(sorted(self.state.curves.get(split, {}).get(name, {}).items()))

    def best(self, split: Split, name: str) -> tuple[float, int] | None:
        """The best value after an epoch, and the first epoch that had it; None if no way is better."""
        better = self.infos[name].better
        values = {epoch: value for epoch, value in self.epochs(split, name).items() if not math.isnan(value)}
        if better is None or not values:
            return None
        epoch = (min if better == "lowest" else max)(values, key=values.__getitem__)
        return values[epoch], epoch

    def _fold(self) -> None:
        steps, self._steps = self._steps, []
        if not steps:
            return
        self._update = steps[-1].update
        batch = np.array([step.batch for step in steps], dtype=np.float64)
        done = np.minimum(1.0, batch / self._length) if self._length else batch
        x = np.array([step.epoch - 1 for step in steps]) + done
        for name, series in self._series.items():
            found = [step.readings.get(name, _NONE).value for step in steps]
            series.extend(x, np.array(found, dtype=np.float64))
