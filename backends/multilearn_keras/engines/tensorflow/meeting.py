"""Where the processes of a world are: TensorFlow asks for all addresses, and a launcher says that of the first."""

from __future__ import annotations

import json
import socket
import time
from contextlib import ExitStack, suppress

from multilearn.protocols import LaunchedRank, patience

__all__ = ["addresses"]

_AGAIN = 0.1
"""Seconds until the first process, which may not have started yet, is asked again."""

_LONGEST = 1 << 20
"""Characters of a line: what says more is no process of ours."""


def addresses(place: LaunchedRank, port: int) -> list[str]:
    """ "host:port" of every process, by rank; this one's has the number `port`. Raises `WorldError` if they do not all
    come within `patience()` seconds."""
    deadline = time.monotonic() + patience()
    try:
        return _received(place, port, deadline) if place.rank else _gathered(place, port, deadline)
    except (OSError, ValueError) as error:
        raise place.unmet(error) from error


def _gathered(place: LaunchedRank, port: int, deadline: float) -> list[str]:
    found = {0: f"{place.address}:{port}"}
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("", place.meeting_port), backlog=place.size))
        others = []
        while len(found) < place.size:
            server.settimeout(_left(deadline))
            peer = stack.enter_context(server.accept()[0])
            peer.settimeout(min(5.0, _left(deadline)))
            # who says something else is no process of ours
            with suppress(OSError, ValueError, KeyError, TypeError):
                said = json.loads(_line(peer))
                if 0 < said["rank"] < place.size and said["size"] == place.size:
                    found[said["rank"]] = f"{peer.getpeername()[0]}:{int(said['port'])}"
                    others.append(peer)
        listed = [found[rank] for rank in range(place.size)]
        for peer in others:
            peer.sendall(json.dumps(listed).encode() + b"\n")
    return listed


def _received(place: LaunchedRank, port: int, deadline: float) -> list[str]:
    with _connected(place, deadline) as first:
        first.settimeout(_left(deadline))
        first.sendall(json.dumps({"rank": place.rank, "size": place.size, "port": port}).encode() + b"\n")
        listed: list[str] = json.loads(_line(first))
    return listed


def _connected(place: LaunchedRank, deadline: float) -> socket.socket:
    while True:
        try:
            return socket.create_connection((place.address, place.meeting_port), timeout=_left(deadline))
        except ConnectionRefusedError:
            if time.monotonic() + _AGAIN > deadline:
                raise
            time.sleep(_AGAIN)


def _line(peer: socket.socket) -> str:
    with peer.makefile() as lines:
        return lines.readline(_LONGEST)


def _left(deadline: float) -> float:
    return max(0.01, deadline - time.monotonic())
