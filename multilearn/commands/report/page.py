"""The page: one file that needs nothing else, and lets nothing in."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files

from multilearn.plots.markup import Markup, element, joined

__all__ = ["page"]


def page(title: str, content: Sequence[str]) -> str:
    """The document. No style, script, picture or address is allowed in it but those that it has itself."""
    style, script = (_own(name) for name in ("report.css", "report.js"))
    policy = "; ".join(
        [
            "default-src 'none'",
            f"style-src '{_hash(style)}'",
            f"script-src '{_hash(script)}'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    head = element(
        "head",
        element("meta", charset="utf-8"),
        # before what it is to hold for
        element("meta", http_equiv="Content-Security-Policy", content=Markup(policy)),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("style", style),
    )
    tip = element("div", id="tip", role="status", hidden=True)
    body = element("body", element("main", *content), tip, element("script", script))
    return joined(Markup("<!doctype html>\n"), element("html", head, body, lang="en"), "\n")


def _own(name: str) -> Markup:
    return Markup(files("multilearn.commands.report").joinpath(name).read_text(encoding="utf-8"))


def _hash(content: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"
