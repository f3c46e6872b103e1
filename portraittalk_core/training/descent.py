"""Train a small network on one processor: AdamW, a learning rate of one cycle, clipped gradients, a checkpoint."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from ..checkpoints.writing import save_state


class Descent:
    """Changes the weights of a network so that losses fall."""

    def __init__(
        self,
        module: nn.Module,
        rate: float,
        steps: int,
        *,
        betas: tuple[float, float] = (0.9, 0.98),
        decay: float = 0.01,
        rising: float = 0.1,
    ) -> None:
        """Begin at the first step.

        Args:
            module: What is trained.
            rate: The highest learning rate.
            steps: In all.
            betas: Of AdamW.
            decay: Of the weights.
            rising: Share of the steps in which the rate rises.
        """
        self._module = module
        self._optimizer = torch.optim.AdamW(module.parameters(), rate, betas=betas, weight_decay=decay)
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(self._optimizer, rate, total_steps=steps, pct_start=rising)

    def step(self, loss: Tensor) -> None:
        """Take a step.

        Args:
            loss: Of the network as it is.
        """
        self._optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self._module.parameters(), 1.0)
        self._optimizer.step()
        self._schedule.step()

    def save(self, path: Path, step: int) -> None:
        """Keep where the training stands, whole or not at all.

        Args:
            path: Of the file.
            step: Steps taken.
        """
        state = {"step": step, "modules": self._module.state_dict(), "optimizer": self._optimizer.state_dict()}
        save_state({**state, "schedule": self._schedule.state_dict()}, path)

    def resume(self, path: Path) -> int:
        """Go back to where a training stood, and return the steps taken.

        Args:
            path: Of `save`; where it is missing nothing changes.
        """
        if not path.exists():
            return 0
        state = torch.load(path, weights_only=True)
        self._module.load_state_dict(state["modules"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])
        return state["step"]
