"""Several processes on TensorFlow: collectives that are operations of a step's graph, between gRPC servers.

No strategy of `tf.distribute`: the variables are the plain ones of the model, wherever it was made.
"""

from __future__ import annotations

import socket
from collections.abc import Hashable, Iterator
from contextlib import closing, contextmanager
from itertools import count
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import tensorflow_server_pb2
from tensorflow.python.eager import context

from multilearn.errors import WorldError
from multilearn.protocols import LaunchedRank, patience
from multilearn_keras.engines.tensorflow.meeting import addresses
from multilearn_keras.world import KerasWorld, met_too_late

__all__ = ["TensorFlowWorld", "connected", "peers"]

_GROUP = 1
_OF_KIND = 4096
"""How many collectives a step may have: each has a number, which others of the same kind of step use again."""


def connected(place: LaunchedRank) -> TensorFlowWorld:
    """The world of this place. Raises `WorldError` if the others do not come within `patience()` seconds, and
    `BackendError` after the first tensor: it is on a device that is unknown in a world."""
    started = context.context()
    if started._initialized:
        raise met_too_late()
    with closing(socket.socket()) as free:
        free.bind(("", 0))
        port = free.getsockname()[1]
    cluster = tf.train.ClusterSpec({"worker": addresses(place, port)})
    leader, own = "/job:worker/replica:0/task:0", f"/job:worker/task:{place.rank}"
    started.configure_collective_ops(collective_leader=leader, device_filters=(own,))
    config = started.config
    config.experimental.collective_group_leader = leader
    del config.device_filters[:]
    config.device_filters.append(own)
    started.enable_collective_ops(
        tensorflow_server_pb2.ServerDef(
            cluster=cluster.as_cluster_def(),
            default_session_config=config,
            job_name="worker",
            task_index=place.rank,
            protocol="grpc",
        )
    )
    return TensorFlowWorld(place)


class TensorFlowWorld(KerasWorld):
    """A collective is known to the others by its number: `numbered` has those of one kind of step begin at another."""

    def __init__(self, place: LaunchedRank) -> None:
        super().__init__(place)
        self._first: dict[Hashable, int] = {}
        self._engines = count()
        self._numbers: Iterator[Any] = iter(())
        # what collectives take hold of, so that a graph has them in one order
        self._order = tf.Variable(0.0)
        self._common = {
            "group_size": self.size,
            "group_key": _GROUP,
            "ordering_token": [self._order.handle],
            "timeout_seconds": patience(),
        }

    def number_of_engine(self) -> int:
        """Another one at each call, and the same in all processes."""
        return next(self._engines)

    def number_of(self, kind: Hashable) -> int:
        """The first number of the collectives in steps of a kind. Kinds are met in one order in all processes."""
        return self._first.setdefault(kind, len(self._first)) * _OF_KIND

    @contextmanager
    def numbered(self, first: Any) -> Iterator[None]:
        """While it lasts, collectives have the numbers from `first` on, which may be a tensor."""
        before, self._numbers = self._numbers, (first + place for place in range(_OF_KIND))
        try:
            yield
        finally:
            self._numbers = before

    def gather_words(self, own: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        # a collective of another size has a number of its own
        with self.numbered(self.number_of(("words", len(own)))):
            return self.gather_rows(tf.constant(own)).numpy()

    def gather_rows(self, own: tf.Tensor) -> tf.Tensor:
        with peers():
            found = tf.raw_ops.CollectiveGatherV2(input=own, instance_key=next(self._numbers), **self._common)
        return tf.reshape(found, (self.size, -1))

    def sum(self, flat: tf.Tensor) -> tf.Tensor:
        with peers():
            return tf.raw_ops.CollectiveReduceV2(
                input=flat, instance_key=next(self._numbers), merge_op="Add", final_op="Id", **self._common
            )

    def summed(self, x: tf.Tensor) -> tf.Tensor:
        @tf.custom_gradient
        def sum_with_gradient(x: tf.Tensor) -> Any:
            return self.sum(x), self.sum

        return sum_with_gradient(x)

    def leave(self) -> None:
        context.context().abort_collective_ops(tf.errors.CANCELLED, "")


_OF_PEERS = (
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
    tf.errors.UnavailableError,
)


@contextmanager
def peers() -> Iterator[None]:
    """What another process's end does to what they do together is a `WorldError`."""
    try:
        yield
    except _OF_PEERS as error:
        # the first line of what TensorFlow says is where, in pages, and the last one that all has to start again
        raise WorldError.of(error.message.split("aborted by: ")[-1].partition("\n")[0]) from error
