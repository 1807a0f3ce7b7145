"""One batch ahead of the training: so it knows the last batch of an epoch, and where the random streams were before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from multilearn.protocols import Batch
from multilearn.seeding.streams import GlobalStreams

__all__ = ["LookAhead"]

_END = object()


class LookAhead:
    """`drawn_before`: where the global streams were before the batch was made that is looked at and not trained on.

    A run that goes on at this place makes that batch again, from there; everything else goes on from where the streams
    are now. None where no batch is looked at, or making one leaves the streams alone.
    """

    def __init__(self, drawn_before: GlobalStreams | None = None) -> None:
        self.drawn_before = drawn_before

    def over(self, batches: Iterable[Batch], draws: bool) -> Iterator[tuple[Batch, bool]]:
        """Each batch, and whether it is the last one. `draws`: making batches may move the global streams."""
        iterator = iter(batches)
        current = self._first(iterator)
        while current is not _END:
            self.drawn_before = GlobalStreams.now() if draws else None
            following = next(iterator, _END)
            if following is _END:
                self.drawn_before = None
            yield current, following is _END
            current = following

    def _first(self, iterator: Iterator[Batch]) -> Batch:
        before, self.drawn_before = self.drawn_before, None
        if before is None:
            return next(iterator, _END)
        now = GlobalStreams.now()
        before.put_back()
        try:
            return next(iterator, _END)
        finally:
            now.put_back()
