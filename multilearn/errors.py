"""What multilearn raises.

    MultilearnError
    ├── ConfigurationError (ValueError)      what was asked for is impossible or contradicts itself
    │   ├── DirectoryError                   the run's directory cannot be used for this
    │   ├── UnknownArgument (TypeError)      an argument that another library has, or none
    │   ├── UnknownSeries (KeyError)         a split or a metric that a history does not have
    │   └── BackendError (ImportError)       the framework asked for cannot be had in this process
    ├── DataError (ValueError)               a batch, a label or a loader does not fit
    ├── CheckpointError
    │   ├── CheckpointNotFound (LookupError)
    │   ├── RecordError (ValueError)         a file that is not, or no longer, a record
    │   └── RecordMismatch (ValueError)      a record of something else than this model or optimizer
    ├── StorageError (OSError)               the disk is full, or does not take what is to be written
    ├── WorldError (RuntimeError)            another process of those that train together has ended
    └── NonFiniteLoss (ArithmeticError)      the loss became NaN or infinite

Every message says what the rule is, what was received, and what to do, and is made printable: paths and values in it
may come from anybody.
"""

from __future__ import annotations

import linecache
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from multilearn.environment_variables import TRACEBACK, read
from multilearn.printable import printable_message

__all__ = [
    "DISTRIBUTION",
    "BackendError",
    "CheckpointError",
    "CheckpointNotFound",
    "ConfigurationError",
    "DataError",
    "DirectoryError",
    "MultilearnError",
    "NonFiniteLoss",
    "RecordError",
    "RecordMismatch",
    "StorageError",
    "UnknownArgument",
    "UnknownSeries",
    "WorldError",
    "found_in",
    "pip_install",
    "with_users_frames",
]

DISTRIBUTION = "multilearn-keras"
"""The name on package indexes, where `multilearn` is another project."""


def pip_install(extra: str) -> str:
    """The command that installs an extra.

    >>> pip_install("torch")
    "pip install 'multilearn-keras[torch]'"
    """
    return f"pip install '{DISTRIBUTION}[{extra}]'"


class MultilearnError(Exception):
    """The root of what this library raises: a rule, what was received, and the remedy."""

    def __init__(self, rule: str, *, received: object = None, remedy: str | None = None) -> None:
        parts = [rule]
        if received is not None:
            parts.append(f"Received: {received}.")
        if remedy is not None:
            parts.append(remedy)
        super().__init__(printable_message(" ".join(parts)))


class ConfigurationError(MultilearnError, ValueError):
    """What was asked for is impossible, or contradicts itself."""


class DirectoryError(ConfigurationError):
    """The directory of the run cannot be used for what was asked."""

    @classmethod
    def unreadable(cls, path: object, error: Exception) -> Self:
        """A file of a run that cannot be read."""
        return cls(f"{path} cannot be read: {error}.", remedy="Restore it, or run again.")


class UnknownArgument(ConfigurationError, TypeError):
    """An argument that a function does not have, such as one of Keras' `fit`."""


class UnknownSeries(ConfigurationError, KeyError):
    """A split or a metric that the history of a run does not have."""

    def __str__(self) -> str:
        # that of KeyError is the text as Python writes it, in quotes
        return str(self.args[0])


class BackendError(ConfigurationError, ImportError):
    """The framework that was asked for cannot be had in this process."""


class DataError(MultilearnError, ValueError):
    """A batch, a label or a loader does not fit the task."""

    def __init__(self, rule: str, *, received: object = None, remedy: str | None = None) -> None:
        super().__init__(rule, received=received, remedy=remedy)
        self._remedy = remedy
        self._data: str | None = None

    def found_in(self, data: str) -> None:
        """Say of which data it is: "validation data"."""
        if data and self._data is None:
            self._data = data
            said, remedy = str(self), printable_message(self._remedy or "")
            found = f"{said.removesuffix(remedy).rstrip()} Found in the {data}."
            self.args = (f"{found} {remedy}".rstrip(),)


