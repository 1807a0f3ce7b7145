"""What experiment.json says of a run when a session of it begins."""

from __future__ import annotations

from multilearn.errors import ConfigurationError
from multilearn.learner.start import Start
from multilearn.run import environment
from multilearn.run.environment import Weights
from multilearn.run.experiment import Experiment, Session, earlier, now
from multilearn.storage.layout import RunDirectory

__all__ = ["experiment_of", "initial_weights"]


def experiment_of(start: Start, weights: Weights) -> Experiment:
    """The run and its sessions, this one included."""
    run, source = start.run, start.found.source
    session = Session(
        started=now(),
        backend=run.backend.name,
        versions=environment.versions(run.backend),
        device=run.settings.device or str(run.backend.devices()[0]),
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
