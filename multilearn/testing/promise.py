"""One function that trains, in fresh processes on every framework, and what is expected of the runs it leaves."""

from __future__ import annotations

import inspect
import json
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

from multilearn import backend
from multilearn.builder.builder import LearnerBuilder
from multilearn.checkpoint.manifest import Manifest
from multilearn.errors import ConfigurationError
from multilearn.events import Split
from multilearn.launch.process import captured
from multilearn.run import trace as walking
from multilearn.storage.layout import RunDirectory

__all__ = ["Identical", "Request"]

Train = Callable[[LearnerBuilder], object]

_SHOWN_LINES = 25


@dataclass(frozen=True)
class Request:
    """What a process is asked to train: what the function at `file`, `module`, `name` says, in `directory`.

    `search`: where imports are looked for. `saves`: with checkpoints; `resumes`: from the latest of them.
    `stop_after`: how often the loop may ask whether to stop before the answer is yes; None for never.
    """

    file: str
    module: str
    name: str
    search: tuple[str, ...]
    directory: str
    seed: int
    saves: bool = False
    resumes: bool = False
    stop_after: int | None = None

    @classmethod
    def of(cls, train: Train, seed: int, directory: Path) -> Request:
        """Raises `ConfigurationError` for a function that no import leads to."""
        file = inspect.getsourcefile(train) if inspect.isfunction(train) else None
        if file is None or not train.__qualname__.isidentifier():
            raise ConfigurationError(
                "What is trained on every framework is a function of a module, for each has a process of its own.",
                received=repr(train),
                remedy="Define it with def at the top level of the test's file, or of a module it imports.",
            )
        place = str(Path(file).resolve()), train.__module__, train.__qualname__
        return cls(*place, tuple(sys.path), str(directory), seed)


def _refuse(reason: str) -> NoReturn:
    raise ConfigurationError("A comparison needs runs on two frameworks.", received=reason)


