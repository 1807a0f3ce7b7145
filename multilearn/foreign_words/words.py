"""The words of other libraries, by what to use here."""

from __future__ import annotations

__all__ = ["ATTRIBUTES", "CLASSES", "INSTEAD", "NAMES", "OF_FUNCTIONS", "WORDS"]

_LOADER = "multilearn.DataLoader((x, y), batch_size=64)"
_WORKERS = "multilearn.DataLoader(data, 64, num_workers=2)"
_BUILDER = "LearnerBuilder(directory)"
_LISTENERS = "metric_loggers= or renderer= of an Evaluator, which see every event, or a for loop over predictions"

WORDS = {
    "x": f"give the data as one loader: {_LOADER}",
    "y": f"targets are in the batches of the loader: {_LOADER}",
    "batch_size": f"the loader has it: {_LOADER}",
    "sample_weight": "weights are the third part of a batch: multilearn.DataLoader((x, y, weights), batch_size=64)",
    "class_weight": "the task has it: Classification(model, class_weight={0: 1.0, 1: 5.0}); of a compiled model write "
    "multilearn_keras.CompiledModel(model, class_weight={0: 1.0, 1: 5.0})",
    "shuffle": "the loader has it: multilearn.DataLoader((x, y), batch_size=64, shuffle=True)",
    **dict.fromkeys(("workers", "num_workers", "use_multiprocessing"), f"the loader has them: {_WORKERS}"),
    "max_queue_size": "the loader has it: multilearn.DataLoader(data, 64, prefetch=4)",
    "steps": "give the first n batches: multilearn.take(loader, n)",
    "steps_per_epoch": "the loader has it: multilearn.epoch_of(loader, n), or loader.epoch_of(n) of a DataLoader",
    "validation_steps": "give the first n batches for validation: multilearn.take(valid, n)",
    **dict.fromkeys(("validation_data", "val_dataloaders"), "the second argument: fit(train, valid)"),
    "train_dataloaders": "the first argument: fit(train, valid)",
    "validation_split": "two loaders, of the parts of multilearn.train_valid_split((x, y), 0.2): fit(train, valid)",
    "validation_batch_size": "the loader for validation has it: fit(train, valid)",
    "validation_freq": f"{_BUILDER}.validate_every(n)",
    **dict.fromkeys(("epochs", "num_epochs", "max_epochs"), f"{_BUILDER}.num_epochs(n)"),
    "initial_epoch": f'{_BUILDER}.checkpoint("latest") resumes where the run in the directory was',
    "ckpt_path": f'{_BUILDER}.checkpoint("latest"), or .checkpoint(epoch, directory); '
    "checkpoint= of evaluate and predict",
    "callbacks": f"use {_BUILDER}.early_stopping(...), .with_file_checkpointer(), .restore_best(), a scheduler as lr=, "
    f"and .metric_loggers(...) for a listener of your own; without a fit, use {_LISTENERS}",
    "verbose": f"{_BUILDER}.renderer(multilearn.renderers.SilentRenderer()), or renderer= of an Evaluator; "
    "predict prints nothing",
    "return_dict": "values always come by name, in a dict",
    **dict.fromkeys(("lr", "learning_rate"), "the learner is built with it: build(model, optimizer, lr)"),
    "loss": "the task has it: Classification(model, loss=...), or model.compile(optimizer, loss)",
    **dict.fromkeys(
        ("metrics", "weighted_metrics"),
        f"{_BUILDER}.metrics(multilearn.metrics.Accuracy()), or metrics= of an Evaluator",
    ),
    "loss_weights": "model.compile(optimizer, loss, loss_weights=...)",
    "run_eagerly": f"{_BUILDER}.engine(capture=False)",
    "jit_compile": f'{_BUILDER}.engine(compile="xla"), or "inductor" on torch',
}

OF_FUNCTIONS = {
    "checkpoint_every": {
        "epochs": ".with_file_checkpointer() saves after epochs; which of these are kept, "
        ".with_checkpointing_strategy(multilearn.checkpoint.KeepEvery(n)) says",
        **dict.fromkeys(("steps", "save_freq", "every_n_train_steps"), "checkpoint_every(batches=n)"),
        "hours": "checkpoint_every(minutes=60 * hours)",
    },
}
"""Words that mean something else in these."""

CLASSES = {
    "patience": "epochs",
    "monitor": "metric",
    "mode": "direction",
    "num_classes": "classes",
    "test_size": "share",
    "random_state": "seed",
    "n": "k",
    **dict.fromkeys(("decay_steps", "total_steps", "warmup_steps", "num_training", "num_it"), "updates"),
    "T_max": "updates",
    "step_size": "every",
    "threshold": "min_delta",
    "eta_min": "minimum",
    "start_lr": "lowest",
    "end_lr": "highest",
    "min_lr": "minimum lowest",
    "max_lr": "maximum highest",
    "early_stop_threshold": "diverged",
}
"""Arguments of classes of other libraries, by what they are here: the one of these that there is."""

_OF_KERAS_PACKAGE = (
    "Classification",
    "CompiledModel",
    "LanguageModel",
    "MultiLabelClassification",
    "Regression",
    "SequenceClassification",
    "load_weights",
    "save_model",
)

