"""A run that was stopped or killed anywhere, as often as one likes, ends as if it had not been: whatever the run is."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support import toy_experiment as toy
from support.resumed_runs import (
    LOADERS,
    RECORDERS,
    RULES,
    SCHEDULES,
    STRATEGIES,
    Case,
    Stop,
    fitted,
    interrupted,
    outcome,
)

import multilearn as ml
from multilearn.errors import ConfigurationError

EXAMPLES = int(os.environ.get("MULTILEARN_RESUME_EXAMPLES", "2"))
"""How many runs are drawn: the nox session `resume` asks for hundreds."""

WITHOUT_LENGTH = ("generated",)
DRAWING = tuple(name for name in LOADERS if any(word in name for word in ("noisy", "generated", "length", "two")))
"""Those that draw from the global streams."""
OVER_THE_RUN = ("cosine", "one cycle", "plateau times cosine")


@st.composite
def stops(draw: Any, inside: bool) -> Stop:
    """A place to end a session; without `inside` none that leaves a checkpoint inside the training of an epoch."""
    split = draw(st.sampled_from(["train", "train", "valid"]))
    killed = draw(st.booleans()) or (split == "train" and not inside)
    moved = draw(st.sampled_from([False, False, True]))
    return Stop(split, draw(st.integers(1, 4)), draw(st.integers(0, 6)), killed, moved)


@st.composite
def cases(draw: Any) -> Case:
    loader = draw(st.sampled_from(list(LOADERS)))
    inside = loader not in WITHOUT_LENGTH
    items, size = draw(st.integers(8, 32)), draw(st.integers(4, 8))
    return Case(
        items=items,
        size=size,
        epochs=draw(st.integers(1, 4)),
        loader=loader,
        valid=draw(st.sampled_from(["arrays", "stateful", "noisy", "generated", "epochs of three, stateful"])),
        accumulation=draw(st.integers(1, 3)),
        every=draw(st.none() | st.integers(1, 3)) if inside else None,
        schedule=draw(st.sampled_from([name for name in SCHEDULES if inside or name not in OVER_THE_RUN])),
        rule=draw(st.sampled_from(list(RULES))),
        strategy=draw(st.sampled_from(list(STRATEGIES))),
        restore_best=draw(st.booleans()),
        recorder=draw(st.sampled_from(list(RECORDERS))),
        # an epoch of nothing but skipped batches is an error
        broken=draw(st.sampled_from([(), (3,)] if items > size else [()])),
        # values arrive when the clock says so: a loader that draws from the same streams would not be repeatable
        drawing=draw(st.booleans()) and loader not in DRAWING,
        stops=tuple(draw(st.lists(stops(inside), min_size=1, max_size=3))),
    )


def require_same(case: Case) -> None:
    with tempfile.TemporaryDirectory() as name:
        straight = fitted(case, Path(name, "straight"), again=False)
        expected = outcome(straight, Path(name, "straight"))
        learner, directory = interrupted(case, Path(name, "parts"))
        found = outcome(learner, directory)
        assert (learner.stopped_by, learner.restored) == (straight.stopped_by, straight.restored)
        for what in ("weights", "history", "summary", "files", "streams"):
            assert found[what] == expected[what], what
        records, whole = found["records"], expected["records"]
        # in another directory only what came later is; where nothing is kept, the last stop is all there is
        if whole and not any(stop.moved for stop in case.stops):
            assert records.keys() == whole.keys()
        assert [file for file in records.keys() & whole.keys() if records[file] != whole[file]] == []


@given(case=cases())
@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow])
@example(Case(loader="noisy", every=1, stops=(Stop("train", 1, 2), Stop("train", 1, 3, killed=True))))
@example(Case(loader="generated", valid="noisy", schedule="number", stops=(Stop("valid", 2, 1),)))
@example(Case(valid="stateful", every=2, stops=(Stop("valid", 2, 1), Stop("train", 3, 2))))
@example(
    Case(
        epochs=4,
        loader="stateful",
        strategy="best two",
        stops=(Stop("train", 2, 1), Stop("train", 3, 0, killed=True)),
    )
)
@example(Case(epochs=4, strategy="several", every=1, stops=(Stop("valid", 2, 0), Stop("train", 4, 1, killed=True))))
@example(
    Case(drawing=True, valid="noisy", accumulation=2, schedule="own", stops=(Stop("train", 2, 2), Stop("valid", 2, 0)))
)
@example(
    Case(
        loader="epochs of three, stateful",
        valid="epochs of three, stateful",
        every=1,
        stops=(Stop("train", 2, 1), Stop("valid", 2, 1), Stop("train", 3, 0, killed=True)),
    )
)
@example(
    Case(items=8, loader="epochs of three", every=1, stops=(Stop("train", 2, 2), Stop("train", 3, 1, killed=True)))
)
@example(
    Case(
        rule="patience",
        restore_best=True,
        schedule="plateau",
        stops=(Stop("train", 1, 1, moved=True), Stop("train", 2, 1)),
    )
)
@example(Case(items=8, size=4, epochs=1, loader="arrays", broken=(3,), stops=(Stop("train", 1, 0),)))
def test_whatever_interrupts_a_run_its_end_is_the_same_to_the_last_bit(case: Case) -> None:
    require_same(case)


def test_more_epochs_than_first_asked_for_are_those_of_the_longer_run(tmp_path: Path) -> None:
    case = Case(schedule="cosine of 9", epochs=4)
    expected = outcome(fitted(case, tmp_path / "whole", again=False), tmp_path / "whole")
    for epochs in (1, 3):
        fitted(replace(case, epochs=epochs), tmp_path / "parts", again=epochs > 1)
    assert outcome(fitted(case, tmp_path / "parts", again=True), tmp_path / "parts") == expected


def test_another_strategy_from_the_stop_on_changes_what_is_kept_and_nothing_else(tmp_path: Path) -> None:
    case = Case(epochs=4, strategy="last", rule="patience")
    expected = outcome(fitted(case, tmp_path / "whole", again=False), tmp_path / "whole")
    fitted(replace(case, strategy="every second"), tmp_path / "parts", Stop("train", 2, 1), again=False)
    found = outcome(fitted(case, tmp_path / "parts", again=True), tmp_path / "parts")
    assert found == expected


def test_a_run_of_a_loader_that_cannot_begin_inside_an_epoch_goes_on_from_a_validation(tmp_path: Path) -> None:
    case = Case(loader="generated", schedule="number", epochs=2)
    learner = fitted(case, tmp_path / "run", Stop("valid", 1, 1), again=False)
    assert learner.stopped_by == "enough" and "1.4" in toy.checkpoints(tmp_path / "run")
    fitted(case, tmp_path / "run", again=True)
    fitted(replace(case, epochs=3), tmp_path / "run", Stop("train", 3, 2), again=True)
    with pytest.raises(ConfigurationError, match="must be able to start there"):
        fitted(replace(case, epochs=3), tmp_path / "run", again=True)


class Lying:
    """A loader that says it has more batches than it has."""

    def __init__(self, loader: ml.DataLoader) -> None:
        self._loader = loader

    def __len__(self) -> int:
        return 9

    def iterate(self, seed: int, epoch: int, start: int = 0) -> Iterator[Any]:
        return self._loader.iterate(seed, epoch, start)


def test_a_loader_that_is_not_as_long_as_it_says_is_found_out_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    toy.fit(toy.builder(tmp_path / "run", 2), Lying(toy.train_loader()))
    said = [record.getMessage() for record in caplog.records if "batches, and epoch" in record.getMessage()]
    assert said == [
        "The training loader has a length of 9 batches, and epoch 1 had 5. "
        "The learning-rate schedule spans 20 updates all the same."
    ]


def test_a_run_moved_twice_before_it_saved_anything_goes_on_from_where_it_began(tmp_path: Path) -> None:
    case = Case(epochs=2)
    fitted(case, tmp_path / "0", Stop("train", 2, 1), again=False)
    fitted(case, tmp_path / "1", Stop("train", 2, 2, killed=True), tmp_path / "0", again=True)
    assert toy.checkpoints(tmp_path / "1") == []
    learner = fitted(case, tmp_path / "2", None, tmp_path / "1", again=True)
    expected = outcome(fitted(case, tmp_path / "whole", again=False), tmp_path / "whole")
    found = outcome(learner, tmp_path / "2")
    assert {**found, "records": None} == {**expected, "records": None}
    begun = toy.experiment(tmp_path / "2")["sessions"][0]["resumed_from"]
    assert begun == {"directory": str(tmp_path / "0"), "position": "2.2"}


class Noisy(Lying):
    """A loader that draws from the generators of Python and numpy."""

    def __len__(self) -> int:
        return toy.BATCHES

    def iterate(self, seed: int, epoch: int, start: int = 0) -> Iterator[Any]:
        for x, y in super().iterate(seed, epoch, start):
            yield x + np.random.normal(0, 0.1, x.shape).astype(np.float32) + np.float32(random.random()), y


def test_a_run_of_the_version_that_looked_one_batch_ahead_is_resumed_exactly(tmp_path: Path) -> None:
    """That version wrote the records, which say where the global generators were before the batch that was made and not
    trained on, and the weights and losses of the run that was never interrupted."""
    earlier = Path(__file__).parent / "looking_ahead"
    run = shutil.copytree(earlier / "run", tmp_path / "run")
    described = toy.builder(run, 3).grads_accumulation(2).checkpoint("latest")
    learner = toy.fit(described, Noisy(toy.train_loader()))
    assert learner.history["valid"]["Loss"] == (0.6097740026620718, 0.35667805717541623, 0.14772136280169854)
    with np.load(earlier / "weights.npz") as expected:
        assert toy.weights(learner) == b"".join(expected[name].tobytes() for name in expected.files)
