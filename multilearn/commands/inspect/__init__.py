"""`multilearn inspect`: what is in a run or a record."""
