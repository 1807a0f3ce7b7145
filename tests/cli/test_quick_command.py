"""`multilearn run --quick`: a batch of everything, in a directory that is thrown away."""

from __future__ import annotations

import io
import os
import tempfile
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from support.environments import CHOICES, with_support

from multilearn import backend
from multilearn.commands.grid import grid
from multilearn.commands.grid.plan import GridPlan
from multilearn.commands.grid.tried_fit import TriedFit

# what a user writes, on the backend that needs no framework; everything that a test changes is an argument
SCRIPT = """
import json
from pathlib import Path
import multilearn as ml
from support.toy_experiment import train_loader, valid_loader, task, Momentum

def builder(directory="runs/x", epochs=5, **options):
    return ml.LearnerBuilder(directory, **options).metrics(ml.metrics.Accuracy()).num_epochs(epochs)

def fit(described, train=None, valid=None, rate=0.1):
    learner = described.build(task(), Momentum(), rate)
    learner.fit(train_loader() if train is None else train, valid_loader() if valid is None else valid)
    return learner

ml.set_seed(42)
"""

Quick = Callable[..., grid.Outcome]


@pytest.fixture(autouse=True)
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", with_support()["PYTHONPATH"])
    for name in (*CHOICES, "MULTILEARN_CELL", "MULTILEARN_QUICK"):
        monkeypatch.delenv(name, raising=False)
    backend._entry_points.cache_clear()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))


@pytest.fixture
def quick(tmp_path: Path) -> Quick:
    def run(source: str, seeds: Sequence[str] = (), code: int = 0) -> grid.Outcome:
        Path("train.py").write_text(SCRIPT + textwrap.dedent(source))
        outcome = grid.run(GridPlan.checked(Path("train.py"), (), ["toy"], None, seeds, quick=True), io.BytesIO())
        assert outcome.code == code
        assert not any((tmp_path / "temporary").iterdir())
        return outcome

    return run


def real(source: str) -> None:
    """The script run as it is."""
    Path("train.py").write_text(SCRIPT + textwrap.dedent(source))
    plan = GridPlan.checked(Path("train.py"), (), ["toy"])
    assert grid.run(plan, io.BytesIO()).code == 0


def only(outcome: grid.Outcome) -> TriedFit:
    [ended] = outcome.ended
    assert ended.fits is not None
    [fit] = ended.fits
    return fit


