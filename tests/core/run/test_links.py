"""Links, pipes and devices in the directory of a run: nothing outside is deleted, cut, written, copied or read."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from support import toy_experiment as toy

import multilearn as ml
from multilearn.checkpoint import CheckpointFolder
from multilearn.commands.compare.study import compare_grouped as compare
from multilearn.commands.inspect import inspect
from multilearn.errors import DirectoryError, MultilearnError, StorageError
from multilearn.events import Position
from multilearn.loggers.rewind import METRICS, go_back, remove_files
from multilearn.storage import atomic
from multilearn.storage.layout import RunDirectory

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="makes links, pipes and devices")

PLACES = [
    *("train", "train/epoch-1", "train/epoch-99", "train/epoch-1/Loss.log", "valid", "valid/epoch-2/Accuracy.log"),
    *("test", "test/held", "test/held/Loss.log", "checkpoint", "checkpoint/manifest.json"),
    *("checkpoint/model-2.mpk.gz", "experiment.json", "experiment.log", ".lock"),
]
KINDS: dict[str, Callable[[Path, Path], object]] = {
    "a link": lambda path, outside: path.symlink_to(outside),
    "a link to nothing": lambda path, outside: path.symlink_to(outside / "nothing"),
    "a pipe": lambda path, _: os.mkfifo(path),
    "zeros without end": lambda path, _: path.symlink_to("/dev/zero"),
}


@pytest.fixture(scope="module")
def half(half: Path) -> Path:
    """That was evaluated, too."""
    evaluate(half, "held")
    return half


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder of somebody's, with files named like ours."""
    folder = tmp_path / "logs"
    (folder / "epoch-99").mkdir(parents=True)
    for name in ("Loss.log", "other.log", "model-1.mpk.gz", "manifest.json", "manifest.json.tmp", "epoch-99/Loss.log"):
        (folder / name).write_text("0.5,1\n0.5,1\n")
    return folder