@contextmanager
def found_in(data: str) -> Iterator[None]:
    """What is refused in here is in the data of this name; none if it is empty."""
    try:
        yield
    except DataError as error:
        error.found_in(data)
        raise


class CheckpointError(MultilearnError):
    """A checkpoint could not be written or read."""


class CheckpointNotFound(CheckpointError, LookupError):
    """The checkpoint that was asked for is not in the directory."""


class RecordError(CheckpointError, ValueError):
    """The file is not a record, or no longer an intact one."""

    @classmethod
    def unusable(cls, rule: str, received: object) -> Self:
        """A record from which a run cannot resume."""
        return cls(rule, received=received, remedy="Resume from another checkpoint.")


class RecordMismatch(CheckpointError, ValueError):
    """The record is intact, but of another model, optimizer or configuration."""


class StorageError(MultilearnError, OSError):
    """The disk is full, or does not take what a run has to write; `errno` says what the operating system said."""


class NonFiniteLoss(MultilearnError, ArithmeticError):
    """The training loss became NaN or infinite."""


class WorldError(MultilearnError, RuntimeError):
    """Another one of the processes that train a model together has ended, or is not heard of."""

    @classmethod
    def of(cls, said: object) -> Self:
        """`said`: what a framework met in what several processes do together."""
        said = " ".join(str(said).split())[:150]
        return cls("Processes that train together end together.", received=f"another one has ended: {said}")


_OURS = ("multilearn", "multilearn_keras")


def with_users_frames(error: BaseException) -> BaseException:
    """An error, and those that led to it, without the frames of this library in their tracebacks.

    All of them stay where one of them is the last, unless it is a refusal or an interruption: what goes wrong inside of
    the library is to be found. So they do if MULTILEARN_TRACEBACK is "full".
    """
    if read(TRACEBACK) != "full":
        for each in _chain(error):
            found = list(_entries(each.__traceback__))
            refused = isinstance(each, (MultilearnError, KeyboardInterrupt))
            if refused or (found and not _is_ours(found[-1])):
                each.__traceback__ = _joined([entry for entry in found if not _is_ours(entry)])
            # what was tried twice, and failed alike
            before = each.__context__
            each.__suppress_context__ |= type(before) is type(each) and str(before) == str(each)
    return error


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _entries(traceback: TracebackType | None) -> Iterator[TracebackType]:
    while traceback is not None:
        yield traceback
        traceback = traceback.tb_next


def _is_ours(entry: TracebackType) -> bool:
    return str(entry.tb_frame.f_globals.get("__name__")).partition(".")[0] in _OURS


def _is_installed(entry: TracebackType) -> bool:
    """Whether it is of Python, or of a package that was installed, such as contextlib or Keras."""
    import sysconfig  # only to show an error

    file = entry.tb_frame.f_code.co_filename
    folders = (sysconfig.get_path(each) + os.sep for each in ("stdlib", "platstdlib", "purelib", "platlib"))
    return file.startswith(("<frozen ", *folders)) or f"-packages{os.sep}" in file


def _joined(entries: list[TracebackType]) -> TracebackType | None:
    traceback = None
    for entry in reversed(entries):
        traceback = TracebackType(traceback, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return traceback


def _show_refusals_in_short() -> None:
    """Have a refusal that ends this process shown as what it says, and the line that led to it."""
    shown = sys.excepthook

    def show(of: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        if not isinstance(error, MultilearnError) or error.__cause__ is not None:
            shown(of, error, traceback)
            return
        said = [f"multilearn: {error}", *getattr(error, "__notes__", ())]
        others = [each for each in _entries(traceback) if not _is_ours(each)]
        if users := [each for each in others if not _is_installed(each)] or others:
            file, line = users[-1].tb_frame.f_code.co_filename, users[-1].tb_lineno
            said.append(f"  {file}, line {line}: {linecache.getline(file, line).strip()}")
        print("\n".join(said), file=sys.stderr)

    sys.excepthook = show


if read(TRACEBACK) == "short":
    _show_refusals_in_short()
