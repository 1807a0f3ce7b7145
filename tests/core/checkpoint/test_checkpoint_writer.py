"""The background writer: order, errors, and no thread left behind."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
import time

import pytest

from multilearn.checkpoint import CheckpointFolder, CheckpointWriter, MpkGzRecorder
from multilearn.errors import CheckpointError
from multilearn.events import Position


class Gate(MpkGzRecorder):
    """Writes when let through."""

    opened = threading.Event()

    def write(self, file, item, metadata):
        assert self.opened.wait(10)
        return super().write(file, item, metadata)


def position(epoch):
    return Position(epoch)


def test_saves_are_durable_in_their_order_after_close_and_no_thread_is_left(tmp_path):
    before = threading.active_count()
    folder = CheckpointFolder(tmp_path, MpkGzRecorder())
    writer = CheckpointWriter(folder)
    assert threading.active_count() == before
    for epoch in range(1, 6):
        writer.save(position(epoch), {"model": {"epoch": epoch}}, drop=[position(epoch - 2)] if epoch > 2 else [])
    writer.close()
    writer.close()
    assert threading.active_count() == before
    assert folder.positions() == [position(4), position(5)]
    assert folder.load(position(5)) == {"model": {"epoch": 5}}


def test_the_caller_goes_on_while_one_is_written_and_waits_with_the_second(tmp_path):
    recorder = Gate()
    folder = CheckpointFolder(tmp_path, recorder)
    writer = CheckpointWriter(folder)
    try:
        writer.save(position(1), {"model": {}})
        assert folder.positions() == []
        threading.Timer(0.1, recorder.opened.set).start()
        writer.save(position(2), {"model": {}})
        assert position(1) in folder.positions()
        writer.wait()
        assert folder.positions() == [position(1), position(2)]
    finally:
        writer.close()


@pytest.mark.parametrize("call", ["save", "wait", "close"])
def test_an_error_is_raised_by_the_next_call_once(tmp_path, call):
    folder = CheckpointFolder(tmp_path, MpkGzRecorder())
    writer = CheckpointWriter(folder)
    try:
        writer.save(position(1), {"model": {"a": object()}})
        with pytest.raises(CheckpointError, match="object"):
            writer.save(position(2), {"model": {}}) if call == "save" else getattr(writer, call)()
        if call != "close":
            writer.save(position(3), {"model": {}})
    finally:
        writer.close()
    assert folder.positions() == ([] if call == "close" else [position(3)])
    assert not [thread for thread in threading.enumerate() if "checkpoint" in thread.name]


@pytest.mark.parametrize("closing", ["finally: writer.close()", "finally: pass"])
def test_an_error_in_the_main_thread_ends_the_process_with_the_write_done(tmp_path, closing):
    script = f"""
        import sys
        from pathlib import Path
        from multilearn.checkpoint import CheckpointFolder, CheckpointWriter
        from multilearn.events import Position
        writer = CheckpointWriter(CheckpointFolder(Path(sys.argv[1])))
        try:
            writer.save(Position(1), {{"model": {{"text": "x" * 1_000_000}}}})
            raise RuntimeError("in the main thread")
        {closing}
    """
    started = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), tmp_path], capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 1
    assert "in the main thread" in ended.stderr
    assert CheckpointFolder(tmp_path).latest_intact() == (Position(1), [])
    assert time.monotonic() - started < 60
