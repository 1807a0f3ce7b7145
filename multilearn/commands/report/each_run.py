"""A run by itself: its sessions, its configuration, what it warned of, and what was attached to its epochs."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from multilearn.commands.compare import facts
from multilearn.commands.report.parts import dim, facts_table, state
from multilearn.commands.report.tables import ended
from multilearn.commands.text import size
from multilearn.loggers.attachments import IMAGE, TEXT
from multilearn.plots.markup import Markup, element, joined
from multilearn.plots.picture import picture
from multilearn.run.experiment import Session
from multilearn.run.on_disk import RunOnDisk
from multilearn.storage.layout import metric_name
from multilearn.storage.own_files import files_in
from multilearn.storage.reading import opened
from multilearn.storage.refusals import reading

__all__ = ["run_section"]

_WARNINGS = 20
_NOTABLE = re.compile(r"\S{1,40} (?:WARNING|ERROR|CRITICAL) ")
_LINE = 1000  # letters of a line of experiment.log
_LOG = 1 << 20  # bytes of it
_LARGEST = {IMAGE: 2 << 20, TEXT: 1 << 14}  # bytes
_EPOCHS = 8  # of which the attachments of one name are shown


def run_section(place: str, run: RunOnDisk, name: str) -> Markup:
    """Closed at first; `place` is what links to it name."""
    seed = f"{run.trained_on}, seed {run.seed} \N{MIDDLE DOT} "
    head = element("summary", element("b", name), " ", dim(seed), state(*ended(run)))
    sessions = element("ol", *(element("li", _session(session)) for session in run.sessions))
    own = facts.layers(run)
    configured = {
        key: value for key, value in facts.configuration(run).items() if key not in own and value != facts.NONE
    }
    parts = [element("p", str(run.path), class_="dim"), element("h3", "Sessions"), sessions]
    if configured:
        parts += [element("h3", "Configuration"), facts_table(configured)]
    with reading(run.path):
        parts += [*_warnings(run), *_attachments(run)]
    return element("details", head, *parts, class_="run", id=place)


def _session(session: Session) -> str:
    device = f" ({session.on})" if session.on else ""
    begun = f"{session.started or 'at an unknown time'} on {session.backend or 'an unknown backend'}{device}"
    came = session.resumed_from
    origin = "" if came is None else f", resumed from {came['position']} of {came['directory']}"
    if session.ended is None or session.outcome is None:
        return f"{begun}{origin}: did not end"
    detail = session.error or session.reason
    place = f" at {session.position}" if session.position else ""
    return f"{begun}{origin}: {session.outcome}{place}, {session.ended}" + (f": {detail}" if detail else "")


def _warnings(run: RunOnDisk) -> Iterator[Markup]:
    """The last lines of experiment.log that are worth a look; of a long one its end is looked at."""
    try:
        with opened(run.directory.log, run.path) as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _LOG))
            lines = file.read(_LOG).decode(errors="replace").split("\n")
    except FileNotFoundError:
        return
    found = [line[:_LINE] for line in lines if _NOTABLE.match(line)]
    if found:
        left = f", the last {_WARNINGS} of {len(found)}" if len(found) > _WARNINGS else ""
        yield element("h3", f"Warnings and errors{left}")
        yield element("pre", "\n".join(found[-_WARNINGS:]), tabindex=0)


def _attachments(run: RunOnDisk) -> Iterator[Markup]:
    found: dict[str, list[tuple[int, Path]]] = {}
    for epoch, folder in run.directory.epochs(run.directory.attachments.name).items():
        for name in files_in(folder, run.path, (IMAGE, TEXT)):
            found.setdefault(name, []).append((epoch, folder / name))
    if found:
        yield element("h3", "Attachments")
    for name, files in found.items():
        every = -(-len(files) // _EPOCHS)
        kept = [*files[:-1:every], files[-1]]
        left = f"{len(files) - len(kept)} more in its folder" if len(kept) < len(files) else ""
        shown = (_attached(run, epoch, path) for epoch, path in kept)
        title = element("h4", metric_name(name[:-4]), " ", dim(left))
        yield joined(title, element("div", *shown, class_="attached"))


def _attached(run: RunOnDisk, epoch: int, path: Path) -> Markup:
    most = _LARGEST[path.suffix]
    with opened(path, run.path) as file:
        content = file.read(most + 1)
    caption = element("figcaption", f"epoch {epoch}")
    if path.suffix == IMAGE:
        return element("figure", caption, picture(content, f"{metric_name(path.stem)}, epoch {epoch}", most))
    more = element("p", f"the first {size(most)}", class_="dim") if len(content) > most else ""
    return element("figure", caption, element("pre", content[:most].decode(errors="replace"), tabindex=0), more)
