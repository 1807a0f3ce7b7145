"""What facts about a training on a few batches say: whether the model learns them, and what does not."""

from __future__ import annotations

import math
from collections.abc import Iterator
from enum import StrEnum

from multilearn.printable import plural
from multilearn.trials.data_findings import arrays_in, constant_losses, of_data, of_targets
from multilearn.trials.facts import Facts
from multilearn.trials.gradient_findings import layer_of, named, of_gradients

__all__ = ["Verdict", "diagnosed"]

_NEAR = 0.03  # of a level, to be at it
_RATE = "multilearn.find_learning_rate suggests one"


class Verdict(StrEnum):
    """How a training on a few batches ended."""

    FITS = "fits"
    FALLS = "falls"
    STUCK = "stuck"
    DIVERGES = "diverges"
    NOT_FINITE = "not finite"


def diagnosed(facts: Facts) -> tuple[Verdict, list[str]]:
    """The verdict, and sentences on what is behind it."""
    verdict = _verdict(facts)
    found = list(of_targets(facts.batches))
    if verdict is Verdict.FITS:
        return verdict, [*found, *_of_fit(facts), *of_gradients(facts, learns=True)]
    found += [*of_data(facts.batches), *of_gradients(facts, learns=False)]
    return verdict, [*found, *_of_curve(facts, verdict, alone=not found)]


def _verdict(facts: Facts) -> Verdict:
    if not all(map(math.isfinite, facts.losses)):
        return Verdict.NOT_FINITE
    right = facts.right == 1.0 and facts.end < facts.begin
    if facts.fits(facts.end) or facts.fits(facts.evaluated) or right:
        return Verdict.FITS
    if facts.end > facts.begin + 0.5 * abs(facts.begin):
        return Verdict.DIVERGES
    return Verdict.FALLS if _falls(facts) else Verdict.STUCK


def _falls(facts: Facts) -> bool:
    """Whether the loss was still falling at the end, from a tenth of the updates to the next, by a part of its fall."""
    tenth = max(len(facts.losses) // 10, len(facts.batches))
    if 2 * tenth > len(facts.losses):
        return facts.end < facts.begin
    fallen = facts.begin - facts.end
    recent, before = facts.mean(-tenth, len(facts.losses)), facts.mean(-2 * tenth, -tenth)
    return fallen > 1e-4 * abs(facts.begin) and before - recent > 0.02 * fallen


def _of_fit(facts: Facts) -> Iterator[str]:
    """What keeps the loss of a model that learns above zero, in training or in evaluation."""
    parts, end, evaluated = facts.parts, facts.end, facts.evaluated
    if parts.penalty > facts.goal:
        yield (
            f"Of the loss {end:.4g}, {parts.penalty:.4g} are the penalty of regularizers on the weights, which no data "
            "make zero."
        )
    in_training, in_evaluation = map(facts.fits, (end, evaluated))
    if in_evaluation and not in_training and parts.drawing:
        yield (
            f"In training the loss stays at {end:.4g} because of what is drawn there ({named(parts.drawing)}); in "
            f"evaluation it is {evaluated:.4g}."
        )
    if in_training and not in_evaluation and evaluated > facts.losses[0] / 4:
        yield (
            f"In evaluation the loss of the same items is {evaluated:.4g}: statistics of BatchNormalization follow the "
            "weights slowly (sooner with a lower momentum), or a layer does something else there."
        )
    tenth = max(len(facts.losses) // 10, len(facts.batches))
    level = 2 * tenth <= len(facts.losses) and end > 0.97 * facts.mean(-2 * tenth, -tenth)
    if level and not (in_training or in_evaluation):
        yield (
            f"Every item is answered right, and the loss stays at {end:.4g}: soft targets and label smoothing have "
            "such a floor."
        )


def _of_curve(facts: Facts, verdict: Verdict, *, alone: bool) -> Iterator[str]:
    """What the losses themselves say. `alone`: nothing else was found."""
    losses, rate = facts.losses, f"{facts.rate:g}"
    if verdict is Verdict.NOT_FINITE:
        at = next(number for number, loss in enumerate(losses) if not math.isfinite(loss))
        if at and alone:
            yield f"The loss is finite for {plural(at, 'update')} only: the learning rate {rate} is too high ({_RATE})."
        elif not at:
            yield "Before any update the loss is not finite: a logarithm or a quotient of zero in it, or the data."
        return
    if facts.parts.frozen:
        yield f"Not trained, because trainable is False: {named(tuple(map(layer_of, facts.parts.frozen)))}."
    if losses[0] <= 0:
        yield (
            "The loss begins at or below zero: of one without a lowest value it cannot be said when a model knows its "
            "items. If it is a cross-entropy or an error, it has the wrong sign."
        )
    elif not facts.moved:
        yield f"No weight has changed: the learning rate {rate} is too low, or there is no gradient."
    elif verdict is Verdict.DIVERGES:
        yield f"The loss rises: the learning rate {rate} is too high ({_RATE})."
    elif verdict is Verdict.FALLS:
        yield f"The loss is still falling: give more updates, or a higher rate than {rate} ({_RATE})."
    else:
        yield from _of_level(facts, alone)


def _of_level(facts: Facts, alone: bool) -> Iterator[str]:
    """Of a loss that stays where it is."""
    level = facts.end - facts.parts.penalty
    at = next((each for each in _constants(facts) if each and abs(level - each) < _NEAR * each), None)
    if at is not None:
        yield (
            f"{level:.4g} is about the loss of the best answer that is the same for all items ({at:.4g}): what the "
            "model says does not depend on its inputs."
        )
    if alone:
        yield (
            f"The gradients and the data look right. The rate {facts.rate:g} may be too high or too low ({_RATE}); the "
            "model too small; its last activation unable to give the targets, as a softmax or ReLU before a loss that "
            "expects logits; or inputs and targets not of the same items."
        )


def _constants(facts: Facts) -> list[float]:
    return constant_losses(arrays_in(facts.batches, 1))
