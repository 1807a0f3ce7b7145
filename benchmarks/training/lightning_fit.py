"""The torch model under a Lightning trainer."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from benchmarks.training.setup import Setup
from benchmarks.training.torch_loop import Tensors, optimizer_of
from benchmarks.training.torch_models import CONVOLUTIONAL, torch_model
from benchmarks.training.turns import Epoch, Peer

__all__ = ["lightning_fit"]


class Module(lightning.LightningModule):
    """Loss and accuracy are logged as epoch means; Lightning sums them on the device."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model
        self.first: list[Tensor] = []

    def training_step(self, batch: Any, index: int) -> Tensor:
        loss = self._measured(batch, "loss", "accuracy")
        if self.current_epoch == 0:
            self.first.append(loss.detach())
        return loss

    def validation_step(self, batch: Any, index: int) -> None:
        self._measured(batch, "val_loss", "val_accuracy")

    def _measured(self, batch: Any, loss_name: str, accuracy_name: str) -> Tensor:
        x, y = batch
        logits = self.model(x)
        loss = F.cross_entropy(logits.flatten(0, -2), y.flatten())
        accuracy = (logits.argmax(-1) == y).float().mean()
        self.log_dict({loss_name: loss, accuracy_name: accuracy}, on_step=False, on_epoch=True, batch_size=len(y))
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return optimizer_of(self, fused=False)


class Lapping(CSVLogger):
    """The logger, and a lap when it got the means of an epoch: those of training come after those of validation."""

    def __init__(self, peer: Peer, directory: Path) -> None:
        super().__init__(directory, name="lightning")
        self._peer = peer
        self._means: dict[str, Any] = {}

    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        super().log_metrics(metrics, step)
        self._means |= metrics
        if "loss" in metrics:
            self._peer.lap(
                Epoch(*(float(self._means[name]) for name in ("loss", "accuracy", "val_loss", "val_accuracy")))
            )


def lightning_fit(setup: Setup) -> Callable[[Peer], None]:
    """Fed with the slices that the loop by hand has; a CSVLogger, no progress bar, no checkpoints."""
    name = setup.work.model
    model = torch_model(name, setup.weights)
    pictures = name in CONVOLUTIONAL
    train, valid = (
        torch.utils.data.DataLoader(Tensors(split, pictures, False), batch_size=None)
        for split in (setup.train, setup.valid)
    )

    def fit(peer: Peer) -> None:
        logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
        warnings.filterwarnings("ignore", module="lightning")
        module = Module(model)
        trainer = lightning.Trainer(
            max_epochs=setup.work.epochs,
            accelerator="cpu",
            logger=Lapping(peer, setup.scratch),
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=False,
            num_sanity_val_steps=0,
        )
        trainer.fit(module, train, valid)
        peer.first_losses = [loss.item() for loss in module.first]

    return fit
