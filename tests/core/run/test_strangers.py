"""What a run is told by files and names that nobody wrote as they are: our own errors, little memory, nothing lost."""

from __future__ import annotations

import errno
import gzip
import io
import json
import os
import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import toy_experiment as toy

import multilearn as ml
from multilearn.checkpoint import CheckpointFolder, MpkGzRecorder, nbytes, read_file
from multilearn.checkpoint.manifest import steadily
from multilearn.checkpoint.recovery import recovered
from multilearn.commands.inspect import inspect
from multilearn.errors import (
    CheckpointNotFound,
    ConfigurationError,
    DirectoryError,
    MultilearnError,
    RecordError,
    StorageError,
)
from multilearn.events import Position
from multilearn.learner.argument_checks import require_name
from multilearn.run.on_disk import open_run
from multilearn.run.resume import Resume, locate
from multilearn.storage.lock import locked


def packed(content: bytes) -> bytes:
    """A record whose only value is this msgpack."""
    MpkGzRecorder().write(file := io.BytesIO(), {"only": 1}, {})
    whole = gzip.decompress(file.getvalue())
    assert whole.endswith(b"\xa4only\x01")
    return whole[:-1] + content


def of_length(tag: int, length: int, content: bytes) -> bytes:
    return bytes([tag]) + length.to_bytes(4, "big") + content


MANY = 8 << 20
SMALL = b"\x83\xa5dtype\xa2U8\xa5shape\x91\x01\xa5bytes"
BOMBS: dict[str, Callable[[], bytes]] = {
    "a byte string": lambda: of_length(0xC6, MANY, bytes(MANY)),
    "a text": lambda: of_length(0xDB, MANY, bytes(MANY)),
    "a tensor of one byte": lambda: SMALL + of_length(0xC6, MANY, bytes(MANY)),
    "bytes of no tensor": lambda: b"\x82\xa5bytes" + of_length(0xC6, MANY, bytes(MANY)) + b"\xa1a\x01",
    "maps": lambda: of_length(0xDD, 100_000, b"\x81\xa0\xc0" * 100_000),
    "lists": lambda: of_length(0xDD, 200_000, b"\x90" * 200_000),
}


