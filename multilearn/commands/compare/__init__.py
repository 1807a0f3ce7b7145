"""`multilearn compare`: runs side by side, and what they differ in."""
