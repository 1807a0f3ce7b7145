"""`multilearn grid`: one script for every backend and seed."""
