"""Keras optimizers and learning-rate schedules, as `build` takes them."""
