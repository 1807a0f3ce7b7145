"""multilearn on Ray Train: its workers are the processes that train one model together.

from multilearn_ray import trainer

trainer("train.py", workers=4, backend="torch").fit()
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from multilearn.errors import BackendError, pip_install

if TYPE_CHECKING:
    from multilearn_ray.job import trainer

__all__ = ["trainer"]

if not TYPE_CHECKING:  # a type checker would take any name for one that is there

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        try:
            from multilearn_ray.job import trainer
        except BackendError:
            raise
        except ImportError as error:
            raise BackendError(
                "multilearn_ray needs Ray Train, 2.60 or newer.",
                received=f"{type(error).__name__}: {error}",
                remedy=f"Install it with: {pip_install('ray')}",
            ) from None
        globals()[name] = trainer
        return trainer


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
