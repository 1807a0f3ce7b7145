"""What a whole fit may take, as a multiple of what a peer takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["GOALS", "Goal", "Verdict", "holds", "verdicts"]


@dataclass(frozen=True)
class Goal:
    """On `framework`, at most `at_most` times `peer`; where there are several peers, the fastest of them."""

    framework: str
    peers: tuple[str, ...]
    at_most: float
    models: tuple[str, ...]


EVERY = ("mlp", "cnn", "lstm", "transformer", "resnet")
BARE = ("loop", "loop channels-last")

GOALS = (
    Goal("torch", BARE, 1.0, ("mlp",)),
    Goal("torch", ("loop fused",), 1.15, ("mlp",)),
    Goal("torch", BARE, 0.75, ("cnn",)),
    Goal("torch", BARE, 1.1, ("lstm", "transformer")),
    Goal("torch", ("keras fit",), 0.4, ("mlp", "cnn")),
    Goal("torch", ("lightning",), 0.6, ("mlp", "cnn")),
    Goal("tensorflow", ("keras fit",), 0.5, ("mlp",)),
    Goal("tensorflow", ("keras fit",), 0.9, ("cnn",)),
    Goal("tensorflow", ("loop",), 1.1, EVERY),
    Goal("jax", ("keras fit",), 1.0, EVERY),
    Goal("jax", ("loop",), 1.1, EVERY),
)


@dataclass(frozen=True)
class Verdict:
    """A goal, the peer that counted, and how far we are: `ratio` is None where it could not be told."""

    goal: Goal
    peer: str
    ratio: float | None

    @property
    def met(self) -> bool | None:
        """Rounded to the digits that are shown, so that nobody reads 1.10 as more than 1.10."""
        return None if self.ratio is None else round(self.ratio, 2) <= self.goal.at_most


def verdicts(framework: str, model: str, ratios: Mapping[str, float | None]) -> list[Verdict]:
    """What the goals say of these ratios, by peer. A peer that did not take part is passed over."""
    found = []
    for goal in GOALS:
        if goal.framework != framework or model not in goal.models:
            continue
        present = [peer for peer in goal.peers if peer in ratios]
        told = {peer: ratio for peer in present if (ratio := ratios[peer]) is not None}
        if told:
            # the fastest peer is the one that we are the slowest against
            peer = max(told, key=lambda name: told[name])
            found.append(Verdict(goal, peer, told[peer]))
        elif present:
            found.append(Verdict(goal, present[0], None))
    return found


def holds(goal: tuple[str, float] | list[Any], value: float) -> bool:
    """Whether `value` is `("at most", limit)` or `("at least", limit)`.

    >>> holds(("at least", 300), 412.5)
    True
    """
    word, limit = goal
    if word not in ("at most", "at least"):
        raise ValueError(f"A goal is 'at most' or 'at least' a number. Received: {word!r}.")
    return value <= limit if word == "at most" else value >= limit
