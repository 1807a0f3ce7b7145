"""Every kind of system call that a run makes fails once, at any place: our own error, and the run goes on equal."""

from __future__ import annotations

import os
import random
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import toy_experiment as toy

import multilearn as ml
from multilearn.checkpoint import CheckpointFolder
from multilearn.commands.compare.study import compare_grouped as compare
from multilearn.commands.inspect import inspect
from multilearn.errors import MultilearnError

fcntl = pytest.importorskip("fcntl", reason="locks of Unix")

CALLS: dict[str, tuple[Any, str]] = {
    "open": (os, "open"),
    "mkdir": (os, "mkdir"),
    "unlink": (os, "unlink"),
    "rmdir": (os, "rmdir"),
    "rename": (os, "replace"),
    "fsync": (os, "fsync"),
    "close": (os, "close"),
    "stat": (os, "fstat"),
    "listdir": (os, "listdir"),
    "flock": (fcntl, "flock"),
}


def failing(call: Callable[..., Any], at: int | None, number: int) -> tuple[Callable[..., Any], list[int]]:
    """The same, which fails the `at`-th time; and how often it was called."""
    count = [0]

    def called(*arguments: Any, **options: Any) -> Any:
        count[0] += 1
        result = call(*arguments, **options) if call is os.close else None
        if count[0] == at:
            raise OSError(number, os.strerror(number))
        return result if call is os.close else call(*arguments, **options)

    return called, count


def called_from() -> tuple[tuple[str, int], ...]:
    """The line of the library that is at work, and the one that called it."""
    found: list[tuple[str, int]] = []
    frame = sys._getframe(2)
    while frame is not None and len(found) < 2:
        if frame.f_globals.get("__name__", "").startswith("multilearn."):
            found.append((frame.f_code.co_filename, frame.f_lineno))
        frame = frame.f_back
    return tuple(found)


@pytest.mark.parametrize("call", ["stat", "lstat", "scandir"])
def test_a_directory_that_cannot_be_looked_at_is_our_error(
    tmp_path: Path, whole: Path, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once at each place of the code from which something in it is looked at: of a resume, an evaluation, predictions
    and reports."""
    original, directory = getattr(os, call), tmp_path / "run"
    failed: set[tuple[Any, ...]] = set()
    failing = [False]

    def looking(path: Any = ".", *arguments: Any, **options: Any) -> Any:
        if isinstance(path, (str, os.PathLike)) and os.fspath(path).startswith(str(directory)) and not failing[0]:
            place = called_from()
            failing[0] = place not in failed
            if failing[0]:
                failed.add(place)
                raise OSError(5, os.strerror(5), os.fspath(path))
        return original(path, *arguments, **options)

    screen = ml.renderers.SilentRenderer()
    evaluator = ml.Evaluator(directory, metrics=[ml.metrics.Loss()], renderer=screen)
    for act in (
        lambda: toy.fit(toy.builder(directory, 3).checkpoint("latest")),
        lambda: evaluator.evaluate(toy.task(), toy.valid_loader(), "held", checkpoint="latest"),
        lambda: list(evaluator.predict(toy.task(), toy.valid_loader(), checkpoint="latest")),
        lambda: (inspect(directory), compare([directory, whole])),
    ):
        failing[0] = True
        while failing[0]:
            shutil.rmtree(directory, ignore_errors=True)
            shutil.copytree(whole, directory)
            failing[0] = False
            with monkeypatch.context() as patch:
                patch.setattr(os, call, looking)
                try:
                    act()
                except MultilearnError as error:
                    assert str(directory) in str(error)
    assert len(failed) >= 5


@pytest.mark.parametrize("name", CALLS)
def test_a_call_that_fails_is_our_error_and_loses_nothing(
    tmp_path: Path, half: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, attribute = CALLS[name]
    original = getattr(module, attribute)
    counting, count = failing(original, None, 5)
    with monkeypatch.context() as patch:
        patch.setattr(module, attribute, counting)
        toy.fit(toy.builder(tmp_path / "counted", 1))
    places = sorted(random.Random(name).sample(range(1, count[0] + 1), min(3, count[0])))
    for at in places:
        directory = tmp_path / str(at)
        with monkeypatch.context() as patch:
            patch.setattr(module, attribute, failing(original, at, 5)[0])
            try:
                toy.fit(toy.builder(directory, 1))
            except MultilearnError as error:
                assert str(directory) in str(error)
        folder = CheckpointFolder(directory / "checkpoint")
        assert [folder.problem(each) for each in folder.positions()] in ([], [None])
        toy.fit(toy.builder(directory, 2).checkpoint("latest"))
        assert toy.checkpoint_files(directory) == toy.checkpoint_files(half)
        assert toy.metric_files(directory) == toy.metric_files(half)
