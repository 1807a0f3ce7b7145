"""A process that has imported one framework and done nothing else: it forks for each script that it is asked to run.

A fork finds what a new process finds after its imports (no model, no seed, one thread) without their seconds, runs the
script as `python SCRIPT ARGUMENTS` does, and ends as that ends. Asked by a line of JSON on its standard input, it
answers with the fork's process id, with the exit code once there is one, and with how many processes the fork left
behind (they are waited for a while). Asked for a module, it imports that too, for the forks that follow.
"""

import ctypes
import gc
import importlib
import json
import os
import runpy
import sys
import time

import multilearn  # isort: skip  (chooses the backend before Keras is loaded)

if os.environ["MULTILEARN_BACKEND"] == "toy":
    import toy_backend as framework
else:
    import sklearn.datasets  # noqa: F401

    import multilearn_keras as framework

IMPORTED = (multilearn, framework)
ADOPTS_ORPHANS = 36  # PR_SET_CHILD_SUBREAPER
PATIENCE = 20.0


def serve():
    """Answer requests until there are no more. In a fork, return what it is to run."""
    assert ctypes.CDLL(None).prctl(ADOPTS_ORPHANS, 1, 0, 0, 0) == 0
    settle()
    for line in sys.stdin:
        request = json.loads(line)
        if "module" in request:
            importlib.import_module(request["module"])
            settle()
            print("imported", flush=True)
            continue
        child = os.fork()
        if child == 0:
            return request
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
        print(left_behind(), flush=True)
    return None


def settle():
    """After imports: neither a collection in a fork nor its end is to touch, and so copy, all that was imported."""
    assert len(os.listdir("/proc/self/task")) == 1, "a process with threads must not fork"
    gc.collect()
    gc.freeze()


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


def become(request):
    """Take on the surroundings of a process of one's own."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    output = os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.stdout.reconfigure(line_buffering=True)
    os.chdir(request["directory"])
    os.environ.update(request["variables"])
    sys.argv = [request["script"], *request["arguments"]]
    sys.path[0] = os.path.dirname(request["script"])


if __name__ == "__main__" and (request := serve()):
    become(request)
    runpy.run_path(request["script"], run_name="__main__")
