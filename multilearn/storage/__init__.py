"""How anything gets to disk and survives a kill: where a run's files lie, and how they are written, read and locked."""
