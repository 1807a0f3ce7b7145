"""A process that has imported one framework and done nothing else: it forks for each script that it is asked to run.

A fork finds what a new process finds after its imports (no model, no seed, one thread) without their seconds, runs the
script as `python SCRIPT ARGUMENTS` does, and ends as that ends. Asked by a line of JSON on its standard input, it
answers with the fork's process id, and with the exit code once there is one.
"""

import json
import os
import runpy
import sys

import multilearn  # isort: skip  (chooses the backend before Keras is loaded)
import keras
import sklearn.datasets

import multilearn_keras

IMPORTED = (multilearn, keras, multilearn_keras, sklearn.datasets)


def serve():
    """Answer requests until there are no more. In a fork, return what it is to run."""
    assert len(os.listdir("/proc/self/task")) == 1, "a process with threads must not fork"
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            return request
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
    return None


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