@dataclass
class Identical:
    """Holds a function that trains to the promise, on `backends`, in `folder`.

    Each expectation raises `AssertionError` where it is not met, with the report of what differs, and where the
    function fails on a framework, with what it said. `skip` is called with the reason if there is nothing to compare
    with, and does not return. `kept`: `folder` outlives this process, and has runs of others.
    """

    backends: Sequence[str]
    folder: Path
    kept: bool = False
    skip: Callable[[str], NoReturn] = field(default=_refuse, repr=False)

    def curves(self, train: Train, *, seed: int = 1, tolerance: float = 1e-4) -> None:
        """Expect the same curve everywhere: every value of every epoch, as `multilearn compare` judges it.

        `tolerance` is relative, for losses; a share may differ by one item.
        """
        from multilearn.commands.compare import comparison

        folder = self._of("curves", train, seed)
        for name in self.backends:
            self._trained(Request.of(train, seed, folder / name), name)
        # a matrix of environments with one framework each leaves its runs side by side
        found = sorted(path for path in folder.iterdir() if RunDirectory(path).experiment.exists())
        if len(found) < 2:
            self._alone("run", folder)
        result = comparison.compare_runs(comparison.opened(found, tolerance), tolerance)
        if not result.same:
            raise AssertionError(_as_text(result))

    def steps(self, train: Train, *, seed: int = 1, tolerance: float = 1e-4) -> None:
        """Expect the same first step everywhere, layer by layer, gradient by gradient: see `multilearn diff-step`."""
        from multilearn.commands.diff_step import report as steps_report
        from multilearn.commands.diff_step import steps

        folder = self._of("steps", train, seed)
        for name in self.backends:
            request = Request.of(train, seed, folder / f"{name}.run")
            self._process(request, name, {walking.VARIABLE: str(folder / name)})
            if not (folder / name).exists():
                raise AssertionError(
                    f"{train.__name__} fits nothing on {name}: it must train with the builder it is given"
                )
        found = sorted(path for path in folder.iterdir() if path.is_file() and path.suffix == "")
        if len(found) < 2:
            self._alone("step", folder)
        first, *others = ((path.name, walking.read(path)) for path in found)
        compared = [steps.compare((first[0], name), (first[1], traces), tolerance) for name, traces in others]
        if not all(each.same for each in compared):
            raise AssertionError(steps_report.as_text(compared))

    def resumes(self, train: Train, *, seed: int = 1) -> None:
        """Expect a run that is stopped in the middle and resumed to end as one that was not, bit for bit."""
        folder = self._of("resumes", train, seed)
        for name in self.backends:
            whole = replace(Request.of(train, seed, folder / name / "whole"), saves=True)
            halved = replace(whole, directory=str(folder / name / "halved"))
            self._halved(halved, self._trained(whole, name), name)
            self._trained(replace(halved, resumes=True), name)
            if differing := list(_differing(Path(whole.directory), Path(halved.directory))):
                raise AssertionError(
                    f"On {name} a run that was stopped and resumed differs from the one that was not, in "
                    f"{', '.join(differing)}"
                )

    def moves(self, train: Train, *, seed: int = 1, tolerance: float = 1e-4) -> None:
        """Expect a run begun on each framework, and resumed on the next, to have the curve of an uninterrupted one."""
        from multilearn.commands.compare import comparison

        if len(self.backends) < 2:
            self.skip(f"only {', '.join(self.backends)} to move between")
        folder = self._of("moves", train, seed)
        first, *_ = self.backends
        whole = replace(Request.of(train, seed, folder / "whole"), saves=True)
        asked = self._trained(whole, first)
        for name, following in zip(self.backends, [*self.backends[1:], first], strict=True):
            moved = replace(whole, directory=str(folder / f"from-{name}-to-{following}"))
            self._halved(moved, asked, name)
            self._trained(replace(moved, resumes=True), following)
            runs = comparison.opened([Path(whole.directory), Path(moved.directory)], tolerance)
            result = comparison.compare_runs(runs, tolerance)
            if not result.same:
                raise AssertionError(_as_text(result))

    def _of(self, check: str, train: Train, seed: int) -> Path:
        """The folder of one check, without what was left of this one's frameworks."""
        folder = self.folder / f"{check}-{getattr(train, '__name__', 'train')}-{seed}"
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.iterdir():
            if not self.kept or path.name.removesuffix(".run") in self.backends:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        return folder

    def _alone(self, what: str, folder: Path) -> NoReturn:
        kept = f"; its {what} is kept in {folder}" if self.kept else ""
        self.skip(f"only {', '.join(self.backends)} to compare with itself{kept}")

    def _halved(self, request: Request, asked: int, name: str) -> None:
        """`asked`: how often the loop of the whole run asked whether to stop."""
        if asked < 2:
            raise AssertionError(
                f"{request.name} cannot be stopped in the middle on {name}: it must keep the builder's interrupter "
                "(no .with_interrupter), and train more than one batch"
            )
        self._trained(replace(request, stop_after=asked // 2), name)

    def _trained(self, request: Request, name: str) -> int:
        """How often the loop asked whether to stop."""
        answer = self._process(request, name, {})
        if not answer.exists():
            raise AssertionError(f"{request.name} left its process on {name} before its end")
        return int(answer.read_text(encoding="ascii"))

    def _process(self, request: Request, name: str, variables: dict[str, str]) -> Path:
        files = self.folder / "request.json", self.folder / "answer.txt"
        files[1].unlink(missing_ok=True)
        files[0].write_text(json.dumps(asdict(request)), encoding="utf-8")
        command = [sys.executable, "-m", "multilearn.testing.child", *map(str, files)]
        code, said = captured(command, {**backend.environment(name), **variables})
        if code:
            raise AssertionError(
                "\n    ".join([f"{request.name} fails on {name} with exit code {code}", *said[-_SHOWN_LINES:]])
            )
        return files[1]


def _as_text(result: Any) -> str:
    from multilearn.commands import text as blocks
    from multilearn.commands.compare import report as comparison_report

    return blocks.as_text(comparison_report.blocks(result))


def _differing(whole: Path, halved: Path) -> Iterator[str]:
    """Metric files, and records by the hashes in their manifests, that are not equal."""
    found = [_metric_files(whole), _metric_files(halved)]
    found = [files | _records(path) for files, path in zip(found, (whole, halved), strict=True)]
    yield from sorted(name for name in found[0].keys() | found[1].keys() if found[0].get(name) != found[1].get(name))


def _metric_files(directory: Path) -> dict[str, bytes | str]:
    folders = [directory / split for split in (Split.TRAIN, Split.VALID)]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in files}


def _records(directory: Path) -> dict[str, bytes | str]:
    checkpoints = Manifest.load(RunDirectory(directory).checkpoints).checkpoints
    return {
        f"checkpoint/{name}": facts.sha256 for checkpoint in checkpoints for name, facts in checkpoint.files.items()
    }
