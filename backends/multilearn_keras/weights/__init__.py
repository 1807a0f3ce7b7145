"""Starting weights out of files, and trained models into them."""
