"""Disks that are full, read-only or strange: what is said of them, and that a run goes on afterwards."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from support import toy_experiment as toy

from multilearn.errors import DirectoryError, MultilearnError, StorageError
from multilearn.storage import refusals as storage
from multilearn.storage.lock import Holder, holder, locked

fcntl = pytest.importorskip("fcntl", reason="locks and limits of Unix")
resource = pytest.importorskip("resource", reason="locks and limits of Unix")


@pytest.mark.parametrize(
    ("number", "rule"),
    [
        (errno.ENOSPC, "must have room"),
        (errno.EDQUOT, "must have room"),
        (errno.EFBIG, "must have room"),
        (errno.EROFS, "must be writable"),
        (errno.EACCES, "must be writable"),
        (errno.EISDIR, "must be files, and its folders folders"),
        (errno.EIO, "must take what a run writes"),
    ],
)
def test_what_the_operating_system_refuses_is_told_with_a_rule_the_path_its_words_and_a_remedy(
    tmp_path: Path, number: int, rule: str
) -> None:
    said = OSError(number, os.strerror(number))
    with pytest.raises(StorageError, match=rule) as caught, storage.storing(tmp_path / "file"):
        raise said
    error = caught.value
    assert isinstance(error, OSError) and isinstance(error, MultilearnError)
    assert error.errno == number and error.__cause__ is said
    assert f"Received: {tmp_path}/file: {os.strerror(number)}" in str(error)
    assert 'then .checkpoint("latest") resumes from the newest checkpoint that was saved.' in str(error)
    assert (" bytes are free" in str(error)) == (rule == "must have room")


LIMITED = """
import resource, sys
from support import toy_experiment as toy
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
toy.fit(toy.builder(sys.argv[1]))
"""


@pytest.mark.parametrize("limit", [100, 1100])
def test_a_run_that_met_the_largest_file_there_may_be_goes_on_when_it_may_be_larger(
    tmp_path: Path, environment: dict[str, str], limit: int
) -> None:
    whole = toy.fit(toy.builder(tmp_path / "whole"))
    command = [sys.executable, "-c", LIMITED, str(tmp_path / "run"), str(limit)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert "StorageError: The disk must have room" in done.stderr and "File too large" in done.stderr
    assert not list((tmp_path / "run").rglob("*.tmp")) and not (tmp_path / "run/.lock").exists()
    resumed = toy.fit(toy.builder(tmp_path / "run").checkpoint("latest"))
    assert toy.weights(resumed) == toy.weights(whole)
    assert toy.metric_files(tmp_path / "run") == toy.metric_files(tmp_path / "whole")
    assert toy.checkpoint_files(tmp_path / "run") == toy.checkpoint_files(tmp_path / "whole")


def refusing(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that answers so when a file is to be locked."""

    def flock(descriptor: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK])
def test_where_the_file_system_knows_no_locks_the_run_goes_on_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, number: int
) -> None:
    refusing(number, monkeypatch)
    with locked(tmp_path / ".lock"):
        assert f"the file system of {tmp_path} does not support locks" in caplog.text
    assert not list(tmp_path.iterdir())


def test_a_disk_that_fails_is_not_taken_for_another_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refusing(errno.EIO, monkeypatch)
    with pytest.raises(DirectoryError, match=r"can be locked\. Received: .*\.lock: Input/output error"):
        toy.fit(toy.builder(tmp_path / "run"))


@pytest.mark.parametrize("place", ["experiment.json", "experiment.log", "checkpoint/manifest.json", ".lock"])
@pytest.mark.parametrize("resumed", [True, False], ids=["resumed", "overwritten"])
def test_a_folder_in_the_place_of_a_file_is_refused_by_the_write_and_stays(
    tmp_path: Path, place: str, resumed: bool
) -> None:
    (tmp_path / "run" / place / "mine").mkdir(parents=True)
    described = toy.builder(tmp_path / "run", overwrite=not resumed)
    with pytest.raises((StorageError, DirectoryError), match=rf"Received: .*run.*{place}.*[Ff]older|irectory"):
        toy.fit(described.checkpoint("latest") if resumed else described)
    assert (tmp_path / "run" / place / "mine").is_dir()


def test_a_lock_says_which_process_holds_it_and_looking_is_not_in_the_way(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    assert holder(path) is None
    with locked(path):
        found = holder(path)
        assert found == Holder.here() and found.is_local and found.pid == os.getpid()
    path.write_text('{"host": "elsewhere", "pid": 7}')  # as a killed process leaves it
    assert holder(path) is None
    with locked(path):
        path.write_text("of an earlier version")
        assert holder(path) == Holder("", 0)
    with path.open("w") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        threading.Timer(0.01, looking.close).start()
        with locked(path):
            assert holder(path) == Holder.here()
