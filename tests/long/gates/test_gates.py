"""How long the frameworks stay together, on models of all kinds: `nox -s gates`.

Over 200 updates every loss is the same within 1e-5 on every pair, every accuracy within one item. Where rounding is
amplified by more than that, the control says so: a twin on the same framework whose weights were moved to a neighbour
before it began, by the last bit, goes astray as far. Over 2,000 updates accuracies stay within 1 %.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from support.curves import accuracies_apart, apart
from support.processes import BACKENDS

from multilearn.checkpoint import read_file

Runs = Callable[..., Mapping[str, Path]]

PAIRS = list(itertools.combinations(BACKENDS, 2))
EXACT = (
    *("perceptron", "residual_smooth", "masked", "noisy", "augmented", "autoencoder"),
    *("plain_lstm", "lstm", "gru", "bidirectional", "transformer"),
)
UNEXPLAINED = pytest.mark.xfail(reason="torch goes 1.1e-4 astray here, and twins on JAX do not", strict=False)
OPTIMIZERS = {
    **{"AdamW": 1e-3, "RMSprop": 1e-3, "Nadam": 1e-3, "Adamax": 1e-3, "Lamb": 1e-3, "SGD": 1e-1, "Lion": 1e-4},
    **{"Muon": 1e-3, "Adadelta": 1.0, "Ftrl": 1e-2, "ScheduleFreeAdamW": 1e-3},
}
# kinks (a ReLU's argument that changes its sign), statistics of a few items, half precision
AMPLIFYING = {
    **{("convolutions",): 200, ("perceptron", "--optimizer", "Adagrad", "--rate", "0.01"): 200, ("residual",): 200},
    **{("mobile_net_v2",): 20, ("efficient_net_b0",): 20},
    **{("bfloat16_perceptron",): 200, ("bfloat16_convolutions",): 200, ("float16_convolutions",): 200},
}
NUDGES = (1, 2, 3)
LOSS, WEIGHT, LONG_RUN = 1e-5, 1e-4, 0.01
# The gradient by these is zero but for rounding, which Adam amplifies: a softmax does not see what is added to all of
# its arguments, and the bias of a key adds the same to all scores of a query.
WITHOUT_GRADIENT = ("key_dense/bias",)


def weights(run: Path) -> dict[str, np.ndarray]:
    """What the last checkpoint of the run has, by key."""
    newest = max((run / "checkpoint").glob("model-*"), key=lambda path: int(path.name.split("-")[1].split(".")[0]))
    found: dict[str, np.ndarray] = {}

    def walk(item: object, key: str) -> None:
        if isinstance(item, Mapping):
            for name, inner in item.items():
                walk(inner, f"{key}/{name}")
        else:
            found[key] = item.array

    walk(read_file(newest).item, "")
    return found


@pytest.mark.parametrize("model", [*EXACT, pytest.param("conv_1d", marks=UNEXPLAINED)])
def test_200_updates_stay_together(runs: Runs, model: str) -> None:
    directories = runs(model, 200)
    for one, other in PAIRS:
        first, second = directories[one], directories[other]
        furthest = apart(first, second)
        print(f"{model}, {one} and {other}: losses {furthest:.1e}")
        assert furthest <= LOSS
        if (first / "valid/epoch-1/Accuracy.log").exists():
            for split in ("train", "valid"):
                assert accuracies_apart(first, second, split)[0] < 1.5
        ends, others = weights(first), weights(second)
        for key, value in ends.items():
            if not key.endswith(WITHOUT_GRADIENT):
                np.testing.assert_allclose(value, others[key], rtol=WEIGHT, atol=WEIGHT, err_msg=key)


@pytest.mark.parametrize(("optimizer", "rate"), OPTIMIZERS.items())
def test_200_updates_of_every_optimizer_stay_together(runs: Runs, optimizer: str, rate: float) -> None:
    directories = runs("perceptron", 200, "--optimizer", optimizer, "--rate", rate)
    for one, other in PAIRS:
        furthest = apart(directories[one], directories[other])
        print(f"perceptron by {optimizer}, {one} and {other}: losses {furthest:.1e}")
        assert furthest <= LOSS


@pytest.mark.parametrize(("asked", "updates"), AMPLIFYING.items(), ids=[" ".join(asked) for asked in AMPLIFYING])
def test_what_amplifies_rounding_goes_no_further_astray_than_its_twin(
    runs: Runs, asked: tuple[str, ...], updates: int
) -> None:
    model, *options = asked
    directories = runs(model, updates, *options)
    nudged = [runs(model, updates, *options, "--nudge", seed) for seed in NUDGES]
    alone = {b: max(apart(directories[b], twins[b]) for twins in nudged) for b in BACKENDS}
    print(f"{' '.join(asked)}, against its twins: " + ", ".join(f"{b} {value:.1e}" for b, value in alone.items()))
    for one, other in PAIRS:
        furthest = apart(directories[one], directories[other])
        print(f"{' '.join(asked)}, {one} and {other}: losses {furthest:.1e}")
        assert furthest <= max(LOSS, 10 * max(alone.values()))


@pytest.mark.parametrize("model", ["convolutions", "conv_1d", *(model for model in EXACT if model != "autoencoder")])
def test_accuracies_after_2000_updates_are_within_one_per_cent(runs: Runs, model: str) -> None:
    directories = runs(model, 2000)
    for one, other in PAIRS:
        _, share = accuracies_apart(directories[one], directories[other], "valid")
        print(f"{model}, {one} and {other}: accuracies {share:.1%} apart")
        assert share <= LONG_RUN
