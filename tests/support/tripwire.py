"""Kills of a forked process around its n-th durable change of the disk."""

from __future__ import annotations

import os
import signal

import pytest

CALLS = ("fsync", "replace", "unlink")


class Tripwire:
    """Has `act` happen before (or right after) the n-th call of a function that changes the disk durably."""

    def __init__(self, n, after, act):
        self.left, self.after, self.act = n, after, act

    def around(self, function):
        def tripped(*args, **kwargs):
            self.left -= 1
            if self.left == 0 and not self.after:
                self.act()
            try:
                return function(*args, **kwargs)
            finally:
                if self.left == 0 and self.after:
                    self.act()

        return tripped

    def install(self, patch):
        for name in CALLS:
            patch.setattr(os, name, self.around(getattr(os, name)))


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def killed(wire, save):
    """Save in a child process with a wire that kills it; True if it was."""
    child = os.fork()
    if child == 0:
        try:
            wire.install(pytest.MonkeyPatch())
            save()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])