@pytest.mark.parametrize("limit", [None, 1000])
@pytest.mark.parametrize("kind", BOMBS)
def test_what_is_no_tensor_is_bounded_before_it_is_allocated(
    tmp_path: Path, kind: str, limit: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("multilearn.records.msgpack_reader._ROOM", 1 << 20)
    path = tmp_path / "model-1.mpk.gz"
    path.write_bytes(gzip.compress(packed(BOMBS[kind]()), 1))
    tracemalloc.start()
    try:
        with pytest.raises(RecordError, match="at most"):
            read_file(path, limit=limit)
        assert tracemalloc.get_traced_memory()[1] < 3 << 20
    finally:
        tracemalloc.stop()


def test_a_tensor_in_pieces_and_maps_that_look_like_tensors_come_back(tmp_path: Path) -> None:
    import numpy as np

    from multilearn.checkpoint import HostTensor, MpkRecorder

    tensor = HostTensor.of(np.arange(10_000, dtype=np.float32))
    item = {"a": tensor, "b": {"dtype": "F32", "shape": [1], "bytes": b"x" * 100, "more": 1}, "c": {"bytes": b"y" * 9}}
    for chunk in (1, 7, 5000, 1 << 20):
        size = MpkRecorder(chunk=chunk).write(file := io.BytesIO(), item, {})
        file.seek(0)
        assert MpkRecorder().read(file, size).item == item
    assert nbytes(item) > 0


@pytest.mark.parametrize(
    "number", ["1" + "0" * 5000, "0x" + "f" * 50_000, "9223372036854775808", "[0b" + "1" * 70_000 + "]"]
)
def test_numbers_that_toml_does_not_have_are_refused_with_the_file(tmp_path: Path, number: str) -> None:
    (tmp_path / "a.toml").write_text(f'directory = "runs/a"\nnum_epochs = {number}\n')
    with pytest.raises(ConfigurationError, match=r"a\.toml"):
        ml.LearnerBuilder.from_toml(tmp_path / "a.toml")


RUBBISH: dict[str, Any] = {
    "resumed from a number": {"resumed_from": 3},
    "resumed from no position": {"resumed_from": {"directory": "x"}},
    "resumed from a position that is none": {"resumed_from": {"directory": "x", "position": "one"}},
    "resumed from a circle": {"resumed_from": {"directory": "circle", "position": "1"}},
    "resumed from itself in a roundabout way": {"resumed_from": {"directory": "../run/../run", "position": "9"}},
    "resumed from a long path": {"resumed_from": {"directory": "x" * 5000, "position": "1"}},
    "resumed from a device": {"resumed_from": {"directory": "/dev/zero", "position": "1"}},
    "a position that is a number": {"position": 1.5, "outcome": ["x"], "ended": {}},
    "versions that are a list": {"versions": [1], "threads": 3, "data": "x", "loaders": [[]]},
    "a restored epoch that is huge": {"restored": 10**300, "backend": None, "started": float("nan")},
}


@pytest.mark.filterwarnings("ignore:Not in")
@pytest.mark.parametrize("kind", RUBBISH)
def test_rubbish_in_a_session_is_no_traceback(run: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run)
    (run / "circle").symlink_to("circle")
    document = toy.experiment(run)
    document["sessions"][-1] |= RUBBISH[kind]
    (run / "experiment.json").write_text(json.dumps(document))
    shutil.rmtree(run / "checkpoint")
    for use in (
        lambda: inspect(run).as_text(),
        lambda: ml.LearnerBuilder.from_experiment(run, run.parent / "other"),
        lambda: toy.build(toy.builder(run)),
        lambda: toy.fit(toy.builder(run).checkpoint("latest").restore_best()),
    ):
        try:
            use()
        except MultilearnError as error:
            assert "run" in str(error)
    if "that is none" in kind:
        with pytest.raises(DirectoryError, match=r"experiment\.json with resumed_from .*'one'"):
            locate(Resume("latest"), run)


@pytest.mark.filterwarnings("ignore:Not in")
@pytest.mark.parametrize("part", ["sessions", "metrics", "builder", "seed", "weights_crc32", "not_data", "version"])
@pytest.mark.parametrize("value", [None, 3, "x", [3], [[]], {"a": 1}, float("nan"), 10**300, 10**400, {"type": {}}])
def test_rubbish_in_experiment_json_is_no_traceback(run: Path, part: str, value: Any) -> None:
    document = {**toy.experiment(run), part: value}
    (run / "experiment.json").write_text(json.dumps(document))
    for use in (
        lambda: inspect(run).as_text(),
        lambda: inspect(run).as_json(),
        lambda: ml.LearnerBuilder.from_experiment(run, run.parent / "other"),
        lambda: toy.build(toy.builder(run)),
    ):
        try:
            use()
        except MultilearnError as error:
            assert "experiment.json" in str(error) or "holds one" in str(error)


@pytest.mark.parametrize("name", ["x" * 300, "", " ", "é" * 101])
def test_names_that_no_file_can_have_are_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="name of the evaluation"):
        require_name(name, "evaluation")


@pytest.mark.parametrize("name", ["a\0b", "../../x", "CON", ".", "a\nb", "中文"])
def test_names_that_a_file_cannot_have_as_they_are_are_written_otherwise(run: Path, name: str) -> None:
    screen = ml.renderers.SilentRenderer()
    evaluator = ml.Evaluator(run, metrics=[], renderer=screen)
    evaluator.evaluate(toy.task(), toy.valid_loader(), name)
    assert len([*(run / "test").iterdir()]) == 1 and not (run.parent / "x").exists()


def test_a_lock_that_is_another_runs_by_now_stays(tmp_path: Path) -> None:
    with locked(tmp_path / ".lock"):
        (tmp_path / ".lock").unlink()
        (tmp_path / ".lock").write_text("another's")
    assert (tmp_path / ".lock").read_text() == "another's"
    (tmp_path / ".lock").unlink()
    with locked(tmp_path / ".lock"):
        pass
    assert not (tmp_path / ".lock").exists()


