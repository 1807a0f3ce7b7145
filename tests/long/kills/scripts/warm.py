"""A process that has imported what a run needs and done nothing else: it forks for each run that it is asked for.

Asked by a line of JSON on its standard input, it answers with the fork's process id, with its exit code (-n where
signal n ended it) once there is one, and with how many processes the fork left behind (they are waited for a while).
"""

import ctypes
import json
import os
import sys
import time
import traceback

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)

if os.environ["MULTILEARN_BACKEND"] == "toy":
    import toy_backend  # noqa: F401
else:
    import keras

    import multilearn_keras  # noqa: F401

    # Keras imports every framework that is installed when it first puts something into words
    keras.dtype_policies.serialize(keras.DTypePolicy("float32"))

from support import victim

ADOPTS_ORPHANS = 36  # PR_SET_CHILD_SUBREAPER
CAPABILITIES = 0x20080522  # their version 3
OVERRIDES_PERMISSIONS = 1  # CAP_DAC_OVERRIDE
PATIENCE = 20.0


def serve():
    """Answer requests until there are no more."""
    assert len(os.listdir("/proc/self/task")) == 1, "a process with threads must not fork"
    assert ctypes.CDLL(None).prctl(ADOPTS_ORPHANS, 1, 0, 0, 0) == 0
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            run(json.loads(line))
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
        print(left_behind(), flush=True)


def left_behind():
    """How many processes are still there of what a fork started, after some patience."""
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.02)
        except ChildProcessError:
            return 0
    return 1


def heed_permissions():
    """Have the permissions of files hold for root, too: it loses the right to write in spite of them."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(CAPABILITIES, 0)
    # two rows of 32 capabilities: effective, permitted, inheritable
    data = (ctypes.c_uint32 * 6)()
    assert libc.capget(header, data) == 0
    for column in range(3):
        data[column] &= ~(1 << OVERRIDES_PERMISSIONS)
    assert libc.capset(header, data) == 0


def run(request):
    """Train in this fork, and end."""
    code = 1
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        output = os.open(os.path.join(request["report"], "said.txt"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(output, 1)
        os.dup2(output, 2)
        if request["heeds_permissions"]:
            heed_permissions()
        victim.train(request)
        code = 0
    except BaseException as error:
        traceback.print_exc()
        names = [each.__name__ for each in type(error).__mro__]
        with open(os.path.join(request["report"], "error.json"), "w") as file:
            json.dump({"kinds": names, "says": str(error)}, file)
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    assert ml.__name__
    serve()
