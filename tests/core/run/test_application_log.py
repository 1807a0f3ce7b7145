from __future__ import annotations

import io
import logging
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from multilearn.errors import StorageError
from multilearn.run.log import file_log

OURS = logging.getLogger("multilearn")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "run" / "experiment.log"


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    """Whatever a test does, afterwards logging is as it was before."""
    before = logging_state()
    yield
    assert logging_state() == before


def logging_state() -> object:
    names = ["multilearn", "multilearn.child", "elsewhere"]
    loggers = [logging.getLogger(), *map(logging.getLogger, names)]
    return (
        [
            (lg.name, lg.level, lg.propagate, lg.disabled, list(lg.handlers), list(lg.filters), lg.parent)
            for lg in loggers
        ],
        logging.getLogRecordFactory(),
        logging.lastResort,
        logging.root.manager.disable,
        threading.active_count(),
    )


def lines(log: Path) -> list[str]:
    return [line.partition(" ")[2] for line in log.read_text("utf-8").splitlines()]


def test_a_line_has_utc_time_level_logger_and_message(log: Path) -> None:
    with file_log(log):
        OURS.info("epoch %d — done", 3)
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    assert re.fullmatch(stamp + " INFO multilearn epoch 3 — done\n", log.read_text("utf-8"))


def test_the_time_is_that_of_the_record_in_utc(log: Path) -> None:
    wrapped = logging.getLogRecordFactory()

    def at_noon(*args, **kwargs) -> logging.LogRecord:
        record = wrapped(*args, **kwargs)
        record.created = 1769860800.1239  # date -ud '2026-01-31 12:00' +%s
        return record

    logging.setLogRecordFactory(at_noon)
    try:
        with file_log(log):
            OURS.info("x")
    finally:
        logging.setLogRecordFactory(wrapped)
    assert log.read_text() == "2026-01-31T12:00:00.123Z INFO multilearn x\n"


def test_our_tree_is_logged_from_info_and_the_others_from_warning(log: Path) -> None:
    with file_log(log):
        for name in ("multilearn", "multilearn.child", "multilearning", "elsewhere"):
            for level in ("debug", "info", "warning"):
                getattr(logging.getLogger(name), level)("said")
    assert lines(log) == [
        "INFO multilearn said",
        "WARNING multilearn said",
        "INFO multilearn.child said",
        "WARNING multilearn.child said",
        "WARNING multilearning said",
        "WARNING elsewhere said",
    ]


def test_a_second_run_appends(log: Path) -> None:
    for number in (1, 2):
        with file_log(log):
            OURS.info("run %d", number)
    assert lines(log) == ["INFO multilearn run 1", "INFO multilearn run 2"]


def test_tracebacks_are_included(log: Path) -> None:
    with file_log(log):
        try:
            raise LookupError("the cause")
        except LookupError:
            OURS.exception("it failed")
    text = log.read_text()
    assert "ERROR multilearn it failed\nTraceback (most recent call last):" in text
    assert text.endswith("LookupError: the cause\n")


def test_arguments_that_do_not_fit_are_logged_as_they_are(log: Path) -> None:
    with file_log(log):
        OURS.info("%d epochs", "many")
        OURS.info("lone \ud800")
    assert lines(log) == ["INFO multilearn %d epochs ('many',)", "INFO multilearn lone \\ud800"]


def test_users_handlers_see_exactly_what_they_would_have_seen(log: Path) -> None:
    def say() -> None:
        for name in ("multilearn", "multilearn.child", "elsewhere"):
            for level in (logging.DEBUG, logging.INFO, logging.WARNING):
                logging.getLogger(name).log(level, "said")

    for owner in ("", "multilearn", "multilearn.child"):
        for level in (logging.NOTSET, logging.DEBUG, logging.INFO, logging.ERROR):
            logger, heard = logging.getLogger(owner), io.StringIO()
            handler, level_before = logging.StreamHandler(heard), logger.level
            handler.setFormatter(logging.Formatter("%(levelname)s %(name)s"))
            logger.addHandler(handler)
            logger.setLevel(level if owner or level else logging.WARNING)
            try:
                say()
                without = heard.getvalue()
                with file_log(log):
                    say()
                assert heard.getvalue() == 2 * without, (owner, level)
            finally:
                logger.removeHandler(handler)
                logger.setLevel(level_before)