def seen(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def put(path: Path, kind: str, outside: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    KINDS[kind](path, outside)


def evaluate(path: Path, name: str) -> None:
    screen = ml.renderers.SilentRenderer()
    ml.Evaluator(path, metrics=[ml.metrics.Accuracy()], renderer=screen).evaluate(toy.task(), toy.valid_loader(), name)


@pytest.mark.parametrize(
    ("place", "kind"),
    [*((place, "a link") for place in PLACES), *((PLACES[k], kind) for k in (0, 3, 9) for kind in [*KINDS][1:])],
)
def test_a_run_refuses_by_name_what_is_no_file_or_folder_of_its_own(
    run: Path, half: Path, outside: Path, place: str, kind: str
) -> None:
    (run / place).parent.mkdir(parents=True, exist_ok=True)
    put(run / place, kind, outside)
    before = seen(outside)
    for described in (
        toy.builder(run).checkpoint("latest"),
        toy.builder(run, overwrite=True),
        toy.builder(run.parent / "new").checkpoint("latest", run),
    ):
        with pytest.raises(DirectoryError, match="a pipe" if kind == "a pipe" else "a link") as caught:
            toy.build(described)
        assert f"{run / place}, which is " in str(caught.value) and "Move it away" in str(caught.value)
    for read in (inspect, lambda path: compare([path, half])):
        with pytest.raises(DirectoryError):
            read(run)
    assert seen(outside) == before
    assert not (run.parent / "new").exists()


@pytest.mark.parametrize("which", [None, "1", "2"])
@pytest.mark.parametrize("place", ["train", "train/epoch-99", "valid/epoch-2", "checkpoint", "test", "test/held"])
def test_what_is_put_there_after_it_was_looked_at_is_not_followed_either(
    run: Path, outside: Path, place: str, which: str | None
) -> None:
    before = seen(outside)
    described = toy.builder(run, overwrite=which is None)
    learner = toy.build(described if which is None else described.checkpoint(which))
    put(run / place, "a link", outside)
    try:
        learner.fit(toy.train_loader(), toy.valid_loader())
    except MultilearnError as error:
        assert place.split("/")[0] in str(error)
    assert seen(outside) == before and (run / place).is_symlink()


def test_a_metric_file_that_becomes_a_link_is_not_cut_or_written(run: Path, outside: Path) -> None:
    folder = run / "train/epoch-2"
    put(folder / "Loss.log", "a link", outside / "Loss.log")
    go_back(RunDirectory(run), Position(2, 1))
    remove_files(folder, run, METRICS)
    assert (folder / "Loss.log").is_symlink() and not (folder / "Accuracy.log").exists()
    assert (outside / "Loss.log").read_text() == "0.5,1\n0.5,1\n"


def test_a_file_with_another_name_is_not_changed_in_its_place(run: Path, outside: Path) -> None:
    """A copy made of hard links shares its files: they may be removed, and not written."""
    os.link(run / "experiment.log", outside / "copy.log")
    os.link(run / "train/epoch-2/Loss.log", outside / "loss.log")
    before = seen(outside)
    with pytest.raises(StorageError, match=r"experiment\.log: A file with another name besides"):
        toy.fit(toy.builder(run).checkpoint("latest"))
    with pytest.raises(StorageError, match=r"Loss\.log: A file with another name besides"):
        go_back(RunDirectory(run), Position(2, 1))
    (run / "experiment.log").unlink()
    toy.fit(toy.builder(run).checkpoint("1"))
    assert seen(outside) == before


@pytest.mark.parametrize("place", ["test", "test/held", "test/.held.new", "test/held/Loss.log"])
def test_an_evaluation_writes_through_no_link(run: Path, outside: Path, place: str) -> None:
    before = seen(outside)
    put(run / place, "a link", outside)
    if place.endswith(".log"):
        evaluate(run, "held")  # in the place of the link
        assert not (run / place).is_symlink()
    else:
        with pytest.raises(StorageError, match="links are not followed"):
            evaluate(run, "held")
    assert seen(outside) == before


def test_an_evaluation_names_a_circle_of_links(run: Path) -> None:
    shutil.rmtree(run / "test", ignore_errors=True)
    (run / "test").symlink_to("test")
    with pytest.raises(StorageError, match=r"test/\.held\.new"):
        evaluate(run, "held")


def test_a_pipe_in_the_place_of_a_folder_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "run")
    with pytest.raises(StorageError, match="Not a directory"):
        atomic.sync_folder(tmp_path / "run")


@pytest.mark.parametrize("kind", KINDS)
def test_the_folder_of_checkpoints_is_no_link(run: Path, outside: Path, kind: str) -> None:
    records = CheckpointFolder(run / "checkpoint").load(Position(2))
    put(run / "checkpoint", kind, outside)
    before, folder = seen(outside), CheckpointFolder(run / "checkpoint")
    assert folder.recovered()[0].positions() == []
    for change in (
        lambda: folder.save(Position(1), records),
        lambda: folder.recovered()[0].mend(),
        folder.clean,
        folder.sweep,
        lambda: folder.remove([Position(1)]),
    ):
        with suppress(MultilearnError):
            change()
    folder.clear()
    assert seen(outside) == before and os.path.lexists(run / "checkpoint")


def test_the_directory_itself_may_be_a_link(run: Path, half: Path, tmp_path: Path) -> None:
    (tmp_path / "latest").symlink_to(run)
    assert compare([tmp_path / "latest", half]).same
    toy.fit(toy.builder(tmp_path / "latest").checkpoint("latest"))
    assert toy.experiment(run)["sessions"][-1]["position"] == "3"
    evaluate(tmp_path / "latest", "again")
    assert inspect(tmp_path / "latest").intact
    toy.fit(toy.builder(tmp_path / "latest", overwrite=True))
    assert (tmp_path / "latest").is_symlink() and (run / "train/epoch-3").is_dir()


def test_links_by_names_that_are_not_ours_stay(run: Path, outside: Path) -> None:
    links = [run / "newest", run / "checkpoint/model-best.mpk.gz", run / "train/epoch-1/notes", run / "train/notes"]
    for link in links:
        link.symlink_to(outside)
    (run / "test/.DS_Store").touch()
    before = seen(outside)
    assert inspect(run).intact
    toy.fit(toy.builder(run).checkpoint("latest"))
    toy.fit(toy.builder(run, overwrite=True))
    assert seen(outside) == before and all(link.is_symlink() for link in links)


@pytest.mark.parametrize("name", ["circle", "nothing", "x" * 300, "x/" * 3000, "a\0b", "a\ud800"])
def test_a_path_that_leads_nowhere_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "circle").symlink_to(tmp_path / "ring")
    (tmp_path / "ring").symlink_to(tmp_path / "circle")
    (tmp_path / "nothing").symlink_to(tmp_path / "gone")
    path = tmp_path / name
    for described in (toy.builder(path), toy.builder(tmp_path / "new").checkpoint("latest", path)):
        with pytest.raises(MultilearnError) as caught:
            toy.fit(described)
        assert isinstance(caught.value, (DirectoryError, LookupError)) and len(str(caught.value)) < 1000
    with pytest.raises(DirectoryError):
        ml.Evaluator(path, metrics=[]).evaluate(toy.task(), toy.valid_loader())
    for look in (inspect, lambda each: compare([each, tmp_path])):
        with pytest.raises(MultilearnError):
            look(path)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["circle", "nothing", "ring"]
