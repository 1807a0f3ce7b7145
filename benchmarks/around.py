"""What the Learner adds to a step: the loop above the engine's step, with metrics, metric files and lines on a screen.

    nox -s bench -- around

Microseconds of processor time a step, the least of several rounds (whatever else the machine does only adds), whole
`fit`, from its call to its return, what an epoch costs once and the threads beside it included. In the first rows the
engine's step is empty: it hands over values that are there already. In the last ones PyTorch takes its steps, eagerly,
and what lies between the end of one and the beginning of the next is counted, in which the window is fetched; Python's
collector of cycles looks at no object that was there before. A window is told at most ten times a second, which costs
about a millisecond: slow steps, each with a window of its own, show it whole. A picture of the curves is
written to `benchmarks/around.svg`.
"""

from __future__ import annotations

import contextlib
import gc
import io
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from math import log10
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "toy"))
os.environ |= {"MULTILEARN_BACKEND": "toy", "KERAS_BACKEND": "torch", "OMP_NUM_THREADS": "1"}

import numpy as np  # noqa: E402
import toy_backend  # noqa: E402

import multilearn as ml  # noqa: E402
from multilearn.protocols import HostOutput, StepOutput  # noqa: E402

FRAMEWORKS = ("torch",)
GOALS = {"above_the_step_us": ("at most", 20.0)}

STEPS = (10, 100, 1_000, 10_000, 100_000)
METRICS = (1, 2, 5, 10, 20, 30)
VARIABLES = (10, 100, 1_000, 5_000)
BATCH = (np.zeros((64, 4), np.float32), np.zeros(64, np.int32))

_MOST_EPOCHS = 200

Rows = dict[str, dict[str, float]]


class Same:
    """A loader of one batch over and over."""

    def __init__(self, batches: int, batch: Any = BATCH) -> None:
        self._batches = batches
        self._batch = batch

    def __len__(self) -> int:
        return self._batches

    def iterate(self, seed: int, epoch: int, start: int = 0) -> Iterator[Any]:
        for _ in range(start, self._batches):
            yield self._batch


class EmptySteps(toy_backend.ToyEngine):
    """Steps that take no time: what they hand over is made before."""

    def __init__(self, subject: Any, options: Any) -> None:
        super().__init__(subject, options)
        output = subject.task.step(BATCH, False)
        ops = toy_backend.OPS
        self._trained = StepOutput({metric.name: metric.measure(ops, output) for metric in options.train_metrics})
        self._measured = StepOutput({metric.name: metric.measure(ops, output) for metric in options.eval_metrics})

    def train_step(self, batch: Any, lr: float, update: bool) -> StepOutput:
        return self._trained

    def eval_step(self, batch: Any) -> StepOutput:
        return self._measured

    def fetch(self, outputs: Sequence[StepOutput]) -> list[HostOutput]:
        return [HostOutput(output.measures) for output in outputs]


class Terminal(io.StringIO):
    """What takes a live display for a terminal."""

    def isatty(self) -> bool:
        return True


def described(directory: str, metrics: int, epochs: int, screen: io.StringIO) -> ml.LearnerBuilder:
    """So many metrics on both splits: Loss, Accuracy, and more of the kind."""
    of_kind = [ml.metrics.Loss(), ml.metrics.Accuracy()]
    of_kind += [ml.metrics.Accuracy(ignore_index=number) for number in range(100, 98 + metrics)]
    builder = ml.LearnerBuilder(directory).metrics(*of_kind[:metrics]).num_epochs(epochs)
    return builder.renderer(ml.renderers.CliRenderer(screen))


