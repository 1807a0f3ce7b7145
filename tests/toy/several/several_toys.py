"""The toy backend with devices that need a process each: all of them compute the whole batch."""

from __future__ import annotations

import pickle
import time
from collections.abc import Sequence
from multiprocessing.connection import Client, Connection, Listener
from typing import Any

import numpy as np
from toy_backend import ToyBackend, ToyDevice, ToyEngine

from multilearn.errors import WorldError
from multilearn.protocols import ALONE, EngineOptions, Example, LaunchedRank, Shard, StepOutput, Subject, World
from multilearn.protocols.world import end_with_launcher, patience

__all__ = ["SeveralToys"]


class SocketWorld(World):
    """Each hands what it has to the first process, which hands all of it to each."""

    def __init__(self, place: LaunchedRank) -> None:
        self.rank, self.size = place.rank, place.size
        self.local_rank, self.local_size = place.local_rank, place.local_size
        if place.rank:
            self._others = [_connection(place)]
            self._others[0].send(place.rank)
        else:
            with Listener((place.address, place.port)) as listener:
                joined = [listener.accept() for _ in range(1, place.size)]
            self._others = sorted(joined, key=lambda other: int(other.recv()))

    def gather(self, value: bytes) -> Sequence[bytes]:
        try:
            if self.rank:
                self._others[0].send_bytes(value)
                return [self._others[0].recv_bytes() for _ in range(self.size)]
            values = [value, *(other.recv_bytes() for other in self._others)]
            for other in self._others:
                for each in values:
                    other.send_bytes(each)
            return values
        except (EOFError, OSError) as error:
            raise WorldError("All ranks take part.", received="one that has ended", remedy="Run it again.") from error

    def leave(self) -> None:
        for other in self._others:
            other.close()

    def joined(self, shard: Shard) -> Any:
        """The whole batch, and whether any process wishes to stop."""
        told = [pickle.loads(each) for each in self.gather(pickle.dumps((self.wish, shard.batch)))]
        self.agreed = any(wish for wish, _ in told)
        parts = [batch for _, batch in told]
        return shard.batch if shard.whole else tuple(map(np.concatenate, zip(*parts, strict=True)))


def _connection(place: LaunchedRank) -> Connection[Any, Any]:
    """With the first process, which may come later."""
    give_up = time.monotonic() + patience()
    while True:
        try:
            return Client((place.address, place.port))
        except ConnectionRefusedError as error:
            if time.monotonic() > give_up:
                raise place.unmet(error) from error
            time.sleep(0.01)


class _Engine(ToyEngine):
    def __init__(self, subject: Subject, options: EngineOptions, world: SocketWorld) -> None:
        super().__init__(subject, options)
        self._world = world

    def train_step(self, batch: Shard, lr: float, update: bool) -> StepOutput:
        return super().train_step(self._world.joined(batch), lr, update)

    def eval_step(self, batch: Shard) -> StepOutput:
        return super().eval_step(self._world.joined(batch))


class SeveralToys(ToyBackend):
    """What the entry point names."""

    name = "several_toys"
    one_device_a_process = True

    def __init__(self) -> None:
        place = LaunchedRank.of_environment()
        if place is not None:
            end_with_launcher()
        self._world = None if place is None else SocketWorld(place)

    @property
    def world(self) -> World:
        return self._world or ALONE

    def devices(self) -> Sequence[ToyDevice]:
        return [ToyDevice(index=0), ToyDevice(index=1)]

    def find_devices(self, names: Sequence[str]) -> Sequence[ToyDevice]:
        return [device for device in self.devices() if str(device) in names]

    def engine(self, subject: Subject, examples: Sequence[Example], options: EngineOptions) -> ToyEngine:
        if self._world is None:
            return super().engine(subject, examples, options)
        return _Engine(subject, options, self._world)
