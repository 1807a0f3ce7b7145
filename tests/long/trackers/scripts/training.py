"""`training.py TRACKER RUN [kill=3.4] [from=2] [accumulation=2]`: four epochs on the toy backend.

Killed before that batch of an epoch, resumed from that checkpoint instead of the latest, with so many batches for each
update. It prints which threads are left.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import numpy as np
from support import toy_experiment as toy

import multilearn as ml
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


def note(report: ml.EpochReport) -> None:
    report.log_text("a note", f"epoch {report.epoch}")
    report.log_image("a picture", np.zeros((2, 3, 3)))


def main(tracker: str, run: str, *options: str) -> None:
    asked = dict(option.split("=") for option in options)

    def kill(epoch: int, number: int) -> None:
        if f"{epoch}.{number}" == asked.get("kill"):
            time.sleep(SECONDS[tracker])
            os.kill(os.getpid(), signal.SIGKILL)

    before = set(threading.enumerate())
    described = toy.builder(Path(run), 4).metric_loggers(FileMetricLogger(), logger(tracker)).on_epoch(note)
    described = described.checkpoint_every(batches=2).with_checkpointing_strategy(ml.checkpoint.KeepLast(9))
    described = described.checkpoint(asked.get("from", "latest"))
    described = described.grads_accumulation(int(asked.get("accumulation", "1")))
    toy.fit(described, toy.Watched(toy.train_loader(), kill))
    if tracker == "wandb":
        import wandb

        wandb.teardown()
    print("left:", sorted(thread.name for thread in set(threading.enumerate()) - before))


if __name__ == "__main__":
    main(*sys.argv[1:])
