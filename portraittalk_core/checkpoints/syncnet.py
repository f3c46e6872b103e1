"""Load SyncNet's `syncnet_v2.model` into SyncNet, for LSE."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from ..nets.sync_net import SyncNet
from .detect import Kind, expect
from .files import open_weights
from .layouts import Rule, account, shapes_of

_COUNTS = Rule("counts the batches of a training, which nothing here needs", end=".num_batches_tracked")


@dataclass(frozen=True)
class LoadedSyncNet:
    """SyncNet v2."""

    net: SyncNet
    """The network, frozen."""
    ignored: dict[str, str]
    """Names of the tensors that were left out, each with the reason."""


def load_syncnet(path: Path | str, dtype: torch.dtype = torch.float32) -> LoadedSyncNet:
    """Load SyncNet v2.

    Args:
        path: A flat pickle of 102 tensors or the same as safetensors. Files of before PyTorch 0.4.1 lack the 14
            counters of their batch norms; both kinds load.
        dtype: Of the floating tensors.

    Raises:
        WeightsMismatch: Unless every other tensor has its place.
    """
    expect(path, Kind.SYNCNET)
    file = open_weights(path)
    with torch.device("meta"):
        net = SyncNet()
    counters = {name for name in net.state_dict() if name.endswith(".num_batches_tracked")}
    expected = {name: size for name, size in shapes_of(net.state_dict()).items() if name not in counters}
    ignored = account(path, "SyncNet v2", expected, file.shapes, (_COUNTS,))
    tensors = file.tensors(dtype)
    state = {name: tensors[name] for name in expected} | {name: torch.zeros((), dtype=torch.long) for name in counters}
    net.load_state_dict(state, assign=True)
    return LoadedSyncNet(net.eval().requires_grad_(False), ignored)
