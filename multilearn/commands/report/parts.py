"""What the sections of a report are made of: numbers, tables, cards."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from multilearn.commands.text import TextTable
from multilearn.plots.markup import Markup, element, joined
from multilearn.renderers.notation import shown

__all__ = ["ROWS", "card", "dim", "facts_table", "key", "number", "section", "state", "table", "text_table", "thinned"]

ROWS = 60
"""Of a table of values: of more epochs some are left out."""


def number(value: float | str, unit: str = "") -> Markup:
    """As it is read, with all digits in the attribute; a text as it is."""
    if isinstance(value, str) or not math.isfinite(value):
        return joined(shown(value, unit))
    return element("data", shown(value, unit), value=repr(float(value)))


def dim(content: str) -> Markup:
    """What is to be seen second."""
    return element("span", content, class_="dim")


def state(standing: str, content: str) -> Markup:
    """A word on a colour that says whether it is good, bad, or so."""
    return element("span", content, class_=f"state {standing}")


def key(name: str, colour: int) -> Markup:
    """A name, and the colour of its lines."""
    return element("span", element("i"), name, class_=f"key c{colour}")


def section(title: str, place: str, *content: str) -> Markup:
    """A part of the page; `place` is what links to it name."""
    return element("section", element("h2", title), *content, id=place, aria_label=title)


def card(title: str, *content: str, beside: str = "", kind: str = "card") -> Markup:
    """A figure with its title, and what is beside that."""
    return element("figure", element("figcaption", element("b", title), beside), *content, class_=kind)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "", *, named: bool = False) -> Markup:
    """`named`: the first cell of each row names it. Wider than the page, it scrolls by itself, by the keyboard too."""
    head = element("thead", element("tr", *(element("th", each, scope="col") for each in heads)))
    body = element("tbody", *(_row(row, named) for row in rows))
    return element(
        "div",
        element("table", head, body, class_=kind or None),
        class_="scroll",
        tabindex=0,
        role="region",
        aria_label="table",
    )


def text_table(of: TextTable, is_open: bool) -> Markup:
    """The same of a table for a terminal, with its title; shut, unless it `is_open`."""
    heads, *rows = of.rows
    title = of.title[:1].upper() + of.title[1:]
    if is_open:
        return joined(element("h3", title), table(heads, rows))
    return element("details", element("summary", title), table(heads, rows))


def facts_table(facts: Mapping[str, str]) -> Markup:
    """Names and what they are."""
    rows = (element("tr", element("th", name, scope="row"), element("td", value)) for name, value in facts.items())
    return element("table", element("tbody", *rows), class_="plain")


def thinned(epochs: Iterable[int]) -> tuple[list[int], str]:
    """Those that a table has rows for, the first and the last among them, and what is to be said of the others."""
    ordered = sorted(epochs)
    every = -(-len(ordered) // ROWS)
    if every <= 1:
        return ordered, ""
    kept = [*ordered[:-1:every], ordered[-1]]
    return kept, f"every {every}. of {len(ordered)} epochs; all values are in the metric files"


def _row(cells: Sequence[str], named: bool) -> Markup:
    first = element("th", cells[0], scope="row") if named else element("td", cells[0])
    return element("tr", first, *(element("td", cell) for cell in cells[1:]))
