"""One training step on two frameworks, taken apart and laid side by side: where they begin to differ."""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from multilearn import backend
from multilearn.arguments import number
from multilearn.commands.grid.plan import names_of, require_script
from multilearn.errors import ConfigurationError
from multilearn.launch.process import captured
from multilearn.protocols import Phase, Traced
from multilearn.run import trace as walking
from multilearn.seeding.seed import VARIABLE as SEED_VARIABLE

__all__ = ["Part", "StepComparison", "StepDifference", "compare", "diff_step"]

Place = tuple[str, int]

_SHOWN_LINES = 15
_ROUNDING = 8.0  # steps of the coarsest floating-point type in the model that a tolerance cannot be below
_NEGLIGIBLE = 1e-2  # gradients this much smaller than the largest are judged as if they were so large
_HALF = 2.0**-11  # in types coarser than this, rounding reaches the size of small gradients
_OF_HALF = 0.5  # so far sums of many terms that cancel each other are apart in such types
_NO_GRADIENT = 1e-5  # smaller ones are rounding: an adaptive optimizer makes whole steps of them, in any direction
_OF_UPDATES = 100.0  # an adaptive optimizer also enlarges the small ones among the elements of a gradient


@dataclass(frozen=True)
class StepDifference:
    """How far two frameworks are apart at one place: `relative` is max |a - b| over the largest value there.

    What counts as the largest value is said in `compare`. Whole numbers are equal or infinitely far apart, and so are
    arrays of different shapes. `call`: which call of the layer, from 0.
    """

    phase: Phase
    key: str
    kind: str
    call: int
    relative: float
    within: bool


@dataclass(frozen=True)
class Part:
    """One phase of the step, in the order in which things happen in it. `alone`: places that one framework has only."""

    phase: Phase
    differences: tuple[StepDifference, ...]
    alone: tuple[str, ...] = ()

    @property
    def first(self) -> StepDifference | None:
        """The first that is not within the tolerance."""
        return next((each for each in self.differences if not each.within), None)

    @property
    def before_first(self) -> StepDifference | None:
        """The last that is within the tolerance before the first that is not."""
        first = self.first
        at = 0 if first is None else self.differences.index(first)
        return self.differences[at - 1] if at else None

    @property
    def largest(self) -> float:
        return max((each.relative for each in self.differences), default=0.0)


@dataclass(frozen=True)
class StepComparison:
    """The first step on two backends. `tolerance` is the one applied: never below what the model's types can hold."""

    backends: tuple[str, str]
    tolerance: float
    parts: tuple[Part, ...]

    @property
    def same(self) -> bool:
        """All is within the tolerance, and both have the same variables.

        Gradients of outputs do not count: where those of variables agree, nothing that is trained depends on them.
        """
        counting = (part for part in self.parts if part.phase is not Phase.BACKWARD)
        return all(part.first is None for part in counting) and not self.part(Phase.WEIGHTS).alone

    def part(self, phase: Phase) -> Part:
        return next(part for part in self.parts if part.phase is phase)


def diff_step(
    script: Path, backends: Sequence[str], arguments: Sequence[str], tolerance: float, seed: int | None
) -> tuple[StepComparison, ...]:
    """Run the script up to its first batch on each backend, and compare each with the first of them.

    Raises `ConfigurationError` for what cannot be run, and where the script does not come to `fit`.
    """
    require_script(script)
    names = names_of(backends)
    if len(names) < 2:
        raise ConfigurationError(
            "diff-step compares two different backends or more.",
            received=", ".join(names) or "none",
            remedy="For instance: --backend torch --backend tensorflow.",
        )
    number("The tolerance", tolerance, lambda n: n >= 0, "0 or more", "Leave it out for 1e-4.")
    with tempfile.TemporaryDirectory(prefix="multilearn-") as folder:
        traces = {name: _traced(script, name, arguments, seed, Path(folder, name)) for name in names}
    first, *others = names
    return tuple(compare((first, name), (traces[first], traces[name]), tolerance) for name in others)


def _traced(script: Path, name: str, arguments: Sequence[str], seed: int | None, file: Path) -> Sequence[Traced]:
    seeded = {} if seed is None else {SEED_VARIABLE: str(seed)}
    environment = {**backend.environment(name), **seeded, walking.VARIABLE: str(file)}
    code, said = captured([sys.executable, str(script), *arguments], environment)
    if code or not file.exists():
        raise ConfigurationError(
            "The script must reach the fit of a Learner on every backend.",
            received="\n    ".join([f"exit {code} on {name}, without a step", *said[-_SHOWN_LINES:]]),
            remedy=f"Run it by itself first: {backend.VARIABLE}={name} python {script}",
        )
    return walking.read(file)


