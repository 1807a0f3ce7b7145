"""A loop written by hand in torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from benchmarks.training.setup import RATE, Setup
from benchmarks.training.torch_models import CONVOLUTIONAL, torch_model
from benchmarks.training.turns import Epoch, Peer
from benchmarks.training.workloads import Split

__all__ = ["Tensors", "optimizer_of", "torch_loop"]


class Tensors:
    """A split as tensors: batches are slices, so nothing is copied. `channels_last`: how pictures lie in memory."""

    def __init__(self, split: Split, pictures: bool, channels_last: bool) -> None:
        self.x, self.y = torch.from_numpy(split.x), torch.from_numpy(split.y).long()
        if split.x.dtype.kind == "i":
            self.x = self.x.long()
        if pictures:
            # the arrays have their channels last already
            self.x = self.x.permute(0, 3, 1, 2)
            if not channels_last:
                self.x = self.x.contiguous()
        self._batch = split.batch

    def __len__(self) -> int:
        return len(self.x) // self._batch

    def __getitem__(self, place: int) -> tuple[Tensor, Tensor]:
        part = slice(place * self._batch, (place + 1) * self._batch)
        return self.x[part], self.y[part]

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return map(self.__getitem__, range(len(self)))


def torch_loop(setup: Setup, *, fused: bool = False, channels_last: bool = False) -> Callable[[Peer], None]:
    """The loss and the count of hits are summed on the device, and read once an epoch."""
    name = setup.work.model
    model = torch_model(name, setup.weights)
    if channels_last:
        model = model.to(memory_format=torch.channels_last)
    train, valid = (Tensors(s, name in CONVOLUTIONAL, channels_last) for s in (setup.train, setup.valid))
    optimizer = optimizer_of(model, fused)
    first: list[Tensor] = []

    def epoch_of(number: int) -> tuple[float, float]:
        model.train()
        total, hits = torch.zeros(()), torch.zeros((), dtype=torch.int64)
        for x, y in train:
            logits = model(x)
            loss = F.cross_entropy(logits.flatten(0, -2), y.flatten())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.detach()
            hits += (logits.argmax(-1) == y).sum()
            if number == 0:
                first.append(loss.detach())
        return total.item() / len(train), hits.item() / train.y.numel()

    @torch.no_grad()
    def validation() -> tuple[float, float]:
        model.eval()
        total, hits = torch.zeros(()), torch.zeros((), dtype=torch.int64)
        for x, y in valid:
            logits = model(x)
            total += F.cross_entropy(logits.flatten(0, -2), y.flatten())
            hits += (logits.argmax(-1) == y).sum()
        return total.item() / len(valid), hits.item() / valid.y.numel()

    def fit(peer: Peer) -> None:
        for number in range(setup.work.epochs):
            peer.lap(Epoch(*epoch_of(number), *validation()))
        peer.first_losses = [loss.item() for loss in first]

    return fit


def optimizer_of(model: torch.nn.Module, fused: bool) -> torch.optim.Optimizer:
    """Adam with Keras' epsilon."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return torch.optim.Adam(trained, lr=RATE, eps=1e-7, fused=fused or None)
