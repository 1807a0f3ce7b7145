"""One engine per framework; each module imports its own."""
