"""The learning-rate sweep of Smith (2015): one rate after the other, from low to high, until the loss diverges."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from statistics import fmean, median
from typing import TYPE_CHECKING, Any

from multilearn.arguments import number, whole
from multilearn.errors import ConfigurationError
from multilearn.foreign_words import refusing
from multilearn.printable import aligned
from multilearn.protocols import EngineOptions
from multilearn.trials.trial import LOSS, loss_of, tried

if TYPE_CHECKING:
    from multilearn.plots.figure import Figure

__all__ = ["LearningRateSweep", "find_learning_rate"]

_FEWEST = 10  # updates
_DIVERGED = 4.0
_KEPT = 0.8  # of the average before, in the smoothed loss
_NOISE_OF_STEPS = 0.954  # the median of |a - b| of two normal numbers, in their standard deviations
_CERTAIN = 1.5
_ROWS, _BAR = 12, 30


@dataclass(frozen=True)
class LearningRateSweep:
    """What a sweep saw: `losses[i]` is that of the batch before the update with `rates[i]`.

    `stopped`: why it ended before the highest rate; None if it did not. Printed, it is a table with the suggestion.
    """

    rates: tuple[float, ...] = field(repr=False)
    losses: tuple[float, ...] = field(repr=False)
    stopped: str | None = None

    @cached_property
    def smoothed(self) -> tuple[float, ...]:
        """The losses as a moving average, forwards and backwards, so that it is not behind; what is above the level of
        divergence, or not finite, is taken for that level."""
        level = _level(self.losses, _DIVERGED)
        seen = [min(loss, level) if math.isfinite(loss) else level for loss in self.losses]
        return tuple((a + b) / 2 for a, b in zip(_averages(seen), _averages(seen[::-1])[::-1], strict=True))

    @cached_property
    def suggestion(self) -> float | None:
        """The rate at which the smoothed loss falls most steeply, by the logarithm of the rate.

        None where it does not fall by more than batches differ from each other.
        """
        best = self._best
        if best is None:
            return None
        # over a tenth of the sweep: from one update to the next, batches differ by more than the rate makes
        apart = min(max(1, len(self.rates) // 10), best)
        falls = [self.smoothed[at] - self.smoothed[at + apart] for at in range(best - apart + 1)]
        return self.rates[falls.index(max(falls)) + apart // 2]

    @cached_property
    def tenth(self) -> float | None:
        """A tenth of the rate at which the smoothed loss is lowest, another rule in use; None as `suggestion`."""
        best = self._best
        return None if best is None else self.rates[best] / 10

    @cached_property
    def _best(self) -> int | None:
        """Where the smoothed loss is lowest; None if that is not lower than noise makes it."""
        finite = [loss for loss in self.losses if math.isfinite(loss)]
        if len(finite) < _FEWEST:
            return None
        best = self.smoothed.index(min(self.smoothed))
        steps = [abs(after - before) for before, after in pairwise(finite)]
        start = fmean(self.smoothed[: max(1, len(self.rates) // 10)])
        noise = median(steps) / _NOISE_OF_STEPS
        return best if start - self.smoothed[best] > max(_CERTAIN * noise, 1e-3 * abs(start)) else None

    def plot(self) -> Figure:
        """The smoothed loss by the logarithm of the rate, with the suggestion: `sweep.plot().save("rates.svg")`."""
        from multilearn.plots.chart import Chart, Line
        from multilearn.plots.figure import Figure

        places = [math.log10(rate) for rate in self.rates]
        level = _level(self.losses, _DIVERGED)
        raw = [min(loss, level) for loss in self.losses]
        lines = [
            Line("loss of each batch", places, raw, thin=True),
            Line("loss, smoothed", places, self.smoothed),
        ]
        if self.suggestion is not None:
            at = self.rates.index(self.suggestion)
            lines.append(Line("suggestion", [places[at]], [self.smoothed[at]], 1, marks=True))
        chart = Chart("Loss", lines, description=str(self), x_name="learning rate, power of ten")
        return Figure((chart,), tuple(line.name for line in lines[1:]))

    def _repr_html_(self) -> str:
        return self.plot().as_svg()

    def __repr__(self) -> str:
        ends = (
            f"{len(self.rates)} updates from {self.rates[0]:.3g} to {self.rates[-1]:.3g}" if self.rates else "nothing"
        )
        found = "None" if self.suggestion is None else f"{self.suggestion:.3g}"
        return f"LearningRateSweep({ends}, suggestion={found})"

    def __str__(self) -> str:
        shown = sorted({round(at * (len(self.rates) - 1) / (_ROWS - 1)) for at in range(_ROWS)})
        low, high = min(self.smoothed), max(self.smoothed)
        scale = _BAR / (high - low) if low < high < math.inf else 0.0
        rows = [["rate", "loss", ""]]
        rows += [
            [
                f"{self.rates[at]:.2e}",
                f"{self.smoothed[at]:.5g}",
                "#" * round(scale * (self.smoothed[at] - low) if scale else 0.0),
            ]
            for at in shown
        ]
        return "\n".join([*(line.rstrip() for line in aligned(rows)), self._verdict()])

    def _verdict(self) -> str:
        ended = "" if self.stopped is None else f"The sweep ended at {self.rates[-1]:.3g}: {self.stopped}. "
        if self.suggestion is None or self.tenth is None:
            return (
                f"{ended}No suggestion: at no rate does the loss fall by more than batches differ from each other. "
                "Sweep higher or lower rates, or more updates, or larger batches. multilearn.overfit says what does "
                "not learn."
            )
        return (
            f"{ended}Suggestion: {self.suggestion:.2g} (steepest descent). A tenth of the rate of the lowest loss is "
            f"{self.tenth:.2g}."
        )


@refusing
def find_learning_rate(
    model: Any,
    optimizer: Any,
    train: Any,
    *,
    lowest: float = 1e-7,
    highest: float = 1.0,
    updates: int = 100,
    diverged: float = _DIVERGED,
) -> LearningRateSweep:
    """Train with a rate that rises geometrically from `lowest` to `highest` over so many updates, and see at which one
    the loss falls most steeply. Nothing is written, and nothing remains of it: weights, optimizer, random streams and
    data are afterwards as before, and a run that follows is the same as without it.

    `model` and `optimizer` are what `build` takes (None for the optimizer of a compiled model), `train` is what `fit`
    takes; a loader with fewer batches begins again. It ends early when the smoothed loss is above `diverged` times its
    lowest value (counted from there in units of that value or of how far it has fallen, whichever is more; inf to see
    all rates), or is not finite.

    A model that is not built is built, with the weights that `fit` would have given it. A `tf.data.Dataset` that
    shuffles differs each time that it is gone through, by itself: make another one for `fit`.

    Raises `ConfigurationError` or `DataError` for what does not fit, as `build` and `fit` do.
    """
    least = number("lowest", lowest, lambda n: 0 < n < math.inf, "a positive rate", "Use for instance 1e-7.")
    most = number("highest", highest, lambda n: 0 < n < math.inf, "a positive rate", "Use for instance 1.0.")
    if least >= most:
        raise ConfigurationError(
            "A sweep goes from the lowest to the highest rate.",
            received=f"lowest={least:g}, highest={most:g}",
            remedy="Exchange them, or make them differ.",
        )
    whole("updates", updates, _FEWEST)
    times = number("diverged", diverged, lambda n: n > 1, "more than 1", "Use for instance 4.0, or inf.")
    rates, losses = [], []
    stopped = None
    with tried(model, optimizer, least, train, EngineOptions(train_metrics=(LOSS,))) as trial:
        for update, batch in zip(range(updates), trial.batches(), strict=False):
            rate = least * (most / least) ** (update / (updates - 1))
            rates.append(rate)
            losses.append(loss_of(trial.fetched(trial.engine.train_step(batch, rate, update=True))))
            if (stopped := _ended(losses, times)) is not None:
                break
    return LearningRateSweep(tuple(rates), tuple(losses), stopped)


def _ended(losses: Sequence[float], times: float) -> str | None:
    """Why a sweep with these losses ends."""
    if not math.isfinite(losses[-1]):
        return f"the loss is {losses[-1]}"
    if len(losses) >= _FEWEST and _averages(losses)[-1] > _level(losses, times):
        return f"the loss diverges, to {losses[-1]:.4g}"
    return None


def _level(losses: Sequence[float], times: float) -> float:
    """Above it the loss has diverged; losses may be negative, or nearly zero."""
    averages = [each for each in _averages(losses) if math.isfinite(each)]
    if not averages:
        return math.nan
    lowest = min(averages)
    return lowest + (times - 1) * max(abs(lowest), averages[0] - lowest)


def _averages(losses: Sequence[float]) -> list[float]:
    """Exponential moving averages from the first loss on, without their bias towards zero."""
    found, total, weight = [], 0.0, 0.0
    for loss in losses:
        total, weight = _KEPT * total + (1 - _KEPT) * loss, _KEPT * weight + (1 - _KEPT)
        found.append(total / weight)
    return found
