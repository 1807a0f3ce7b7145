"""Jobs of functions on one local cluster: what came of each, as JSON on the last line."""

import json
import os
from typing import Any

import ray
from ray import tune
from ray.train import FailureConfig, RunConfig, TrainingFailedError

from multilearn.errors import MultilearnError
from multilearn_ray import trainer

HERE = os.path.dirname(os.path.abspath(__file__))
STORE = os.path.abspath("store")


def work(config: dict[str, Any]) -> list[float]:
    import sys

    sys.path.insert(0, config.pop("here"))
    import training

    with open(config["directory"] + ".attempts", "a") as attempts:
        attempts.write("x")
    if config.pop("fails", False):
        raise OSError("the network is down")
    return training.train(**config)


def job(directory: str, **config: Any) -> Any:
    given = {"here": HERE, "directory": os.path.abspath(directory), **config}
    running = RunConfig(storage_path=STORE, failure_config=FailureConfig(max_failures=1))
    return trainer(work, 2, config=given, run_config=running)


def outcome(directory: str, **config: Any) -> dict[str, Any]:
    """What a job gave, and how many workers began to work."""
    try:
        result = job(directory, **config).fit()
        came = {"metrics": result.metrics, "returned": result.return_value}
    except TrainingFailedError as error:
        causes = [getattr(each, "_base_exc", each) for each in error.worker_failures.values()]
        came = {"error": type(next((each for each in causes if isinstance(each, MultilearnError)), causes[0])).__name__}
    with open(directory + ".attempts") as attempts:
        return {**came, "begun": len(attempts.read())}


def trial(config: dict[str, Any]) -> None:
    job(f"{config['base']}/trial", rate=config["rate"]).fit()


if __name__ == "__main__":
    ray.init("local", num_cpus=4, include_dashboard=False, object_store_memory=100 << 20)
    found = {
        "function": outcome("function"),
        "refused": outcome("function"),
        "diverged": outcome("diverged", rate=1e30),
        "failing": outcome("failing", fails=True),
    }
    space = {"rate": 0.01, "base": os.getcwd()}
    (tried,) = tune.Tuner(trial, param_space=space, run_config=tune.RunConfig(storage_path=STORE)).fit()
    found["trial"] = {name: value for name, value in tried.metrics.items() if name == "epoch" or "/" in name}
    print(json.dumps(found))