def test_a_lock_that_cannot_be_looked_at_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*facts: os.stat_result) -> bool:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch, pytest.raises(OSError, match="Input/output error"):
        patch.setattr(os.path, "samestat", failing)
        with locked(tmp_path / ".lock"):
            raise AssertionError
    with locked(tmp_path / ".lock"):
        assert (tmp_path / ".lock").exists()


@pytest.mark.parametrize("what", [".lock", "experiment.log", "Loss.log", "model-1.mpk.gz.tmp", "manifest.json.tmp"])
def test_a_file_that_cannot_be_closed_is_named(tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a file system of a network, which says only then that it has no room."""
    close = os.close

    def failing(descriptor: int) -> None:
        name = os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}"))
        close(descriptor)
        if name.removesuffix(" (deleted)") == what:
            raise OSError(5, "Input/output error")

    class Failing(io.FileIO):
        def close(self) -> None:
            name = "" if self.closed else os.path.basename(os.readlink(f"/proc/self/fd/{self.fileno()}"))
            super().close()
            if name == what:
                raise OSError(5, "Input/output error")

    def opening(file: Any, mode: str = "r", buffering: int = -1) -> Any:
        raw = Failing(file, mode.replace("b", ""))
        return raw if buffering == 0 else io.BufferedReader(raw) if "r" in mode else io.BufferedWriter(raw)

    monkeypatch.setattr(os, "close", failing)
    for module in ("run.log", "storage.atomic", "loggers.files"):
        monkeypatch.setattr(f"multilearn.{module}.open", opening, raising=False)
    with pytest.raises(StorageError, match=what.removesuffix(".tmp").replace(".", r"\.")):
        toy.fit(toy.builder(tmp_path / "run", 1))
    monkeypatch.undo()
    saved = CheckpointFolder(tmp_path / "run/checkpoint").positions()
    assert saved == ([] if what.endswith(".tmp") else saved)
    toy.fit(toy.builder(tmp_path / "run", 2).checkpoint("latest"))
    toy.fit(toy.builder(tmp_path / "whole", 2))
    assert toy.checkpoint_files(tmp_path / "run") == toy.checkpoint_files(tmp_path / "whole")


def test_a_reader_looks_again_where_a_writer_replaced_what_it_read(run: Path) -> None:
    folder = CheckpointFolder(run / "checkpoint")
    records = folder.load(Position(2))

    class Writing(MpkGzRecorder):
        """Before the first record is read, the run saves another epoch, and removes this one."""

        def read(self, file: Any, limit: int) -> Any:
            if Position(3) not in folder.positions():
                folder.save(Position(3), records, drop=[Position(1), Position(2)])
            return super().read(file, limit)

    reading = CheckpointFolder(run / "checkpoint", Writing())
    looks = []

    def look() -> Any:
        position, skipped = reading.latest_intact()
        looks.append(position)
        assert position is not None and not skipped
        return reading.load(position)["model"]

    assert steadily(reading.path, look) == records["model"]
    assert looks == [Position(2), Position(3)]


def test_a_reader_gives_up_at_once_where_nothing_is_written(run: Path) -> None:
    (run / "checkpoint/model-2.mpk.gz").unlink()
    folder, looks = CheckpointFolder(run / "checkpoint"), []

    def look() -> Any:
        looks.append(1)
        return folder.load(Position(2))

    with pytest.raises(RecordError, match="missing"):
        steadily(folder.path, look)
    assert len(looks) == 1
    with pytest.raises(CheckpointNotFound):
        steadily(folder.path, lambda: folder.load(Position(9)))


def test_epochs_that_are_removed_while_they_are_read_are_looked_for_again(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import multilearn.run.on_disk as runs_module

    read = runs_module.read_epoch_value

    def removing(path: Path, root: Path) -> Any:
        shutil.rmtree(run / "train/epoch-2", ignore_errors=True)
        return read(path, root)

    monkeypatch.setattr(runs_module, "read_epoch_value", removing)
    assert list(open_run(run).epochs) == [1]


def test_nothing_is_recovered_through_a_link(run: Path) -> None:
    (run / "checkpoint").rename(run / "elsewhere")
    (run / "checkpoint").symlink_to(run / "elsewhere")
    found = recovered(run / "checkpoint", MpkGzRecorder())
    assert found is not None and found[0].checkpoints == () and "link" in found[1]
