"""`multilearn ...` in forks of a process that has imported what its commands use: half a second less for each of them.

A fork finds what `python -m multilearn` finds after its imports, with the directory, the environment and the files that
it is asked for by a line of JSON on standard input, and ends as that ends; the answer is its exit code.
"""

import gc
import importlib
import json
import os
import pkgutil
import sys

import multilearn.cli
import multilearn.commands


def serve():
    """Answer requests until there are no more. In a fork, return what it is to run."""
    for module in pkgutil.walk_packages(multilearn.commands.__path__, "multilearn.commands."):
        importlib.import_module(module.name)
    # so that neither a collection in a fork nor its end touches, and so copies, all that was imported
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            return request
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
    return None


def become(request):
    """Take on the surroundings of a process of one's own."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for descriptor, path in enumerate(request["output"], 1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    os.chdir(request["directory"])
    os.environ.clear()
    os.environ.update(request["environment"])
    # as bytes: which characters they are is decided here, by the environment
    sys.argv = ["multilearn", *(os.fsdecode(bytes.fromhex(each)) for each in request["arguments"])]
    sys.path[0] = request["directory"]


if __name__ == "__main__" and (request := serve()):
    become(request)
    multilearn.cli.main()
