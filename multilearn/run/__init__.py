"""One run on disk, and resuming it."""
