"""The place inside an epoch: where a loader can be resumed, and what a checkpoint records of it."""

from __future__ import annotations

from typing import Any, TypeGuard

from multilearn.errors import ConfigurationError
from multilearn.events import Position
from multilearn.protocols import Loader, Record, StatefulLoader
from multilearn.records.object_state import from_record, to_record

__all__ = ["ValidationPosition", "go_to", "keeps_place", "place_of", "resumes_inside_epoch"]


def resumes_inside_epoch(loader: Loader) -> bool:
    """Whether a loader can start inside an epoch; known once it has been looked at."""
    return bool(getattr(loader, "resumes_inside_epoch", True))


def keeps_place(loader: Loader | None) -> TypeGuard[StatefulLoader]:
    """Whether a loader has a state that says where it is inside an epoch."""
    return isinstance(loader, StatefulLoader) and resumes_inside_epoch(loader)


def place_of(loader: Loader, batch: int) -> Record | None:
    """What a loader needs to resume at batch number `batch`, besides seed, epoch and this number; None for nothing."""
    if keeps_place(loader):
        place: Record = to_record(loader.state(batch))
        return place
    return None


class ValidationPosition:
    """The `place` of the validation loader between two validations; unchanged while one is running.

    None where seed and epoch suffice, or the state cannot be saved: `unsavable` is then the reason.
    """

    def __init__(self, loader: Loader | None) -> None:
        self._loader = loader
        self.place: Record | None = None
        self.unsavable: ConfigurationError | None = None

    def take(self, batches: int) -> None:
        """Record the place after that many batches of a validation; 0 before the first one."""
        if self._loader is None or self.unsavable is not None:
            return
        try:
            self.place = place_of(self._loader, batches)
        except ConfigurationError as error:
            self.place, self.unsavable = None, error

    def go_to(self, place: Any) -> None:
        """Restore the place that `take` recorded in an earlier process."""
        if place is not None and keeps_place(self._loader):
            self._loader.restore(from_record(place))


def go_to(loader: Loader, place: Any, position: Position, *, trained: bool = False) -> None:
    """Bring a loader to the place that a checkpoint was made at; `trained`: after the last batch of the epoch.

    Raises `ConfigurationError` where it is inside an epoch and the loader cannot go on there.
    """
    stateful = keeps_place(loader)
    if (
        position.batch is not None
        and not trained
        and (not resumes_inside_epoch(loader) or (stateful and place is None))
    ):
        raise ConfigurationError(
            "To resume inside an epoch, the training loader must be able to start there.",
            received=f"the checkpoint {position}, and a loader that cannot"
            if not stateful
            else f"the checkpoint {position}, which has no state of a loader",
            remedy="Resume from the end of an epoch: .checkpoint(number). A DataLoader, a list of batches and what has "
            "a state_dict can be resumed anywhere.",
        )
    if place is not None and keeps_place(loader):
        loader.restore(from_record(place))
