"""A run as HTML for notebooks: where it is, its values, a chart of each plotted metric. No script."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

from multilearn.errors import ConfigurationError
from multilearn.events import Attached, MetricInfo, Split
from multilearn.metrics.confusion_matrix import parsed
from multilearn.plots.curves import RunCurve, chart_of
from multilearn.plots.heat_map import heat_map
from multilearn.plots.markup import Markup, element, joined
from multilearn.plots.picture import picture
from multilearn.plots.svg import draw
from multilearn.renderers.board import Board
from multilearn.renderers.notation import duration, ending, rate, shown

__all__ = ["as_html", "headline"]

_SPLITS = (Split.TRAIN, Split.VALID)
_COLOURS = {str(split): at for at, split in enumerate(_SPLITS)}

_STYLE = Markup(
    ".ml{font:13px/1.45 system-ui,sans-serif;max-width:980px;--c0:#c9632a;--c1:#2478c8;--rule:#8888;--grid:#8883}"
    ".ml svg{width:100%;height:auto;display:block}.ml .dim{opacity:.65}"
    ".ml .charts{display:grid;gap:14px;grid-template-columns:repeat(auto-fill,minmax(min(100%,300px),1fr))}"
    ".ml progress{display:block;width:100%;height:6px;margin:4px 0 8px;accent-color:var(--c1)}"
    ".ml .tick{font-size:11px;fill:currentColor;opacity:.65}.ml .grid{stroke:var(--grid);fill:none}"
    ".ml .axis{stroke:var(--rule);fill:none}.ml .line,.ml .dots{fill:none;stroke:var(--c);stroke-linejoin:round}"
    ".ml .line{stroke-width:1.8}.ml .thin{stroke-width:1;opacity:.5}.ml .dots{stroke-width:5;stroke-linecap:round}"
    ".ml .band{fill:var(--c);opacity:.16}.ml .c0{--c:var(--c0)}.ml .c1{--c:var(--c1)}"
    ".ml table{border-collapse:collapse;margin:0 0 8px}.ml td,.ml th{padding:1px 14px 1px 0;text-align:right;border:0}"
    ".ml th{font-weight:600}.ml td:first-child,.ml th:first-child{text-align:left}.ml th.c0,.ml th.c1{color:var(--c)}"
    ".ml pre{max-height:200px;overflow:auto}.ml img{max-width:100%}.ml .pixels{image-rendering:pixelated}"
    ".ml svg.matrix{width:auto;max-width:100%}.ml .hit{fill:var(--c1)}.ml .miss{fill:var(--c0)}"
    ".ml .zero{fill:var(--grid)}.ml .count{font-size:11px;fill:currentColor}.ml .count.on{fill:#fff}"
)


def headline(board: Board, now: float) -> str:
    """Where the run is, in one line; how it ended once it has."""
    state = board.state
    if state.finished is not None:
        return ending(state.started, state.finished, now - state.begun, state.saved)
    count = f"{state.batch}/{state.total}" if state.total else f"{state.batch} batches"
    parts = [f"epoch {state.epoch}/{state.started.epochs}", f"{state.split} {count}"]
    parts += [] if state.rate is None else [rate(state.rate)]
    parts += [] if state.remaining is None else [f"{duration(state.remaining)} left"]
    return "  ".join(parts)


def as_html(board: Board, words: str) -> str:
    """All of it under these `words`; what is shown is text, whatever it is called."""
    finished = board.state.finished is not None
    progress = [] if finished else [element("progress", value=f"{board.share:.4f}", max="1")]
    charts = (element("div", element("b", name), _chart(board, name)) for name in board.names if _any(board, name))
    attached = {each.name: each for each in board.attached}.values()
    return element(
        "div",
        element("style", _STYLE),
        element("div", element("b", words)),
        *progress,
        _table(board),
        element("div", *charts, *_matrices(board), *map(_attached, attached), class_="charts"),
        class_="ml",
    )


def _any(board: Board, name: str) -> bool:
    return bool(name in board.batches and len(board.batches[name])) or any(board.epochs(s, name) for s in _SPLITS)


def _chart(board: Board, name: str) -> Markup:
    curves = list(_curves(board, name))
    chart = chart_of(name, board.infos[name].unit, curves, _COLOURS, span=(0.0, max(1.0, board.x)))
    return draw(chart if board.in_epochs else replace(chart, x_name="batch"), 420, 215)


def _curves(board: Board, name: str) -> Iterator[RunCurve]:
    for split in _SPLITS:
        batches = board.batches.get(name) if split is Split.TRAIN else None
        # until it is known how long an epoch is, x counts batches
        epochs = board.epochs(split, name) if board.in_epochs else {}
        if epochs or batches is not None:
            yield RunCurve(str(split), str(split), split, epochs, batches)


def _table(board: Board) -> Markup:
    state = board.state
    splits = [split for split in _SPLITS if state.started.metrics.get(split)]
    heads = (element("th", split, class_=f"c{_COLOURS[split]}") for split in map(str, splits))
    rows = (
        element("tr", element("td", name), *(element("td", _value(board, split, info)) for split in splits))
        for name, info in board.infos.items()
        if info.unit != "matrix" and any(name in of_split for of_split in state.values.values())
    )
    return element("table", element("tr", element("th"), *heads), *rows)


def _value(board: Board, split: Split, info: MetricInfo) -> Markup:
    value = board.state.values.get(split, {}).get(info.name)
    if value is None:
        return joined("")
    best = board.best(split, info.name) if info.numeric else None
    beside = "" if best is None else element("span", f" best {shown(best[0], info.unit)} @ {best[1]}", class_="dim")
    return joined(shown(value, info.unit), beside)


def _attached(attached: Attached) -> Markup:
    title = element("b", attached.name, " ", element("span", f"epoch {attached.epoch}", class_="dim"))
    shown = picture(attached.image or b"", attached.name) if attached.text is None else element("pre", attached.text)
    return element("div", title, element("div", shown))


def _matrices(board: Board) -> Iterator[Markup]:
    """The newest counts of each matrix, of validation if there is one."""
    for name, info in board.infos.items():
        values = (board.state.values.get(split, {}).get(name) for split in reversed(_SPLITS))
        text = next((value for value in values if isinstance(value, str)), None)
        if info.unit == "matrix" and text is not None:
            with suppress(ConfigurationError):  # of an earlier version
                counts, named = parsed(text)
                drawn = heat_map(counts, named or tuple(map(str, range(len(counts)))), name)
                yield element("div", element("b", name), drawn)
