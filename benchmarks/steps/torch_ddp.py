"""A loop by hand in torch, over `DistributedDataParallel` if there are several processes."""

from __future__ import annotations

import os

import torch
import torch.distributed as dist
from torch.nn import functional as F  # noqa: N812

from benchmarks.steps.steps import Steps, nothing
from benchmarks.training.setup import Setup
from benchmarks.training.torch_loop import Tensors, optimizer_of
from benchmarks.training.torch_models import CONVOLUTIONAL, torch_model
from benchmarks.training.workloads import Split

__all__ = ["prepared", "steps"]


def prepared(devices: int) -> int:
    torch.set_num_threads(1)
    place = int(os.environ.get("RANK", 0))
    # what follows is one process alone to this library: no Keras engine takes part
    if devices > 1:
        dist.init_process_group("gloo")
        os.environ.pop("RANK")
    return place


def steps(setup: Setup, place: int) -> Steps:
    several = dist.is_initialized()
    share = setup.train.batch // (dist.get_world_size() if several else 1)
    rows = [
        slice(number * setup.train.batch + place * share, number * setup.train.batch + (place + 1) * share)
        for number in range(len(setup.train))
    ]
    x, y = (torch.from_numpy(part) for part in (setup.train.x, setup.train.y))
    own = Split(torch.cat([x[each] for each in rows]).numpy(), torch.cat([y[each] for each in rows]).numpy(), share)
    data = list(Tensors(own, setup.work.model in CONVOLUTIONAL, channels_last=False))
    model = torch_model(setup.work.model, setup.weights)
    optimizer = optimizer_of(model, fused=False)
    trained = torch.nn.parallel.DistributedDataParallel(model) if several else model
    losses: list[torch.Tensor] = []

    def step(number: int) -> None:
        inputs, labels = data[number]
        logits = trained(inputs)
        loss = F.cross_entropy(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.extend((loss.detach(), (logits.argmax(-1) == labels).sum()))

    def wait() -> None:
        torch.stack([each.float() for each in losses]).tolist()
        losses.clear()

    return Steps(step, wait, end=dist.destroy_process_group if several else nothing)
