"""multilearn on Ray Train: its workers are the processes that train one model together.

>>> from multilearn_ray import trainer  # doctest: +SKIP
>>> trainer("train.py", workers=4, backend="torch").fit()  # doctest: +SKIP
"""

from __future__ import annotations

from multilearn.errors import BackendError

try:
    from multilearn_ray.trainer import trainer
except ImportError as error:
    raise BackendError(
        "multilearn_ray needs Ray Train, 2.60 or newer.",
        received=f"{type(error).__name__}: {error}",
        remedy="Install it with: pip install 'multilearn[ray]'",
    ) from error

__all__ = ["trainer"]
