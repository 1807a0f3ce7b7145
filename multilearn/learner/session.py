"""One process at work on a run: what experiment.json and experiment.log say of it at both ends."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from multilearn.errors import ConfigurationError
from multilearn.learner.loop import Loop
from multilearn.learner.start import BuiltRun, Start
from multilearn.printable import now, printable
from multilearn.run import environment
from multilearn.run import grid_cell as cell
from multilearn.run.environment import Weights
from multilearn.run.experiment import Experiment, Session, earlier, in_words
from multilearn.run.restart import Attempt
from multilearn.seeding import seed as seeds
from multilearn.storage.layout import RunDirectory
from multilearn.storage.location import readable

__all__ = ["devices_of", "experiment_of", "in_session", "initial_weights"]

_log = logging.getLogger("multilearn")


def devices_of(run: BuiltRun) -> list[str]:
    """What the run is trained on, in all processes: each waits for all."""
    own = run.backend.find_devices(run.settings.devices) or run.backend.devices()[:1]
    return " ".join(each.decode() for each in run.backend.world.gather(" ".join(map(str, own)).encode())).split()


def experiment_of(start: Start, weights: Weights, devices: Sequence[str]) -> Experiment:
    """The run and its sessions, this one included."""
    run, source = start.run, start.found.source
    if source is None:
        _say_trained(run, weights)
    session = Session(
        started=now(),
        backend=run.backend.name,
        versions=environment.versions(run.backend),
        device=devices[0],
        devices=list(devices),
        machine=environment.machine(),
        threads=environment.threads(),
        numerics=run.backend.numerics(),
        **start.described,
        trained=False,
        resumed_from=None if source is None else {"directory": str(source), "position": str(start.found.position)},
    )
    builder, not_data = run.declared
    return Experiment(
        seed=start.plan.seed,
        builder=builder,
        not_data=not_data,
        subject=run.subject.description,
        scheduler={"description": repr(start.scheduler), "updates": start.plan.horizon},
        metrics=run.settings.describe_metrics(),
        weights=weights,
        sessions=(*earlier(RunDirectory(run.path).experiment)[0], session),
    )


_trained: WeakKeyDictionary[Any, tuple[str | None, Path]] = WeakKeyDictionary()
"""Of the models that were trained in this process: the hash of the weights that a fit began with, and its directory."""


def _say_trained(run: BuiltRun, weights: Weights) -> None:
    """Say that the weights are those that an earlier fit left, or what the script has made of them since."""
    model = run.subject.task.model
    with suppress(TypeError):  # of an object without weak references, or without a hash, nothing is known
        began_with, path = _trained.get(model, (weights.sha256, run.path))
        if weights.sha256 != began_with:
            _log.warning(
                "The model was trained before, in %s: this run begins with the weights that it has now.",
                printable(readable(path)),
            )
        _trained[model] = weights.sha256, run.path


def initial_weights(start: Start) -> Weights:
    """The hashes of the weights that the run began with."""
    if start.found.source is not None:
        return earlier(RunDirectory(start.found.source).experiment)[1]
    try:
        return Weights.of(start.engine.record()["model"])
    except ConfigurationError:
        # an optimizer whose state cannot be named in a record can still train, only not be saved
        if start.run.settings.recorder is not None:
            raise
        return Weights()


@contextmanager
def in_session(
    experiment: Experiment, run: RunDirectory, loop: Loop, restored: Callable[[], int | None]
) -> Iterator[None]:
    """While it lasts this process works on the run: written into experiment.json and experiment.log at both ends, and
    once the first batch is trained."""

    def trained() -> None:
        nonlocal experiment
        experiment = experiment.with_facts(trained=True)
        experiment.write(run.experiment)

    loop.on_first_batch = trained
    if (of_grid := cell.current()) is not None:
        experiment = experiment.with_facts(command=of_grid.command)
    elif (attempt := Attempt.current()) is not None:
        experiment = experiment.with_facts(command=str(attempt))
    experiment.write(run.experiment)
    cell.began(run.path)
    backend = experiment.sessions[-1].backend
    origin = seeds.origin() if experiment.seed == seeds.current() else "the run's own"
    _log.info("Training on %s, seed %s (%s), in %s.", backend, experiment.seed, origin, printable(str(run.path)))
    try:
        yield
    except BaseException as error:
        # into the file alone, with all frames: on the screen Python shows it
        _log.info("The run failed at %s: %s.", loop.progress.position, type(error).__name__, exc_info=error)
        failed = experiment.ended(outcome="failed", error=in_words(error), position=str(loop.progress.position))
        # a full disk must not hide what made the run fail
        with suppress(OSError):
            failed.write(run.experiment)
        raise
    reason = None if loop.completed else loop.interrupter.reason
    outcome = "completed" if reason is None else "stopped"
    _log.info("The run is %s at %s%s.", outcome, loop.progress.position, f" ({printable(reason)})" if reason else "")
    experiment.ended(
        outcome=outcome,
        reason=reason,
        position=str(loop.progress.position),
        finished=reason is None or loop.by_rule,
        restored=restored(),
    ).write(run.experiment)
