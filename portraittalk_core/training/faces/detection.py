"""What is asked of the detector in training."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .collage import CollageBatch
from .precision import half_precision


def detector_loss(net: nn.Module, batch: CollageBatch, *, half: bool = False) -> Tensor:
    """Sum the focal loss of the scores and, on the cells of faces, errors of distances and key points.

    Args:
        net: A `Detector`.
        batch: Collages with their targets.
        half: Compute in bfloat16 what can be.
    """
    with half_precision(half):
        maps = net(torch.from_numpy(batch.pictures).contiguous(memory_format=torch.channels_last))
    maps = [raw.float() for raw in maps]
    total = torch.zeros(())
    found = sum(float((t[:, 0] == 1).sum()) for t in batch.targets) + 1
    for raw, target in zip(maps, (torch.from_numpy(t) for t in batch.targets), strict=True):
        label = target[:, 0]
        loss = F.binary_cross_entropy_with_logits(raw[:, 0], label.clamp(min=0), reduction="none")
        surprise = (raw[:, 0].sigmoid() - label.clamp(min=0)).abs().square()
        total = total + (loss * surprise * (label >= 0)).sum() / found * 2
        rows, wanted = (m.permute(0, 2, 3, 1)[label == 1] for m in (raw, target))
        if len(rows):
            size = (wanted[:, 1:3] + wanted[:, 3:5]).mean(1, keepdim=True)
            total = total + (rows[:, 1:5] - wanted[:, 1:5].log()).abs().mean(1).sum() / found * 2
            total = total + ((rows[:, 5:] - wanted[:, 5:]) / size).abs().mean(1).sum() / found * 20
    return total
