"""`multilearn run --seeds`: every seed on every backend, going on with what is unfinished, leaving out what is done."""

from __future__ import annotations

import io
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from support.environments import CHOICES, with_support

from multilearn import backend
from multilearn.commands.grid import grid
from multilearn.commands.grid.plan import Cell, GridIndex, GridPlan, seeds_of
from multilearn.errors import DirectoryError
from multilearn.run import grid_cell as cell
from multilearn.run.resume import Resume

Grid = Callable[..., grid.Outcome]
Write = Callable[..., Path]

posix = pytest.mark.skipif(os.name != "posix", reason="needs signals as POSIX has them")

SECOND = """
from toy_backend import ToyBackend

class Other(ToyBackend):
    name = "other"
"""

# what is between the lines of a script that a newcomer would write is `middle`: it may end the process in some epoch
SCRIPT = """
import os, signal, sys, time
from pathlib import Path

with open("started.txt", "a") as file:
    print(os.environ["MULTILEARN_BACKEND"], os.environ["MULTILEARN_SEED"], file=file)

import multilearn as ml
from support.toy_experiment import Watched, task, train_loader, valid_loader

def at(epoch, batch):
    {at}

ml.set_seed(42)
builder = (
    ml.LearnerBuilder("{directory}", overwrite={overwrite})
    .metrics(ml.metrics.Accuracy(), ml.metrics.Loss())
    .with_file_checkpointer()
    .num_epochs({epochs})
    .renderer(ml.renderers.SilentRenderer())
)
learner = builder.build(task())
learner.fit(Watched(train_loader(), at), valid_loader())
sys.exit(130 if learner.stopped_by == "SIGINT" else 0)
"""

# once, in the last epoch of seed 2, when a checkpoint is on disk
KILLED = """
    if epoch == 3 and batch == 3 and os.environ["MULTILEARN_SEED"] == "2" and not Path("killed").exists():
        while not Path("runs/x-toy-2/checkpoint/manifest.json").exists(): pass
        Path("killed").touch()
        os.kill(os.{whom}(), signal.{number})
        time.sleep(1)  # what is sent to the parent comes back, and is not to find the run at its end
"""


@pytest.fixture(autouse=True)
def two_toy_backends(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """`toy` and `other`, for this process and those it starts, in a working directory of their own."""
    folder = tmp_path_factory.mktemp("other")
    (folder / "other_backend.py").write_text(SECOND)
    installed = folder / "other_backend-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: other-backend\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text("[multilearn.backends]\nother = other_backend:Other\n")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTHONPATH", with_support(folder)["PYTHONPATH"])
    for name in (*CHOICES, "MULTILEARN_CELL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path_factory.mktemp("work"))
    # another test of this process may have asked which there are
    backend._entry_points.cache_clear()


@pytest.fixture
def script() -> Write:
    def write(
        at: str = "pass", directory: str = "runs/x-{backend}-{seed}", epochs: int = 3, overwrite: bool = False
    ) -> Path:
        path = Path("train.py")
        body = textwrap.dedent(at).strip().replace("\n", "\n    ")
        path.write_text(SCRIPT.format(at=body, directory=directory, epochs=epochs, overwrite=overwrite))
        return path

    return write


@pytest.fixture
def run() -> Grid:
    def run(script: Path, seeds: str = "1,2", backends: str = "toy,other", arguments: tuple[str, ...] = ()) -> object:
        return grid.run(GridPlan.checked(script, arguments, [backends], None, [seeds]), io.BytesIO())

    return run


def started() -> list[str]:
    """The cells whose script was started since this was asked last."""
    file = Path("started.txt")
    lines = file.read_text().splitlines() if file.exists() else []
    file.write_text("")
    return lines


def table(outcome: grid.Outcome) -> list[list[str]]:
    """The lines of the report without the head and the seconds, as words between two spaces or more."""
    lines = outcome.as_text().splitlines()[1:]
    return [re.split(r"\s{2,}", re.sub(r"\s+\d+\.\d s$", "", line.removeprefix("multilearn: "))) for line in lines]


def files(folder: str) -> dict[str, bytes]:
    """The metric files and the records of a run."""
    paths = [path for kind in ("*.log", "*.mpk.gz") for path in Path(folder).rglob(kind)]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths if path.name != "experiment.log"}


