"""A model that is trained for a while, and is afterwards as it was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from itertools import islice
from signal import Signals as Signal
from typing import Any

from multilearn import backend as backends
from multilearn.data import as_loader, batches_of, length
from multilearn.errors import ConfigurationError, DataError
from multilearn.learner.inputs import examine
from multilearn.learner.interrupter import Interrupter, Signals
from multilearn.metrics import Loss
from multilearn.protocols import Backend, Batch, Engine, EngineOptions, HostOutput, Loader, StepOutput, Subject, World
from multilearn.seeding import seed as seeds
from multilearn.seeding.streams import kept_globals
from multilearn.storage.shield import end_with

__all__ = ["LOSS", "Trial", "loss_of", "tried"]

LOSS = Loss()


@dataclass(frozen=True)
class Trial:
    """An engine and its data. `interrupter` has a reason once a signal has asked for an end."""

    backend: Backend
    subject: Subject
    engine: Engine
    loader: Loader
    seed: int
    world: World
    interrupter: Interrupter

    def batches(self) -> Iterator[Batch]:
        """Those of the first epoch, over and over, until a signal comes.

        The end of an epoch is not passed where it is known to be one: a loader may do something there.
        """
        while True:
            number, batches = 0, length(self.loader)
            with batches_of(self.loader, self.seed, 1, world=self.world) as loaded:
                for number, batch in enumerate(loaded, start=1):
                    if self.interrupter.reason is not None:
                        return
                    yield batch
                    if number == batches:
                        break
            if not number:
                raise DataError(
                    "What is tried again and again must have its batches again.",
                    received="a loader without any at the second time",
                    remedy="Give a DataLoader, a list of batches, or the function that makes a generator.",
                )

    def first(self, number: int) -> list[Batch]:
        """So many batches at the beginning of the first epoch, or all of it if it has fewer; also without its end."""
        known = length(self.loader)
        with batches_of(self.loader, self.seed, 1, world=self.world) as loaded:
            return list(islice(loaded, number if known is None else min(number, known)))

    def fetched(self, output: StepOutput) -> HostOutput:
        """What a step measured, on the host."""
        return self.engine.fetch([output])[0]


def loss_of(host: HostOutput) -> float:
    """The loss of a batch, over the rows of all processes."""
    state = None
    for part in (host.measures, *host.others):
        state = LOSS.merge(state, part[LOSS.name])
    assert state is not None
    return float(LOSS.entry(state).value)


@contextmanager
def tried(model: Any, optimizer: Any, lr: Any, data: Any, options: EngineOptions) -> Iterator[Trial]:
    """The model on its device and the data, looked at. At the end the model, the optimizer, random streams and the
    data are as they were, also if it fails or a signal comes: SIGINT is raised then.

    Raises what `build` and `fit` raise for what does not fit.
    """
    if isinstance(data, Iterator) and not hasattr(data, "set_state"):
        raise DataError(
            "A trial leaves the data as they are, and a generator would be used up.",
            received=type(data).__name__,
            remedy="Give the function that makes it, without calling it.",
        )
    backend, seed = backends.load(), seeds.current()
    subject = backend.adopt(model, optimizer, lr)
    if isinstance(subject.optimizer, Mapping):
        raise ConfigurationError(
            "A trial is of one loss and its optimizer.",
            received=f"a task with turns: {', '.join(map(repr, subject.optimizer))}",
            remedy="Try a task with one of its losses.",
        )
    asked = backend.asked_by(model)
    options = replace(options, capture=options.capture and not asked.eagerly)
    interrupter = Interrupter()
    with Signals(interrupter) as signals, kept_globals(), ExitStack() as stack:
        loader = as_loader(data, "training")
        stack.enter_context(getattr(loader, "put_back", nullcontext)())
        found = examine(loader, None, seed, stack)
        examples = tuple(found.examples.values()) * (2 if options.eval_metrics else 1)
        engine = stack.enter_context(backend.trial(subject, examples, options))
        signals.take()
        with signals.interruptible():
            yield Trial(backend, subject, engine, loader, seed, backend.world, interrupter)
    if interrupter.reason is not None:
        end_with(Signal[interrupter.reason])
