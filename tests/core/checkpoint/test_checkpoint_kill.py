"""Whatever moment a save is cut short at: what was durable is intact, and the next one works."""

from __future__ import annotations

import os
import shutil
import signal
from contextlib import suppress
from functools import partial
from itertools import count

import numpy as np
import pytest
from support.tripwire import CALLS, Tripwire, kill, killed, moments

from multilearn.checkpoint import CheckpointFolder, HostTensor, MpkGzRecorder
from multilearn.events import Position

P = Position.parse


def state(number):
    kernel = HostTensor.of(np.arange(100, dtype=np.float32) + number)
    return {"model": {"kernel": kernel}, "optim": {"m": kernel}, "scheduler": {"update": number}}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Makes folders with epochs 1 and 2, a stop in 3, and a withdrawn 4: all kinds of files are on disk."""
    folder = CheckpointFolder(tmp_path_factory.mktemp("prepared"), MpkGzRecorder())
    for number, name in enumerate(["1", "2", "4", "3.5"], start=1):
        folder.save(P(name), state(number))
    folder.withdraw(after=P("3.5"))
    return lambda path: CheckpointFolder(shutil.copytree(folder.path, path), MpkGzRecorder())


def expect_sound(folder, durable, new, number):
    """Nothing durable is lost; after cleaning the disk has what the manifest knows of; the next save works."""
    found = folder.positions()
    position, skipped = folder.latest_intact()
    assert skipped == []
    if new in found:
        assert position == new
        assert folder.load(new) == state(number)
        assert P("1") not in found
        assert P("3.5") not in found
    else:
        assert found == sorted(durable)
    for known in found:
        assert known == new or folder.load(known) == state(durable[known])
    folder.clean()
    withdrawn = {f"{part}-4.mpk.gz" for part in state(0)}
    dropped = {f"{part}-{name}.mpk.gz" for part in state(0) for name in ("1", "3.5")} if new in found else set()
    known = {"manifest.json"} | {f"{part}-{each}.mpk.gz" for part in state(0) for each in found}
    assert known <= set(os.listdir(folder.path)) <= known | withdrawn | dropped
    folder.save(P("5"), state(5), drop=[P("1")])
    assert folder.load(P("5")) == state(5)
    assert set(os.listdir(folder.path)) == {"manifest.json"} | {
        f"{part}-{each}.mpk.gz" for part in state(0) for each in folder.positions()
    }


DURABLE = {P("1"): 1, P("2"): 2, P("3.5"): 4}


@pytest.mark.parametrize("name", ["3", "4"])
def test_a_kill_at_any_moment_loses_nothing_durable(tmp_path, prepared, name):
    folder = prepared(tmp_path / "folder")
    left = moments(folder.path, tmp_path, partial(folder.save, P(name), state(9), drop=[P("1")]))
    for path in left:
        expect_sound(CheckpointFolder(path, MpkGzRecorder()), DURABLE, P(name), 9)
    # two manifests and three files, each written and renamed, and six deletions: fewer would mean an untested commit
    assert len(left) > 16
    assert folder.positions() == [P("2"), P(name)]


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()], ids=repr)
def test_an_error_at_any_moment_loses_nothing_durable(tmp_path, prepared, error):
    def fail():
        raise error

    for n in count(1):
        folder = prepared(tmp_path / str(n))
        wire = Tripwire(n, False, fail)
        with pytest.MonkeyPatch.context() as patch, suppress(type(error)):
            wire.install(patch)
            folder.save(P("3"), state(9), drop=[P("1")])
        assert not [name for name in os.listdir(folder.path) if name.endswith(".tmp")]
        if wire.left > 0:
            break
        expect_sound(folder, DURABLE, P("3"), 9)
    assert n > 16


class KilledWhileWriting(MpkGzRecorder):
    """Writes half of a part, then the process is gone."""

    def write(self, file, item, metadata):
        super().write(file, item, metadata)
        if "m" in item:
            os.kill(os.getpid(), signal.SIGKILL)
        return 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a forked process")
def test_a_kill_while_a_file_is_written_loses_nothing_durable(tmp_path, prepared):
    folder = prepared(tmp_path / "folder")
    writing = CheckpointFolder(folder.path, KilledWhileWriting())
    assert killed(Tripwire(0, False, kill), partial(writing.save, P("3"), state(9)))
    assert any(name.endswith(".tmp") for name in os.listdir(folder.path))
    expect_sound(folder, DURABLE, P("3"), 9)


def test_a_kill_while_a_position_is_saved_again_equally_keeps_it(tmp_path, prepared):
    folder = prepared(tmp_path / "folder")
    left = moments(folder.path, tmp_path, partial(folder.save, P("3.5"), state(4)))
    for path in left:
        found = CheckpointFolder(path, MpkGzRecorder())
        found.clean()
        assert found.load(P("3.5")) == state(4)
    assert len(left) > 8


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="asks /proc which file a descriptor is of")
def test_what_is_renamed_is_synced_and_the_folder_is_synced_before_the_manifest_names_it(
    tmp_path, prepared, monkeypatch
):
    folder = prepared(tmp_path / "folder")
    log = []
    real = {name: getattr(os, name) for name in CALLS}

    def fsync(descriptor):
        log.append(("sync", os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}"))))
        real["fsync"](descriptor)

    def replace(source, target):
        log.append(("rename", os.path.basename(target)))
        real["replace"](source, target)

    def unlink(path):
        if os.path.exists(path):
            log.append(("remove", os.path.basename(path)))
        real["unlink"](path)

    for function in (fsync, replace, unlink):
        monkeypatch.setattr(os, function.__name__, function)
    folder.save(P("3"), state(3), drop=[P("1")])

    place = ("sync", "folder")
    files = [f"{part}-3.mpk.gz" for part in ("model", "optim", "scheduler")]
    manifest = [("sync", "manifest.json.tmp"), ("rename", "manifest.json"), place]
    written = [("sync", f"{name}.tmp") for name in files] + [("rename", name) for name in files] + [place]
    gone = {
        ("remove", f"{part}-{name}.mpk.gz") for part in ("model", "optim", "scheduler") for name in ("4", "1", "3.5")
    }
    head = [*manifest, *written, *manifest]
    assert log[: len(head)] == head
    assert set(log[len(head) :]) == gone
