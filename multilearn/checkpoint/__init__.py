"""Checkpoints: records, the files they are kept in, and which of them to keep."""

from typing import TYPE_CHECKING

from multilearn.checkpoint.folder import CheckpointFolder
from multilearn.checkpoint.strategies import DEFAULT, AnyOf, CheckpointStrategy, KeepBest, KeepEvery, KeepLast
from multilearn.checkpoint.writer import CheckpointWriter
from multilearn.foreign_words import suggesting
from multilearn.records.formats import convert, read_file
from multilearn.records.matching import differences, nbytes, require_match
from multilearn.records.mpk import MpkGzRecorder, MpkRecorder
from multilearn.records.recorder import Contents, Recorder
from multilearn.records.safetensors import SafetensorsRecorder
from multilearn.records.tensors import HostTensor
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

if not TYPE_CHECKING:  # a type checker would take any name for one that is there
    __getattr__ = suggesting(globals())
