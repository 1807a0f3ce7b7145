"""Processes on TensorFlow find one another by the address of the first."""

from __future__ import annotations

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from support.training import BACKEND

from multilearn.errors import BackendError, WorldError
from multilearn.launch.environments import ranks
from multilearn.protocols import LaunchedRank

if BACKEND != "tensorflow":
    pytest.skip("the other frameworks need the address of the first process only", allow_module_level=True)

import keras

from multilearn_keras.engines.tensorflow.meeting import addresses
from multilearn_keras.engines.tensorflow.world import connected

SIZE = 3
FOUND = ["127.0.0.1:100", "127.0.0.1:101", "127.0.0.1:102"]


@pytest.fixture
def first() -> LaunchedRank:
    return LaunchedRank(0, SIZE, 0, SIZE, "127.0.0.1", int(ranks(2)[0]["MASTER_PORT"]))


def test_each_has_the_addresses_of_all_by_rank(first: LaunchedRank) -> None:
    with ThreadPoolExecutor(SIZE) as pool:
        found = list(pool.map(lambda rank: addresses(replace(first, rank=rank), 100 + rank), range(SIZE)))
    assert found == [FOUND] * SIZE


def test_who_says_something_else_is_not_counted(first: LaunchedRank) -> None:
    with ThreadPoolExecutor(SIZE) as pool:
        waiting = pool.submit(addresses, first, 100)
        for said in (b"GET / HTTP/1.1\n", b"{}\n", b"[]\n", b'{"rank": 7, "size": 3, "port": 1}\n', b"\xff\n"):
            with connection(first.port) as stranger:
                stranger.sendall(said)
        others = [pool.submit(addresses, replace(first, rank=rank), 100 + rank) for rank in (2, 1)]
        assert [each.result() for each in (waiting, *others)] == [FOUND] * SIZE


def connection(port: int) -> socket.socket:
    """To who opens the port, which may take a moment."""
    for _ in range(500):
        try:
            return socket.create_connection(("127.0.0.1", port))
        except ConnectionRefusedError:
            time.sleep(0.01)
    raise AssertionError("nobody opens the port")


@pytest.mark.parametrize("rank", [0, 1])
def test_a_world_that_does_not_form_is_an_error(
    first: LaunchedRank, rank: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MULTILEARN_PATIENCE", "0.3")
    with pytest.raises(
        WorldError, match=rf"All 3 ranks meet at 127\.0\.0\.1:\d+ within 0\.3 seconds.*rank {rank} could"
    ):
        addresses(replace(first, rank=rank), 1)


def test_beside_torchruns_agent_another_port_is_opened(first: LaunchedRank, monkeypatch: pytest.MonkeyPatch) -> None:
    assert first.meeting_port == first.port
    monkeypatch.setenv("TORCHELASTIC_USE_AGENT_STORE", "True")
    assert first.meeting_port == first.port + 1


def test_after_the_first_tensor_it_is_too_late(first: LaunchedRank) -> None:
    keras.ops.ones(1)
    with pytest.raises(BackendError, match=r"before the first tensor is made.*Call multilearn.set_seed"):
        connected(first)
