"""Where the directory of a run is, from the moment on at which it was written down."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from multilearn.errors import ConfigurationError
from multilearn.storage.throw_away import instead_of

__all__ = ["Location", "readable"]

_PLACEHOLDER = re.compile(r"\{\w*\}")
_KNOWN = ("{backend}", "{seed}", "{n}")


@dataclass(frozen=True)
class Location:
    """A directory as it was written, and the directory that it is relative to, which later changes do not move.

    `below` may hold `{backend}`, `{seed}` and `{n}`; they are replaced there only, and not in `base`.

    >>> Location.of("/runs/{backend}-{seed}").path("torch", 7).as_posix()
    '/runs/torch-7'
    """

    written: str = field(compare=False)
    base: Path
    below: str

    @classmethod
    def of(cls, directory: str | os.PathLike[str]) -> Location:
        """Relative to the current directory; `~` and `~user` are home directories.

        Raises `ConfigurationError` for what is no path, for a user who is not known, and for a relative path while
        the current directory does not exist.
        """
        if isinstance(directory, Location):
            return directory
        written = os.fspath(directory) if isinstance(directory, (str, os.PathLike)) else None
        if not isinstance(written, str) or not written:
            raise ConfigurationError(
                "A run needs the path of its directory.",
                received=repr(directory),
                remedy="Write for instance 'runs/a'.",
            )
        if written.startswith("~"):
            user, _, below = written.partition("/")
            return cls(written, _home(user, written), below)
        anchor = Path(written).anchor
        return cls(written, Path(anchor) if anchor else _current(written), written)

    def path(self, backend: str, seed: object, *, existing: bool = False) -> Path:
        """The directory of one run. `{n}` is the number after the highest that there is; `existing`: the highest.

        Raises `ConfigurationError` for other placeholders.
        """
        if unknown := [name for name in _PLACEHOLDER.findall(self.below) if name not in _KNOWN]:
            raise ConfigurationError(
                f"In the directory of a run {', '.join(_KNOWN)} are replaced.",
                received=f"{unknown[0]} in {self.written!r}",
                remedy=f"Did you mean {next(iter(get_close_matches(unknown[0], _KNOWN, 1, 0.5)), _KNOWN[0])}?",
            )
        named = self.below.replace("{backend}", backend).replace("{seed}", str(seed))
        if "{n}" in named:
            highest = max(_highest(base, named) for base in (self.base, instead_of(self.base)))
            named = named.replace("{n}", str(max(1, highest) if existing else highest + 1))
        return self.base / named

    def __fspath__(self) -> str:
        return str(self.literal)

    @property
    def literal(self) -> Path:
        """The directory if nothing in it is replaced."""
        return self.base / self.below


def _highest(base: Path, named: str) -> int:
    """The highest number in the place of the first `{n}`, 0 if there is none."""
    above, _, below = named.partition("{n}")
    folder, _, prefix = above.rpartition("/")
    suffix = below.partition("/")[0]
    of_number = re.compile(f"{re.escape(prefix)}([1-9][0-9]{{0,8}}){re.escape(suffix)}")
    try:
        names = os.listdir(base / folder)
    except OSError:
        return 0
    return max((int(match[1]) for match in map(of_number.fullmatch, names) if match), default=0)


def readable(path: str | os.PathLike[str]) -> str:
    """A path for people: relative to the current directory if it is below it.

    >>> readable(Path.cwd() / "runs" / "a")
    'runs/a'
    """
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except (OSError, ValueError):
        return os.fspath(path)


def _home(user: str, written: str) -> Path:
    home = os.path.expanduser(user)
    if home == user:
        raise ConfigurationError(
            "A path that begins with ~ is in a home directory.",
            received=f"{written!r}, and the home directory of {user[1:] or 'this user'} is not known",
            remedy=f"Write the full path, or './{written}' for a directory of that name.",
        )
    return Path(home).absolute()


def _current(written: str) -> Path:
    try:
        return Path.cwd()
    except OSError as error:
        raise ConfigurationError(
            "A relative path needs a current directory that exists.",
            received=f"{written!r}, and {error.strerror}",
            remedy="Write the full path, or change to a directory that exists.",
        ) from error
