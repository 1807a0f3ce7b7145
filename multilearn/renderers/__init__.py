"""Renderers: one protocol, one file per implementation."""

from typing import TYPE_CHECKING

from multilearn.foreign_words import suggesting
from multilearn.renderers.notation import sparkline
from multilearn.renderers.notebook import NotebookRenderer
from multilearn.renderers.renderer import CliRenderer, Renderer, SilentRenderer
from multilearn.renderers.screen.renderer import ScreenRenderer

__all__ = ["CliRenderer", "NotebookRenderer", "Renderer", "ScreenRenderer", "SilentRenderer", "sparkline"]

if not TYPE_CHECKING:  # a type checker would take any name for one that is there
    __getattr__ = suggesting(globals())
