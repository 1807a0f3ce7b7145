"""What a script does as one cell of a grid, `multilearn run --seeds`: it goes on by itself, and reports its runs.

The grid names a file in an environment variable. To it this process appends a JSON line for each run that begins and
that ends; what else is in it is the business of `multilearn.commands.grid.cells`.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multilearn.errors import DirectoryError
from multilearn.run.experiment import read_document
from multilearn.run.resume import Resume
from multilearn.storage.layout import RunDirectory
from multilearn.storage.location import readable
from multilearn.storage.own_files import own_folder

if TYPE_CHECKING:
    from multilearn.events import Position

__all__ = ["VARIABLE", "append", "began", "ended", "resumed"]

VARIABLE = "MULTILEARN_CELL"

_begun: set[Path] = set()


def resumed(resume: Resume | None, declared: str, path: Path, backend: str, seed: int) -> Resume | None:
    """What a run whose directory holds one already resumes: in a grid its latest checkpoint.

    `declared`: the directory as the script has it.

    What the script says of a checkpoint of this very directory stands, and so does all that it says of one in which
    this process itself has begun a run. Raises `DirectoryError` where it is the run of another cell.
    """
    if not _of_grid() or path.resolve() in _begun:
        return resume
    _refuse_another_cell(declared, path, backend, seed)
    return resume if resume is not None and resume.is_of(path) else Resume("latest")


def began(path: Path, position: Position | None) -> None:
    """Report that the run in `path` begins, or goes on from `position`."""
    if _of_grid():
        _begun.add(path.resolve())
        _report(run={"directory": readable(path), "path": str(path.resolve()), "from": position and str(position)})


def ended(path: Path, position: Position, finished: bool) -> None:
    """Report that it came to its end at `position`; `finished`: there is nothing to go on with."""
    if _of_grid():
        _report(end={"path": str(path.resolve()), "position": str(position), "finished": finished})


def append(file: Path, line: dict[str, Any]) -> None:
    """One line at the end of a cell's file; it begins a new one also after a line that was cut off."""
    with own_folder(file.parent, file.parent) as folder:
        descriptor = folder.open(file.name, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    with open(descriptor, "ab") as opened:
        opened.write(f"\n{json.dumps(line)}\n".encode())


def _of_grid() -> bool:
    return bool(os.environ.get(VARIABLE))


def _report(**line: Any) -> None:
    # what is not reported is run again: no reason to make a run fail
    with suppress(OSError):
        append(Path(os.environ[VARIABLE]), line)


def _refuse_another_cell(declared: str, path: Path, backend: str, seed: int) -> None:
    found = _owner(RunDirectory(path).experiment)
    if found == ({backend}, seed):
        return
    trained_on, of_seed = found
    whose = f"the run of {'+'.join(sorted(trained_on)) or 'an unknown backend'} with seed {of_seed}"
    lacking = [name for name, same in (("{backend}", trained_on == {backend}), ("{seed}", of_seed == seed)) if not same]
    lacking = [name for name in lacking if name not in declared]
    better = "-".join([declared, *lacking])
    raise DirectoryError(
        "Each cell of a grid needs a directory of its own.",
        received=f"{path} for {backend} with seed {seed}, which holds {whose}",
        remedy=f'Write LearnerBuilder("{better}").' if lacking else "Remove it, or use another.",
    )


def _owner(file: Path) -> tuple[set[str], object]:
    """The backends and the seed of the run that experiment.json tells of; none where it cannot be read."""
    try:
        document = read_document(file)
        return {str(session["backend"]) for session in document["sessions"]}, document["seed"]
    except (DirectoryError, KeyError, TypeError):
        return set(), "unknown"
