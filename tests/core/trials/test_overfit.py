"""What is said of a model that is trained on a few batches: on the toy backend, and of facts that are made up."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from support import toy_experiment as toy

import multilearn as ml
from multilearn.errors import ConfigurationError, DataError
from multilearn.protocols import Parts
from multilearn.trials import OverfitReport, Verdict
from multilearn.trials.data_findings import constant_losses
from multilearn.trials.diagnosis import diagnosed
from multilearn.trials.facts import Facts

X, Y = toy.arrays(8)


def overfit(x: np.ndarray = X, y: np.ndarray = Y, **options: Any) -> OverfitReport:
    ml.set_seed(toy.SEED)
    return ml.overfit(toy.task(dropout=0.0), None, [(x, y)], **options)


def of_facts(losses: list[float], **others: Any) -> tuple[Verdict, str]:
    """What is said of these losses of one batch: nothing else is wrong by default."""
    wanted: dict[str, Any] = {
        "gradients": tuple((1.0, 1.0) for _ in losses),
        "parts": Parts(trained=("first/kernel", "second/kernel")),
        "batches": [(X, Y)],
        "evaluated": losses[-1],
        "right": 0.5,
        "moved": True,
        "rate": 0.1,
        "goal": 0.01 * losses[0],
    }
    verdict, found = diagnosed(Facts(losses=tuple(losses), **{**wanted, **others}))
    return verdict, "\n".join(found)


def falling(end: float, updates: int = 100) -> list[float]:
    """From 2 exponentially towards `end`, at which it has long been at the end."""
    return [end + (2 - end) * math.exp(-at / 5) for at in range(updates)]


def test_a_model_that_learns_fits_its_batch_and_nothing_else_is_said() -> None:
    found = overfit(lr=1.0, updates=2000)
    assert (found.verdict, found.findings) == (Verdict.FITS, ())
    assert found.fits
    assert found.losses[-1] <= 0.01 * max(found.losses[0], constant_losses([Y])[0]) < found.losses[-2] * 1.2
    assert str(found).startswith("The model learns: on 1 batch of 8 items the loss goes from ")
    assert "<svg" in found._repr_html_()


def test_it_stops_at_the_first_pass_that_fits_and_takes_the_batches_in_turn() -> None:
    found = ml.overfit(toy.task(0.0), None, ml.DataLoader(toy.arrays(35), 8), lr=1.0, batches=3, updates=5000)
    assert found.fits and found.batches == 3 and found.items == 24
    assert len(found.losses) % 3 == 0
    whole = ml.overfit(toy.task(0.0), None, ml.DataLoader(toy.arrays(35), 8), batches=99, updates=1)
    assert (whole.batches, whole.items) == (5, 35)


def test_items_that_contradict_each_other_are_counted() -> None:
    found = overfit(np.repeat(X[:4], 2, axis=0), np.array([0, 1, 2, 0, 1, 2, 0, 1], np.int32), lr=1.0)
    assert found.verdict is Verdict.STUCK
    # half of the items with one class each, the other with another: ln(2)
    assert found.losses[-1] == pytest.approx(math.log(2), rel=1e-2)
    assert "4 items of 8 have the inputs of another item and another target" in str(found)


def test_targets_that_are_all_the_same_prove_nothing() -> None:
    found = overfit(y=np.ones(8, np.int32), lr=1.0, updates=2000)
    assert found.fits
    assert "All items have the same target" in str(found)


def test_inputs_that_are_not_finite_are_found() -> None:
    x = X.copy()
    x[2, 1] = np.nan
    found = overfit(x)
    assert found.verdict is Verdict.NOT_FINITE
    assert "batches[0][0] has values that are not finite: 1 of 32." in str(found)


def test_inputs_without_a_relation_to_the_targets_are_answered_alike() -> None:
    found = overfit(np.zeros_like(X), lr=1.0)
    assert found.verdict is Verdict.STUCK
    assert "is about the loss of the best answer that is the same for all items" in str(found)


@pytest.mark.parametrize(
    ("lr", "verdict", "words"),
    [
        (1e-4, Verdict.FALLS, "still falling: give more updates, or a higher rate than 0.0001"),
        (0.0, Verdict.STUCK, "No weight has changed: the learning rate 0 is too low"),
    ],
)
def test_a_rate_that_is_too_low_is_said_to_be(lr: float, verdict: Verdict, words: str) -> None:
    found = overfit(lr=lr)
    assert found.verdict is verdict
    assert words in str(found)


def test_the_verdict_follows_from_the_losses() -> None:
    assert of_facts(falling(0.0)) == (Verdict.FITS, "")
    assert of_facts([2.0, 9.0, 50.0, 80.0])[0] is Verdict.DIVERGES
    assert "learning rate 0.1 is too high" in of_facts([2.0, 9.0, 50.0, 80.0])[1]
    assert of_facts([2.0, 1.9, math.nan])[0] is Verdict.NOT_FINITE
    assert "finite for 2 updates only" in of_facts([2.0, 1.9, math.nan])[1]
    verdict, words = of_facts(falling(1.3))
    assert verdict is Verdict.STUCK
    assert words.startswith("The gradients and the data look right.")
    assert of_facts([2 - at / 1000 for at in range(100)])[0] is Verdict.FALLS
    assert "has the wrong sign" in of_facts([-2.0 - at for at in range(100)], goal=0.0)[1]


def test_what_keeps_the_loss_above_zero_is_named() -> None:
    names = ("a/kernel",)
    verdict, words = of_facts(falling(0.5), parts=Parts(trained=names, penalty=0.495), gradients=((1.0,),) * 100)
    assert (verdict, words) == (
        Verdict.FITS,
        "Of the loss 0.5, 0.495 are the penalty of regularizers on the weights, which no data make zero.",
    )
    drawing = Parts(trained=("first/kernel", "second/kernel"), drawing=("dropout",))
    verdict, words = of_facts(falling(0.5), evaluated=0.001, parts=drawing)
    assert verdict is Verdict.FITS
    assert "stays at 0.5 because of what is drawn there (dropout)" in words
    verdict, words = of_facts(falling(0.0), evaluated=1.7)
    assert verdict is Verdict.FITS
    assert "In evaluation the loss of the same items is 1.7" in words
    verdict, words = of_facts(falling(0.5), right=1.0)
    assert verdict is Verdict.FITS
    assert "Every item is answered right, and the loss stays at 0.5" in words
    assert of_facts([2 - at / 60 for at in range(100)], right=1.0) == (Verdict.FITS, "")


@pytest.mark.parametrize(
    ("gradients", "words"),
    [
        ([(0.0, 1.0)] * 100, "No gradient reaches first: "),
        ([(0.0, 0.0)] * 100, "No layer gets a gradient"),
        ([(1.0, 1.0)] * 7 + [(0.0, 1.0)] * 93, "From update 8 on no gradient reaches first: "),
        ([(1e-9, 1.0)] * 100, "The gradients of first are less than 1e-07 of the largest"),
    ],
)
def test_layers_without_a_gradient_are_named(gradients: list[tuple[float, ...]], words: str) -> None:
    verdict, found = of_facts(falling(1.3), gradients=tuple(gradients))
    assert verdict is Verdict.STUCK
    assert found.startswith(words)
    assert "look right" not in found


def test_a_gradient_that_is_not_finite_where_the_loss_is_comes_before_the_rate() -> None:
    found = of_facts([2.0, 1.9, math.nan], gradients=((1.0, 1.0), (math.nan, 1.0), (math.nan, math.nan)))[1]
    assert found.startswith("In update 2 the loss is 1.9 and the gradients of first/kernel are not finite")
    assert "too high" not in found


def test_layers_that_are_not_trained_are_named() -> None:
    parts = Parts(trained=("first/kernel", "second/kernel"), frozen=("base/kernel", "base/bias"))
    assert "trainable is False: base." in of_facts(falling(1.3), parts=parts)[1]
    assert of_facts(falling(0.0), parts=parts) == (Verdict.FITS, "")


def test_the_best_constant_answers() -> None:
    """By hand: the entropy of the classes, and the deviations from mean and median."""
    quarter = -0.25 * math.log(0.25) - 0.75 * math.log(0.75)
    assert constant_losses([np.array([0, 1, 1, 1])]) == pytest.approx([quarter])
    assert constant_losses([np.eye(2, dtype="float32")[[0, 1, 1, 1]]]) == pytest.approx([quarter])
    assert constant_losses([np.array([[0, 1], [1, 1], [1, 1], [1, 1]])]) == pytest.approx([quarter / 2])
    assert constant_losses([np.array([0.0, 0.0, 3.0, 5.0])]) == pytest.approx([4.5, 2.0])
    assert constant_losses([]) == constant_losses([np.array(["a"])]) == []


def test_nothing_remains_of_it(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tried = toy.task()
    before = {name: array.copy() for name, array in tried.model.weights.items()}
    ml.overfit(tried, None, toy.train_loader(), updates=20)
    assert all((tried.model.weights[name] == array).all() for name, array in before.items())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batches": 0}, "batches must be a whole number of at least 1"),
        ({"updates": 2.5}, "updates must be a whole number"),
        ({"share": 1}, "share must be a number between 0 and 1"),
        ({"epochs": 3}, "overfit takes model, optimizer, train, lr, batches, updates, share"),
    ],
)
def test_arguments_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        overfit(**options)
    with pytest.raises(DataError, match="at least one batch"):
        ml.overfit(toy.task(), None, [])
