"""What is on disk over long runs, stopped and gone on with at random: what the strategy says, as if never stopped."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multilearn.checkpoint import DEFAULT, AnyOf, CheckpointFolder, CheckpointStrategy, KeepBest, KeepLast
from multilearn.checkpoint.checkpointer import FileCheckpointer
from multilearn.checkpoint.strategies import KeepEvery
from multilearn.events import Position
from multilearn.history import History

STRATEGIES: dict[str, CheckpointStrategy] = {
    "default": DEFAULT,
    "last": KeepLast(3),
    "only the best": KeepBest(k=2),
    "only some": KeepEvery(3),
    "best and last": AnyOf(KeepBest(k=2), KeepLast(1)),
    "highest": AnyOf(KeepLast(2), KeepBest(direction="highest")),
    "every": AnyOf(KeepEvery(4), KeepLast(1)),
}

LOSSES = st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.4, math.nan, math.inf]), min_size=1, max_size=40)


class Saves:
    """A folder of checkpoints without files: what was saved and not dropped since, mid-epoch ones as on a disk."""

    path = Path("checkpoint")

    def __init__(self) -> None:
        self.kept: list[Position] = []

    def positions(self) -> list[Position]:
        return sorted(self.kept)

    def save(self, position: Position, parts: Any, drop: Sequence[Position]) -> None:
        before = {each for each in self.kept if each.batch is not None and each < position}
        self.kept = sorted({*self.kept, position} - before - set(drop))

    def remove(self, positions: Sequence[Position]) -> None:
        self.kept = [each for each in self.kept if each not in positions]

    def withdraw(self, after: Position) -> None:
        self.kept = [each for each in self.kept if each <= after]


def history(losses: Sequence[float]) -> History:
    return History.from_state({"valid": {"Loss": [[epoch, loss] for epoch, loss in enumerate(losses, start=1)]}})


def expected(strategy: CheckpointStrategy, losses: Sequence[float]) -> list[int]:
    """The strategy alone, epoch after epoch."""
    kept: frozenset[int] = frozenset()
    for epoch in range(1, len(losses) + 1):
        kept = strategy.keep(sorted({*kept, epoch}), history(losses[:epoch]))
    return sorted(kept)


@pytest.mark.parametrize("name", STRATEGIES)
@given(losses=LOSSES, stops=st.dictionaries(st.integers(1, 40), st.sampled_from(["inside", "after", "killed"])))
@settings(max_examples=25, deadline=None)
def test_a_run_with_restarts_keeps_what_the_uninterrupted_one_keeps(
    name: str, losses: list[float], stops: Mapping[int, str]
) -> None:
    strategy, disk, stops = STRATEGIES[name], Saves(), dict(stops)
    make: Callable[[], FileCheckpointer] = lambda: FileCheckpointer(disk, strategy)  # type: ignore[arg-type]  # noqa: E731
    saves, epoch = make(), 1
    while epoch <= len(losses):
        stop = stops.pop(epoch, None)
        if stop in ("inside", "killed"):
            saves.inside_epoch(Position(epoch, 7), dict)
            saves.close()
            if stop == "killed":
                # of the checkpoint inside the epoch nothing is left: the run goes on from the one before
                disk.withdraw(Position(epoch - 1))
            saves, epoch = make(), (disk.positions()[-1].finished_epochs + 1 if disk.kept else 1)
            disk.withdraw(Position(epoch - 1) if stop == "killed" else Position(epoch, 7))
            continue
        saves.after_epoch(epoch, history(losses[:epoch]), dict, stopping=stop == "after")
        if stop == "after":
            saves.close()
            saves = make()
        epoch += 1
    saves.completed(history(losses))
    saves.close()
    whole = expected(strategy, losses)
    # where the strategy keeps nothing, the place of the last stop is all that there is to go on from
    if whole:
        assert [position.epoch for position in disk.positions() if position.batch is None] == whole


def test_the_folder_that_is_imagined_here_is_like_the_one_on_disk(tmp_path: Any) -> None:
    """Some saves and drops, on both."""
    real, imagined = CheckpointFolder(tmp_path), Saves()
    for place, drop in (("1", ()), ("2.5", ()), ("2.7", ()), ("2", ("1",)), ("3.1", ()), ("3", ()), ("4.2", ("2",))):
        dropped = [Position.parse(each) for each in drop]
        for folder in (real, imagined):
            folder.save(Position.parse(place), {"model": {}}, dropped)  # type: ignore[attr-defined]
        assert real.positions() == imagined.positions()
