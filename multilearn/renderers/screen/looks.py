"""Colours on a dark background, and on a light one."""

from __future__ import annotations

from dataclasses import dataclass

from rich.style import Style

from multilearn.renderers.charts import Palette

__all__ = ["DARK", "LIGHT", "Looks"]


@dataclass(frozen=True)
class Looks:
    """`background` and `raised` are of the screen and of its bars; the rest is what is drawn on them."""

    name: str
    dark: bool
    background: str
    raised: str
    edge: str
    text: str
    faint: Style
    bold: Style
    accent: Style
    rest: Style
    good: Style
    bad: Style
    chosen: Style
    palette: Palette


def _looks(
    name: str,
    dark: bool,
    grounds: tuple[str, str, str],
    texts: tuple[str, str, str],
    signals: tuple[str, str],
    **of: str,
) -> Looks:
    background, raised, edge = grounds
    text, faint, grid = texts
    runs = [
        (of["valid"], of["valid_faint"]),
        (of["train"], of["train_faint"]),
        *zip(_RUNS[dark], _FAINT[dark], strict=True),
    ]
    return Looks(
        *(name, dark, background, raised, edge, text),
        faint=Style(color=faint),
        bold=Style(color=text, bold=True),
        accent=Style(color=of["valid"], bold=True),
        rest=Style(color=edge),
        good=Style(color=signals[0], bold=True),
        bad=Style(color=signals[1], bold=True),
        chosen=Style(color=background, bgcolor=text, bold=True),
        palette=Palette(
            train=Style(color=of["train"]),
            train_batches=Style(color=of["train_faint"]),
            valid=Style(color=of["valid"], bold=True),
            axis=Style(color=faint),
            grid=Style(color=grid),
            runs=tuple((Style(color=valid, bold=True), Style(color=train)) for valid, train in runs),
        ),
    )


_RUNS = {
    True: ("#98d982", "#e58fd0", "#ffd866", "#b39df3", "#6fe0cc", "#ff8080"),
    False: ("#2f7d32", "#a21caf", "#8a6100", "#5b3fc4", "#00766c", "#c62828"),
}
_FAINT = {
    True: ("#3f5a38", "#5e3f57", "#6b5c30", "#4b4464", "#335b54", "#6b3b3b"),
    False: ("#b5d6b3", "#e3bfe8", "#e2d3a8", "#cbc2ee", "#aedbd6", "#efbcbc"),
}
DARK = _looks(
    "multilearn-dark",
    True,
    ("#14161b", "#1d2129", "#333946"),
    ("#d7dae0", "#8b919d", "#2a2f3a"),
    ("#98d982", "#ff8080"),
    train="#ffa066",
    train_faint="#6b4a36",
    valid="#5cc8ff",
    valid_faint="#2f566b",
)
LIGHT = _looks(
    "multilearn-light",
    False,
    ("#fbfbfa", "#eceef1", "#c3c8d1"),
    ("#1f2430", "#646b78", "#dcdfe5"),
    ("#2f7d32", "#c62828"),
    train="#c2570c",
    train_faint="#edc3a6",
    valid="#0b6bb0",
    valid_faint="#a9cde6",
)
