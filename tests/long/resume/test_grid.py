"""Kinds of runs and places to stop them at, drawn by a seed: minutes, and not among the tests that must pass."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import pytest
from support.resumed import BATCHES, MODELS, OPTIMIZERS, Kind, assert_interrupted_is_whole
from support.resumed_runs import Stop

PAIRS = list(itertools.product(MODELS, OPTIMIZERS))


def drawn(model: str, optimizer: str) -> tuple[Kind, tuple[Stop, ...], bool]:
    """A kind with this model and optimizer, three places in the order in which a run comes by them, and `seeded`."""
    chance = random.Random(f"{model} {optimizer}")
    kind = Kind(
        model,
        optimizer,
        accumulation=chance.choice([1, 2, 3]),
        policy="mixed_float16" if optimizer == "scaled" else chance.choice(["float32", "mixed_bfloat16"]),
        counting=chance.random() < 0.5,
        broken=chance.random() < 0.3,
        plateau=chance.random() < 0.5,
    )
    anywhere = [(epoch, number) for epoch in (1, 2) for number in range(1, BATCHES)]
    places = [Stop("train", *at, killed=chance.random() < 0.5) for at in sorted(chance.sample(anywhere, 3))]
    if chance.random() < 0.5:
        places[-1] = Stop("valid", 2, 0)
    # what is killed before anything was saved begins anew: from the same weights only where it is seeded
    return kind, tuple(places), places[0].killed or chance.random() < 0.5


@pytest.mark.parametrize(("model", "optimizer"), PAIRS)
def test_a_run_that_is_interrupted_three_times_is_the_whole_one(tmp_path: Path, model: str, optimizer: str) -> None:
    kind, places, seeded = drawn(model, optimizer)
    assert_interrupted_is_whole(kind, places, tmp_path, seeded=seeded)
