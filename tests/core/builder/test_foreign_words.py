"""Arguments of other libraries are refused with what to write in their place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support import toy_experiment as toy
from toy_backend import Momentum

import multilearn as ml
from multilearn.errors import ConfigurationError, UnknownArgument

FIT = {
    "epochs": r"num_epochs\(n\)",
    "batch_size": r"DataLoader\(\(x, y\), batch_size=64\)",
    "callbacks": r"early_stopping.*metric_loggers",
    "verbose": "SilentRenderer",
    "validation_data": r"fit\(train, valid\)",
    "validation_split": r"fit\(train, valid\)",
    "class_weight": r"CompiledModel\(model, class_weight=",
    "sample_weight": "weights",
    "shuffle": "shuffle=True",
    "initial_epoch": r'checkpoint\("latest"\)',
    "steps_per_epoch": "epoch_of",
    "validation_steps": "take",
    "learning_rate": r"build\(model, optimizer, lr\)",
    "x": "DataLoader",
}


@pytest.mark.parametrize("word", FIT)
def test_words_of_other_fits_are_refused_with_what_to_use(word: str, tmp_path: Path) -> None:
    learner = toy.builder(tmp_path / "run").build(toy.task(), Momentum(), 0.1)
    fit: Any = learner.fit
    with pytest.raises(
        TypeError, match=rf"fit takes train, valid. Received: {word}\. For {word}: .*{FIT[word]}"
    ) as caught:
        fit(toy.train_loader(), **{word: 1})
    assert isinstance(caught.value, UnknownArgument) and isinstance(caught.value, ConfigurationError)
    assert not (tmp_path / "run").exists()
    learner.fit(train=toy.train_loader(), valid=toy.valid_loader())


def test_several_are_named_at_once_and_the_nearest_word_is_meant(tmp_path: Path) -> None:
    fit: Any = toy.builder(tmp_path / "run").build(toy.task(), Momentum(), 0.1).fit
    with pytest.raises(UnknownArgument, match=r"x, epochs, callbacks\. In their place: x: .*epochs: .*callbacks: "):
        fit(x=1, epochs=3, callbacks=[])
    with pytest.raises(UnknownArgument, match=r"did you mean valid\?"):
        fit(toy.train_loader(), vaild=toy.valid_loader())


def test_words_of_compile_evaluate_and_predict_too(tmp_path: Path) -> None:
    build: Any = toy.builder(tmp_path / "run").build
    with pytest.raises(UnknownArgument, match=r"build takes model, optimizer, lr\. Received: metrics.*\.metrics\("):
        build(toy.task(), metrics=["accuracy"])
    evaluator: Any = ml.Evaluator(tmp_path / "run")
    with pytest.raises(UnknownArgument, match=r"evaluate takes .*batch_size.*DataLoader"):
        evaluator.evaluate(toy.task(), toy.valid_loader(), batch_size=3)
    predict: Any = ml.predict
    for asked in (predict, evaluator.predict):
        with pytest.raises(UnknownArgument, match=r"predict takes .*verbose"):
            asked(toy.task(), toy.valid_loader(), verbose=0)
