"""The seams: what the core asks of a framework, of a task and of its data. Each lists what its caller calls.

Who writes a backend begins with `Backend` and `Engine`.
"""

from multilearn.protocols.arrays import ArrayOps, Batch, Device, Devices, Record, Tensor
from multilearn.protocols.backend import Asked, Backend, Phase, Traced
from multilearn.protocols.engine import (
    Compiler,
    Engine,
    EngineOptions,
    EvalEngine,
    Example,
    HostOutput,
    StepOutput,
    Subject,
)
from multilearn.protocols.metric import (
    UNAVAILABLE,
    AnyMetric,
    Entry,
    HostMetric,
    Measured,
    Metric,
    Moment,
    State,
    entry_of,
    of_device,
)
from multilearn.protocols.task import (
    Fingerprinted,
    Loader,
    LRScheduler,
    Optimizer,
    Output,
    ShardingLoader,
    StatefulLoader,
    Task,
)
from multilearn.protocols.world import ALONE, LaunchedRank, Shard, World, patience, rows_of

__all__ = [
    "ALONE",
    "UNAVAILABLE",
    "AnyMetric",
    "ArrayOps",
    "Asked",
    "Backend",
    "Batch",
    "Compiler",
    "Device",
    "Devices",
    "Engine",
    "EngineOptions",
    "Entry",
    "EvalEngine",
    "Example",
    "Fingerprinted",
    "HostMetric",
    "HostOutput",
    "LRScheduler",
    "LaunchedRank",
    "Loader",
    "Measured",
    "Metric",
    "Moment",
    "Optimizer",
    "Output",
    "Phase",
    "Record",
    "Shard",
    "ShardingLoader",
    "State",
    "StatefulLoader",
    "StepOutput",
    "Subject",
    "Task",
    "Tensor",
    "Traced",
    "World",
    "entry_of",
    "of_device",
    "patience",
    "rows_of",
]
