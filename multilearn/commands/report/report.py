"""`multilearn report`: all of it, in the order in which it is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from multilearn.commands.compare.comparison import require_tolerance
from multilearn.commands.report.apart import gate_cards, gate_words
from multilearn.commands.report.comparing import SideBySide, side_by_side
from multilearn.commands.report.curves import machine_cards, metric_cards
from multilearn.commands.report.each_run import run_section
from multilearn.commands.report.matrices import matrix_cards
from multilearn.commands.report.page import page
from multilearn.commands.report.parts import key, section, text_table
from multilearn.commands.report.tables import environment, layers, preconditions_table, runs_table
from multilearn.commands.report.times import RunTimes, last_moment, times_of
from multilearn.commands.shown_runs import ShownRuns
from multilearn.plots.curves import colours_of
from multilearn.plots.markup import Markup, element, joined
from multilearn.printable import plural
from multilearn.storage.output import checked_output, write_output
from multilearn.storage.refusals import reading

__all__ = ["report"]

_OBSTACLES = 6  # of the comparison that are seen at once
_SUFFIXES = (".html", ".htm")
_MARKS = {"good": "\N{CHECK MARK}", "bad": "\N{NOT EQUAL TO}", "so": "?"}


def report(directories: Sequence[Path], output: Path, tolerance: float, title: str) -> Path:
    """Write the report of these runs, and return its path.

    Raises `ConfigurationError` (`DirectoryError`, `RecordError`) before it writes, for what cannot be read.
    """
    checked_output(output, _SUFFIXES, "A report")
    require_tolerance(tolerance)
    shown = ShownRuns.of(directories)
    content = list(_content(shown, tolerance, title))
    target = checked_output(output, _SUFFIXES, "A report")
    write_output(target, page(title, content).encode())
    return target


def _content(shown: ShownRuns, tolerance: float, title: str) -> Iterator[Markup]:
    colours = colours_of(shown.groups)
    times = []
    for run in shown.runs:
        with reading(run.path):
            times.append(times_of(run))
    compared = side_by_side(shown.runs, shown.names, tolerance)
    sections = list(_sections(shown, colours, times, compared, tolerance))
    links = (element("a", name, href=f"#{place}") for name, place, _ in sections)
    yield element("header", element("h1", title), element("p", _about(shown), class_="dim"), element("nav", *links))
    if compared is not None:
        yield _banner(compared)
    for name, place, content in sections:
        yield section(name, place, *content)


def _sections(
    shown: ShownRuns,
    colours: Mapping[str, int],
    times: Sequence[RunTimes],
    compared: SideBySide | None,
    tolerance: float,
) -> Iterator[tuple[str, str, Sequence[str]]]:
    yield "Runs", "runs", [runs_table(shown, colours, times)]
    if curves := list(metric_cards(shown, colours)):
        yield "Curves", "curves", [_legend(shown, colours), element("div", *curves, class_="grid2")]
    if compared is not None and compared.compared:
        words = element("p", gate_words(tolerance), class_="dim")
        gates = element("div", *gate_cards(compared.compared, tolerance), class_="grid3")
        yield (
            "How far apart",
            "apart",
            [words, gates, *(text_table(each, at == 0) for at, each in enumerate(compared.tables))],
        )
        yield "Preconditions of equal runs", "preconditions", [preconditions_table(compared.compared)]
    if matrices := list(matrix_cards(shown)):
        yield "Confusion", "confusion", [element("div", *matrices, class_="grid3")]
    if machine := list(machine_cards(shown, colours, times)):
        yield "Schedule and machine", "machine", [element("div", *machine, class_="grid2")]
    yield "Environment", "environment", [environment(shown), layers(shown)]
    each = [
        run_section(f"run-{at}", run, name) for at, (run, name) in enumerate(zip(shown.runs, shown.names, strict=True))
    ]
    yield "Each run", "each", each


def _about(shown: ShownRuns) -> str:
    seeds = len({run.seed for run in shown.runs})
    noun = "backend" if set(shown.colours) <= {run.trained_on for run in shown.runs} else "group"
    over = f", {plural(len(shown.colours), noun)} \N{MULTIPLICATION SIGN} {plural(seeds, 'seed')}"
    moments = [moment for run in shown.runs if (moment := last_moment(run))]
    when = f" \N{MIDDLE DOT} {max(moments):%Y-%m-%d %H:%M} UTC" if moments else ""
    return f"{plural(len(shown.runs), 'run')}{over if shown.over_seeds else ''}{when} \N{MIDDLE DOT} multilearn"


def _banner(compared: SideBySide) -> Markup:
    parts = [element("p", compared.verdict)]
    if compared.first_difference is not None:
        parts.append(element("p", f"First difference: {compared.first_difference}", class_="dim"))
    shown, rest = compared.obstacles[:_OBSTACLES], compared.obstacles[_OBSTACLES:]
    if shown:
        parts.append(element("ul", *(element("li", each) for each in shown)))
    if rest:
        more = element("ul", *(element("li", each) for each in rest))
        parts.append(element("details", element("summary", f"{len(rest):,} more"), more))
    if compared.notes:
        notes = element("ul", *(element("li", each) for each in compared.notes))
        parts.append(element("details", element("summary", plural(len(compared.notes), "note")), notes))
    mark = element("div", _MARKS[compared.standing], class_="mark", aria_hidden="true")
    body = element("div", element("strong", compared.head), *parts)
    return element("div", mark, body, class_=f"verdict {compared.standing}", role="note")


def _legend(shown: ShownRuns, colours: Mapping[str, int]) -> Markup:
    """With a script its keys are buttons that hide lines."""
    keys = (key(name, colour) for name, colour in colours.items())
    area = " \N{MIDDLE DOT} thin: each seed, area: from the least to the greatest" if shown.over_seeds else ""
    dashes = joined(element("span", class_="dashed"), " train ", element("span", class_="solid"), f" valid{area}")
    return element("div", *keys, element("span", dashes, class_="dashes dim"), class_="bar", id="legend")
