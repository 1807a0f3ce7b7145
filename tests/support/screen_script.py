"""Trains with a screen, on the toy backend or on a framework: EPOCHS SECONDS_PER_BATCH [what happens in it...]"""

from __future__ import annotations

import os
import signal
import sys
import time

import multilearn as ml
from support.toy_experiment import CLASSES, Watched, arrays, task

epochs, seconds, *acts = sys.argv[1:]


def at(epoch: int, number: int) -> None:
    time.sleep(float(seconds))
    if "prints" in acts and number == 3:
        print(f"a line of the script in epoch {epoch}")
        os.system(f"echo a line of a subprocess in epoch {epoch}")
        os.write(2, b"a line from C\n")
    if (epoch, number) != (3, 5):
        return
    if "flood" in acts:
        print("\n".join(f"line {line} of a script that prints very much" for line in range(40_000)))
    if "raise" in acts:
        raise RuntimeError("the loader fails on purpose")
    if "segv" in acts:
        import ctypes
        import faulthandler

        faulthandler.enable()
        ctypes.string_at(0)
    if "kill" in acts:
        os.kill(os.getpid(), signal.SIGKILL)
    if "input" in acts:
        input("a question? ")
    if "breakpoint" in acts:
        breakpoint()


def subject() -> tuple[object, object]:
    """A task and an optimizer."""
    if os.environ["MULTILEARN_BACKEND"] == "toy":
        from toy_backend import Momentum

        return task(), Momentum()
    import keras

    from multilearn_keras import Classification

    layers = [keras.layers.Dense(16, activation="relu"), keras.layers.Dense(CLASSES)]
    return Classification(keras.Sequential([keras.Input((4,)), *layers])), keras.optimizers.Adam()


ml.set_seed(1)
renderer = ml.renderers.ScreenRenderer(persistent="persistent" in acts) if "plain" not in acts else None
builder = ml.LearnerBuilder("run").metrics(ml.metrics.Loss(), ml.metrics.Accuracy()).num_epochs(int(epochs))
builder = builder.with_file_checkpointer().summary()
learner = (builder if renderer is None else builder.renderer(renderer)).build(*subject(), 0.05)


def around() -> object:
    """What a screen borrows and gives back; a framework opens files and sets variables of its own."""
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGTSTP, signal.SIGCONT)]
    own = [len(os.listdir("/proc/self/fd")), dict(os.environ)] if os.environ["MULTILEARN_BACKEND"] == "toy" else []
    return handlers, own, sys.breakpointhook, [os.fstat(fd).st_ino for fd in (0, 1, 2)]


before = around()
learner.fit(Watched(ml.DataLoader(arrays(100), 4, shuffle=True), at), ml.DataLoader(arrays(40), 8))
assert around() == before
print("RESULT", learner.stopped_by)
