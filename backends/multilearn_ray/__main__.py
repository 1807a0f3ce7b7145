"""`python -m multilearn_ray ADDRESS FEWEST MOST SCRIPT ARGUMENTS`: what `multilearn run --ray` starts on a backend."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import multilearn_ray
from multilearn.errors import ConfigurationError, DirectoryError, MultilearnError
from multilearn.run.experiment import in_words

_UNUSABLE = 2
_LOOKED_FOR = 10.0  # seconds
_received: list[int] = []


def main(address: str, workers: tuple[int, int], script: str, arguments: Sequence[str]) -> int:
    """Run the job to its end; the exit code. Raises `ConfigurationError` if there is no cluster."""
    trainer = multilearn_ray.trainer
    from ray.train import FailureConfig, RunConfig, TrainingFailedError

    from multilearn_ray.job import RESTARTS

    fewest, most = workers
    _connect(address, most)
    # Ray has put another handler there
    signal.signal(signal.SIGTERM, _end)
    config = RunConfig(storage_path=_folder(), failure_config=FailureConfig(max_failures=RESTARTS))
    count = most if fewest == most else workers
    job = trainer(script, count, arguments=arguments, gpu=_has_gpus(fewest), run_config=config)
    try:
        job.fit()
    except TrainingFailedError as error:
        return _told(error)
    except SystemExit:
        # of our handler of SIGTERM, or else of Ray's of SIGINT, which has ended the job
        return 128 + next(iter(_received), signal.SIGINT)
    return 0


def _connect(address: str, workers: int) -> None:
    import ray

    try:
        if address == "local":
            # workers may share cores, as processes of `--devices` do
            ray.init("local", num_cpus=max(workers, os.cpu_count() or 1))
        else:
            _require_listener(address)
            ray.init(address)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            "--ray takes the address of a cluster that runs, or local.",
            received=f"{address!r}: {' '.join(str(error).split())[:200]}",
            remedy="Start one with: ray start --head. One that asks for a token needs RAY_AUTH_MODE=token here.",
        ) from error


def _require_listener(address: str) -> None:
    """Raise `OSError` if nothing listens, for which Ray looks for many minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), _LOOKED_FOR).close()


def _folder() -> str:
    """Where Ray keeps what it writes of a job: in the working directory, which the workers share."""
    folder = Path(".multilearn", "ray").absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder.parent / ".gitignore").write_text("*\n")
    except OSError as error:
        raise DirectoryError(
            "Ray keeps what it writes of a job in .multilearn, in the working directory.",
            received=f"{error.filename or folder}: {error.strerror}",
            remedy="Make room, or run it from a directory that you can write to.",
        ) from error
    return str(folder)


def _has_gpus(workers: int) -> bool:
    import ray

    return float(ray.cluster_resources().get("GPU", 0)) >= workers


def _told(error: Any) -> int:
    """Say how the job failed, of which its workers have shown where; the exit code, that of a script which exits."""
    from multilearn_ray.job import is_final, raised

    failures = list(getattr(error, "worker_failures", {}).values())
    cause = raised(next(filter(is_final, failures), failures[0] if failures else error))
    if isinstance(cause, SystemExit):
        if isinstance(cause.code, int):
            return cause.code
        said = str(cause.code)
    else:
        said = f"multilearn: {cause if isinstance(cause, MultilearnError) else in_words(cause)}"
    print(said, file=sys.stderr)
    return 1


def _end(number: int, frame: FrameType | None) -> NoReturn:
    _received.append(number)
    raise SystemExit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    where, least, largest, path, *rest = sys.argv[1:]
    try:
        sys.exit(main(where, (int(least), int(largest)), path, rest))
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except MultilearnError as refused:
        print(f"multilearn: {refused}", file=sys.stderr)
        sys.exit(_UNUSABLE)
