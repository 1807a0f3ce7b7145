"""Metrics of Keras as metrics of multilearn."""
