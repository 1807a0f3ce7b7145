"""Renderers: one protocol, one file per implementation."""

from multilearn.renderers.notation import sparkline
from multilearn.renderers.notebook import NotebookRenderer
from multilearn.renderers.renderer import CliRenderer, Renderer, SilentRenderer
from multilearn.renderers.screen.renderer import ScreenRenderer

__all__ = ["CliRenderer", "NotebookRenderer", "Renderer", "ScreenRenderer", "SilentRenderer", "sparkline"]
