"""Whatever moment a commit is cut short at: every checkpoint that there is has the whole of the history it counts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.tripwire import Tripwire, kill, killed, moments

from multilearn.checkpoint import CheckpointFolder
from multilearn.checkpoint.checkpointer import CountedFiles
from multilearn.events import START, Position, Split
from multilearn.metrics.store import MetricStore
from multilearn.records import journal as journals
from multilearn.records.journal import Journal, read_journal
from multilearn.storage.layout import RunDirectory


def epoch_ends(store: MetricStore, epoch: int) -> None:
    for split in (Split.TRAIN, Split.VALID):
        store.journal.add(split, epoch, {"Loss": 1 / epoch, "Accuracy": 0.5})


class Saving:
    """One process that saves after every epoch, from the newest checkpoint of a directory on."""

    def __init__(self, run: RunDirectory) -> None:
        self._run, self._folder = run, CheckpointFolder(run.checkpoints)
        self._store = MetricStore({})
        newest, skipped = self._folder.latest_intact()
        assert skipped == []
        self.epoch = (newest or START).epoch
        if newest is not None:
            self._store.restore({"states": {}}, self.expect_sound()[newest])
        self._counted = CountedFiles(run, lambda: self._store.journal, self.epoch)

    def expect_sound(self) -> dict[Position, Journal]:
        """What each checkpoint counts is there, with the values of its epochs and no others."""
        found = {}
        for position in self._folder.positions():
            extent = self._folder.load(position)["scheduler"]["history"]
            found[position], problem = read_journal(self._run.history, extent, position.epoch)
            assert problem is None
            losses = found[position].history.values("valid", "Loss")
            assert losses == {epoch: 1 / epoch for epoch in range(1, position.epoch + 1)}
        return found

    def save(self) -> None:
        self.epoch += 1
        for split in (Split.TRAIN, Split.VALID):
            path = self._run.metric(split, self.epoch, "Loss")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{1 / self.epoch},final\n")
        epoch_ends(self._store, self.epoch)
        parts = {"model": {"a": self.epoch}, "scheduler": {"history": self._store.journal.extent()}}
        self._counted.up_to(Position(self.epoch))()
        self._folder.save(Position(self.epoch), parts)


@pytest.mark.parametrize("earlier", [0, 1], ids=["the first of a process", "a later one"])
def test_a_kill_at_any_moment_of_a_commit(tmp_path: Path, earlier: int) -> None:
    run = RunDirectory(tmp_path / "run")
    prepared = Saving(run)
    prepared.save()
    prepared.save()
    saving = Saving(run)
    for _ in range(earlier):
        saving.save()
    left = moments(run.path, tmp_path, saving.save)
    for path in left:
        following = Saving(RunDirectory(path))
        assert following.epoch >= 2 + earlier
        following.save()
        assert list(following.expect_sound()) == [Position(epoch) for epoch in range(1, following.epoch + 1)]
    # files of metrics, the journal, two manifests and two records
    assert len(left) > 8


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a forked process")
@pytest.mark.parametrize("size", [0, 1, 30, 70, 10**6])
def test_a_line_that_a_kill_tore_is_no_part_of_any_checkpoint(
    tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunDirectory(tmp_path / "run")
    Saving(run).save()

    def torn() -> None:
        saving = Saving(run)
        saving.save()

        def writing(self: Journal, lines: int, after: int = 0) -> bytes:
            with open(run.history, "ab", buffering=0) as file:
                file.write(whole(self, lines, after)[:size])
            kill()
            return b""

        whole = Journal.content
        journals.Journal.content = writing  # type: ignore[method-assign]
        saving.save()

    assert killed(Tripwire(0, False, kill), torn)
    following = Saving(run)
    assert following.epoch == 2
    following.save()
    assert run.history.read_bytes().count(b"\n") == 6
    assert list(following.expect_sound()) == [Position(1), Position(2), Position(3)]
