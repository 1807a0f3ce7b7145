"""What a sweep of learning rates suggests, where it ends, and what it refuses; the curves are formulas."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from support import toy_experiment as toy

import multilearn as ml
from multilearn.errors import ConfigurationError, DataError
from multilearn.trials import LearningRateSweep

STEEPEST = 1e-3


def falling(rate: float) -> float:
    """From 2 to 1, by the logarithm of the rate most steeply at `STEEPEST`; above 0.1 it rises."""
    return 1 + 1 / (1 + (rate / STEEPEST) ** 2) + (rate / 0.5) ** 2


def swept(loss: Callable[[float], float], updates: int = 100) -> LearningRateSweep:
    rates = tuple(1e-7 * 1e7 ** (at / (updates - 1)) for at in range(updates))
    return LearningRateSweep(rates, tuple(map(loss, rates)))


def sweep(data: Any = None, **options: Any) -> LearningRateSweep:
    ml.set_seed(toy.SEED)
    return ml.find_learning_rate(toy.task(), None, toy.train_loader() if data is None else data, **options)


@pytest.mark.parametrize("noise", [0.0, 0.1, 0.2])
def test_the_suggestion_is_where_the_loss_falls_most_steeply(noise: float) -> None:
    drawn = random.Random(0)
    found = swept(lambda rate: falling(rate) + drawn.gauss(0, noise))
    assert found.suggestion is not None
    assert abs(math.log10(found.suggestion / STEEPEST)) < 0.3
    assert found.tenth is not None and 1e-3 < found.tenth < 2e-2


def test_losses_may_be_negative() -> None:
    found = swept(lambda rate: falling(rate) - 5)
    assert found.suggestion is not None and abs(math.log10(found.suggestion / STEEPEST)) < 0.1


def test_what_is_flat_or_only_noise_has_no_suggestion() -> None:
    drawn = random.Random(0)
    assert swept(lambda rate: 0.7).suggestion is None
    noisy = [swept(lambda rate: drawn.gauss(0.7, 0.1)).suggestion for _ in range(40)]
    assert sum(each is not None for each in noisy) <= 4
    assert "No suggestion" in str(swept(lambda rate: 0.7))
    assert swept(lambda rate: 0.7).tenth is None


def test_what_is_not_finite_neither_hides_the_rest_nor_is_drawn(tmp_path: Any) -> None:
    found = swept(lambda rate: falling(rate) if rate < 0.2 else math.nan if rate < 0.5 else math.inf)
    assert found.suggestion is not None and abs(math.log10(found.suggestion / STEEPEST)) < 0.1
    assert all(map(math.isfinite, found.smoothed))
    text = found.plot().save(tmp_path / "rates.svg").read_text()
    assert "nan" not in text and "inf" not in text


def test_it_is_printed_as_a_table_with_what_it_suggests() -> None:
    found = swept(falling)
    first, *rows, last = str(found).splitlines()
    assert first.split() == ["rate", "loss"]
    assert rows[0].split()[:2] == ["1.00e-07", "2"]
    assert last.startswith(f"Suggestion: {found.suggestion:.2g} (steepest descent)")
    assert repr(found) == f"LearningRateSweep(100 updates from 1e-07 to 1, suggestion={found.suggestion:.3g})"
    assert "<svg" in found._repr_html_()


def test_rates_rise_geometrically_and_a_short_loader_begins_again() -> None:
    found = sweep(lowest=1e-4, highest=1e-1, updates=31)
    assert found.rates[0] == 1e-4
    assert found.rates[10] == pytest.approx(1e-3)
    assert found.rates[-1] == pytest.approx(1e-1)
    assert len(found.losses) == 31 > toy.BATCHES
    assert found.stopped is None


def test_it_ends_where_the_loss_diverges() -> None:
    with np.errstate(all="ignore"):
        found = sweep(highest=1e6, updates=60)
    assert found.stopped is not None
    assert len(found.rates) < 60
    assert f"The sweep ended at {found.rates[-1]:.3g}: {found.stopped}" in str(found)
    everything = sweep(highest=10.0, updates=60, diverged=math.inf)
    assert len(everything.rates) == 60


def test_a_loss_that_is_nan_at_once_ends_it_at_once() -> None:
    x, y = toy.arrays(8)
    found = sweep([(np.full_like(x, np.nan), y)])
    assert len(found.rates) == 1
    assert found.suggestion is None
    assert str(found).splitlines()[-1].startswith("The sweep ended at 1e-07: the loss is nan. No suggestion")
    assert "nothing to draw" in found.plot().as_svg()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lowest": 0}, "lowest must be a positive rate"),
        ({"highest": math.inf}, "highest must be a positive rate"),
        ({"lowest": 1.0, "highest": 0.1}, "from the lowest to the highest"),
        ({"updates": 3}, "updates must be a whole number of at least 10"),
        ({"diverged": 1}, "diverged must be more than 1"),
        ({"num_training": 3}, "did you mean updates?"),
        ({"min_lr": 3}, "did you mean lowest?"),
    ],
)
def test_what_makes_no_sweep_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        sweep(**options)


def test_data_that_would_be_used_up_or_are_none_are_refused() -> None:
    with pytest.raises(DataError, match="a generator would be used up"):
        sweep(batch for batch in toy.train_loader().iterate(1, 1))
    with pytest.raises(DataError, match="at least one batch"):
        sweep([])


class OnlyOnce:
    """Has batches for two passes: the look at the first batch, and one sweep through."""

    def __init__(self) -> None:
        self.passes = 0

    def iterate(self, seed: int, epoch: int, start: int = 0) -> Iterator[Any]:
        self.passes += 1
        if self.passes < 3:
            yield from toy.train_loader().iterate(seed, epoch)


def test_a_loader_that_has_no_batches_again_is_refused() -> None:
    with pytest.raises(DataError, match="again and again"):
        sweep(OnlyOnce())


def test_a_loader_without_an_end_will_do() -> None:
    def endless() -> Iterator[Any]:
        while True:
            yield from toy.train_loader().iterate(1, 1)

    assert len(sweep(endless, updates=40).rates) == 40


def test_nothing_is_written_and_the_model_is_as_it_was(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tried = toy.task()
    before = {name: array.copy() for name, array in tried.model.weights.items()}
    ml.find_learning_rate(tried, None, toy.train_loader(), updates=20)
    assert all((tried.model.weights[name] == array).all() for name, array in before.items())
    assert not tried.model.busy
    assert list(tmp_path.iterdir()) == []


class Counting:
    """Batches whose order depends on how often they were gone through, which is a state that can be put back."""

    def __init__(self) -> None:
        self.passes = 0

    def __iter__(self) -> Iterator[Any]:
        self.passes += 1
        yield from toy.train_loader().iterate(self.passes, 1)

    def state_dict(self) -> dict[str, int]:
        return {"passes": self.passes}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.passes = state["passes"]


def test_data_with_a_state_are_where_they_were() -> None:
    data = Counting()
    data.passes = 5
    sweep(data, updates=20)
    assert data.passes == 5
