"""The pytest plugin in a test suite of somebody else's: what passes, what fails, and what it says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support import toy_experiment as toy

SUITE = '''

from support import toy_experiment as toy


def train(builder):
    """Two epochs with dropout, momentum and a schedule."""
    builder.num_epochs(2).metrics(toy.ml.metrics.Loss(), toy.ml.metrics.Accuracy()).build(
        toy.task(), toy.Momentum(), toy.ml.schedulers.Cosine(0.1)
    ).fit(toy.train_loader(), toy.valid_loader())


def fails(builder):
    raise ValueError("a fault of its own")


def fits_nothing(builder):
    pass


def ignores_the_interrupter(builder):
    train(builder.with_interrupter(toy.ml.Interrupter()))


def forgets(builder):
    """Its loader is in another order whenever it is asked."""
    import time

    x, y = toy.arrays(35)
    order = sorted(range(35), key=lambda i: hash((i, time.time_ns())))
    builder.num_epochs(2).metrics(toy.ml.metrics.Loss()).build(toy.task(), toy.Momentum(), 0.1).fit(
        toy.ml.DataLoader((x[order], y[order]), 8)
    )


def test_curves(identical):
    identical.curves(train)


def test_resumes(identical):
    identical.resumes(train)


def test_curves_of_another(identical):
    identical.curves(train)


def test_curves_that_differ(identical):
    identical.curves(train)


def test_moves(identical):
    identical.moves(train)


def test_forgets(identical):
    identical.resumes(forgets)


def test_fails(identical):
    identical.curves(fails)


def test_fits_nothing(identical):
    identical.curves(fits_nothing)


def test_ignores_the_interrupter(identical):
    identical.resumes(ignores_the_interrupter)


def test_nested(identical):
    identical.curves(lambda builder: None)
'''


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    return written(tmp_path)


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory, clean_environment: dict[str, str]) -> str:
    """What pytest says of the whole suite."""
    folder = written(tmp_path_factory.mktemp("suite"))
    whole = "not curves_"  # those are compared with what other environments have left
    return run(folder, {**clean_environment, "MULTILEARN_BACKEND": "toy"}, "-rA", "-k", whole).stdout


def written(folder: Path) -> Path:
    (folder / "conftest.py").write_text('pytest_plugins = ["multilearn.testing"]')
    (folder / "test_suite.py").write_text(SUITE)
    return folder


def run(suite: Path, environment: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "--multilearn-backends=toy"]
    # the suite names the plugin itself; to import those of this environment is most of what a session takes
    alone = {**environment, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run([*command, *options], cwd=suite, env=alone, capture_output=True, text=True)


def test_a_run_that_is_stopped_and_gone_on_with_passes(outcome: str) -> None:
    assert "PASSED test_suite.py::test_resumes" in outcome


@pytest.mark.parametrize(
    ("test", "said"),
    [
        ("test_forgets", "differs from the one that was not, in checkpoint/model-1.mpk.gz"),
        ("test_fails", "a fault of its own"),
        ("test_fits_nothing", "must fit a learner made from the builder"),
        ("test_ignores_the_interrupter", "must keep the builder's interrupter"),
        ("test_nested", "a function of a module"),
    ],
)
def test_what_cannot_be_held_to_it_fails_and_is_told_why(outcome: str, test: str, said: str) -> None:
    assert f"FAILED test_suite.py::{test}" in outcome
    assert said in outcome


@pytest.mark.parametrize("said", ["only toy to compare with itself", "only toy to move between"])
def test_one_framework_alone_has_nothing_to_compare_with(outcome: str, said: str) -> None:
    assert any(line.startswith("SKIPPED") and said in line for line in outcome.splitlines()), outcome


def test_runs_of_other_environments_are_compared_with(suite: Path, environment: dict[str, str]) -> None:
    for test in ("test_curves_of_another", "test_curves_that_differ"):
        another = suite / "kept" / f"test_suite.py-{test}" / "curves-train-1" / "another"
        learner = toy.ml.LearnerBuilder(another).renderer(toy.ml.renderers.SilentRenderer()).num_epochs(2)
        toy.ml.set_seed(1)
        learner.metrics(toy.ml.metrics.Loss(), toy.ml.metrics.Accuracy()).build(
            toy.task(), toy.Momentum(), toy.ml.schedulers.Cosine(0.1)
        ).fit(toy.train_loader(), toy.valid_loader())
    log = another / "train" / "epoch-2" / "Loss.log"
    *lines, final = log.read_text().splitlines()
    log.write_text("\n".join([*lines, f"{float(final.split(',')[0]) * 1.01!r},final"]) + "\n")

    ended = run(suite, environment, "-rA", "-k", "test_curves", f"--multilearn-runs={suite / 'kept'}")
    assert "1 failed, 1 passed, 1 skipped" in ended.stdout, ended.stdout
    assert f"its run is kept in {suite / 'kept'}" in ended.stdout
    assert (suite / "kept" / "test_suite.py-test_curves" / "curves-train-1" / "toy" / "experiment.json").exists()
    assert "PASSED test_suite.py::test_curves_of_another" in ended.stdout
    assert "FAILED test_suite.py::test_curves_that_differ" in ended.stdout
    assert "Loss" in ended.stdout.partition("FAILURES")[2]


def test_a_backend_that_is_not_installed_is_refused(suite: Path, environment: dict[str, str]) -> None:
    ended = run(suite, environment, "-k", "test_moves", "--multilearn-backends=tourch")
    assert "tourch" in ended.stdout
    assert "1 error" in ended.stdout, ended.stdout
