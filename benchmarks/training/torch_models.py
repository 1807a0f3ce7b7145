"""The models in plain torch, from the weights of the Keras ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from benchmarks.training.layouts import joined_attention
from benchmarks.training.setup import Weights
from benchmarks.training.workloads import CLASSES, HEADS, RESIDUAL, TOKENS, VOCABULARY, WIDTH

__all__ = ["CONVOLUTIONAL", "torch_model"]

CONVOLUTIONAL = ("cnn", "resnet")


def torch_model(name: str, weights: Weights) -> nn.Module:
    """The model called `name`, with these weights."""
    return {"mlp": mlp, "cnn": cnn, "lstm": Lstm, "transformer": Transformer, "resnet": ResNet}[name](weights)


def mlp(weights: Weights) -> nn.Module:
    model = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, CLASSES))
    for place, name in zip((0, 2, 4), ("dense1", "dense2", "out"), strict=True):
        linear(model[place], *weights[name])
    return model


def cnn(weights: Weights) -> nn.Module:
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(800, CLASSES),
    )
    convolution(model[0], *weights["conv1"])
    convolution(model[3], *weights["conv2"])
    kernel, bias = weights["out"]
    # Keras flattens (height, width, channels), torch (channels, height, width)
    linear(model[7], kernel.reshape(5, 5, 32, CLASSES).transpose(2, 0, 1, 3).reshape(800, CLASSES), bias)
    return model


class Lstm(nn.Module):
    """The last state of an LSTM over embedded tokens, and a linear layer."""

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        self.tokens = nn.Embedding(VOCABULARY, WIDTH)
        self.lstm = nn.LSTM(WIDTH, WIDTH, batch_first=True)
        self.out = nn.Linear(WIDTH, CLASSES)
        kernel, recurrent, bias = weights["lstm"]
        put(self.tokens.weight, weights["tokens"][0])
        put(self.lstm.weight_ih_l0, kernel.T)
        put(self.lstm.weight_hh_l0, recurrent.T)
        put(self.lstm.bias_ih_l0, bias)
        # torch has two biases whose sum counts: trained both, they would move twice as fast
        put(self.lstm.bias_hh_l0, np.zeros_like(bias))
        self.lstm.bias_hh_l0.requires_grad_(False)
        linear(self.out, *weights["out"])

    def forward(self, ids: Tensor) -> Tensor:
        _, (hidden, _) = self.lstm(self.tokens(ids))
        return self.out(hidden[0])


class Transformer(nn.Module):
    """One block; queries, keys and values by one product."""

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        self.tokens = nn.Embedding(VOCABULARY, WIDTH)
        self.places = nn.Parameter(torch.from_numpy(weights["places"][0].copy()))
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(WIDTH) for _ in range(3))
        self.attend = nn.Linear(WIDTH, 3 * WIDTH)
        self.project = nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)
        self.out = nn.Linear(WIDTH, VOCABULARY)
        put(self.tokens.weight, weights["tokens"][0])
        for name in ("norm1", "norm2", "norm3"):
            norm = getattr(self, name)
            put(norm.weight, weights[name][0])
            put(norm.bias, weights[name][1])
        kernel, bias, projection, last = joined_attention(weights["attention"])
        linear(self.attend, kernel, bias)
        linear(self.project, projection, last)
        for name in ("up", "down", "out"):
            linear(getattr(self, name), *weights[name])

    def forward(self, ids: Tensor) -> Tensor:
        x = self.tokens(ids) + self.places
        joined = self.attend(self.norm1(x)).view(-1, TOKENS, 3 * HEADS, WIDTH // HEADS)
        queries, keys, values = joined.transpose(1, 2).chunk(3, 1)
        mixed = F.scaled_dot_product_attention(queries, keys, values, is_causal=True)
        x = x + self.project(mixed.transpose(1, 2).reshape(-1, TOKENS, WIDTH))
        x = x + self.down(F.gelu(self.up(self.norm2(x))))
        return self.out(self.norm3(x))


class ResNet(nn.Module):
    """Residual blocks of two convolutions with batch norm."""

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        self.parts = nn.ModuleDict()
        for name in [key.removesuffix("_conv") for key in weights if key.endswith("_conv")]:
            kernel = weights[f"{name}_conv"][0]
            size, _, before, after = kernel.shape
            conv = nn.Conv2d(before, after, size, padding=size // 2, bias=False)
            norm = nn.BatchNorm2d(after, eps=1e-3, momentum=0.01)
            convolution(conv, kernel)
            of_norm = (norm.weight, norm.bias, norm.running_mean, norm.running_var)
            for tensor, array in zip(of_norm, weights[f"{name}_norm"], strict=True):
                put(tensor, array)
            self.parts[name] = nn.Sequential(conv, norm)
        self.out = nn.Linear(RESIDUAL[-1], CLASSES)
        linear(self.out, *weights["out"])

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.parts["stem"](x))
        for block in range(len(RESIDUAL)):
            if block:
                x = F.max_pool2d(x, 2)
            around = self.parts[f"around{block}"](x) if block else x
            y = F.relu(self.parts[f"first{block}"](x))
            x = F.relu(self.parts[f"second{block}"](y) + around)
        return self.out(x.mean((2, 3)))


def put(tensor: Any, array: np.ndarray) -> None:
    with torch.no_grad():
        tensor.copy_(torch.from_numpy(np.ascontiguousarray(array)))


def linear(layer: nn.Linear, kernel: np.ndarray, bias: np.ndarray) -> None:
    put(layer.weight, kernel.T)
    put(layer.bias, bias)


def convolution(layer: nn.Conv2d, kernel: np.ndarray, bias: np.ndarray | None = None) -> None:
    put(layer.weight, kernel.transpose(3, 2, 0, 1))
    if bias is not None:
        put(layer.bias, bias)
