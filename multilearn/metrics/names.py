"""Names of metrics: the kind, and in parentheses whatever is not as it is by default."""

from __future__ import annotations

__all__ = ["named", "setting"]


def named(kind: str, *words: str, **settings: float | str | None) -> str:
    """The name of a metric that carries its parameters; settings that are None are left out.

    >>> named("Precision", "multiclass", "macro", top_k=3, ignore_index=None), named("Accuracy")
    ('Precision(multiclass, macro, top_k=3)', 'Accuracy')
    """
    given = [setting(key, value) for key, value in settings.items() if value is not None]
    inside = ", ".join([*words, *given])
    return f"{kind}({inside})" if inside else kind


def setting(key: str, value: float | str) -> str:
    """One parameter in a name; whole floats without a point.

    >>> setting("beta", 2.0)
    'beta=2'
    """
    return f"{key}={str(value).removesuffix('.0') if isinstance(value, float) else value}"
