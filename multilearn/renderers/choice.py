"""Which renderer shows a run: what the environment says, what the script says, or the default one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from multilearn.environment_variables import RENDERER, read
from multilearn.errors import ConfigurationError, pip_install
from multilearn.renderers.notebook import NotebookRenderer, default
from multilearn.renderers.renderer import CliRenderer, Renderer, SilentRenderer
from multilearn.renderers.screen.renderer import ScreenRenderer, missing

__all__ = ["chosen", "require_screen"]

_NAMED: Final[Mapping[str, Callable[[], Renderer]]] = {
    "screen": ScreenRenderer,
    "live": CliRenderer,
    "lines": partial(CliRenderer, live=False),
    "notebook": NotebookRenderer,
    "silent": SilentRenderer,
}
"""The renderers that `MULTILEARN_RENDERER` knows."""


def chosen(declared: Renderer | None) -> Renderer:
    """`MULTILEARN_RENDERER` says how this start of a script is looked at, and so it wins over what was `declared`, as
    the other variables do.

    Raises `ConfigurationError` for a name that is not known, and for a screen without what the extra `screen` installs.
    """
    name = read(RENDERER)
    if name is not None and name not in _NAMED:
        raise ConfigurationError(
            f"{RENDERER} names a renderer.", received=repr(name), remedy=f"Known are: {', '.join(_NAMED)}."
        )
    renderer = _NAMED[name]() if name is not None else default() if declared is None else declared
    if isinstance(renderer, ScreenRenderer):
        require_screen()
    return renderer


def require_screen() -> None:
    """Raise `ConfigurationError` if the extra `screen` is not installed."""
    if (found := missing()) is not None:
        raise ConfigurationError(
            "The screen needs the extra `screen`.", received=found, remedy=f"Run: {pip_install('screen')}"
        )
