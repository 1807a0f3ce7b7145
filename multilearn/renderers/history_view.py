"""The values of the epochs of a run, as its user gets them: as mappings, a table, a figure, a page of a notebook."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from multilearn.errors import ConfigurationError, UnknownSeries
from multilearn.events import START, Finished, MetricInfo, Position, Split, Started
from multilearn.foreign_words import Suggesting
from multilearn.history import History

if TYPE_CHECKING:
    from multilearn.plots.figure import Figure

__all__ = ["EpochHistory"]

Infos = Mapping[Split, Sequence[MetricInfo]]


Key = TypeVar("Key")
Value = TypeVar("Value")


class _Fixed(dict[Key, Value]):
    """A dict that stays as it was made: json and everything else that knows dicts takes it."""

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise TypeError("The history of a run cannot be changed: take a copy, dict(history).")

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)

    def __missing__(self, key: Any) -> Any:
        there = ", ".join(f'"{each}"' for each in self) or "nothing"
        raise UnknownSeries(f"The history has here: {there}.", received=repr(key), remedy=self._remedy(str(key)))

    def _remedy(self, key: str) -> str | None:
        near = _nearest(key, self)
        return f'Write ["{near}"].' if near else None


def _nearest(word: str, known: Iterable[Any]) -> str | None:
    """The name that is meant: the case does not matter, nor a letter."""
    by_lower = {str(each).lower(): str(each) for each in known}
    return next((by_lower[found] for found in get_close_matches(word.lower(), by_lower, 1)), None)


class EpochHistory(_Fixed[str, Mapping[str, tuple[float, ...]]], Suggesting):
    """The exact value after each epoch, from epoch 1 on, by split and metric. A notebook shows it as charts."""

    def __init__(self, history: History, infos: Infos, name: str, measured: Mapping[Split, Sequence[str]]) -> None:
        values = history.from_first_epoch(measured)
        super().__init__({split: _Fixed(metrics) for split, metrics in values.items()})
        self._history, self._infos, self._name = history, infos, name

    def _remedy(self, key: str) -> str | None:
        if key in ("val", "validation"):
            return 'Write ["valid"].'
        # as in the history of Keras: "loss" and "val_loss"
        split = "valid" if key.startswith("val_") else "train"
        near = _nearest(key.removeprefix("val_"), self.get(split, ()))
        return f'Write ["{split}"]["{near}"].' if near else super()._remedy(key)

    def frame(self) -> Any:
        """The same as a `pandas.DataFrame`: a row for each epoch, columns by split and metric.

        Raises `ConfigurationError` if pandas is missing.
        """
        try:
            import pandas
        except ImportError as error:
            raise ConfigurationError(
                "frame() makes a DataFrame of pandas.",
                received="pandas is not installed",
                remedy="Run: pip install pandas, or read the history itself, a mapping of mappings of tuples.",
            ) from error
        columns = {
            (split, metric): pandas.Series(values, index=range(1, len(values) + 1), dtype="float64")
            for split, metrics in self.items()
            for metric, values in metrics.items()
        }
        frame = pandas.DataFrame(columns)
        if columns:
            frame.columns = pandas.MultiIndex.from_tuples(columns, names=["split", "metric"])
        return frame.rename_axis(index="epoch")

    def plot(self, *metrics: str) -> Figure:
        """Curves of these metrics, by default of those that are validated, as a figure: `.save("curves.pdf")`.

        Raises `ConfigurationError` for a metric that has no values.
        """
        from multilearn.plots.curves import RunCurve, chart_of
        from multilearn.plots.figure import Figure

        curves: dict[str, list[RunCurve]] = {}
        for split, of_split in self._history.table().items():
            for metric, values in of_split.items():
                if values:
                    curves.setdefault(metric, []).append(RunCurve(self._name, self._name, split, dict(values)))
        if not curves or (unknown := [metric for metric in metrics if metric not in curves]):
            raise ConfigurationError(
                "A metric is plotted by its name, once an epoch is done.",
                received=", ".join(unknown) if curves else "a history without an epoch",
                remedy=f"There are: {', '.join(curves)}." if curves else None,
            )
        validated = [metric for metric, found in curves.items() if any(each.split is Split.VALID for each in found)]
        units = {info.name: info.unit for infos in self._infos.values() for info in infos}
        chosen = list(dict.fromkeys(metrics)) or validated or list(curves)
        charts = (chart_of(metric, units.get(metric, ""), curves[metric], {self._name: 0}) for metric in chosen)
        return Figure(tuple(charts), (self._name,))

    def _repr_html_(self) -> str:
        return self.as_html(f"{self._name}, epoch {max(self._lengths(), default=0)}")

    def as_html(self, words: str) -> str:
        """Its last and best values and a chart of each plotted metric, below these words."""
        from multilearn.renderers.board import Board
        from multilearn.renderers.html import as_html

        infos = {split: tuple(of_split) for split, of_split in self._infos.items() if str(split) in self}
        epochs = max(self._lengths(), default=0)
        started = Started(Path(), epochs, START, dict.fromkeys(infos, 1), infos, self._history.table())
        board = Board(started, 0.0)
        board.state.finished = Finished(Position(epochs))
        return as_html(board, words)

    def _lengths(self) -> list[int]:
        return [len(values) for metrics in self.values() for values in metrics.values()]