def test_every_cell_is_run_once_and_more_seeds_add_to_those_that_are_finished(run: Grid, script: Write) -> None:
    path = script()
    first = run(path, "1", "toy,other")
    assert table(first) == [
        ["toy", "1", "runs/x-toy-1", "finished at 3", "0"],
        ["other", "1", "runs/x-other-1", "finished at 3", "0"],
    ]
    second = run(path, "1,2", "toy")
    assert started() == ["toy 1", "other 1", "toy 2"]
    assert table(second) == [
        ["toy", "1", "runs/x-toy-1", "skipped, finished before at 3"],
        ["toy", "2", "runs/x-toy-2", "finished at 3", "0"],
    ]
    assert files("runs/x-toy-1") != files("runs/x-toy-2")
    third = run(path, "2,1", "toy")
    assert started() == []
    assert [each.skipped for each in third.ended] == [True, True]
    assert (first.code, second.code, third.code) == (0, 0, 0)


@posix
def test_a_killed_cell_does_not_stop_the_others_and_goes_on_when_it_is_run_again(
    run: Grid, script: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    # run by hand this script would start over each time
    path = script(at=KILLED.format(number="SIGKILL", whom="getpid"), overwrite=True)
    killed = run(path, "2,1", "toy")
    assert started() == ["toy 2", "toy 1"]
    assert killed.code == 137
    assert [row[2:] for row in table(killed)] == [
        ["runs/x-toy-2", "failed", "137"],
        ["runs/x-toy-1", "finished at 3", "0"],
    ]
    again = run(path, "2,1", "toy")
    assert started() == ["toy 2"]
    assert re.fullmatch(r"finished at 3, resumed from [12]", table(again)[0][3])
    # by hand and in this process, where nothing kills it any more
    monkeypatch.setenv("MULTILEARN_BACKEND", "toy")
    monkeypatch.setenv("MULTILEARN_SEED", "2")
    path.write_text(path.read_text().replace("runs/x", "by-hand/x"))
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(path))
    assert ended.value.code == 0
    resumed = files("runs/x-toy-2")
    uninterrupted = {name: content for name, content in files("by-hand/x-toy-2").items() if name.endswith(".log")}
    # 2 metrics in 2 splits of 3 epochs, and the history
    assert len(uninterrupted) == 2 * 2 * 3 + 1
    assert {name: resumed[name] for name in uninterrupted} == uninterrupted


@posix
def test_an_interrupted_grid_leaves_the_rest_and_goes_on_inside_the_epoch(run: Grid, script: Write) -> None:
    # the script interrupts the grid, as a Ctrl-C would
    path = script(at=KILLED.format(number="SIGINT", whom="getppid"))
    command = [sys.executable, "-m", "multilearn", "run", str(path), "--seeds", "2,3", "-b", "toy", "--json"]
    stopped = subprocess.run(command, capture_output=True, text=True, timeout=60)
    document = json.loads(stopped.stdout)
    trained = document["cells"][0]["runs"][0]
    assert (stopped.returncode, document["code"], document["cells"][0]["code"]) == (130, 130, 130)
    assert trained["position"].startswith("3.") and not trained["finished"]
    assert document["cells"][1] == {
        "backend": "toy",
        "seed": 3,
        "code": None,
        "seconds": 0.0,
        "runs": [],
        "skipped": False,
        "notes": [],
    }
    assert table(run(path, "2", "toy"))[0][3] == f"finished at 3, resumed from {trained['position']}"
    assert started() == ["toy 2", "toy 2"]


def test_a_directory_that_cells_would_share_is_refused_to_the_first_of_them(
    run: Grid, script: Write, capfd: pytest.CaptureFixture[str]
) -> None:
    outcome = run(script(directory="runs/x"), "1,2", "toy")
    assert (outcome.code, {tuple(row[2:]) for row in table(outcome)}) == (1, {("-", "failed", "1")})
    assert 'Write LearnerBuilder("runs/x-{seed}").' in capfd.readouterr().err
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("directory", "seeds", "backends", "remedy"),
    [
        ("runs/x-{backend}", "1,2", "toy", "runs/x-{backend}-{seed}"),
        ("runs/x-{seed}", "1", "toy,other", "runs/x-{seed}-{backend}"),
        ("runs/x", "1,2", "toy,other", "runs/x-{backend}-{seed}"),
    ],
)
def test_what_is_refused_comes_with_a_directory_for_each_cell(
    script: Write, monkeypatch: pytest.MonkeyPatch, directory: str, seeds: str, backends: str, remedy: str
) -> None:
    plan = GridPlan.checked(script(), (), [backends], None, [seeds])
    for each in plan.cells:
        (environment,) = plan.environments(each, "report")
        monkeypatch.setenv(cell.VARIABLE, environment[cell.VARIABLE])
        with pytest.raises(DirectoryError, match=re.escape(f'Write LearnerBuilder("{remedy}").')):
            cell.resumed(None, directory, Path("nowhere"), each.backend, each.seed)
        assert cell.resumed(None, remedy, Path("nowhere"), each.backend, each.seed) is None


