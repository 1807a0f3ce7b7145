"""From a description to a Learner: each method returns a new builder, `build` checks the whole."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass, replace
from typing import Any

from multilearn import backend as backends
from multilearn.arguments import require, whole
from multilearn.builder.as_data import declared
from multilearn.builder.observed import Observed
from multilearn.checkpoint import CheckpointStrategy, MpkGzRecorder, Recorder
from multilearn.checkpoint.checkpointer import SaveInterval
from multilearn.early_stopping import StoppingRule
from multilearn.events import Split
from multilearn.foreign_words import refusing
from multilearn.history import Direction, Monitor
from multilearn.learner.argument_checks import (
    device_names,
    devices_of_run,
    one_compiler,
    one_policy,
    which_checkpoint,
)
from multilearn.learner.consistency import refuse_contradictions, refuse_unmeasured
from multilearn.learner.interrupter import Interrupter
from multilearn.learner.learner import Learner
from multilearn.learner.place import placed
from multilearn.learner.start import BuiltRun
from multilearn.learner.step_trace import TracingLearner
from multilearn.learner.window import NanPolicy
from multilearn.protocols import Compiler, Devices
from multilearn.quick.learner import QuickLearner
from multilearn.quick.trial import tried
from multilearn.records.formats import check_extension
from multilearn.renderers.choice import chosen
from multilearn.run import trace
from multilearn.run.resume import Resume
from multilearn.schedulers.schedule import private_copy
from multilearn.seeding import seed as seeds
from multilearn.storage import throw_away
from multilearn.storage.location import Location

__all__ = ["LearnerBuilder"]


@dataclass(frozen=True, init=False)
class LearnerBuilder(Observed):
    """Describes a run in `directory`; `{backend}`, `{seed}` and `{n}`, the next free number, are replaced by
    `build`.

    A relative directory is relative to the current one when the builder is made, wherever the script changes to later;
    `~` is the home directory.

    A directory that already holds a run is refused, unless `.checkpoint(...)` resumes it, or `overwrite` says
    that it may be replaced: then the files of the old run are removed when `fit` starts, and no others.

    >>> half = LearnerBuilder("runs/{backend}").num_epochs(10)
    >>> half.grads_accumulation(4) is half
    False
    """

    def num_epochs(self, epochs: int) -> LearnerBuilder:
        """Train until `epochs` epochs are done in total, those before a resume included. Default: 1."""
        return self._with(epochs=whole("num_epochs", epochs, 1, "To train for one epoch, leave it out."))

    def grads_accumulation(self, batches: int) -> LearnerBuilder:
        """Update once every so many batches, with the mean gradient over all their items, as if they were one batch.

        What is left at the end of an epoch makes an update of its own. Default: 1.
        """
        remedy = "To update on every batch, leave it out."
        return self._with(accumulation=whole("grads_accumulation", batches, 1, remedy))

    def validate_every(self, epochs: int) -> LearnerBuilder:
        """Validate after every so many epochs, and after the last of `num_epochs`. Default: 1.

        What watches a metric of the validation decides after epochs that have a value of it: `NoImprovement(epochs=3)`
        and `ReduceOnPlateau(patience=3)` wait for three validations. `history` has NaN for the other epochs.
        """
        return self._with(validate_every=whole("validate_every", epochs, 1, "To validate every epoch, leave it out."))

    def with_file_checkpointer(self, recorder: Recorder | None = None) -> LearnerBuilder:
        """Save model, optimizer and scheduler into the directory after an epoch, as the strategy says.

        `recorder`: the file format, by default `MpkGzRecorder()`. A resumed run may use another one than before.
        """
        recorder = MpkGzRecorder() if recorder is None else recorder
        require(recorder, Recorder, "A recorder must have an extension and the methods write and read.")
        check_extension(recorder)
        return self._with(recorder=recorder)

    def with_checkpointing_strategy(self, strategy: CheckpointStrategy) -> LearnerBuilder:
        """Which checkpoints to keep. Default: the last two, and the best by validation loss."""
        require(strategy, CheckpointStrategy, "A checkpointing strategy must have the method keep(epochs, history).")
        return self._with(strategy=strategy)

    def checkpoint(self, which: int | str, directory: str | os.PathLike[str] | None = None) -> LearnerBuilder:
        """Resume from a checkpoint: of an epoch, `"latest"`, `"best"` (by validation loss), or one inside an epoch
        (`"3.120"`); of this directory, or of another run's, which is left as it is.

        `"latest"` if nothing was saved starts at epoch 1, and says so.
        """
        if directory is None:
            return self._with(resume=Resume(which_checkpoint(which)))
        source = Location.of(directory)
        return self._with(resume=Resume(which_checkpoint(which), source.literal, source.written))

    def devices(self, devices: Devices) -> LearnerBuilder:
        """Train on these devices: `["gpu:0"]`, `["gpu:0", "gpu:1"]`, or `"all"`. Default: the framework's first.

        Several share the rows of every batch, which is as large as the loader makes it. What comes out is what one
        device computes, up to rounding: also dropout, batch statistics and metrics are those of the whole batch. JAX
        has several in one process. On torch and TensorFlow `fit` starts the script once more for each, up to the fit;
        `multilearn run --devices N`, or torchrun, has all of it run by each. Numbers of CPUs count such processes.
        """
        return self._with(devices=device_names(devices))

    def restore_best(
        self, metric: str = "Loss", split: Split | str = Split.VALID, direction: Direction = "lowest"
    ) -> LearnerBuilder:
        """Have `fit` return the weights of the best epoch instead of the last ones, however the run ended.

        Of equal values the earlier epoch is better, NaN is never best. With a checkpointer the best epoch is kept on
        disk, whatever the strategy says, and a resumed run continues from the last weights all the same; without
        one a copy is kept in memory. `learner.restored` is the epoch; where it is the last one, nothing is restored.
        The weights are those that were measured: an optimizer's moving averages do not take their place.
        """
        return self._with(restore_best=Monitor(metric, split, direction))

    @refusing
    def checkpoint_every(self, *, batches: int | None = None, minutes: float | None = None) -> LearnerBuilder:
        """Save also inside an epoch: after every so many of its batches, or so many minutes after the last save.

        Such a checkpoint, `model-3.120` in epoch 3 after 120 batches, is made where an accumulation window ends, or at
        the next such place. The last one is kept; it goes when a later checkpoint is complete, that of its epoch for
        instance, and counts for no strategy. None is made at the end of an epoch: there the strategy decides.
        """
        return self._with(checkpoint_every=SaveInterval(batches, minutes))

    def early_stopping(self, rule: StoppingRule) -> LearnerBuilder:
        """Stop as soon as `rule` has a reason: after an epoch; a time limit also inside one.

        `learner.stopped_by` is the reason. A run that is resumed after such a stop stops again at once, as long as the
        rule is the same.
        """
        require(rule, StoppingRule, "A stopping rule must have the method reason(history, epoch, elapsed).")
        return self._with(early_stopping=rule)

    def nan_policy(self, policy: NanPolicy) -> LearnerBuilder:
        """What happens when the training loss of a batch is NaN or infinite. Default: `"stop"`.

        `"stop"` raises `NonFiniteLoss` and saves nothing of it. `"skip"` leaves weights and optimizer as they are and
        the batch out of all epoch values; the learning rate continues as if there had been an update; an epoch without
        any other batch stops the run. If the loss is finite and its gradient is not, weights and optimizer stay as
        they are too, and the loss, which was measured, counts. `"ignore"` trains with it.
        """
        return self._with(nan_policy=one_policy(policy))

    def engine(self, *, capture: bool = True, compile: Compiler | None = None, passes: bool = True) -> LearnerBuilder:
        """How the steps are run; nothing of it needs tuning.

        `capture=False`: eagerly, as they are written, for debugging; slower. `compile`: `"inductor"` on torch or
        `"xla"` on TensorFlow (JAX always uses it), for those who have a compiler and patience; the other frameworks
        ignore it. `passes=False`: captured graphs stay as they are traced, so that on torch gradients have the
        bits of eager ones; slower where there are convolutions.
        """
        require(capture, bool, "capture is True or False.")
        require(passes, bool, "passes is True or False.")
        return self._with(capture=capture, compile=one_compiler(compile, capture), passes=passes)

    def with_interrupter(self, interrupter: Interrupter) -> LearnerBuilder:
        """Let `interrupter.stop(reason)`, from any thread, end the run after the batch it is at."""
        require(interrupter, Interrupter, "An interrupter is a multilearn.Interrupter.")
        return self._with(interrupter=interrupter)

    @refusing
    def build(self, model: Any, optimizer: Any = None, lr: Any = None) -> Learner:
        """The learner.

        `model`: a task, such as `Classification(model)`, or a compiled Keras model. `optimizer`: a Keras optimizer or
        its name; None for the compiled model's own. `lr`: a scheduler, a number for a constant rate, a Keras
        `LearningRateSchedule`, or None for the optimizer's own. For a task with turns, mappings of these by turn.

        Raises `ConfigurationError` for what cannot work, `DirectoryError` for a directory that cannot be used,
        `BackendError` for a framework that cannot be had. Nothing is written before `fit`.
        """
        self._branch.built = True
        for method in dict.fromkeys(self._branch.dropped()):
            warnings.warn(f"Each method returns a new builder: that of .{method}(...) was dropped.", stacklevel=3)
        refuse_contradictions(self._settings)
        chosen(self._settings.renderer)  # also what cannot be shown is refused here
        backend = backends.load()
        subject = backend.adopt(model, optimizer, lr)
        asked = backend.asked_by(model)
        settings = self._settings.following(asked)
        refuse_unmeasured(settings, subject.scheduler)
        devices = devices_of_run(settings.devices, backend)
        seed = seeds.current()
        subject = replace(subject, scheduler=private_copy(subject.scheduler))
        if (file := trace.asked()) is not None:
            # nothing is written into the directory
            path = settings.directory.path(backend.name, seed)
            run = BuiltRun(replace(settings, devices=devices), path, backend, subject, seed, declared(settings))
            return TracingLearner(run, file)
        if throw_away.asked():
            settings = replace(settings, devices=devices)
            short, path, real = tried(settings, backend.name, seed)
            run = BuiltRun(short, path, backend, subject, seed, declared(short), asked.notes)
            return QuickLearner(run, real, settings)
        settings, path = placed(settings, backend.name, seed)
        table, settings = declared(settings), replace(settings, devices=devices)
        return Learner(BuiltRun(settings, path, backend, subject, seed, table, asked.notes))
