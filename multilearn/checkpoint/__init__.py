"""Checkpoints: records, the files they are kept in, and which of them to keep."""

from multilearn.checkpoint.folder import CheckpointFolder
from multilearn.checkpoint.formats import convert, read_file
from multilearn.checkpoint.matching import differences, nbytes, require_match
from multilearn.checkpoint.mpk import MpkGzRecorder, MpkRecorder
from multilearn.checkpoint.recorder import Contents, Recorder
from multilearn.checkpoint.safetensors import SafetensorsRecorder
from multilearn.checkpoint.strategies import DEFAULT, AnyOf, CheckpointStrategy, KeepBest, KeepEvery, KeepLast
from multilearn.checkpoint.tensors import HostTensor
from multilearn.checkpoint.writer import CheckpointWriter
from multilearn.storage.atomic import write_atomically

__all__ = [
    "DEFAULT",
    "AnyOf",
    "CheckpointFolder",
    "CheckpointStrategy",
    "CheckpointWriter",
    "Contents",
    "HostTensor",
    "KeepBest",
    "KeepEvery",
    "KeepLast",
    "MpkGzRecorder",
    "MpkRecorder",
    "Recorder",
    "SafetensorsRecorder",
    "convert",
    "differences",
    "nbytes",
    "read_file",
    "require_match",
    "write_atomically",
]