def everything(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {str(each): (each.stat().st_mtime_ns, each.read_bytes()) for each in folder.rglob("*") if each.is_file()}


def test_two_epochs_of_one_batch_are_saved_resumed_and_evaluated_and_nothing_is_left(quick: Quick) -> None:
    outcome = quick(
        """
        learner = fit(builder())
        assert len(learner.history["train"]["Loss"]) == 2 and learner.stopped_by is None
        assert learner.directory.is_dir() and learner.directory != Path("runs/x").absolute()
        lines = (learner.directory / "train/epoch-2/Loss.log").read_text().splitlines()
        Path("seen.json").write_text(json.dumps([learner.history["valid"]["Loss"][-1], len(lines)]))
        """
    )
    fit = only(outcome)
    assert (fit.directory, fit.epochs, fit.splits) == ("runs/x", [1, 2], ["train", "valid"])
    assert fit.checkpoint and fit.resumed == 1 and not fit.differs
    loss, lines = eval(Path("seen.json").read_text())
    assert fit.evaluated["Loss"] == pytest.approx(loss, rel=1e-6)
    assert lines == 2, "the batch, and the epoch"
    assert sorted(os.listdir()) == ["seen.json", "temporary", "train.py"]


def test_what_was_tried_is_said_in_a_few_lines(quick: Quick) -> None:
    lines = quick("fit(builder())").as_text().splitlines()
    assert lines[0] == "multilearn: toy: runs/x"
    assert lines[1] == "multilearn:   trained    2 epochs of one batch, validated on one"
    assert lines[2].startswith("multilearn:   saved      a checkpoint of ") and lines[2].endswith("kB")
    assert lines[3] == "multilearn:   resumed    after epoch 1, with the values of the run that is not interrupted"
    assert lines[4].startswith("multilearn:   evaluated  the checkpoint: Accuracy ")
    assert lines[5].startswith("multilearn: toy: the script works: 1 fit tried in ")
    assert len(lines) == 6


def test_a_state_that_no_checkpoint_has_is_found(quick: Quick) -> None:
    """A loader that draws from a generator of its own: a resumed run has other batches."""
    fit = only(
        quick(
            """
            import numpy as np
            class Drawn:
                def __init__(self): self.rng = np.random.default_rng(0)
                def __iter__(self):
                    for x, y in train_loader(): yield x + self.rng.normal(size=x.shape).astype("float32"), y
            class Loader:
                drawn = Drawn()
                def iterate(self, seed, epoch, start=0): return iter(self.drawn)
            fit(builder(), Loader())
            """
        )
    )
    assert fit.resumed == 1
    assert any(each.startswith("train Loss of epoch 2 is ") for each in fit.differs)


def test_values_are_not_compared_if_a_loader_keeps_its_place_in_an_epoch_that_was_cut(quick: Quick) -> None:
    fit = only(
        quick(
            """
            class Placed:
                def __init__(self): self.place = 0
                def __len__(self): return 5
                def iterate(self, seed, epoch, start=0):
                    batches = list(train_loader())
                    for self.place in range(self.place + 1, 6): yield batches[self.place - 1]
                    self.place = 0
                def state(self, batch): return {"place": self.place}
                def restore(self, state): self.place = state["place"]
            fit(builder(), Placed())
            """
        )
    )
    assert (fit.resumed, fit.compared, fit.differs) == (1, False, [])


def test_a_script_that_trains_one_epoch_trains_one(quick: Quick) -> None:
    fit = only(quick("assert len(fit(builder(epochs=1)).history['train']['Loss']) == 1"))
    assert (fit.epochs, fit.resumed, fit.differs) == ([1, 1], 1, [])
    assert "the last one" in dict(fit.rows())["resumed"]


def test_a_run_that_is_there_is_neither_touched_nor_in_the_way(quick: Quick) -> None:
    real("fit(builder(epochs=1))")
    before = everything(Path("runs"))
    fit = only(quick("fit(builder())"))
    assert fit.exists and "holds a run" in dict(fit.rows())["note"]
    assert everything(Path("runs")) == before


@pytest.mark.parametrize("resumed", ['.checkpoint("latest")', '.checkpoint(1, "runs/x")'])
def test_a_script_that_resumes_does_so_from_the_run_on_disk(quick: Quick, resumed: str) -> None:
    real("fit(builder(epochs=1).with_file_checkpointer())")
    before = everything(Path("runs"))
    fit = only(quick(f"assert len(fit(builder(){resumed}).history['train']['Loss']) == 3"))
    assert (fit.began, fit.epochs, fit.resumed, fit.differs) == ("1", [2, 3], 2, [])
    assert everything(Path("runs")) == before


@pytest.mark.parametrize("policy", ["stop", "skip"])
def test_a_run_that_ended_inside_an_epoch_is_resumed_there(quick: Quick, policy: str) -> None:
    stopped = """
def stop(report): raise SystemExit
described = builder().with_file_checkpointer().checkpoint_every(batches=3).nan_policy("POLICY")
"""
    stopped = stopped.replace("POLICY", policy)
    real(f"{stopped}\ntry: fit(described.on_epoch(stop))\nexcept SystemExit: pass")
    for record in Path("runs/x/checkpoint").glob("*-1.mpk.gz"):
        record.unlink()
    fit = only(quick(f'{stopped}\nfit(described.checkpoint("latest"))'))
    assert fit.began is not None and fit.began.startswith("1.") and fit.resumed is not None and fit.differs == []


def test_a_finished_run_that_is_resumed_has_nothing_left(quick: Quick) -> None:
    real("fit(builder(epochs=1).with_file_checkpointer())")
    fit = only(quick('fit(builder(epochs=1).checkpoint("latest").with_file_checkpointer())'))
    assert (fit.began, fit.resumed) == ("1", None) and "nothing" in dict(fit.rows())["trained"]


LOOK = """
from multilearn.loggers import read_metric_file
def look(run, epoch):
    for _ in range(2):  # also with what an evaluation has written
        assert ml.Evaluator(run).evaluate(task(), valid_loader(), checkpoint="best")["Loss"] > 0
    assert ml.Evaluator(run).evaluate(task(), valid_loader(), checkpoint=epoch)["Loss"] > 0
    assert len(list(ml.predict(task(), valid_loader(), checkpoint=epoch, directory=run))) == 3
    assert isinstance(list(ml.follow(run, wait=False))[-1], ml.events.Finished)
    assert read_metric_file(Path(run) / f"valid/epoch-{epoch}/Loss.log").final > 0
    folder = ml.checkpoint.CheckpointFolder(f"{run}/checkpoint")
    assert folder.load(folder.latest_intact()[0], parts=["model"])
    assert ml.checkpoint.read_file(Path(run) / f"checkpoint/model-{epoch}.mpk.gz").item
    assert fit(ml.LearnerBuilder.from_experiment(run, directory="runs/again-{n}")).history["train"]["Loss"]
"""


@pytest.mark.parametrize("there", [False, True])
def test_what_a_script_reads_of_a_run_afterwards_is_what_was_tried(quick: Quick, there: bool) -> None:
    """In a fresh folder, and beside a run of before that has another architecture, which nothing would fit."""
    if there:
        real("fit(builder(epochs=5).with_file_checkpointer(ml.checkpoint.MpkRecorder()))")
        for record in Path("runs/x/checkpoint").glob("*-*"):
            record.write_bytes(b"not that")
    source = 'learner = fit(builder(overwrite=True).with_file_checkpointer()); look("runs/x", 5)'
    quick(f"{LOOK}{source}; look(learner.directory, 5)")


@pytest.mark.parametrize("done", [3, 5])
def test_a_run_that_is_resumed_can_be_read_afterwards(quick: Quick, done: int) -> None:
    real(f"fit(builder(epochs={done}).with_file_checkpointer())")
    before = everything(Path("runs"))
    source = 'learner = fit(builder().checkpoint("latest").with_file_checkpointer()); look("runs/x", 5)'
    quick(f"{LOOK}{source}; look(learner.directory, 5)")
    assert everything(Path("runs")) == before


def test_a_run_that_is_only_read_is_read_from_disk(quick: Quick) -> None:
    real("fit(builder(epochs=2).with_file_checkpointer())")
    before = everything(Path("runs"))
    quick(f'{LOOK}look("runs/x", 2)')
    assert everything(Path("runs")) == before


def test_epochs_of_a_generator_are_trained_and_not_resumed(quick: Quick) -> None:
    source = "batches = (batch for _ in range(2) for batch in list(train_loader()))\n"
    fit = only(quick(f"{source}fit(builder(epochs=2), ml.epoch_of(batches, 4))"))
    assert (fit.epochs, fit.resumed, fit.once) == ([1, 2], None, True)
    assert "generator" in dict(fit.rows())["resumed"] and fit.checkpoint and fit.evaluated


def test_a_first_batch_that_is_skipped_is_none_that_fails(quick: Quick) -> None:
    source = """
import numpy as np
batches = list(train_loader())
batches[0] = (np.full_like(batches[0][0], np.nan), *batches[0][1:])
learner = fit(builder().nan_policy("skip"), batches)
assert np.isfinite(learner.history["train"]["Loss"]).all()
"""
    fit = only(quick(source))
    assert (fit.epochs, fit.batches, fit.resumed, fit.differs) == ([1, 2], 8, 1, [])
    assert "up to 8 batches" in dict(fit.rows())["trained"]


def test_a_later_fit_resumes_what_was_tried_before_also_an_epoch_that_was_not_trained(quick: Quick) -> None:
    outcome = quick(
        """
        fit(builder(epochs=5).with_file_checkpointer())
        fit(builder(epochs=9).with_file_checkpointer().checkpoint(5))
        learner = fit(builder("runs/y", epochs=9).with_file_checkpointer().checkpoint("best", "runs/x"))
        assert ml.Evaluator("runs/x").evaluate(task(), valid_loader(), checkpoint=7)["Loss"] > 0
        assert len(list(ml.predict(task(), valid_loader(), checkpoint="latest", directory="runs/x"))) == 3
        """
    )
    [ended] = outcome.ended
    assert [fit.began for fit in ended.fits or ()][:2] == [None, "2"]
    assert [fit.directory for fit in ended.fits or ()] == ["runs/x", "runs/x", "runs/y"]
    assert not Path("runs").exists()


def test_numbered_directories_are_counted_on(quick: Quick) -> None:
    outcome = quick("[fit(builder('runs/{n}', epochs=1)) for _ in range(2)]")
    [ended] = outcome.ended
    assert [fit.directory for fit in ended.fits or ()] == ["runs/1", "runs/2"]


def test_schedules_span_the_run_that_is_described(quick: Quick) -> None:
    """Over 5 epochs of 5 batches the second update is at 0.1 * (1 + cos(pi / 25)) / 2."""
    quick(
        """
        import math
        rates = []
        class Rates:
            def log(self, event):
                if isinstance(event, ml.events.Stepped) and event.split == "train": rates.append(event.learning_rate)
            def flush(self): pass
            def close(self): pass
        fit(builder().metric_loggers(Rates()), rate=ml.schedulers.Cosine(0.1))
        assert len(rates) == 2 and math.isclose(rates[1], 0.1 * (1 + math.cos(math.pi / 25)) / 2, rel_tol=1e-6), rates
        """
    )


def test_accumulation_the_best_weights_rules_and_functions_after_epochs_have_their_turn(quick: Quick) -> None:
    fit = only(
        quick(
            """
            seen = []
            def look(report): seen.append(report.epoch); report.log_text("note", "hello")
            described = builder().grads_accumulation(4).restore_best().on_epoch(look).checkpoint_every(batches=2)
            described = described.with_file_checkpointer()
            learner = fit(described.early_stopping(ml.early_stopping.NoImprovement(epochs=1)).summary())
            assert seen == [1, 2] and (learner.directory / "attachments/epoch-2/note.txt").exists()
            """
        )
    )
    assert fit.differs == [] and fit.evaluated


def test_an_error_of_the_script_is_its_exit_code(quick: Quick) -> None:
    outcome = quick("fit(builder())\nfit(builder('runs/y'), [])", code=1)
    [ended] = outcome.ended
    assert len(ended.fits or ()) == 1
    assert "does not work" in outcome.as_text().splitlines()[-1]


def test_a_script_that_calls_no_fit_is_said_to_call_none(quick: Quick) -> None:
    assert "fit was not called" in quick("").as_text()


def test_each_seed_is_tried_and_no_index_of_a_grid_is_left(quick: Quick) -> None:
    outcome = quick("fit(builder('runs/{seed}', epochs=1))", ["1,2"])
    assert [ended.fits[0].directory for ended in outcome.ended if ended.fits] == ["runs/1", "runs/2"]
    assert not Path(".multilearn").exists()
    quick("fit(builder('runs/x', epochs=1))", ["1,2"], code=1)  # as in the grid itself: seeds that share a directory


def test_json_has_what_was_tried(quick: Quick) -> None:
    text = quick("fit(builder())").as_json()
    assert '"resumed": 1' in text and '"exists": false' in text


def test_what_cannot_be_tried_is_refused(command: Callable[..., object]) -> None:
    Path("train.py").write_text("")
    ended = command("run", "train.py", "-b", "toy", "--quick", "--ray", "local", "--workers", "2")
    assert "--quick with --ray" in ended.stderr  # type: ignore[attr-defined]
    ended = command("run", "train.py", "-b", "toy", "--quick", "--screen")
    assert "--screen with --quick" in ended.stderr  # type: ignore[attr-defined]
