"""`multilearn run`: one script for every backend and seed."""
