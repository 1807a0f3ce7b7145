"""A Ray Train job of multilearn, and which of its failures are worth another attempt."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from ray.train import FailureConfig, Result, RunConfig, ScalingConfig
from ray.train.v2._internal.execution.failure_handling import DefaultFailurePolicy, FailureDecision
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer
from ray.tune.integration.ray_train import TuneReportCallback

from multilearn import backend as backends
from multilearn.environment_variables import PATIENCE, SEED, read
from multilearn.errors import MultilearnError, StorageError, WorldError
from multilearn_ray.worker import FunctionWork, RayJob, ScriptWork, Work

__all__ = ["RESTARTS", "FailurePolicy", "RayTrainer", "is_final", "raised", "trainer"]

RESTARTS = 3


def trainer(
    work: str | os.PathLike[str] | Callable[..., Any],
    workers: int | tuple[int, int] | None = None,
    *,
    backend: str | None = None,
    arguments: Sequence[str] = (),
    config: Mapping[str, Any] | None = None,
    gpu: bool = False,
    scaling_config: ScalingConfig | None = None,
    run_config: RunConfig | None = None,
) -> RayTrainer:
    """A Ray Train job whose `workers` train one model together; `.fit()` runs it."""
    name = backends.usable(backend)
    scaling = scaling_config or ScalingConfig(num_workers=workers, use_gpu=gpu)
    running = run_config or RunConfig(failure_config=FailureConfig(max_failures=RESTARTS))
    job = RayJob(_work(work, arguments, config or {}), os.getcwd(), f"ray-{uuid.uuid4().hex[:12]}")
    return RayTrainer(job, scaling_config=scaling, run_config=_prepared(running, name))


class RayTrainer(DataParallelTrainer):
    """Ray's own trainer, whose group is not started again for an error that it would make again."""

    def __init__(self, job: RayJob, **options: Any) -> None:
        super().__init__(job.__call__, **options)

    def fit(self) -> Result:
        """Run it to its end. `metrics` of the result are those of the last epoch, `return_value` is the function's.

        Raises `ray.train.TrainingFailedError` for a failure, with those of the workers in `worker_failures`.
        """
        result = super().fit()
        if result.return_value is not None:
            result.return_value, last = result.return_value
            result.metrics = result.metrics or last
        return result

    def _create_default_callbacks(self) -> list[Any]:
        # what it cleans up goes with its maker anyway, and without Ray's dashboard it complains every second
        found = super()._create_default_callbacks()
        return [each for each in found if type(each).__name__ != "PlacementGroupCleanerCallback"]

    def _initialize_and_run_controller(self, **parts: Any) -> Result:
        parts["failure_policy"] = FailurePolicy(self.run_config.failure_config)
        return super()._initialize_and_run_controller(**parts)


class FailurePolicy(DefaultFailurePolicy):
    """Ray's, but for errors that are final."""

    def make_decision(self, training_failed_error: Exception) -> FailureDecision:
        failures = getattr(training_failed_error, "worker_failures", {}).values()
        if any(map(is_final, failures)):
            return FailureDecision.RAISE
        return super().make_decision(training_failed_error)


def is_final(error: BaseException) -> bool:
    """Whether a worker's error would come again in another attempt, or asks for none."""
    error = raised(error)
    if isinstance(error, MultilearnError):
        return not isinstance(error, (StorageError, WorldError))
    return isinstance(error, (KeyboardInterrupt, SystemExit))


def raised(failure: BaseException) -> BaseException:
    """What a worker raised, of what Ray has of it."""
    return getattr(failure, "_base_exc", failure)


def _prepared(run_config: RunConfig, backend: str) -> RunConfig:
    """With the environment of the workers, and with what passes metrics on where it is a trial of Ray Tune."""
    passed_on = {name: value for name in (PATIENCE, SEED) if (value := read(name)) is not None}
    of_jax = {"NPROC": "16"} if backend == "jax" else {}
    chosen = {backends.VARIABLE: backend, backends.KERAS_VARIABLE: backend}
    asked = dict(run_config.worker_runtime_env)
    variables = {**of_jax, **passed_on, **asked.get("env_vars", {}), **chosen}
    callbacks = list(run_config.callbacks)
    if not any(isinstance(each, TuneReportCallback) for each in callbacks):
        # outside of a trial it cannot be made
        with suppress(RuntimeError):
            callbacks.append(TuneReportCallback())
    return replace(run_config, worker_runtime_env={**asked, "env_vars": variables}, callbacks=callbacks)


def _work(work: Any, arguments: Sequence[str], config: Mapping[str, Any]) -> Work:
    if callable(work):
        return FunctionWork(work, config)
    return ScriptWork(str(Path(work).absolute()), tuple(arguments))