def test_two_calls_for_a_seed_each_do_not_share_a_directory(
    run: Grid, script: Write, capfd: pytest.CaptureFixture[str]
) -> None:
    path = script(directory="runs/x")
    assert run(path, "1", "toy").code == 0
    assert run(path, "2", "toy").code == 1
    assert "runs/x for toy with seed 2, which holds the run of toy with seed 1." in capfd.readouterr().err
    assert json.loads(Path("runs/x/experiment.json").read_text())["seed"] == 1
    # 2 metrics in 2 splits of 3 epochs, 3 records of the last two, and the history
    assert len(files("runs/x")) == 2 * 2 * 3 + 3 * 2 + 1


@pytest.mark.parametrize(("sessions", "seed"), [(["toy"], 1), (["other", "toy"], 1), (["other"], 2)])
def test_a_cell_does_not_resume_the_run_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sessions: list[str], seed: int
) -> None:
    document = {"seed": seed, "sessions": [{"backend": name} for name in sessions]}
    (tmp_path / "experiment.json").write_text(json.dumps(document))
    assert cell.resumed(None, "x", tmp_path, "other", 1) is None
    monkeypatch.setenv(cell.VARIABLE, '["report", "train-1"]')
    with pytest.raises(DirectoryError, match=re.escape("Have {backend} and {seed} in its name")):
        cell.resumed(None, "x", tmp_path, "other", 1)


def test_what_a_script_says_of_its_own_directory_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "experiment.json").write_text('{"seed": 1, "sessions": [{"backend": "toy"}]}')
    monkeypatch.setenv(cell.VARIABLE, '["report", "train-1"]')
    for said, used in (
        (None, Resume("latest")),
        (Resume("3"), Resume("3")),
        (Resume("2", tmp_path), Resume("2", tmp_path)),
        (Resume("2", tmp_path / "begun"), Resume("latest")),
    ):
        assert cell.resumed(said, "x", tmp_path, "toy", 1) == used


def test_what_was_begun_by_another_command_is_resumed_with_a_note(run: Grid, script: Write) -> None:
    run(script(epochs=2), "1", "toy")
    changed = run(script(epochs=4), "1", "toy")
    assert table(changed)[0][3] == "finished at 4, resumed from 2"
    (note,) = changed.ended[0].notes
    assert note.startswith(
        "toy 1: runs/x-toy-1 was begun by another command, or before the script was changed, and resumed from 2."
    )
    assert f"multilearn: note: {note}" in changed.as_text().splitlines()
    skipped = run(Path("train.py"), "1", "toy").ended[0]
    assert skipped.skipped and skipped.notes == (note,)
    other = run(Path("train.py"), "1", "toy", arguments=("--lr", "1"))
    assert table(other)[0][3] == "was finished at 4"
    assert len(other.ended[0].notes) == 1


def test_a_cell_is_finished_if_the_experiment_json_of_each_of_its_runs_says_so(run: Grid) -> None:
    script = Path("one.py")
    script.write_text("")
    index, one = GridIndex.of(script, ()), Cell("toy", 1)
    folder = Path("runs/x").absolute()
    folder.mkdir(parents=True)
    index.record(one, json.dumps(["runs/x", str(folder)]).encode())
    session = {"started": "2026-01-02T03:04:05Z", "backend": "toy", "ended": "2026-01-02T03:04:06Z"}
    for facts, finished in (
        ({"outcome": "completed", "position": "3"}, True),
        ({"outcome": "stopped", "position": "2", "finished": True}, True),
        ({"outcome": "stopped", "position": "2", "finished": False}, False),
        ({"outcome": "stopped", "position": "2"}, False),
        ({"outcome": "failed", "position": "2"}, False),
        ({"ended": None}, False),
    ):
        (folder / "experiment.json").write_text(json.dumps({"sessions": [{**session, **facts}]}))
        assert index.runs(one)[0].finished is finished
    shutil.rmtree(folder)
    assert not index.runs(one)[0].finished


