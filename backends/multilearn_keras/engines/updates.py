"""Gradients on their way to the optimizer: what they are summed in, and what is measured of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from multilearn.errors import ConfigurationError
from multilearn.protocols import ArrayOps, Update, UpdateMetric
from multilearn_keras.engines.joint_check import HALF
from multilearn_keras.engines.measured import measured
from multilearn_keras.optimizers.adopt import scales_loss_dynamically

__all__ = ["is_usable", "measured_of_update", "require_mean", "sum_dtype", "try_on", "without_gradient"]


def measured_of_update(
    metrics: Sequence[UpdateMetric],
    array_ops: ArrayOps,
    optimizer: Any,
    gradients: Sequence[Any],
    weights: Sequence[Any],
    taken: Any,
    turn: str | None,
) -> dict[str, dict[str, Any]]:
    """What the metrics measure of an update that is about to be made. Of a scaled loss, the gradients are unscaled.

    `taken`: 0-d, whether there will be one; None if that is sure. If there will be none its gradients are not a number.
    """
    if metrics and (scales_loss_dynamically(optimizer) or optimizer.loss_scale_factor is not None):
        scale = optimizer.scale_loss(ops.ones((), "float32"))
        gradients = [ops.divide(ops.cast(gradient, "float32"), scale) for gradient in gradients]
    if metrics and taken is not None:
        gradients = [ops.where(taken, gradient, float("nan")) for gradient in gradients]
    update = Update(gradients, weights, turn)
    return {metric.name: measured(metric, "measure_update", array_ops, update) for metric in metrics}


def try_on(metrics: Sequence[UpdateMetric], array_ops: ArrayOps, model: Any, turn: str | None) -> None:
    """Measure once, with the weights as their own gradients: it raises what a step would."""
    if not metrics:
        return

    def on(values: Sequence[Any]) -> dict[str, Any]:
        update = Update(values, values, turn)
        return {metric.name: measured(metric, "measure_update", array_ops, update) for metric in metrics}

    values = [ops.stop_gradient(variable.value) for variable in model.trainable_variables]
    if keras.backend.backend() == "jax":
        import jax

        # each operation would be compiled by itself
        jax.eval_shape(on, values)
    else:
        on(values)


def require_mean(task: Any) -> None:
    """Raise `ConfigurationError` for a loss that cannot be averaged over batches or processes."""
    if getattr(getattr(task, "loss", None), "reduction", None) == "sum":
        raise ConfigurationError(
            "Gradients that are accumulated or shared are averaged, so the loss must be a mean.",
            received="a loss with reduction='sum'",
            remedy="Leave the reduction at its default, or train on one device without .grads_accumulation.",
        )


def without_gradient(trained: int, turn: str | None) -> ConfigurationError:
    """The error for a loss that none of so many variables has a gradient of, be it zero."""
    functions = "argmax, rounding, comparisons and stop_gradient have none"
    return ConfigurationError(
        "A loss without a gradient cannot be trained.",
        received=f"no gradient of the loss by any of {trained} trainable variables"
        + ("" if turn is None else f" of the turn {turn!r}"),
        remedy=f"{functions}: use a loss such as a cross-entropy."
        if turn is None
        else f"Have the step of the turn call the model that it trains. {functions}.",
    )


def is_usable(optimizer: Any, loss: Any, gradients: Sequence[Any]) -> Any:
    """Whether a batch is not to be skipped, 0-d, on the device: loss and gradients are finite.

    If the optimizer scales the loss by itself, it handles gradients that overflow: the loss alone decides.
    """
    looked_at = [loss] if scales_loss_dynamically(optimizer) else [loss, *gradients]
    return ops.all(ops.stack([ops.all(ops.isfinite(tensor)) for tensor in looked_at]))


def sum_dtype(dtype: Any) -> str:
    """What gradients are summed in: half precision would lose the small ones."""
    name = keras.backend.standardize_dtype(dtype)
    return "float32" if name in HALF else name