def test_what_the_user_configures_meanwhile_holds_and_stays(log: Path) -> None:
    heard = io.StringIO()
    handler = logging.StreamHandler(heard)
    with file_log(log):
        OURS.info("before")
        OURS.addHandler(handler)
        OURS.setLevel(logging.DEBUG)
        OURS.debug("after")
    assert heard.getvalue() == "after\n"
    assert OURS.level == logging.DEBUG and OURS.handlers == [handler]
    OURS.setLevel(logging.NOTSET)
    OURS.removeHandler(handler)


def test_the_users_own_format_of_a_traceback_is_kept(log: Path) -> None:
    class Short(logging.Formatter):
        def formatException(self, ei) -> str:  # noqa: N802
            return f"short: {ei[1]}"

    heard = io.StringIO()
    handler = logging.StreamHandler(heard)
    handler.setFormatter(Short())
    OURS.addHandler(handler)
    with file_log(log):
        OURS.error("it failed", exc_info=ValueError("why"))
    OURS.removeHandler(handler)
    assert heard.getvalue() == "it failed\nshort: why\n"


def test_a_log_inside_another_takes_part_and_leaves_it_alone(log: Path, tmp_path: Path) -> None:
    inner = tmp_path / "inner.log"
    with file_log(log):
        OURS.info("one")
        with pytest.raises(KeyboardInterrupt), file_log(inner):
            OURS.info("two")
            raise KeyboardInterrupt
        OURS.info("three")
    assert lines(log) == ["INFO multilearn one", "INFO multilearn two", "INFO multilearn three"]
    assert lines(inner) == ["INFO multilearn two"]


def test_logs_may_close_in_any_order(log: Path, tmp_path: Path) -> None:
    first, second = file_log(log), file_log(tmp_path / "second.log")
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    OURS.info("late")
    second.__exit__(None, None, None)
    assert lines(log) == [] and lines(tmp_path / "second.log") == ["INFO multilearn late"]


def test_a_record_factory_put_on_top_stays_and_ours_falls_silent(log: Path) -> None:
    original = logging.getLogRecordFactory()
    with file_log(log):
        below = logging.getLogRecordFactory()
        logging.setLogRecordFactory(lambda *args, **kwargs: below(*args, **kwargs))
        OURS.info("one")
    logging.getLogger("elsewhere").error("unheard")
    with file_log(log):
        OURS.info("two")
    logging.setLogRecordFactory(original)
    assert lines(log) == ["INFO multilearn one", "INFO multilearn two"]


def test_records_from_other_processes_are_no_trouble(log: Path) -> None:
    with file_log(log):
        record = logging.makeLogRecord({"name": "multilearn", "levelno": 30, "msg": "from afar"})
    assert record.getMessage() == "from afar" and lines(log) == []


def test_the_file_is_closed_and_a_failure_to_open_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(StorageError, match="files of a run must be files"), file_log(tmp_path / "folder"):
        pass
    with file_log(tmp_path / "experiment.log"):
        assert str(tmp_path / "experiment.log") in open_files()
    assert str(tmp_path / "experiment.log") not in open_files()


def open_files() -> list[str]:
    return [str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]


SCRIPT = """
import contextlib, logging, pathlib, sys
from multilearn.run.log import file_log
with file_log(pathlib.Path(sys.argv[2])) if sys.argv[1] == "with" else contextlib.nullcontext():
    logging.getLogger("multilearn").info("ours")
    logging.getLogger("multilearn.child").warning("our warning")
    logging.getLogger("elsewhere").warning("by the last resort")
    logging.getLogger("elsewhere").info("unheard")
    logging.warning("%s", "which configures the root logger")
    logging.getLogger("elsewhere").error("in the root logger's format")
    logging.getLogger("multilearn").info("ours")
logging.getLogger("multilearn").warning("afterwards")
"""


def test_standard_error_has_exactly_what_it_would_have_without(log: Path) -> None:
    said = {}
    for mode in ("with", "without"):
        ran = subprocess.run([sys.executable, "-c", SCRIPT, mode, log], capture_output=True, text=True, check=True)
        said[mode] = ran.stderr
    assert said["with"] == said["without"]
    assert said["with"].splitlines() == [
        "our warning",
        "by the last resort",
        "WARNING:root:which configures the root logger",
        "ERROR:elsewhere:in the root logger's format",
        "WARNING:multilearn:afterwards",
    ]
    assert lines(log) == [
        "INFO multilearn ours",
        "WARNING multilearn.child our warning",
        "WARNING elsewhere by the last resort",
        "WARNING root which configures the root logger",
        "ERROR elsewhere in the root logger's format",
        "INFO multilearn ours",
    ]
