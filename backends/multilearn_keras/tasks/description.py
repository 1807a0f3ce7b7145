"""What is trained, as plain data for `experiment.json`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from multilearn_keras.described import described, layers_described, optimizer_described, optimizers_described
from multilearn_keras.tasks.class_weights import ClassWeights
from multilearn_keras.tasks.turns import Turn

__all__ = ["description_of"]


def description_of(task: Any, optimizer: Any, turns: Mapping[str, Turn]) -> dict[str, Any]:
    """`optimizer`: that of the task, or of a task with `turns` those by turn."""
    classes = getattr(task, "class_weights", None)
    weights = classes.by_class if isinstance(classes, ClassWeights) else None
    return {
        "task": type(task).__name__,
        **({} if weights is None else {"class_weight": {str(number): weights[number] for number in weights}}),
        "loss": _loss_described(getattr(task, "loss", None) or getattr(task.model, "loss", None)),
        "model": {
            "class": type(task.model).__name__,
            "name": task.model.name,
            "layers": layers_described(task),
        },
        "optimizer": optimizers_described(optimizer, turns) if turns else optimizer_described(optimizer),
    }


def _loss_described(loss: Any) -> Any:
    """As plain lists and dicts, which those of a Keras model on TensorFlow are not."""
    if isinstance(loss, dict):
        return {str(name): _loss_described(part) for name, part in loss.items()}
    if isinstance(loss, (list, tuple)):
        return [_loss_described(part) for part in loss]
    return loss if loss is None or isinstance(loss, str) else described(loss)
