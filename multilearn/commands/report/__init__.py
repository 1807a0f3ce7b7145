"""One HTML file about one run or many: curves, how far apart they are, and all that they ran on."""
