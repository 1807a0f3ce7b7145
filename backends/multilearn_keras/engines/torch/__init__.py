"""The engines on PyTorch."""
