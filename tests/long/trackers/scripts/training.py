"""`training.py TRACKER RUN [PLACE]`: four epochs on the toy backend; it is killed at that batch, if one is given.

It prints which threads are left.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

from support import toy_experiment as toy

from multilearn.loggers import FileMetricLogger, MlflowLogger, TensorBoardLogger, TrackioLogger, WandbLogger
from multilearn.loggers.tracker import TrackerLogger

EVERY = 3
SECONDS = {"tensorboard": 3.0, "mlflow": 20.0, "wandb": 20.0, "trackio": 10.0}
"""In which what was logged is with the tracker."""


def logger(tracker: str) -> TrackerLogger:
    return {
        "tensorboard": lambda: TensorBoardLogger(EVERY),
        "mlflow": lambda: MlflowLogger(EVERY),
        "wandb": lambda: WandbLogger(EVERY, mode="offline"),
        "trackio": lambda: TrackioLogger(EVERY),
    }[tracker]()


def main(tracker: str, run: str, place: str = "") -> None:
    def kill(epoch: int, number: int) -> None:
        if f"{epoch}.{number}" == place:
            time.sleep(SECONDS[tracker])
            os.kill(os.getpid(), signal.SIGKILL)

    before = set(threading.enumerate())
    described = toy.builder(Path(run), 4).metric_loggers(FileMetricLogger(), logger(tracker))
    described = described.checkpoint_every(batches=2).checkpoint("latest")
    toy.fit(described, toy.Watched(toy.train_loader(), kill))
    if tracker == "wandb":
        import wandb

        wandb.teardown()
    print("left:", sorted(thread.name for thread in set(threading.enumerate()) - before))


if __name__ == "__main__":
    main(*sys.argv[1:])
