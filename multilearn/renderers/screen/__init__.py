"""Runs on the whole screen of a terminal, which is another process than the training."""
