"""Curves drawn for terminals and pages, from arrays: no terminal and no run is known here."""