TWO_RUNS = """
import multilearn as ml
from support.toy_experiment import task, train_loader
open("started.txt", "a").write("once\\n")
ml.set_seed(42)
rule = ml.early_stopping.Threshold("Loss", split="train", value=1e9)
for width in (1, 2):
    builder = ml.LearnerBuilder(f"runs/{width}-{{backend}}-{{seed}}").with_file_checkpointer()
    if width == 2:
        builder = builder.num_epochs(50).early_stopping(rule)
    builder.renderer(ml.renderers.SilentRenderer()).build(task()).fit(train_loader())
"""


def test_a_script_may_make_several_runs_and_one_that_a_rule_stopped_is_finished(run: Grid) -> None:
    Path("two.py").write_text(TWO_RUNS)
    assert table(run(Path("two.py"), "5", "toy")) == [
        ["toy", "5", "runs/1-toy-5", "finished at 1", "0"],
        ["", "runs/2-toy-5", "finished at 1"],
    ]
    started()
    assert run(Path("two.py"), "5", "toy").ended[0].skipped
    assert started() == []


def test_a_script_without_runs_is_run_every_time(run: Grid) -> None:
    Path("none.py").write_text("open('started.txt', 'a').write('once\\n')")
    for _ in range(2):
        assert table(run(Path("none.py"), "5", "toy")) == [["toy", "5", "-", "made no run", "0"]]
    assert started() == ["once", "once"]


@pytest.mark.parametrize("line", [b'["runs/x", "run', b"[]", b"7", b'{"a": 1}', b"\xff", b'["x", 5]', b"[" * 9999])
def test_of_a_damaged_index_nothing_is_known(script: Write, line: bytes) -> None:
    index, one = GridIndex.of(script(), ()), Cell("toy", 1)
    index.record(one, b'["runs/y", "/runs/y"]\n' + line)
    assert index.runs(one) == ()


FAILS = """
import multilearn as ml
from support.toy_experiment import task, train_loader
builder = ml.LearnerBuilder("runs/{backend}-{seed}").with_file_checkpointer()
builder.renderer(ml.renderers.SilentRenderer()).build(task()).fit(train_loader())
raise SystemExit(7)
"""


def test_a_script_that_fails_after_its_run_is_run_again(run: Grid) -> None:
    Path("fails.py").write_text(FAILS)
    assert table(run(Path("fails.py"), "5", "toy"))[0][3:] == ["finished at 1, then failed", "7"]
    assert table(run(Path("fails.py"), "5", "toy"))[0][3:] == ["was finished at 1, then failed", "7"]


@pytest.mark.parametrize(
    ("text", "seeds"),
    [(["7"], (7,)), (["3,1"], (3, 1)), (["1..3", "5"], (1, 2, 3, 5)), ([" 1 - 2 , 9 "], (1, 2, 9)), (["4..4,4"], (4,))],
)
def test_seeds_are_numbers_and_ranges_in_the_order_given(text: list[str], seeds: tuple[int, ...]) -> None:
    assert seeds_of(text) == seeds


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--seeds", ""], "Received: ''. Write for instance --seeds 1,2,3 or --seeds 1..10."),
        (["--seeds", "1,,2"], "Received: ''."),
        (["--seeds", "one"], "Received: 'one'."),
        (["--seeds", "-1"], "Received: '-1'."),
        (["--seeds", "1.5"], "Received: '1.5'."),
        (["--seeds", "3..1"], "ranges of them that go up. Received: '3..1'."),
        (["--seeds", "0..999999999999"], "at most 1000 seeds"),
        (["--seeds", "9223372036854775808"], "from 0 to 2**63 - 1"),
        (["--seeds", "1", "2", "3"], "come after a --. Received: 2 3. Seeds are separated by commas"),
        (["--seeds", "1,2", "--seed", "3"], "Received: --seed 3 and --seeds 1,2."),
        (["--seed", "1,2"], "'--seed'"),
        (["--sedes", "1,2"], "No such option: --sedes"),
    ],
)
def test_seeds_that_are_none_are_refused_before_anything_runs(
    command: Callable[..., subprocess.CompletedProcess[str]], script: Write, arguments: list[str], said: str
) -> None:
    done = command("run", script(), "-b", "toy", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert not Path(".multilearn").exists() and started() == []
