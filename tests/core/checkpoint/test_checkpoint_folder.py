"""The checkpoints on disk: what is saved, dropped, withdrawn, skipped, refused and left alone."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest

from multilearn.checkpoint import CheckpointFolder, HostTensor, MpkGzRecorder, nbytes, write_atomically
from multilearn.errors import CheckpointError, CheckpointNotFound, RecordError
from multilearn.events import Position

P = Position.parse
PARTS = ("model", "optim", "scheduler")


def state(number):
    """The parts of a checkpoint that tells which it is."""
    kernel = HostTensor.of(np.full((20, 30), number, np.float32))
    return {"model": {"kernel": kernel}, "optim": {"m": kernel, "step": number}, "scheduler": {"update": number}}


def files(position):
    return {f"{part}-{position}.mpk.gz" for part in PARTS}


def on_disk(folder):
    return {path.name for path in folder.path.iterdir()}


@pytest.fixture
def folder(tmp_path):
    return CheckpointFolder(tmp_path / "run" / "checkpoint", MpkGzRecorder())


def saved(folder, *names):
    for number, name in enumerate(names):
        folder.save(P(name), state(number))
    return folder


def test_where_nothing_is_nothing_is_found_and_nothing_is_made(folder):
    assert folder.positions() == []
    assert folder.latest_intact() == (None, [])
    with pytest.raises(CheckpointNotFound, match="These exist: none"):
        folder.load(P("1"))
    folder.clean()
    folder.clear()
    assert folder.withdraw(P("0")) == []
    assert not folder.path.parent.exists()


def test_what_is_saved_is_loaded_and_the_files_are_named_by_part_and_position(folder):
    folder.save(P("1"), state(1))
    folder.save(P("2.120"), state(2))
    assert folder.positions() == [P("1"), P("2.120")]
    assert folder.load(P("1")) == state(1)
    assert folder.load(P("2.120")) == state(2)
    assert on_disk(folder) == {"manifest.json"} | files("1") | files("2.120")
    with open(folder.path / "model-2.120.mpk.gz", "rb") as file:
        metadata = MpkGzRecorder().read(file, 10_000).metadata
    assert metadata == {"format": "multilearn", "version": 1, "part": "model", "checkpoint": "2.120"}


def test_the_manifest_says_what_is_there(folder):
    saved(folder, "3")
    manifest = json.loads((folder.path / "manifest.json").read_text())
    (entry,) = manifest.pop("checkpoints")
    assert manifest == {"version": 1, "writing": None, "removing": []}
    assert entry["name"] == "3"
    for name in files("3"):
        data = (folder.path / name).read_bytes()
        assert entry["files"][name]["size"] == len(data)
        assert entry["files"][name]["sha256"] == hashlib.sha256(data).hexdigest()


def test_dropped_ones_go_and_unknown_ones_are_nobody(folder):
    saved(folder, "1", "2")
    folder.save(P("3"), state(3), drop=[P("1"), P("9")])
    assert folder.positions() == [P("2"), P("3")]
    assert on_disk(folder) == {"manifest.json"} | files("2") | files("3")


def test_stops_inside_an_epoch_go_once_a_later_position_is_durable(folder):
    saved(folder, "1", "2.5", "2.9")
    assert folder.positions() == [P("1"), P("2.9")]
    saved(folder, "2")
    assert folder.positions() == [P("1"), P("2")]
    assert on_disk(folder) == {"manifest.json"} | files("1") | files("2")


def test_a_stop_later_than_what_is_saved_stays(folder):
    saved(folder, "2.5", "1")
    assert folder.positions() == [P("1"), P("2.5")]
    assert folder.load(P("2.5")) == state(0)


def test_an_equal_save_of_a_position_leaves_its_files_untouched(folder):
    saved(folder, "1")
    before = {name: (folder.path / name).stat().st_ino for name in files("1")}
    folder.save(P("1"), state(0))
    assert before == {name: (folder.path / name).stat().st_ino for name in files("1")}
    assert on_disk(folder) == {"manifest.json"} | files("1")


def test_another_state_at_a_position_replaces_it(folder):
    saved(folder, "1", "2")
    folder.save(P("2"), {"model": {"n": 7}})
    assert folder.load(P("2")) == {"model": {"n": 7}}
    assert folder.load(P("1")) == state(0)
    assert on_disk(folder) == {"manifest.json", "model-2.mpk.gz"} | files("1")


def test_a_damaged_checkpoint_is_mended_by_an_equal_save(folder):
    saved(folder, "1")
    (folder.path / "model-1.mpk.gz").write_bytes(b"")
    folder.save(P("1"), state(0))
    assert folder.load(P("1")) == state(0)


def test_withdrawn_ones_do_not_exist_but_stay_on_disk_until_the_next_is_durable(folder):
    saved(folder, "1", "2", "3", "4.7")
    assert folder.withdraw(after=P("1")) == [P("2"), P("3"), P("4.7")]
    assert folder.positions() == [P("1")]
    folder.clean()
    assert on_disk(folder) == {"manifest.json"} | files("1") | files("2") | files("3") | files("4.7")
    folder.save(P("2"), state(20))
    assert on_disk(folder) == {"manifest.json"} | files("1") | files("2")
    assert folder.load(P("2")) == state(20)
    saved(folder, "3")
    assert folder.positions() == [P("1"), P("2"), P("3")]
    assert on_disk(folder) == {"manifest.json"} | files("1") | files("2") | files("3")


def test_with_nothing_to_withdraw_nothing_is_written(folder):
    saved(folder, "1")
    before = (folder.path / "manifest.json").stat().st_ino
    assert folder.withdraw(after=P("1")) == []
    assert (folder.path / "manifest.json").stat().st_ino == before


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (flip, "optim-3.mpk.gz was changed after it was written"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "optim-3.mpk.gz has"),
        (lambda path: path.unlink(), "optim-3.mpk.gz is missing"),
        (lambda path: (path.unlink(), path.mkdir()), "optim-3.mpk.gz is no file"),
    ],
    ids=["flipped byte", "truncated", "missing", "a folder"],
)
def test_latest_skips_what_is_not_intact_and_says_why(folder, damage, reason):
    saved(folder, "1", "2", "3")
    damage(folder.path / "optim-3.mpk.gz")
    assert folder.problem(P("2")) is None
    assert reason in folder.problem(P("3"))
    position, skipped = folder.latest_intact()
    assert position == P("2")
    (line,) = skipped
    assert line.startswith("checkpoint 3 is skipped: ")
    assert reason in line
    with pytest.raises(RecordError, match=reason):
        folder.load(P("3"))
    assert folder.load(P("2")) == state(1)


def test_all_that_is_wrong_with_a_checkpoint_is_in_one_message(folder):
    saved(folder, "1")
    flip(folder.path / "model-1.mpk.gz")
    (folder.path / "scheduler-1.mpk.gz").unlink()
    assert folder.problem(P("1")).count("-1.mpk.gz") == 2
    assert folder.latest_intact() == (None, [f"checkpoint 1 is skipped: {folder.problem(P('1'))}"])


def test_a_missing_checkpoint_lists_those_that_exist(folder):
    saved(folder, "1", "2.5")
    for ask in (folder.load, folder.problem):
        with pytest.raises(CheckpointNotFound, match=r"These exist: 1, 2\.5\."):
            ask(P("3"))


def test_a_limit_bounds_what_a_part_may_take(folder):
    folder.save(P("1"), {"model": {"kernel": HostTensor.of(np.zeros(3_000_000, np.uint8))}})
    small = nbytes({"kernel": HostTensor.of(np.zeros(3, np.uint8))})
    with pytest.raises(RecordError, match=r"model-1\.mpk\.gz.*larger model"):
        folder.load(P("1"), {"model": small})
    assert folder.load(P("1"), {"optim": small})["model"]


def test_a_sound_checksum_does_not_excuse_a_file_that_is_no_record(folder):
    saved(folder, "1")
    path = folder.path / "manifest.json"
    manifest = json.loads(path.read_text())
    data = b"no record"
    (folder.path / "model-1.mpk.gz").write_bytes(data)
    facts = {"size": len(data), "uncompressed": 9, "sha256": hashlib.sha256(data).hexdigest()}
    manifest["checkpoints"][0]["files"]["model-1.mpk.gz"] = facts
    path.write_text(json.dumps(manifest))
    assert folder.problem(P("1")) is None
    with pytest.raises(RecordError, match=r"model-1\.mpk\.gz"):
        folder.load(P("1"))


def test_a_part_is_read_though_another_one_is_damaged(folder):
    saved(folder, "1")
    flip(folder.path / "optim-1.mpk.gz")
    assert folder.load(P("1"), parts=["model"]) == {"model": state(0)["model"]}
    with pytest.raises(RecordError, match=r"optim-1\.mpk\.gz"):
        folder.load(P("1"), parts=["model", "optim"])


@pytest.mark.parametrize("parts", [{}, {"../model": {}}, {"metrics": {}}], ids=["none", "a path", "another"])
def test_what_makes_no_checkpoint_is_refused_before_anything_is_written(folder, parts):
    with pytest.raises(CheckpointError):
        folder.save(P("1"), parts)
    assert not folder.path.exists()


def test_a_record_that_cannot_be_written_leaves_everything_as_it_was(folder):
    saved(folder, "1")
    with pytest.raises(CheckpointError):
        folder.save(P("2"), {"model": state(2)["model"], "optim": {"a": object()}}, drop=[P("1")])
    assert folder.positions() == [P("1")]
    assert on_disk(folder) == {"manifest.json"} | files("1")
    assert folder.load(P("1")) == state(0)


FOREIGN = ["notes.txt", "model-9.png", "model-7.mpk.gz", "model-x.mpk.gz.tmp", "other.tmp", "xmodel-1.mpk.gz.tmp"]


def test_clearing_removes_ours_and_nothing_else(folder):
    saved(folder, "1", "2", "3")
    folder.withdraw(after=P("2"))
    for name in FOREIGN:
        (folder.path / name).write_text("mine")
    (folder.path / "model-4.mpk.gz.tmp").write_text("left by a kill")
    folder.clear()
    assert on_disk(folder) == set(FOREIGN)
    for name in FOREIGN:
        (folder.path / name).unlink()
    folder.clear()
    assert not folder.path.exists()


def test_cleaning_and_saving_leave_foreign_files_alone(folder):
    saved(folder, "1")
    for name in FOREIGN:
        (folder.path / name).write_text("mine")
    saved(folder, "2", "3")
    folder.clean()
    assert on_disk(folder) == {"manifest.json", *FOREIGN} | files("1") | files("2") | files("3")


def test_a_file_that_cannot_be_removed_is_tried_again_by_the_next_save(folder, caplog):
    saved(folder, "1")
    stubborn = folder.path / "model-1.mpk.gz"
    stubborn.unlink()
    stubborn.mkdir()
    folder.save(P("2"), state(2), drop=[P("1")])
    assert "model-1.mpk.gz could not be removed yet" in caplog.text
    assert folder.positions() == [P("2")]
    stubborn.rmdir()
    stubborn.write_text("")
    saved(folder, "3")
    assert on_disk(folder) == {"manifest.json"} | files("2") | files("3")


FACTS = {"size": 1, "uncompressed": 1, "sha256": "0" * 64}


def manifest(**changes):
    return {"version": 1, "writing": None, "checkpoints": [], "removing": [], **changes}


def listed(name="1", file="model-1.mpk.gz"):
    return manifest(checkpoints=[{"name": name, "files": {file: FACTS}}])


BROKEN = {
    "no json": "{",
    "empty": "",
    "deep": "[" * 100_000,
    "list": [],
    "missing key": {"version": 1},
    "extra key": manifest(more=1),
    "later version": manifest(version=2),
    "writing a number": manifest(writing=3),
    "writing a path": manifest(writing="../3"),
    "checkpoint a string": manifest(checkpoints=["1"]),
    "no files": manifest(checkpoints=[{"name": "1", "files": {}}]),
    "twice": manifest(checkpoints=2 * listed()["checkpoints"]),
    "of another position": listed(file="model-2.mpk.gz"),
    "padded name": listed(name="01", file="model-01.mpk.gz"),
    "path": listed(file="../model-1.mpk.gz"),
    "absolute path": listed(file="/etc/passwd"),
    "another part": listed(file="notes-1.mpk.gz"),
    "newline": listed(file="model-1.mpk.gz\n"),
    "removing a path": manifest(removing=["../../model-1.mpk.gz"]),
    "removing a number": manifest(removing=[1]),
    "removing what is kept": {**listed(), "removing": ["model-1.mpk.gz"]},
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_a_broken_manifest_is_refused_by_everything_and_nothing_is_touched(folder, content):
    folder.path.mkdir(parents=True)
    text = content if isinstance(content, str) else json.dumps(content)
    (folder.path / "manifest.json").write_text(text)
    (folder.path / "model-1.mpk.gz").write_text("x")
    for ask in (
        folder.positions,
        folder.latest_intact,
        lambda: folder.load(P("1")),
        lambda: folder.save(P("1"), state(1)),
        lambda: folder.withdraw(P("0")),
        folder.clean,
    ):
        with pytest.raises(RecordError, match=r"manifest\.json must be a valid manifest.*move"):
            ask()
    assert on_disk(folder) == {"manifest.json", "model-1.mpk.gz"}
    assert (folder.path / "manifest.json").read_text() == text


def test_clearing_under_a_broken_manifest_goes_by_the_names_of_our_files(folder):
    saved(folder, "1", "2.5")
    (folder.path / "manifest.json").write_text("{")
    foreign = {"notes.txt", "model-9.png", "model-x.mpk.gz", "xmodel-1.mpk.gz"}
    for name in foreign:
        (folder.path / name).write_text("mine")
    folder.clear()
    assert on_disk(folder) == foreign


def test_the_sound_twin_of_the_broken_manifests_is_read(folder):
    folder.path.mkdir(parents=True)
    (folder.path / "manifest.json").write_text(json.dumps(listed()))
    assert folder.positions() == [P("1")]


def test_a_failed_atomic_write_leaves_the_old_content_and_no_litter(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    write_atomically(path, b"old")
    for call in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(f"os.{call}", lambda *_: (_ for _ in ()).throw(OSError("full")))
            with pytest.raises(OSError, match="full"):
                write_atomically(path, b"new")
        assert path.read_bytes() == b"old"
        assert list(tmp_path.iterdir()) == [path]
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"


def test_a_folder_is_named_by_a_path_or_by_its_text(tmp_path):
    by_text = CheckpointFolder(str(tmp_path / "checkpoint"))
    by_text.save(P("1"), state(1))
    assert CheckpointFolder(tmp_path / "checkpoint").load(P("1")) == state(1)
    assert by_text == CheckpointFolder(tmp_path / "checkpoint")
