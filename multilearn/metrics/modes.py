"""What metrics of scores have in common that are for one label, for classes, or for several labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from multilearn.arguments import choice, optional_whole, settle
from multilearn.errors import ConfigurationError
from multilearn.metrics.items import LabelItems, binary_items, label_items, named
from multilearn.protocols import ArrayOps, Output

__all__ = ["ModalMetric"]


@dataclass(frozen=True, kw_only=True)
class ModalMetric:
    """A metric with a `mode`, an `average` over classes where there are several, and an `ignore_index`."""

    mode: str = "binary"
    average: str | None = None
    ignore_index: int | None = None

    unit: ClassVar[str] = "share"
    numeric: ClassVar[bool] = True
    averages: ClassVar[tuple[str, ...]] = ("micro", "macro")

    def __post_init__(self) -> None:
        kind = type(self).__name__
        choice(f"{kind} has a mode", self.mode, ("binary", "multiclass", "multilabel"))
        settle(self, ignore_index=optional_whole(f"The ignore_index of {kind}", self.ignore_index))
        if self.mode == "binary":
            self.refuse("average")
        else:
            average = "macro" if self.average is None else self.average
            settle(self, average=choice(f"{kind} has an average over classes", average, self.averages))

    def refuse(self, setting: str) -> None:
        """Raise `ConfigurationError` where a setting is given that has no meaning in this mode."""
        if (given := getattr(self, setting)) is not None:
            raise ConfigurationError(
                f"{type(self).__name__} has no {setting} where the mode is {self.mode}.",
                received=repr(given),
                remedy="Leave it out.",
            )

    @property
    def name(self) -> str:
        return self.named()

    def named(self, *words: str, **settings: float | str | None) -> str:
        """The name, with further words in front and settings behind."""
        modal = [self.mode] if self.average is None else [self.mode, self.average]
        return named(type(self).__name__, *words, *modal, **settings, ignore_index=self.ignore_index)

    def labels(self, ops: ArrayOps, output: Output) -> LabelItems:
        """What counts, where the mode is binary or multilabel."""
        seen = binary_items if self.mode == "binary" else label_items
        return seen(ops, output, self.name, self.ignore_index)
