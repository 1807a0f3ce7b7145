"""Runs cases in processes of one thread, collects their figures, and holds them against the goals."""
