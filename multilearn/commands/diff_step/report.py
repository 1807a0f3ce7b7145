"""What a comparison of steps says: a line for each part of the step, then what differs first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict

from multilearn.commands import text
from multilearn.commands.diff_step.steps import Part, StepComparison, StepDifference
from multilearn.protocols import Phase

__all__ = ["as_json", "as_text"]

_SHOWN = 5


def as_text(comparisons: Sequence[StepComparison]) -> str:
    """For people."""
    return text.as_text([block for comparison in comparisons for block in _blocks(comparison)])


def as_json(comparisons: Sequence[StepComparison]) -> str:
    """For programs: every place that was compared, with the fields of `StepComparison`."""
    plain = [{"same": each.same, "differs": list(sentences(each)), **asdict(each)} for each in comparisons]
    return text.document({"same": all(each.same for each in comparisons), "comparisons": plain})


def _blocks(comparison: StepComparison) -> Iterator[text.Block]:
    one, other = comparison.backends
    yield text.Sentences([f"the first step on {one} and on {other}"])
    rows = [["part", "places", "largest difference", ""]]
    for part in comparison.parts:
        rows.append([part.phase, str(len(part.differences)), f"{part.largest:.2g}", _judged(comparison, part)])
    yield text.TextTable("", rows, right=(1, 2))
    if alone := comparison.part(Phase.FORWARD).alone:
        seen = f"seen on one of them only, as in loops that the other runs as one operation: {_listed(alone)}"
        yield text.Sentences([seen])
    within = f"within {comparison.tolerance:.2g} of the largest value"
    differs = [*(f"differs: {sentence}" for sentence in sentences(comparison)), f"all before that is {within}"]
    yield text.Sentences([f"same: every part of the step is {within}"] if comparison.same else differs)


def _judged(comparison: StepComparison, part: Part) -> str:
    if part.first is None:
        return "same"
    where = f"differs, first at {_named(part.first)}: {part.first.relative:.2g}"
    felt = part.phase is not Phase.BACKWARD or comparison.part(Phase.GRADIENTS).first is not None
    return where if felt else f"{where}, which no variable feels"


def sentences(comparison: StepComparison) -> Iterator[str]:
    """Where the two part, in causal order; of what only follows from it, the first variable with another gradient."""
    for phase in (Phase.BATCH, Phase.WEIGHTS):
        part = comparison.part(phase)
        if part.first is not None:
            yield f"already the {phase}: {_named(part.first)}"
            return
        if phase is Phase.WEIGHTS and part.alone:
            yield f"the variables, of which one of them alone has {_listed(part.alone)}"
            return
    forward, backward = comparison.part(Phase.FORWARD), comparison.part(Phase.BACKWARD)
    gradients, evaluation = comparison.part(Phase.GRADIENTS), comparison.part(Phase.EVALUATION)
    update = None if comparison.part(Phase.LOSS).first else comparison.part(Phase.UPDATE).first
    if forward.first is not None:
        yield f"the first layer whose output differs is {_named(forward.first)}{_after(forward)}"
    elif comparison.part(Phase.LOSS).first is not None:
        yield "the loss, though all outputs of layers agree: look at the loss of the task"
    elif backward.first is not None and gradients.first is not None:
        before = backward.before_first
        cause = "look at the loss" if before is None else f"look at how {_named(before)} passes it on"
        yield f"the gradient at the output of {_named(backward.first)}, though all outputs agree: {cause}"
    if gradients.first is not None:
        yield f"the first variable whose gradient differs, from the loss back, is {gradients.first.key}"
    elif forward.first is None and update is not None:
        yield f"the update of {update.key}, though all gradients agree: look at the optimizer"
    if forward.first is None and evaluation.first is not None:
        yield f"in evaluation only, the output of {_named(evaluation.first)}{_after(evaluation)}"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{more}"


def _after(part: Part) -> str:
    before = part.before_first
    return "" if before is None else f"; up to {_named(before)} they agree"


def _named(difference: StepDifference) -> str:
    if difference.phase in (Phase.GRADIENTS, Phase.UPDATE, Phase.WEIGHTS, Phase.BATCH, Phase.LOSS):
        return difference.key
    call = f", call {difference.call + 1}" if difference.call else ""
    return f"{difference.key or 'the model'} ({difference.kind}{call})"
