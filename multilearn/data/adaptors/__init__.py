"""What other libraries' loaders are to this one: one module each, none of which imports the library."""

from multilearn.data.adaptors.iterable import Streamed
from multilearn.data.adaptors.py_dataset import PyDatasetBatches
from multilearn.data.adaptors.tf_dataset import tf_batches
from multilearn.data.adaptors.torch_loader import TorchBatches, torch_batches

__all__ = ["PyDatasetBatches", "Streamed", "TorchBatches", "tf_batches", "torch_batches"]
