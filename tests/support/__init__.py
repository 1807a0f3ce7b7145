"""What tests of several files share: experiments, processes, damage. Found by `pythonpath` in pyproject.toml."""
