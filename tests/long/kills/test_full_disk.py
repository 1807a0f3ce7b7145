"""A disk that is full, at any byte: what was saved stays, the error says what to do, and the run goes on later."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.checking import expect_equal_runs, expect_nothing_lost
from support.running import Order, Warm, Whole

PAGE, SIZE = 1 << 12, 1 << 21


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path | None]:
    """A small disk of its own; None where nobody may mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(place)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        print(f"no disk of its own ({mounted.stderr.strip()}): writing is refused after so many bytes instead")
        yield None
        return
    print("a tmpfs of its own")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def leave(disk: Path, free: int) -> None:
    """Fill the disk up to that."""
    (disk / "ballast").unlink(missing_ok=True)
    with open(disk / "ballast", "wb") as file:
        file.write(bytes(shutil.disk_usage(disk).free - free))


def test_a_disk_that_becomes_full_at_any_byte_costs_nothing_that_was_saved(
    warm: Warm, whole: Whole, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    assert whole.ended.result
    rng, outcomes = random.Random(pytestconfig.getoption("--chance")), []
    for number in range(pytestconfig.getoption("--kills") // 5 + 1):
        directory = tmp_path / str(number)
        quota = rng.randrange(whole.ended.result["written"])
        ended = warm.train(directory, Order(quota=quota))
        expect_told_in_full(ended.error, ended.said)
        expect_nothing_lost(directory, ended.saved)
        assert not list(directory.rglob("*.tmp")), quota
        expect_equal_runs(directory, warm.train(directory), whole.directory, whole.ended)
        outcomes.append(ended.saved[-1] if ended.saved else "none")
    print(f"{warm.backend}: full after a random byte {len(outcomes)} times, saved by then: {', '.join(outcomes)}")


def test_a_disk_that_is_really_full_does_the_same(warm: Warm, whole: Whole, disk: Path | None) -> None:
    if disk is None:
        pytest.skip("nobody may mount a disk here: the test before this one counts bytes instead")
    ended, free = None, 16 * PAGE
    refused = 0
    while ended is None or ended.code:
        shutil.rmtree(disk / "run", ignore_errors=True)
        leave(disk, free)
        ended = warm.train(disk / "run")
        expect_nothing_lost(disk / "run", ended.saved)
        if ended.code:
            refused += 1
            expect_told_in_full(ended.error, ended.said)
            assert not list((disk / "run").rglob("*.tmp"))
            (disk / "ballast").unlink()
            expect_equal_runs(disk / "run", warm.train(disk / "run"), whole.directory, whole.ended)
        free += 3 * PAGE
    assert refused >= 3
    print(
        f"{warm.backend}: refused {refused} times by a disk that was full, and each time the run could be gone on with"
    )


def test_a_disk_that_is_full_before_the_run_is_refused_like_one_that_becomes_full(
    warm: Warm, disk: Path | None
) -> None:
    if disk is None:
        pytest.skip("nobody may mount a disk here")
    leave(disk, 0)
    ended = warm.train(disk / "run")
    expect_told_in_full(ended.error, ended.said)
    assert not list((disk / "run").rglob("*.tmp"))


def expect_told_in_full(error: object, said: str) -> None:
    assert isinstance(error, dict), said
    assert {"StorageError", "MultilearnError", "OSError"} <= set(error["kinds"])
    for part in ("must have room", "Received: ", "No space left on device", 'then .checkpoint("latest") goes on'):
        assert part in error["says"]
