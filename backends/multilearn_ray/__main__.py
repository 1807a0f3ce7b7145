"""`python -m multilearn_ray ADDRESS WORKERS SCRIPT ARGUMENTS`: what `multilearn run --ray` starts for each backend."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from multilearn.errors import ConfigurationError, MultilearnError

_UNUSABLE = 2


def main(address: str, workers: int, script: str, arguments: Sequence[str]) -> int:
    """Run the job to its end; the exit code. Raises `ConfigurationError` where there is no cluster."""
    from ray.train import FailureConfig, RunConfig, TrainingFailedError

    import multilearn_ray
    from multilearn_ray.trainer import RESTARTS

    _connect(address, workers)
    # beside the runs, on storage that the workers share
    files = RunConfig(
        storage_path=str(Path(".multilearn", "ray").absolute()), failure_config=FailureConfig(max_failures=RESTARTS)
    )
    trainer = multilearn_ray.trainer(script, workers, arguments=arguments, gpu=_has_gpus(workers), run_config=files)
    try:
        trainer.fit()
    except TrainingFailedError as error:
        return _told(error)
    except SystemExit as end:
        # of Ray's own handler of SIGINT, which has ended the job, it has no code
        return end.code if isinstance(end.code, int) and end.code else 128 + signal.SIGINT
    return 0


def _connect(address: str, workers: int) -> None:
    import ray

    try:
        if address == "local":
            # workers may share cores, as processes of `--devices` do
            ray.init("local", num_cpus=max(workers, os.cpu_count() or 1))
        else:
            ray.init(address)
    except (ConnectionError, ValueError) as error:
        raise ConfigurationError(
            "--ray takes the address of a cluster that runs, or local.",
            received=f"{address!r}: {' '.join(str(error).split())[:200]}",
            remedy="Start one with: ray start --head",
        ) from error


def _has_gpus(workers: int) -> bool:
    import ray

    return float(ray.cluster_resources().get("GPU", 0)) >= workers


def _told(error: Any) -> int:
    """Show how the job failed, as its script would have; the exit code."""
    from multilearn_ray.trainer import is_final, raised

    failures = list(getattr(error, "worker_failures", {}).values())
    shown = next(filter(is_final, failures), failures[0] if failures else error)
    cause = raised(shown)
    if isinstance(cause, SystemExit) and isinstance(cause.code, int):
        return cause.code
    print(cause.code if isinstance(cause, SystemExit) else shown, file=sys.stderr)
    return 1


def _end(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    where, count, path, *rest = sys.argv[1:]
    try:
        sys.exit(main(where, int(count), path, rest))
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except MultilearnError as refused:
        print(f"multilearn: {refused}", file=sys.stderr)
        sys.exit(_UNUSABLE)
