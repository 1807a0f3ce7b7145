"""A fit over devices that need a process each: it starts the script once more for each of them.

They run up to this fit, train, and end with it; the script continues here, once, with what they have trained.
"""

from __future__ import annotations

import builtins
import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

from multilearn import errors
from multilearn.checkpoint import MpkGzRecorder, read_file
from multilearn.environment_variables import FIT, read
from multilearn.errors import ConfigurationError, MultilearnError, WorldError
from multilearn.events import Split
from multilearn.history import History
from multilearn.launch.environments import ranks
from multilearn.launch.process import SHOWN_AFTER, ForwardedSignals, run_processes
from multilearn.learner.inputs import examine
from multilearn.learner.start import BuiltRun, options_of
from multilearn.protocols import AnyMetric, Record, World

__all__ = [
    "FitOutcome",
    "begun",
    "end_with_error",
    "end_with_outcome",
    "processes_for",
    "trained",
]

_OUTCOME, _ERROR = "outcome.mpk.gz", "error.json"
_INTERRUPTED = 128 + signal.SIGINT

_fitted = False
"""Whether a fit was begun in this process."""
_folder: Path | None = None
"""Where this process, if another one has started it for a fit, leaves what the fit gave."""


@dataclass(frozen=True)
class FitOutcome:
    """What a learner says after a fit. `splits`: those that had data."""

    history: History
    splits: frozenset[Split]
    completed: bool
    stopped_by: str | None
    restored: int | None

    def text(self) -> str:
        """As JSON."""
        said = {field.name: getattr(self, field.name) for field in fields(self)}
        return json.dumps(said | {"history": self.history.state(), "splits": sorted(self.splits)})

    @classmethod
    def of_text(cls, text: str) -> FitOutcome:
        said = json.loads(text)
        splits = frozenset(map(Split, said["splits"]))
        return cls(**{**said, "history": History.from_state(said["history"]), "splits": splits})


def processes_for(run: BuiltRun) -> int:
    """How many processes a fit of this run starts: 0 if this process trains."""
    several = len(run.backend.find_devices(run.settings.devices)) if run.settings.devices else 1
    return several if several > 1 and run.backend.one_device_a_process and run.backend.world.size == 1 else 0


def trained(
    count: int, run: BuiltRun, measured: Mapping[Split, Sequence[AnyMetric]], train: Any, valid: Any
) -> FitOutcome:
    """Have so many processes train the run; the model here is trained then, as by them.

    Raises `ConfigurationError` if there is no script that they can run up to this fit; what their fit raised; and
    `WorldError` if one of them ended otherwise.
    """
    global _fitted
    _require_script(count)
    _fitted = True
    with ExitStack() as stack:
        data = examine(train, valid, run.seed, stack)
        record, outcome = _started(count, Path(stack.enter_context(TemporaryDirectory(prefix="multilearn-"))))
        options = options_of(replace(run.settings, devices=()), measured)
        engine = run.backend.engine(run.subject, tuple(data.examples.values()), options)
        stack.callback(engine.release)
        engine.restore(record)
    return outcome


def _started(count: int, folder: Path) -> tuple[Record, FitOutcome]:
    environments = [{**os.environ, **of_rank, FIT: str(folder)} for of_rank in ranks(count)]
    command, signals = [sys.executable, *sys.orig_argv[1:]], ForwardedSignals()
    # Python has handlers of signals on the main thread only
    with signals.taken() if threading.current_thread() is threading.main_thread() else nullcontext():
        code = run_processes(command, environments, "", signals, quiet=True)
    if code == 0 and (file := folder / _OUTCOME).exists():
        contents = read_file(file)
        return contents.item, FitOutcome.of_text(contents.metadata["outcome"])
    if (file := folder / _ERROR).exists():
        said = json.loads(file.read_text())
        raise getattr(errors, said["class"])(said["text"])
    if code == _INTERRUPTED:
        raise KeyboardInterrupt
    raise WorldError(
        f"The {count} processes of a fit train up to its end.",
        received=f"one that ended with exit code {code}",
        remedy='Run it again with .checkpoint("latest"), on any number of devices.',
    )


def begun() -> bool:
    """Whether this process was started for a fit, which begins now: from here on its output is shown."""
    global _fitted, _folder
    _fitted = True
    if read(FIT) is None:
        return False
    # neither another fit nor a process of this one
    _folder = Path(os.environ.pop(FIT))
    _flush()
    for descriptor in (1, 2):
        os.write(descriptor, SHOWN_AFTER)
    return True


def end_with_outcome(record: Record, outcome: FitOutcome, world: World) -> NoReturn:
    """End this process, one of those that were started for a fit, and hand over what it gave."""
    if world.rank == 0 and _folder is not None:
        with (_folder / _OUTCOME).open("wb") as file:
            MpkGzRecorder().write(file, record, {"outcome": outcome.text()})
    world.barrier()
    _end(0)


def end_with_error(error: BaseException, world: World) -> NoReturn:
    """End this process, one of those that were started for a fit, which raised `error`."""
    if isinstance(error, MultilearnError) and type(error).__module__ == errors.__name__:
        if isinstance(error, WorldError):
            print(f"multilearn: {error}", file=sys.stderr)
        elif world.rank == 0 and _folder is not None:
            (_folder / _ERROR).write_text(json.dumps({"class": type(error).__name__, "text": str(error)}))
    elif not isinstance(error, (KeyboardInterrupt, SystemExit)):
        traceback.print_exception(error)
    _end(_INTERRUPTED if isinstance(error, KeyboardInterrupt) else 1)


def _end(code: int) -> NoReturn:
    """Without what the script has to do after the fit: that is done where it was begun."""
    _flush()
    os._exit(code)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()


def _require_script(count: int) -> None:
    started = f"Start the script with multilearn run --devices {count}, or train on JAX."
    main: Any = sys.modules.get("__main__")
    in_a_session = hasattr(sys, "ps1") or hasattr(builtins, "__IPYTHON__")
    if in_a_session or "_pytest" in sys.modules or not hasattr(main, "__file__"):
        raise ConfigurationError(
            "Several devices are several processes, each of which runs the script.",
            received="a session without a script",
            remedy=started,
        )
    if _fitted:
        raise ConfigurationError(
            "A fit over several devices is the first of a script: the processes that it starts run up to it.",
            received="another fit before it",
            remedy=started,
        )
