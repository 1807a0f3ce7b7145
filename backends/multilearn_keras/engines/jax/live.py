"""Variables that show what an engine has trained so far, and hand it what is assigned to them.

A step takes over the memory of its arguments, so that what is trained is in no variable meanwhile. Reading one of these
gives a copy of the value so far, and a value that is assigned is what the next step begins with. A variable that is not
looked at costs nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import cache
from itertools import count
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np

from multilearn.errors import BackendError

__all__ = ["Link", "is_linked", "laid_out", "linked", "on_one_device", "unlinked"]

_LINK = "_multilearn_link"
_PAUSE, _ATTEMPTS = 1e-3, 60_000
"""Seconds, and how many of them a step may take while another thread waits for it."""


class Link:
    """Where the value of a variable is: number `at` of the list that `values` says."""

    def __init__(self, values: Callable[[], list[jax.Array]], at: int) -> None:
        self._values = values
        self._at = at

    @property
    def value(self) -> jax.Array:
        """The array itself, which the next step deletes."""
        return self._values()[self._at]

    def read(self) -> jax.Array:
        """A copy. Raises `BackendError` after a step that failed when it had taken over the memory."""
        for attempt in count():
            value = self.value
            try:
                return jnp.array(on_one_device(value), copy=True)
            except (RuntimeError, ValueError) as error:
                if not (value.is_deleted() or "donated" in str(error)):
                    raise
                # in another thread, such as one that loads batches: the step under way will leave another value
                if threading.current_thread() is threading.main_thread() or attempt == _ATTEMPTS:
                    raise _lost() from error
                time.sleep(_PAUSE)
        raise AssertionError("unreachable")

    def write(self, value: Any) -> None:
        """Begin the next step with a copy of `value`."""
        # Keras' own predict and evaluate put None into a variable for as long as they have its value elsewhere
        if value is not None:
            copied, kept = jnp.array(value, copy=True), self.value.sharding
            several = max(len(kept.device_set), len(copied.sharding.device_set)) > 1
            self._values()[self._at] = laid_out(copied, kept) if several else copied

    def __deepcopy__(self, memo: dict[int, Any]) -> Link:
        """For a copy of a variable, which is trained by no engine."""
        values = [self.read()]
        return Link(lambda: values, 0)


def linked(variable: keras.Variable, link: Link) -> None:
    """Have `variable` read from `link` and write to it; over the link of another engine, which is kept for later."""
    outer = vars(variable).get(_LINK)
    if outer is None:
        kind: Any = type(variable)
        variable.__class__ = _linked_kind(kind)
        vars(variable).pop("_value", None)
    vars(variable)[_LINK] = link, outer


def unlinked(variable: keras.Variable, link: Link) -> None:
    """End that, and leave what is there in the variable; it stays linked if nothing is."""
    own, outer = vars(variable).get(_LINK, (None, None))
    if own is not link or link.value.is_deleted():
        return
    if outer is not None:
        outer[0].write(link.value)
        vars(variable)[_LINK] = outer
        return
    del vars(variable)[_LINK]
    variable.__class__ = type(variable).__base__
    variable._value = on_one_device(link.value)


def on_one_device(value: jax.Array) -> jax.Array:
    """The value on the first of its devices, for whatever works with a variable outside of a step."""
    devices = value.sharding.device_set
    if len(devices) == 1:
        return value
    # through the host: what is put on a device by name cannot be computed with what is on several
    with jax.default_device(min(value.sharding.addressable_devices, key=lambda device: device.id)):
        return jnp.array(np.asarray(value))


def laid_out(value: Any, sharding: Any) -> jax.Array:
    """An array with this sharding, also over devices of other processes, each of which has the same value."""
    if sharding.is_fully_addressable:
        return jax.device_put(value, sharding)
    return jax.make_array_from_process_local_data(sharding, np.asarray(value), np.shape(value))


def is_linked(variable: keras.Variable, link: Link) -> bool:
    """Whether `variable` is linked by this link, and by none since."""
    return bool(vars(variable).get(_LINK, (None,))[0] is link)


def _lost() -> BackendError:
    return BackendError(
        "The variables of a model can be read as long as no step has failed.",
        received="a variable whose memory was taken over by a step that failed",
        remedy="Build the model again, and load weights into it.",
    )


@cache
def _linked_kind(kind: Any) -> Any:
    """The same class, with Keras' `_value` kept where the link says."""

    def read(variable: Any) -> Any:
        return vars(variable)[_LINK][0].read()

    def write(variable: Any, value: Any) -> None:
        vars(variable)[_LINK][0].write(value)

    return type(kind.__name__, (kind,), {"_value": property(read, write), "__module__": kind.__module__})
