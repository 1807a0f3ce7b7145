"""Renderers: one protocol, one file per implementation."""

from multilearn.renderers.notation import sparkline
from multilearn.renderers.renderer import CliRenderer, Renderer, SilentRenderer

__all__ = ["CliRenderer", "Renderer", "SilentRenderer", "sparkline"]
