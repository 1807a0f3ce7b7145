"""What metrics see of an output: the items that count, their scores and what is true of them; names and modes."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar, cast

from multilearn.arguments import choice, optional_whole, settle
from multilearn.errors import ConfigurationError
from multilearn.outputs import ClassificationOutput, MultiLabelOutput, SeveralOutputs
from multilearn.protocols import ArrayOps, Output, Tensor

__all__ = [
    "NOT_COUNTED",
    "ClassItems",
    "LabelItems",
    "ModalMetric",
    "Parametrized",
    "class_items",
    "label_items",
    "named",
    "require_classes",
    "setting",
    "unfit",
]

NOT_COUNTED = -1
"""Stands for the class of an item, or the truth of a label, that is counted nowhere."""


@dataclass(frozen=True)
class ClassItems:
    """Items of one class each: logits (batch, ..., classes), targets (batch, ...), int32, and which count, bool.

    `counted` is None if all do.
    """

    output: ClassificationOutput
    logits: Tensor
    targets: Tensor
    counted: Tensor | None
    classes: int

    def only(self, ops: ArrayOps, ids: Tensor) -> Tensor:
        """Ids, (batch, ...), with `NOT_COUNTED` where the item does not count."""
        return ids if self.counted is None else ops.where(self.counted, ids, NOT_COUNTED)


@dataclass(frozen=True)
class LabelItems:
    """Labels that are true or not, (batch, ..., labels), bool, and which of them count, bool; None if all do.

    The label of a `ClassificationOutput` is that an item is of class 1, and not of class 0.
    """

    output: MultiLabelOutput | ClassificationOutput
    true: Tensor
    counted: Tensor | None
    labels: int

    def scores(self, ops: ArrayOps) -> Tensor:
        """Probabilities, (batch, ..., labels), float32."""
        scores = ops.float32(self.output.scores(ops))
        return scores if isinstance(self.output, MultiLabelOutput) else ops.expand_dims(ops.take(scores, 1), -1)

    def ranks(self, ops: ArrayOps) -> Tensor:
        """Numbers in the order of the scores, (batch, ..., labels), float32, that rounding makes equal less often, and
        that are equal for equal logits: frameworks round a sigmoid differently at different places of a batch."""
        logits = ops.float32(self.output.logits)
        if isinstance(self.output, MultiLabelOutput):
            return logits
        first, second = ops.take(logits, 0), ops.take(logits, 1)
        return ops.expand_dims(ops.subtract(second, first) if self.output.from_logits else second, -1)

    def per_label(self, ops: ArrayOps, chosen: Tensor) -> Tensor:
        """How many of the chosen ones, (batch, ..., labels), count: (labels,), int32."""
        kept = chosen if self.counted is None else ops.both(chosen, self.counted)
        return ops.sum(ops.reshape(kept, (-1, self.labels)), axis=0)


def class_items(ops: ArrayOps, output: Output, metric: str, ignore_index: int | None = None) -> ClassItems:
    """The items of a `ClassificationOutput`. Those of weight zero, or of class `ignore_index`, do not count."""
    if not isinstance(output, ClassificationOutput):
        remedy = "Use it with a Classification task, or measure by Loss."
        if isinstance(output, MultiLabelOutput):
            remedy = "Measure labels by HammingScore, or by the .binary(...) or .multilabel(...) form of a metric."
        raise unfit(metric, "a task that outputs classes", output, remedy)
    targets = ops.int32(output.targets)
    _require_rank(metric, output, len(output.logits.shape) - 1)
    counted = _counted(ops, targets, output.weights, ignore_index)
    return ClassItems(output, output.logits, targets, counted, int(output.logits.shape[-1]))


def label_items(ops: ArrayOps, output: Output, metric: str, ignore_index: int | None = None) -> LabelItems:
    """The labels of a `MultiLabelOutput`. Items of weight zero, and labels whose target is `ignore_index`, don't count.

    A label is true if its target is above 0.5.
    """
    if not isinstance(output, MultiLabelOutput):
        remedy = "Use it with a MultiLabelClassification task, or measure by Loss."
        if isinstance(output, ClassificationOutput):
            remedy = "Measure classes by the .multiclass(...) form of a metric, or by Accuracy."
        raise unfit(metric, "a task that outputs labels", output, remedy)
    _require_rank(metric, output, len(output.logits.shape))
    counted = _counted(ops, ops.int32(output.targets), output.weights, ignore_index)
    return LabelItems(output, ops.greater(ops.float32(output.targets), 0.5), counted, int(output.logits.shape[-1]))


def _binary_items(ops: ArrayOps, output: Output, metric: str, ignore_index: int | None = None) -> LabelItems:
    """The only label of a `MultiLabelOutput`, or class 1 of the two of a `ClassificationOutput`: one label."""
    if isinstance(output, ClassificationOutput):
        items = class_items(ops, output, metric, ignore_index)
        _require_length(metric, output, items.classes, 2)
        counted = None if items.counted is None else ops.expand_dims(items.counted, -1)
        return LabelItems(output, ops.expand_dims(ops.equal(items.targets, 1), -1), counted, labels=1)
    if not isinstance(output, MultiLabelOutput):
        remedy = "Use it with a MultiLabelClassification task of one label, or a Classification task of two classes."
        raise unfit(metric, "a task that outputs one label or two classes", output, remedy)
    items_of_labels = label_items(ops, output, metric, ignore_index)
    _require_length(metric, output, items_of_labels.labels, 1)
    return items_of_labels


def require_classes(metric: str, items: ClassItems, least: int) -> None:
    """Raises `ConfigurationError` if there are fewer classes."""
    if items.classes < least:
        raise ConfigurationError(
            f"The metric {metric} needs a task of at least {least} classes.",
            received=f"{items.classes} classes",
            remedy="Use a smaller k.",
        )


def _counted(ops: ArrayOps, targets: Tensor, weights: Tensor | None, ignore_index: int | None) -> Tensor | None:
    """Which targets count, in their shape; None if all do."""
    if weights is None and ignore_index is None:
        return None
    # true everywhere: weights may be of fewer axes, such as one for each sequence
    everywhere = ops.equal(targets, targets)
    known = everywhere if ignore_index is None else ops.invert(ops.equal(targets, ignore_index))
    if weights is None:
        return known
    while len(weights.shape) < len(targets.shape):
        weights = ops.expand_dims(weights, -1)
    return ops.both(known, ops.greater(ops.float32(weights), 0.0))


def unfit(metric: str, needed: str, output: Any, remedy: str) -> ConfigurationError:
    """The error for an output that a metric cannot measure; of several outputs it may measure one."""
    if isinstance(output, SeveralOutputs):
        remedy = "Measure one of the outputs: OfOutput(name, metric)."
    return ConfigurationError(f"The metric {metric} needs {needed}.", received=type(output).__name__, remedy=remedy)


def _require_rank(metric: str, output: ClassificationOutput | MultiLabelOutput, rank: int) -> None:
    if len(output.targets.shape) != rank:
        raise ConfigurationError(
            f"The metric {metric} needs targets of the shape that {type(output).__name__} names.",
            received=f"logits of shape {tuple(output.logits.shape)}, targets of shape {tuple(output.targets.shape)}",
            remedy="Have the task's step reshape its targets: see multilearn.outputs.",
        )


def _require_length(metric: str, output: Any, received: int, needed: int) -> None:
    if received != needed:
        what = "classes" if needed == 2 else "labels"
        raise ConfigurationError(
            f"The metric {metric} needs a task that outputs one label or two classes.",
            received=f"{type(output).__name__} of {received} {what}",
            remedy=f"Use its .{'multiclass' if needed == 2 else 'multilabel'}(...) form.",
        )


class Parametrized:
    """A frozen dataclass named by its class and those of its fields that are not as by default. Ids are checked."""

    def __post_init__(self) -> None:
        for name in {"ignore_index", "padding", "separator"} & vars(self).keys():
            settle(self, **{name: optional_whole(f"The {name} of {type(self).__name__}", getattr(self, name))})

    @property
    def name(self) -> str:
        values = {field.name: (getattr(self, field.name), field.default) for field in fields(cast("Any", self))}
        return named(type(self).__name__, **{key: value for key, (value, usual) in values.items() if value != usual})


def named(kind: str, *words: str, **settings: float | str | None) -> str:
    """The name of a metric that carries its parameters; settings that are None are left out.

    >>> named("Precision", "multiclass", "macro", top_k=3, ignore_index=None), named("Accuracy")
    ('Precision(multiclass, macro, top_k=3)', 'Accuracy')
    """
    given = [setting(key, value) for key, value in settings.items() if value is not None]
    inside = ", ".join([*words, *given])
    return f"{kind}({inside})" if inside else kind


def setting(key: str, value: float | str) -> str:
    """One parameter in a name; whole floats without a point.

    >>> setting("beta", 2.0)
    'beta=2'
    """
    return f"{key}={str(value).removesuffix('.0') if isinstance(value, float) else value}"


@dataclass(frozen=True, kw_only=True)
class ModalMetric:
    """A metric with a `mode`, an `average` over classes if there are several, and an `ignore_index`."""

    mode: str = "binary"
    average: str | None = None
    ignore_index: int | None = None

    unit: ClassVar[str] = "share"
    numeric: ClassVar[bool] = True
    averages: ClassVar[tuple[str, ...]] = ("micro", "macro")

    def __post_init__(self) -> None:
        kind = type(self).__name__
        choice(f"{kind} has a mode", self.mode, ("binary", "multiclass", "multilabel"))
        settle(self, ignore_index=optional_whole(f"The ignore_index of {kind}", self.ignore_index))
        if self.mode == "binary":
            self.refuse("average")
        else:
            average = "macro" if self.average is None else self.average
            settle(self, average=choice(f"{kind} has an average over classes", average, self.averages))

    def refuse(self, setting: str) -> None:
        """Raise `ConfigurationError` if a setting is given that has no meaning in this mode."""
        if (given := getattr(self, setting)) is not None:
            raise ConfigurationError(
                f"{type(self).__name__} has no {setting} where the mode is {self.mode}.",
                received=repr(given),
                remedy="Leave it out.",
            )

    @property
    def name(self) -> str:
        return self.named()

    def named(self, *words: str, **settings: float | str | None) -> str:
        """The name, with further words in front and settings behind."""
        modal = [self.mode] if self.average is None else [self.mode, self.average]
        return named(type(self).__name__, *words, *modal, **settings, ignore_index=self.ignore_index)

    def labels(self, ops: ArrayOps, output: Output) -> LabelItems:
        """What counts, where the mode is binary or multilabel."""
        seen = _binary_items if self.mode == "binary" else label_items
        return seen(ops, output, self.name, self.ignore_index)