NAMES = {
    "F1": "FBetaScore",
    "F1Score": "FBetaScore",
    "AUC": "AUROC",
    "PRAUC": "AveragePrecision",
    "MAE": "MeanAbsoluteError",
    "MSE": "MeanSquaredError",
    "RMSE": "RootMeanSquaredError",
    "R2Score": "R2",
    "IoU": "MeanIoU",
    "JaccardIndex": "MeanIoU",
    "Top5Accuracy": "TopKAccuracy",
    "TopKCategoricalAccuracy": "TopKAccuracy",
    "SparseTopKCategoricalAccuracy": "TopKAccuracy",
    "EarlyStopping": "early_stopping.NoImprovement",
    "ModelCheckpoint": "LearnerBuilder.with_file_checkpointer",
    "CSVLogger": "`multilearn export --to csv`",
    "ReduceLROnPlateau": "schedulers.ReduceOnPlateau",
    **dict.fromkeys(("CosineDecay", "CosineAnnealingLR", "CosineAnnealingWarmRestarts"), "schedulers.Cosine"),
    **dict.fromkeys(("ExponentialDecay", "ExponentialLR"), "schedulers.Exponential"),
    **dict.fromkeys(("PiecewiseConstantDecay", "MultiStepLR"), "schedulers.Piecewise"),
    **dict.fromkeys(("PolynomialDecay", "PolynomialLR"), "schedulers.Polynomial"),
    "StepLR": "schedulers.Step",
    "LinearLR": "schedulers.Linear",
    "OneCycleLR": "schedulers.OneCycle",
    "SequentialLR": "schedulers.Sequential",
    "ChainedScheduler": "schedulers.Composed",
    **dict.fromkeys(("WandB", "Wandb", "WandbCallback", "WandbMetricsLogger"), "loggers.WandbLogger"),
    "TensorBoard": "loggers.TensorBoardLogger",
    "TerminateOnNaN": "LearnerBuilder.nan_policy",
    "Trainer": "LearnerBuilder",
    "Dataset": "DataLoader",
    "train_test_split": "train_valid_split",
    "random_split": "train_valid_split",
    **{name: f"multilearn_keras.{name}" for name in _OF_KERAS_PACKAGE},
    **dict.fromkeys(
        ("BinaryClassification", "BinaryClassifier", "MultiLabel"), "multilearn_keras.MultiLabelClassification"
    ),
    **dict.fromkeys(("Classifier", "MultiClassClassification"), "multilearn_keras.Classification"),
    "Regressor": "multilearn_keras.Regression",
}
"""Names in other libraries, by what they are here."""

_FIT = f"{_BUILDER}.build(task, optimizer, lr).fit(train, valid)"
_RETURNED = "of the Keras model that fit returns"
_EVALUATE = "multilearn.Evaluator(directory, metrics=[...]).evaluate(task, data)"
_SCHEDULE = (
    "a schedule is the third argument of build, such as multilearn.schedulers.Cosine(1e-2), or an object of yours "
)
_SCHEDULE += "with learning_rate(update), state() and restore(state); it counts updates, not epochs"

INSTEAD = {
    "callbacks": WORDS["callbacks"],
    "Callback": f"{_BUILDER}.on_epoch(function) or .metric_loggers(...) for what listens",
    "fit": _FIT,
    "evaluate": _EVALUATE,
    **dict.fromkeys(("LearningRateScheduler", "LambdaLR"), _SCHEDULE),
}
"""Names in other libraries that are no single name here."""

ATTRIBUTES = {
    "LearnerBuilder": {
        **WORDS,
        "callbacks": ".early_stopping(...), .with_file_checkpointer(), .restore_best(), a scheduler as lr= of build, "
        "and .on_epoch(function) or .metric_loggers(...) for what listens",
        **dict.fromkeys(
            ("gradient_clip_val", "clip_grad_norm", "gradient_clipping"),
            "the optimizer has it: keras.optimizers.Adam(global_clipnorm=1.0)",
        ),
        **dict.fromkeys(("accumulate_grad_batches", "gradient_accumulation_steps"), ".grads_accumulation(n)"),
        "compile": "the optimizer is given to build(task, optimizer, lr); a compiled model has its own: build(model)",
        "fit": "build first: .build(task, optimizer, lr).fit(train, valid)",
        "evaluate": _EVALUATE,
        "predict": f"multilearn.predict(model, data) {_RETURNED}",
    },
    "Learner": {
        **{word: f"the builder has it: {WORDS[word]}" for word in ("epochs", "metrics", "callbacks")},
        "evaluate": "multilearn.Evaluator(learner.directory, metrics=[...]).evaluate(task, data)",
        "predict": f"multilearn.predict(model, data) {_RETURNED}",
        "model": "model = learner.fit(train, valid)",
        "save": f'model.save("model.keras") {_RETURNED}; checkpoints: {_BUILDER}.with_file_checkpointer()',
        "save_weights": f'model.save_weights("model.weights.h5") {_RETURNED}',
        "load_weights": "multilearn_keras.load_weights(model, learner.directory)",
        "summary": f"model.summary() {_RETURNED}",
        "compile": "build(task, optimizer, lr) of the builder",
    },
    "EpochHistory": {
        "history": 'it is a mapping itself: history["train"]["Loss"]',
        **{split: f'history["{split}"]' for split in ("train", "valid")},
        "epoch": "values are from epoch 1 on: history.frame() is a table with a row for each epoch",
    },
}
"""What is asked of objects of these classes, by what to use."""
