"""`multilearn diff-step`: one step on two frameworks, and where they first differ."""
