"""Processes that this one starts: what their environments say to them, their output, and the signals for them."""