def compare(
    backends: tuple[str, str], traces: tuple[Sequence[Traced], Sequence[Traced]], tolerance: float
) -> StepComparison:
    """Lay two traces of a step side by side.

    An output, a variable or the loss is compared with its own largest value. A gradient too, but with no less than a
    hundredth of the largest one in the model: the true gradient of a bias before a BatchNormalization is zero, and what
    is there is rounding. Updates of variables with such a gradient are left out; those of others are compared by the
    norm of the change, at 100 times the tolerance. In a model with layers of half precision the tolerance is what those
    types can hold, and gradients may be apart by half of the largest one.
    """
    epsilon = max((each.epsilon for trace in traces for each in trace if each.phase is Phase.FORWARD), default=0.0)
    tolerance = max(tolerance, _ROUNDING * epsilon) if tolerance else 0.0
    one, other = (_by_phase(trace) for trace in traces)
    parts = []
    for phase in Phase:
        a, b = one[phase], other[phase]
        measured = _updates(one, other, epsilon) if phase is Phase.UPDATE else _values(phase, a, b, epsilon)
        limit = tolerance * _OF_UPDATES if phase is Phase.UPDATE else tolerance
        if phase is Phase.GRADIENTS and epsilon > _HALF:
            limit = max(limit, _OF_HALF)
        differences = tuple(
            StepDifference(phase, place[0], a[place].kind, place[1], relative, relative <= limit)
            for place, relative in measured
        )
        alone = [
            f"{key} ({name})"
            for name, here, there in ((backends[0], a, b), (backends[1], b, a))
            for key in _only(here, there)
        ]
        parts.append(Part(phase, differences, tuple(alone)))
    return StepComparison(backends, tolerance, tuple(parts))


def _by_phase(trace: Iterable[Traced]) -> Mapping[Phase, Mapping[Place, Traced]]:
    found: dict[Phase, dict[Place, Traced]] = {phase: {} for phase in Phase}
    count: Counter[tuple[Phase, str]] = Counter()
    for each in trace:
        found[each.phase][each.key, count[each.phase, each.key]] = each
        count[each.phase, each.key] += 1
    return found


def _only(here: Mapping[Place, Traced], there: Mapping[Place, Traced]) -> Iterator[str]:
    """Keys that one has and the other has not; how often a layer is called in a loop depends on the framework."""
    others = {key for key, _ in there}
    yield from dict.fromkeys(key for key, _ in here if key not in others)


def _values(
    phase: Phase, one: Mapping[Place, Traced], other: Mapping[Place, Traced], epsilon: float
) -> Iterator[tuple[Place, float]]:
    floor = 0.0
    if phase in (Phase.BACKWARD, Phase.GRADIENTS):
        largest = max((_size(array) for each in one.values() for array in each.arrays), default=0.0)
        floor = largest * (1.0 if epsilon > _HALF else _NEGLIGIBLE)
    for place in one:
        if place in other:
            yield place, _apart(one[place].arrays, other[place].arrays, floor)


def _updates(
    one: Mapping[Phase, Mapping[Place, Traced]], other: Mapping[Phase, Mapping[Place, Traced]], epsilon: float
) -> Iterator[tuple[Place, float]]:
    gradients = {place: _size(each.arrays[0]) for place, each in one[Phase.GRADIENTS].items()}
    least = max(_NO_GRADIENT, _ROUNDING * epsilon if epsilon > _HALF else 0.0) * max(gradients.values(), default=0.0)
    for place, each in one[Phase.UPDATE].items():
        found = other[Phase.UPDATE].get(place)
        starts = [side[Phase.WEIGHTS].get(place) for side in (one, other)]
        if found is None or None in starts:
            continue
        if place not in gradients:
            yield place, _apart(each.arrays, found.arrays, 0.0)
        elif gradients[place] > least:
            changes = [
                end.arrays[0].astype(np.float64) - start.arrays[0]
                for end, start in zip((each, found), starts, strict=True)
                if start is not None
            ]
            longest = max(float(np.linalg.norm(change)) for change in changes)
            yield place, float(np.linalg.norm(changes[0] - changes[1])) / longest if longest else 0.0


def _apart(one: Sequence[np.ndarray[Any, Any]], other: Sequence[np.ndarray[Any, Any]], floor: float) -> float:
    if [array.shape for array in one] != [array.shape for array in other]:
        return float("inf")
    return max((_relative(a, b, floor) for a, b in zip(one, other, strict=True)), default=0.0)


def _relative(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any], floor: float) -> float:
    if np.array_equal(a, b, equal_nan=a.dtype.kind == "f" == b.dtype.kind):
        return 0.0
    if not a.dtype.kind == b.dtype.kind == "f":
        return float("inf")
    odd = ~(np.isfinite(a) & np.isfinite(b))
    if not np.array_equal(a[odd], b[odd], equal_nan=True):
        return float("inf")
    difference = np.abs(a[~odd].astype(np.float64) - b[~odd])
    return float(difference.max(initial=0.0)) / max(_size(a), _size(b), floor)


def _size(array: np.ndarray[Any, Any]) -> float:
    """The largest finite magnitude."""
    return (
        float(np.abs(array[np.isfinite(array)], dtype=np.float64).max(initial=0.0)) if array.dtype.kind == "f" else 0.0
    )
