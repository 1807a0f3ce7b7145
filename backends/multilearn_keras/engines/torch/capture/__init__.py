"""Steps on torch as flat ATen graphs: traced once for batches of a kind, rearranged, compared with eager ones, and run.

`tracing` makes a graph of a function, `aliases` says what shares memory in it, `passes` rearranges it, `program` makes
Python code of it, `captured` decides what is run when, and compares.
"""