def fit_with_empty_steps(steps: int, metrics: int, epochs: int, screen: type[io.StringIO]) -> float:
    """Seconds of processor time, of `epochs` epochs of so many steps, a tenth of them validation."""
    validated = max(1, steps // 10)
    with tempfile.TemporaryDirectory() as directory:
        ml.set_seed(1)
        builder = described(f"{directory}/run", metrics, epochs, screen())
        learner = builder.build(toy_backend.SoftmaxRegression(toy_backend.SoftmaxModel(4, 3)), None, 0.1)
        began = time.process_time()
        learner.fit(Same(steps - validated), Same(validated))
        return time.process_time() - began


def per_step(steps: int, metrics: int, rounds: int, total: int, screen: type[io.StringIO] = io.StringIO) -> float:
    """Microseconds a step: what `total` steps take more than a single epoch of two, divided by their number."""
    epochs = min(_MOST_EPOCHS, max(1, total // steps))
    more = (
        fit_with_empty_steps(steps, metrics, epochs, screen) - fit_with_empty_steps(2, metrics, 1, screen)
        for _ in range(rounds)
    )
    return min(more) / (steps * epochs) * 1e6


def between_torch_steps(variables: int, steps: int) -> dict[str, float]:
    """Microseconds between two steps of a model of so many variables, and of a step."""
    import keras

    from multilearn_keras import Classification
    from multilearn_keras.engines import torch as engines

    class Many(keras.layers.Layer):
        def build(self, shape: Any) -> None:
            self.all = [self.add_weight(shape=(1,), name=f"weight_{number}") for number in range(variables - 2)]
            self.built = True

        def call(self, x: Any) -> Any:
            return x + keras.ops.sum(keras.ops.concatenate(self.all))

    spent = {"outside": 0.0, "inside": 0.0, "ended": 0.0}
    original = engines.TorchEngine.train_step

    def timed(self: Any, *arguments: Any) -> Any:
        began = time.thread_time()
        if spent["ended"]:
            spent["outside"] += began - spent["ended"]
        else:
            gc.freeze()
        output = original(self, *arguments)
        spent["ended"] = time.thread_time()
        spent["inside"] += spent["ended"] - began
        return output

    ml.set_seed(1)
    model = keras.Sequential([keras.Input((4,)), Many(), keras.layers.Dense(3)])
    with tempfile.TemporaryDirectory() as directory:
        builder = described(f"{directory}/run", 2, 1, io.StringIO()).engine(capture=False)
        learner = builder.build(Classification(model), "sgd", 0.1)
        engines.TorchEngine.train_step = timed
        try:
            learner.fit(Same(steps), Same(1))
        finally:
            engines.TorchEngine.train_step = original
            gc.unfreeze()
    return {
        "above_the_step_us": spent["outside"] / (steps - 1) * 1e6,
        "step_us": spent["inside"] / steps * 1e6,
    }


def main(quick: bool = False) -> dict[str, dict[str, float]]:
    """By what was varied: `above_the_step_us`, and on torch `step_us` too."""
    rounds, total = (2, 2_000) if quick else (3, 20_000)
    toy_backend.ToyBackend.engine = lambda self, subject, examples, options: EmptySteps(subject, options)
    rows: Rows = {}

    def tell(name: str, row: Mapping[str, float]) -> None:
        rows[name] = dict(row)
        print(f"{name:40}" + "".join(f"{key:>22}{value:10.1f}" for key, value in row.items()), flush=True)

    for steps in STEPS[:-1] if quick else STEPS:
        tell(f"{steps} steps an epoch", {"above_the_step_us": per_step(steps, 2, rounds, total)})
    for metrics in METRICS:
        tell(f"{metrics} metrics", {"above_the_step_us": per_step(1_000, metrics, rounds, total // 2)})
    for metrics in (2, 30):
        with terminal_of_a_kind():
            took = per_step(1_000, metrics, rounds, total // 2, Terminal)
        tell(f"{metrics} metrics, live on a terminal", {"above_the_step_us": took})
    os.environ["MULTILEARN_BACKEND"] = "torch"
    for variables in VARIABLES[:2] if quick else VARIABLES:
        turns = [between_torch_steps(variables, 40 if variables > 500 else 200) for _ in range(rounds)]
        tell(f"{variables} variables, torch", {key: min(turn[key] for turn in turns) for key in turns[0]})
    (HERE / "around.svg").write_text(picture(rows))
    return rows


@contextlib.contextmanager
def terminal_of_a_kind() -> Iterator[None]:
    found = os.environ.get("TERM")
    os.environ["TERM"] = "xterm-256color"
    yield
    os.environ.pop("TERM") if found is None else os.environ.update(TERM=found)


def picture(rows: Rows) -> str:
    """Three panels: over the steps of an epoch, over metrics, over variables."""
    parts = ['<rect width="760" height="240" fill="white"/>', text(20, 20, "us above the engine's step, a step")]
    for number, kind in enumerate(("steps an epoch", "metrics", "variables, torch")):
        points = [
            (float(name.split()[0]), row["above_the_step_us"])
            for name, row in rows.items()
            if name.partition(" ")[2] == kind
        ]
        parts += panel(60 + 240 * number, kind, points)
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 240" font-family="sans-serif" font-size="11">\n'
        f"{body}\n</svg>\n"
    )


def panel(left: int, kind: str, points: Sequence[tuple[float, float]]) -> list[str]:
    """A curve over a logarithmic axis of 180 places, its heights in microseconds above zero."""
    top, low, high = max(25.0, *(y for _x, y in points)), log10(points[0][0]), log10(points[-1][0])
    places = [(left + 180 * (log10(x) - low) / (high - low or 1), 200 - 150 * y / top) for x, y in points]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    parts = [f'<path d="M{left} 50V200H{left + 180}" fill="none" stroke="#444"/>', text(left + 90, 234, kind, "middle")]
    parts += [text(left - 4, 204 - 150 * tick / top, f"{tick:.0f}", "end") for tick in (0, top / 2, top)]
    parts.append(f'<polyline points="{line}" fill="none" stroke="#0b6e99"/>')
    for (x, y), (value, took) in zip(places, points, strict=True):
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="#0b6e99"><title>{took:.1f} us</title></circle>')
        parts.append(text(x, 216, f"{value:g}", "middle"))
    return parts


def text(x: float, y: float, words: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


if __name__ == "__main__":
    main()
