"""Whole fits: the Learner, loops written by hand, Keras and Lightning, on the same arrays from the same weights."""
