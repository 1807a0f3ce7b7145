"""Renderers: one protocol, one file per implementation."""

from multilearn.renderers.cli import CliRenderer
from multilearn.renderers.renderer import Renderer, SilentRenderer
from multilearn.renderers.sparkline import sparkline

__all__ = ["CliRenderer", "Renderer", "SilentRenderer", "sparkline"]
