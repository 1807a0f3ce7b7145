"""What a script does as one cell of a grid, `multilearn run --seeds`: its runs resume by themselves, and are reported.

The grid says so in an environment variable. Each run adds a JSON line to the report: its directory, and its full path.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from multilearn.environment_variables import GRID as VARIABLE
from multilearn.environment_variables import read
from multilearn.errors import DirectoryError
from multilearn.run.directory import holds_run
from multilearn.run.experiment import read_document
from multilearn.run.resume import Resume
from multilearn.storage.layout import RunDirectory
from multilearn.storage.location import readable

__all__ = ["VARIABLE", "GridCell", "began", "current", "resumed"]

_begun: set[Path] = set()


@dataclass(frozen=True)
class GridCell:
    """`report`: where runs are reported; `command`: what tells the grid's script and arguments from any other;
    `placeholders`: what must be in the directory of a run, for there are several of them."""

    report: str
    command: str
    placeholders: tuple[str, ...] = ()

    def environment(self) -> dict[str, str]:
        """The variable that makes a process work on this cell."""
        return {VARIABLE: json.dumps([self.report, self.command, *self.placeholders])}


def current() -> GridCell | None:
    """The cell that this process works on; None if it is not started by a grid."""
    text = read(VARIABLE)
    if text is None:
        return None
    report, command, *placeholders = json.loads(text)
    return GridCell(report, command, tuple(placeholders))


def resumed(resume: Resume | None, declared: str, path: Path, backend: str, seed: int) -> Resume | None:
    """What a run resumes: in a grid the latest checkpoint, where its directory holds a run already.

    `declared`: the directory as the script has it.

    What the script says of a checkpoint of this very directory stands, and so does all that it says of one in which
    this process itself has begun a run. Raises `DirectoryError` for a directory that cells share, or that holds the
    run of another cell.
    """
    cell = current()
    if cell is None or path.resolve() in _begun:
        return resume
    if lacking := [name for name in cell.placeholders if name not in declared]:
        raise DirectoryError(
            "Each cell of a grid needs its own directory.",
            received=f"{declared!r}, without {' and '.join(lacking)}",
            remedy=f'Write LearnerBuilder("{"-".join([declared, *lacking])}").',
        )
    if not holds_run(path):
        return resume
    _refuse_another_cell(path, backend, seed)
    return resume if resume is not None and resume.is_of(path) else Resume("latest")


def began(path: Path) -> None:
    """Report that the run in `path` begins, or is resumed."""
    cell = current()
    if cell is None:
        return
    _begun.add(path.resolve())
    # what is not reported is run again: no reason to make a run fail
    with suppress(OSError), open(cell.report, "a", encoding="ascii") as report:
        report.write(json.dumps([readable(path), str(path.resolve())]) + "\n")


def _refuse_another_cell(path: Path, backend: str, seed: int) -> None:
    owner: tuple[set[str], object] = set(), "unknown"
    with suppress(DirectoryError, KeyError, TypeError):  # what cannot be read is of another cell
        document = read_document(RunDirectory(path).experiment)
        owner = {str(session["backend"]) for session in document["sessions"]}, document["seed"]
    if owner != ({backend}, seed):
        found = f"{'+'.join(sorted(owner[0])) or 'an unknown backend'} with seed {owner[1]}"
        raise DirectoryError(
            "Each cell of a grid needs its own directory.",
            received=f"{path} for {backend} with seed {seed}, which holds the run of {found}",
            remedy="Have {backend} and {seed} in its name, remove it, or use another.",
        )
