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
from multilearn.arguments import whole
from multilearn.environment_variables import PATIENCE, SEED, read
from multilearn.errors import ConfigurationError, MultilearnError, StorageError, WorldError
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
    """A Ray Train job whose workers train one model together, as one device would. `.fit()` runs it.

    `work`: a script, run by every worker with `arguments` as by `python`, or a function, called with `config` if it
    takes an argument. `workers`: how many, or `(fewest, most)` for a group whose size Ray decides. `backend`: by
    default the one that this process would use. `gpu`: a GPU for each worker; else they train on CPUs.

    `scaling_config` in place of `workers` and `gpu`, and `run_config`, are Ray's own. Without a `run_config` a group of
    which a worker fails is started again up to three times. It resumes what the job has begun, which is to be saved
    (`.with_file_checkpointer()`), from the latest checkpoint. What would fail again is not started again: what
    multilearn raises but for `WorldError` and `StorageError`, and `SystemExit`.

    Relative paths begin in the current directory, which all machines must share. The values of each epoch are reported
    to Ray as `"valid/Loss"`, and also to Ray Tune, if the trainer is made in a trial.

    Raises `ConfigurationError` for what does not go together, `BackendError` for a backend that cannot be had.
    """
    name = _backend(backend)
    scaling = _scaling(workers, gpu, scaling_config)
    running = run_config or RunConfig(failure_config=FailureConfig(max_failures=RESTARTS))
    # Ray Tune has moved a trial to a directory of its own
    here = os.environ.get("TUNE_ORIG_WORKING_DIR") or os.getcwd()
    job = RayJob(_work(work, arguments, config), here, f"ray-{uuid.uuid4().hex[:12]}")
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
    # said to be empty they hide what there is where a node was started
    passed_on = {name: read(name) or "" for name in (PATIENCE, SEED)}
    of_jax = {"NPROC": "16"} if backend == "jax" else {}
    chosen = {backends.VARIABLE: backend, backends.KERAS_VARIABLE: backend}
    asked = dict(run_config.worker_runtime_env)
    # what Ray puts in the place of print shows each line twice
    plain = {"RAY_TRAIN_ENABLE_PRINT_PATCH": "0"}
    variables = {**plain, **of_jax, **passed_on, **asked.get("env_vars", {}), **chosen}
    callbacks = list(run_config.callbacks)
    if not any(isinstance(each, TuneReportCallback) for each in callbacks):
        # outside of a trial it cannot be made
        with suppress(RuntimeError):
            callbacks.append(TuneReportCallback())
    return replace(run_config, worker_runtime_env={**asked, "env_vars": variables}, callbacks=callbacks)


def _backend(name: str | None) -> str:
    """The backend of the workers; what this process has loaded does not matter to one that is named."""
    if name is None:
        return backends.usable()
    backends.check_name(name)
    return name


def _scaling(workers: Any, gpu: bool, given: ScalingConfig | None) -> ScalingConfig:
    if given is not None:
        if workers is not None or gpu:
            raise ConfigurationError(
                "The number of workers and their GPUs are given once.",
                received="workers or gpu, and scaling_config",
                remedy="Leave scaling_config out, or write it all there.",
            )
        return given
    fewest, most = workers if isinstance(workers, tuple) and len(workers) == 2 else (workers, workers)
    example = "Write for instance workers=2, or workers=(1, 4)."
    if whole("workers", most, 1, example, received=repr(workers)) < whole("workers", fewest, 1, example):
        raise ConfigurationError("The most workers are at least the fewest.", received=repr(workers), remedy=example)
    return ScalingConfig(num_workers=workers, use_gpu=gpu)


def _work(work: Any, arguments: Sequence[str], config: Mapping[str, Any] | None) -> Work:
    if callable(work):
        if arguments:
            raise ConfigurationError(
                "Arguments are those of a script.", received="arguments for a function", remedy="Use config."
            )
        return FunctionWork(work, config or {})
    if not isinstance(work, (str, os.PathLike)) or not os.path.isfile(work):
        raise ConfigurationError(
            "What the workers run is a function, or a script that is a file.",
            received=repr(work),
            remedy="Check the path and the working directory.",
        )
    if config is not None:
        raise ConfigurationError(
            "config is that of a function.", received="config for a script", remedy="Use arguments."
        )
    return ScriptWork(str(Path(work).absolute()), tuple(map(str, arguments)))
