"""Whatever moment a save is cut short at: what was durable is intact, and the next one works."""

from __future__ import annotations

import os
import signal
from itertools import count

import numpy as np
import pytest

from multilearn.checkpoint import CheckpointFolder, HostTensor, MpkGzRecorder
from multilearn.position import Position

P = Position.parse
CALLS = ("fsync", "replace", "unlink")


def state(number):
    kernel = HostTensor.of(np.arange(100, dtype=np.float32) + number)
    return {"model": {"kernel": kernel}, "optim": {"m": kernel}, "scheduler": {"update": number}}


def prepared(path):
    """Epochs 1 and 2, a stop in 3, and a withdrawn 4: all kinds of files are on disk."""
    folder = CheckpointFolder(path, MpkGzRecorder())
    for number, name in enumerate(["1", "2", "4", "3.5"], start=1):
        folder.save(P(name), state(number))
    folder.withdraw(after=P("3.5"))
    return folder


class Tripwire:
    """Has `act` happen before (or right after) the n-th call of a function that changes the disk durably."""

    def __init__(self, n, after, act):
        self.left, self.after, self.act = n, after, act

    def around(self, function):
        def tripped(*args, **kwargs):
            self.left -= 1
            if self.left == 0 and not self.after:
                self.act()
            result = function(*args, **kwargs)
            if self.left == 0 and self.after:
                self.act()
            return result

        return tripped

    def install(self, patch):
        for name in CALLS:
            patch.setattr(os, name, self.around(getattr(os, name)))


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


def killed(folder, wire, position):
    """Save in a child process that SIGKILLs itself; True if it was killed."""
    child = os.fork()
    if child == 0:
        try:
            wire.install(pytest.MonkeyPatch())
            folder.save(position, state(9), drop=[P("1")])
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a forked process")
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("name", ["3", "4"])
def test_a_kill_at_any_moment_loses_nothing_durable(tmp_path, name, after):
    for n in count(1):
        folder = prepared(tmp_path / str(n))
        wire = Tripwire(n, after, lambda: os.kill(os.getpid(), signal.SIGKILL))
        if not killed(folder, wire, P(name)):
            break
        if name == "4" and P("4") not in folder.positions():
            (tmp_path / str(n) / "probe").touch()
            (tmp_path / str(n) / "probe").unlink()
        expect_sound(folder, DURABLE, P(name), 9)
    # three manifests or files, each synced and renamed, and deletions: fewer points would mean an untested commit
    assert n > 15
    assert folder.positions() == [P("2"), P(name)]


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()], ids=repr)
def test_an_error_at_any_moment_loses_nothing_durable(tmp_path, error):
    def fail():
        raise error

    for n in count(1):
        folder = prepared(tmp_path / str(n))
        with pytest.MonkeyPatch.context() as patch:
            Tripwire(n, False, fail).install(patch)
            try:
                folder.save(P("3"), state(9), drop=[P("1")])
            except type(error):
                pass
            else:
                if not any(name.endswith(".tmp") for name in os.listdir(folder.path)) and n > 40:
                    break
        assert not any(name.startswith(("model", "optim", "scheduler")) and name.endswith(".tmp") for name in os.listdir(folder.path))
        expect_sound(folder, DURABLE, P("3"), 9)


class KilledWhileWriting(MpkGzRecorder):
    """Writes half of a part, then the process is gone."""

    def write(self, file, item, metadata):
        super().write(file, item, metadata)
        if "m" in item:
            os.kill(os.getpid(), signal.SIGKILL)
        return 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a forked process")
def test_a_kill_while_a_file_is_written_loses_nothing_durable(tmp_path):
    folder = prepared(tmp_path)
    assert killed(CheckpointFolder(tmp_path, KilledWhileWriting()), Tripwire(0, False, None), P("3"))
    assert any(name.endswith(".tmp") for name in os.listdir(tmp_path))
    expect_sound(folder, DURABLE, P("3"), 9)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a forked process")
def test_a_kill_while_a_position_is_saved_again_equally_keeps_it(tmp_path):
    for n in count(1):
        folder = prepared(tmp_path / str(n))
        child = os.fork()
        if child == 0:
            try:
                Tripwire(n, False, lambda: os.kill(os.getpid(), signal.SIGKILL)).install(pytest.MonkeyPatch())
                folder.save(P("3.5"), state(4))
            finally:
                os._exit(0)
        done = not os.WIFSIGNALED(os.waitpid(child, 0)[1])
        folder.clean()
        assert folder.load(P("3.5")) == state(4)
        if done:
            break
    assert n > 8


def test_what_is_renamed_is_synced_and_the_folder_is_synced_before_the_manifest_names_it(tmp_path, monkeypatch):
    folder = prepared(tmp_path)
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

    place = ("sync", tmp_path.name)
    files = [f"{part}-3.mpk.gz" for part in ("model", "optim", "scheduler")]
    manifest = [("sync", "manifest.json.tmp"), ("rename", "manifest.json"), place]
    written = [("sync", f"{name}.tmp") for name in files] + [("rename", name) for name in files] + [place]
    gone = {("remove", f"{part}-{name}.mpk.gz") for part in ("model", "optim", "scheduler") for name in ("4", "1", "3.5")}
    head = [*manifest, *written, *manifest]
    assert log[: len(head)] == head
    assert set(log[len(head) :]) == gone
