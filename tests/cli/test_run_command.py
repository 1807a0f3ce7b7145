"""`multilearn run`: the same script on each backend, and what failures and signals come to."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

import pytest

Command = Callable[..., subprocess.CompletedProcess[str]]
Write = Callable[[str], Path]
Start = Callable[..., subprocess.Popen[str]]

posix = pytest.mark.skipif(os.name != "posix", reason="needs signals as POSIX has them")

# says what it has received, and ends as a run that was stopped does: by the first signal, or by the second
COUNTING = """
    import os, signal, sys, time

    seen = []
    enough = int(sys.argv[1])
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, lambda number, frame: seen.append(number))
    print("ready", flush=True)
    while len(seen) < enough:
        time.sleep(0.01)
        if len(seen) == 1 and enough > 1:
            print("going on", flush=True)
            while len(seen) < 2:
                time.sleep(0.01)
    time.sleep(0.3)
    print("received", *seen, flush=True)
    sys.exit(128 + seen[-1])
"""


ON_RAY = ["script.py", "-b", "alpha", "--ray", "local", "--workers", "2"]


@pytest.fixture
def script(tmp_path: Path) -> Write:
    def write(source: str) -> Path:
        (tmp_path / "script.py").write_text(textwrap.dedent(source))
        return Path("script.py")

    return write


@pytest.fixture
def start(environment: Mapping[str, str], tmp_path: Path) -> Iterator[Start]:
    """Starts `multilearn run ...`, with its output to be read line by line."""
    started = []

    def command(*arguments: object, **options: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "multilearn", "run", *map(str, arguments)],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **options,  # type: ignore[call-overload]
        )
        started.append(process)
        return process

    yield command
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_each_backend_gets_its_own_process_with_both_variables_and_the_seed(multilearn: Command, script: Write) -> None:
    path = script("""
        import os, sys
        print(*(os.environ.get(name) for name in ("MULTILEARN_BACKEND", "KERAS_BACKEND", "MULTILEARN_SEED")))
        print(sys.argv[1:], sys.stdin.read() == "", sys.executable, sys.stdout.write_through)
    """)
    done = multilearn(
        "run", path, "-b", "beta", "--backend", "alpha", "--seed", 7, "--", "--epochs", "3", KERAS_BACKEND="x"
    )
    assert done.stdout.splitlines()[:4] == [
        "[beta]  beta beta 7",
        f"[beta]  ['--epochs', '3'] True {sys.executable} True",
        "[alpha] alpha alpha 7",
        f"[alpha] ['--epochs', '3'] True {sys.executable} True",
    ]
    assert (done.returncode, done.stderr) == (0, "")


def test_a_number_of_devices_is_in_the_environment(multilearn: Command, script: Write) -> None:
    path = script("import os; print(os.environ.get('MULTILEARN_DEVICES'))")
    assert multilearn("run", path, "-b", "alpha", "--devices", 3).stdout == "[alpha] 3\n"
    assert multilearn("run", path, "-b", "alpha").stdout == "[alpha] None\n"


def test_a_list_of_backends_may_be_given_at_once(multilearn: Command, script: Write) -> None:
    done = multilearn("run", script("print('here')"), "--backend", "alpha,beta")
    assert done.stdout.splitlines()[:2] == ["[alpha] here", "[beta]  here"]


def test_without_backend_the_chosen_one_runs_and_no_summary_is_printed(multilearn: Command, script: Write) -> None:
    path = script("import os; print(os.environ['KERAS_BACKEND'], os.environ.get('MULTILEARN_SEED'))")
    assert multilearn("run", path, MULTILEARN_BACKEND="alpha").stdout == "[alpha] alpha None\n"


def test_output_is_passed_on_byte_for_byte_and_stderr_stays_apart(
    environment: Mapping[str, str], tmp_path: Path, script: Write
) -> None:
    path = script(r"""
        import sys
        sys.stdout.buffer.write(b"one\n\n\xff two")
        sys.stderr.write("oh\n")
    """)
    done = subprocess.run(
        [sys.executable, "-m", "multilearn", "run", path, "-b", "alpha"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        timeout=60,
    )
    assert done.stdout == b"[alpha] one\n[alpha] \n[alpha] \xff two\n"
    assert done.stderr == b"[alpha] oh\n"


def test_lines_come_as_they_are_written(start: Start, script: Write) -> None:
    process = start(script("import time; print('early'); time.sleep(60)"), "-b", "alpha")
    assert process.stdout.readline() == "[alpha] early\n"
    process.terminate()
    assert process.wait(20) == 143


def test_a_failure_does_not_stop_the_others_and_the_first_code_counts(multilearn: Command, script: Write) -> None:
    path = script("import os, sys; sys.exit({'alpha': 3, 'beta': 4}[os.environ['MULTILEARN_BACKEND']])")
    done = multilearn("run", path, "-b", "beta,alpha")
    assert done.returncode == 4
    told = [re.sub(r"\d+\.\d s", "_ s", line) for line in done.stdout.splitlines()]
    assert told == ["multilearn: beta   exit 4  _ s", "multilearn: alpha  exit 3  _ s"]


def test_a_later_failure_counts_where_the_first_succeeds(multilearn: Command, script: Write) -> None:
    path = script("import os, sys; sys.exit(5 * (os.environ['MULTILEARN_BACKEND'] == 'beta'))")
    assert multilearn("run", path, "-b", "alpha,beta").returncode == 5


@posix
def test_a_script_killed_by_a_signal_counts_as_128_and_its_number(multilearn: Command, script: Write) -> None:
    path = script("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert multilearn("run", path, "-b", "alpha").returncode == 137


@posix
def test_children_that_outlive_the_script_are_not_waited_for(multilearn: Command, script: Write) -> None:
    path = script("""
        import subprocess, sys
        left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(50)"])
        print("left", left.pid)
    """)
    done = multilearn("run", path, "-b", "alpha")
    os.kill(int(done.stdout.split()[-1]), signal.SIGKILL)
    assert (done.returncode, done.stderr) == (0, "")


@posix
def test_all_output_arrives_where_the_reader_is_slower_than_the_script(start: Start, script: Write) -> None:
    # so much that the script ends, for it fits into its own pipe, while with the prefixes it does not fit into ours
    process = start(script("print(*range(12_000), sep='\\n')"), "-b", "alpha")
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(2.5)
    assert process.stdout.read().splitlines() == [f"[alpha] {n}" for n in range(12_000)]
    assert process.wait(20) == 0


@posix
def test_a_reader_that_went_away_ends_the_script_without_a_traceback_of_ours(
    environment: Mapping[str, str], tmp_path: Path, script: Write
) -> None:
    path = script("""
        try:
            while True: print("x" * 1000)
        except BrokenPipeError:
            import os
            os._exit(9)
    """)
    done = subprocess.run(
        f"{sys.executable} -m multilearn run {path} -b alpha | head -1; exit ${{PIPESTATUS[0]}}",
        shell=True,
        executable="/bin/bash",
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stderr) == (9, "")


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_signal_is_passed_on_exactly_once_and_the_rest_is_not_started(
    start: Start, script: Write, number: signal.Signals
) -> None:
    process = start(script(COUNTING), "-b", "alpha,beta", "--", 1)
    assert process.stdout.readline() == "[alpha] ready\n"
    process.send_signal(number)
    rest = process.stdout.read().splitlines()
    assert rest[0] == f"[alpha] received {int(number)}"
    assert rest[-1].split() == ["multilearn:", "beta", "not", "started"]
    assert process.wait(20) == 128 + number


@posix
def test_a_second_signal_is_passed_on_as_a_second(start: Start, script: Write) -> None:
    process = start(script(COUNTING), "-b", "alpha", "--", 2)
    assert process.stdout.readline() == "[alpha] ready\n"
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "[alpha] going on\n"
    process.send_signal(signal.SIGTERM)
    assert process.stdout.read() == "[alpha] received 2 15\n"
    assert process.wait(20) == 143


@posix
def test_ctrl_c_at_a_terminal_reaches_the_script_once(
    environment: Mapping[str, str], tmp_path: Path, script: Write
) -> None:
    import pty

    path = script(COUNTING)
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(tmp_path)
        arguments = [sys.executable, "-m", "multilearn", "run", str(path), "-b", "alpha", "--", "1"]
        os.execve(sys.executable, arguments, dict(environment))
    shown = b""
    while b"ready" not in shown:
        shown += os.read(terminal, 1000)
    os.write(terminal, b"\x03")
    try:
        while chunk := os.read(terminal, 1000):
            shown += chunk
    except OSError:
        pass  # how a terminal whose other end has closed reads on Linux
    os.close(terminal)
    assert b"[alpha] received 2\r\n" in shown
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 130


@posix
def test_an_interrupted_script_that_ends_well_leaves_the_rest_unstarted_all_the_same(
    start: Start, script: Write
) -> None:
    path = script("""
        import signal, time
        seen = []
        signal.signal(signal.SIGINT, lambda number, frame: seen.append(number))
        print("ready")
        while not seen:
            time.sleep(0.01)
    """)
    process = start(path, "-b", "alpha,beta")
    assert process.stdout.readline() == "[alpha] ready\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130


@posix
def test_a_signal_that_was_ignored_from_the_start_stays_ignored(start: Start, script: Write) -> None:
    path = script("""
        import os, signal, time
        print("ready")
        time.sleep(0.5)
        print(signal.getsignal(signal.SIGHUP) is signal.SIG_IGN)
    """)
    process = start(path, "-b", "alpha", preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    assert process.stdout.readline() == "[alpha] ready\n"
    process.send_signal(signal.SIGHUP)
    assert process.stdout.read() == "[alpha] True\n"
    assert process.wait(20) == 0


@posix
def test_a_ctrl_c_is_passed_on_also_where_a_shell_had_it_ignored(start: Start, script: Write) -> None:
    path = script("""
        import sys, time
        print("ready")
        try:
            time.sleep(30)
        except KeyboardInterrupt:
            sys.exit(130)
    """)
    process = start(path, "-b", "alpha", preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    assert process.stdout.readline() == "[alpha] ready\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["script.py", "-b", "alpha", "-b", "alpah"], "'alpah'. Did you mean 'alpha'?"),
        (["script.py", "-b", ""], "A backend must be one of"),
        (["nowhere.py", "-b", "alpha"], "The script to run must be a file. Received: nowhere.py."),
        ([".", "-b", "alpha"], "The script to run must be a file. Received: .."),
        (["script.py", "-b", "alpha", "--seed", "-1"], "--seed"),
        (["script.py", "-b", "alpha", "--devices", "0"], "--devices"),
        (["script.py", "-b", "alpha", "--epochs", "3"], "No such option"),
        (["script.py", "-b", "alpha", "--ray", "local"], "Received: --ray 'local' alone."),
        (["script.py", "-b", "alpha", "--ray", "", "--workers", "2"], "needs the address of the cluster"),
        (["script.py", "-b", "alpha", "--workers", "2"], "Received: --workers 2 alone."),
        (["script.py", "-b", "alpha", "--ray", "local", "--workers", "0"], "at least 1, or a range that goes up"),
        (["script.py", "-b", "alpha", "--ray", "local", "--workers", "4..2"], "Received: '4..2'."),
        ([*ON_RAY, "--devices", "2"], "Received: --workers 2 and --devices 2. Leave --devices out."),
        ([*ON_RAY, "--seeds", "1,2"], "Received: --ray local and --seeds 1,2. Start a job for each seed, with --seed."),
        ([], "SCRIPT"),
    ],
)
def test_what_cannot_be_run_is_refused_before_anything_runs(
    multilearn: Command, script: Write, arguments: list[str], said: str
) -> None:
    script("print('ran')")
    done = multilearn("run", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr and "Traceback" not in done.stderr


def test_a_job_on_ray_says_what_to_install_where_ray_is_not(multilearn: Command, script: Write) -> None:
    if find_spec("ray") is not None:
        pytest.skip("ray is installed")
    script("print('ran')")
    done = multilearn("run", *ON_RAY)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "multilearn: --ray needs Ray Train. Received: an environment without ray. "
        "Install it with: pip install 'multilearn-keras[ray]'\n"
    )


def test_contradicting_variables_are_refused_unless_the_backend_is_named(multilearn: Command, script: Write) -> None:
    contradiction = {"MULTILEARN_BACKEND": "alpah", "KERAS_BACKEND": "beta"}
    refused = multilearn("run", script("print('ran')"), **contradiction)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "Did you mean 'alpha'?" in refused.stderr
    assert multilearn("run", "script.py", "-b", "beta", **contradiction).stdout == "[beta] ran\n"


# --- on the whole screen


@pytest.mark.parametrize(
    ("options", "received"),
    [
        (["-b", "alpha,beta"], "2 cells"),
        (["-b", "alpha", "--seeds", "1"], "--seeds"),
        (["-b", "alpha", "--json"], "--json"),
    ],
)
def test_the_screen_is_for_one_process(multilearn: Command, script: Write, options: list[str], received: str) -> None:
    script("print('it ran')")
    ran = multilearn("run", "script.py", "--screen", *options)
    assert ran.returncode == 2 and "it ran" not in ran.stdout
    assert f"The screen shows the run of one process. Received: --screen with {received}" in ran.stderr


def test_on_the_screen_the_process_is_that_of_the_script(multilearn: Command, script: Write) -> None:
    pytest.importorskip("textual")
    script(
        """
        import os, sys
        print(os.environ["MULTILEARN_RENDERER"], os.environ["MULTILEARN_BACKEND"], sys.argv[1:])
        sys.exit(7)
        """
    )
    ran = multilearn("run", "script.py", "--screen", "-b", "alpha", "--", "--fast")
    assert (ran.returncode, ran.stdout) == (7, "screen alpha ['--fast']\n")
