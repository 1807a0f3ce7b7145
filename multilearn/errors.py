"""What multilearn raises.

    MultilearnError
    ├── ConfigurationError (ValueError)      what was asked for is impossible or contradicts itself
    │   ├── DirectoryError                   the run's directory cannot be used for this
    │   ├── UnknownArgument (TypeError)      an argument that another library has, or none
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

from typing import Self

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
    "WorldError",
    "pip_install",
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


class BackendError(ConfigurationError, ImportError):
    """The framework that was asked for cannot be had in this process."""


class DataError(MultilearnError, ValueError):
    """A batch, a label or a loader does not fit the task."""


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
        said = " ".join(str(said).split())
        return cls("Processes that train together end together.", received=f"another one has ended: {said[:150]}")
