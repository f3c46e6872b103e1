"""DeepSpeed's engine as a way of spreading a training (ZeRO-2): imported where a run asks for it, and nowhere else.

The engine goes backwards, clips and steps; batches, chances, averages and checkpoints stay the loop's. What AdamW keeps
lies in flat pieces of the engine's own. It is read and written by DeepSpeed's public functions, weight by weight, so
that a checkpoint is the same as of any other run.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ..config import TrainingConfig
from ..errors import BadConfig, MissingExtra
from .optimiser import make_optimiser

_FLAT = ("exp_avg", "exp_avg_sq")
"""What AdamW keeps for every weight."""


def check_asked(file: object) -> None:
    """Refuse what Accelerate was told of DeepSpeed beyond ZeRO-2.

    Args:
        file: The configuration that is known to work, for the message.

    Raises:
        BadConfig: For another stage, pieces on the CPU or on disk, or a file of DeepSpeed's own.
    """
    asked = {
        "zero_stage": (os.environ.get("ACCELERATE_DEEPSPEED_ZERO_STAGE", "2"), "2"),
        "offload_optimizer_device": (os.environ.get("ACCELERATE_DEEPSPEED_OFFLOAD_OPTIMIZER_DEVICE", "none"), "none"),
        "offload_param_device": (os.environ.get("ACCELERATE_DEEPSPEED_OFFLOAD_PARAM_DEVICE", "none"), "none"),
        "deepspeed_config_file": (os.environ.get("ACCELERATE_DEEPSPEED_CONFIG_FILE", "none"), "none"),
    }
    for name, (found, wanted) in asked.items():
        if found != wanted:
            raise BadConfig(f"`{name}` must be {wanted}, but got {found}. Take {file} as it is.")


class Engine:
    """Every process has all weights, and a piece of gradients and optimiser, by DeepSpeed."""

    sharded = True
    """Whether saving and validating need every process."""

    def __init__(self, accelerator: Any, module: nn.Module, config: TrainingConfig) -> None:
        """Give a module to DeepSpeed.

        Args:
            accelerator: Of Accelerate, which has joined the processes.
            module: On its device.
            config: The run.

        Raises:
            BadConfig: For an optimiser that needs whole matrices.
            MissingExtra: Without DeepSpeed.
        """
        if config.optimiser != "adamw":
            raise BadConfig(f"`optimiser` must be adamw where it is in pieces, but got {config.optimiser!r}.")
        try:
            import deepspeed  # pyright: ignore[reportMissingImports]
        except ImportError as error:
            raise MissingExtra("DeepSpeed was asked for, but is not here. Run: pip install deepspeed") from error
        logging.getLogger("DeepSpeed").setLevel(logging.WARNING)
        self.trained: dict[str, Tensor] = {n: p for n, p in module.named_parameters() if p.requires_grad}
        """What is learned, by name."""

        device: torch.device = accelerator.device
        lower = config.precision == "bf16"
        self._autocast: Any = torch.autocast(device.type, torch.bfloat16, enabled=lower)
        self.module, *_ = deepspeed.initialize(
            model=module,
            optimizer=make_optimiser(self.trained.values(), config),
            dist_init_required=False,
            config={
                "train_micro_batch_size_per_gpu": 1,  # the batches are the loop's
                "gradient_accumulation_steps": config.accumulate,
                "gradient_clipping": config.clip_gradient,
                "zero_optimization": {"stage": 2, "overlap_comm": device.type != "cpu"},
                "zero_allow_untested_optimizer": True,
                "zero_force_ds_cpu_optimizer": False,
            },
        )
        self.optimiser = Pieces(self.module, self.trained)

    @contextmanager
    def no_sync(self) -> Generator[None, None, None]:
        """Return a context in which a batch is not yet the last of its step."""
        self.module.set_gradient_accumulation_boundary(False)
        try:
            yield
        finally:
            self.module.set_gradient_accumulation_boundary(True)

    def forward(self, batch: Any, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the losses of a batch, multiplied in the precision of the run."""
        with self._autocast:
            return self.module(batch, generator)

    def step(self, losses: Mapping[str, Tensor], times: int) -> None:
        """Go backwards through one of several batches of a step."""
        self.module.backward(losses["loss"])  # the engine divides by `times` itself
        if not self.module.is_gradient_accumulation_boundary():
            self.module.step()  # counts the batch

    def clip(self, norm: float) -> None:
        """Leave it to the engine, which clips when it steps."""


class Pieces:
    """The engine's optimiser as the loop and the checkpoints know one: whole tensors, a state for every weight."""

    def __init__(self, engine: Any, trained: Mapping[str, Tensor]) -> None:
        """Look at an engine's optimiser.

        Args:
            engine: Of DeepSpeed.
            trained: What it updates, in the order in which checkpoints number it.
        """
        self._engine, self._zero, self._trained = engine, engine.optimizer, list(trained.values())

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """One group, whose `lr` is the run's to set; its weights are whole."""
        return self._zero.param_groups

    @property
    def pieces(self) -> list[Tensor]:
        """The flat weights that this process updates."""
        return [piece for group in self._zero.optimizer.param_groups for piece in group["params"]]

    @property
    def kept(self) -> int:
        """How many numbers AdamW keeps in this process."""
        state = self._zero.optimizer.state
        return sum(state[piece][name].numel() for piece in self.pieces for name in _FLAT if piece in state)

    def zero_grad(self) -> None:
        """Do nothing: the engine lets gradients go when it has stepped."""

    def step(self) -> None:
        """Let the engine clip, update its piece and gather the weights."""
        self._engine.step()

    def state_dict(self) -> dict[str, Any]:
        """Return what a plain AdamW of all weights would; every process has to ask."""
        from deepspeed.utils import safe_get_full_optimizer_state  # pyright: ignore[reportMissingImports]

        group = {k: v for k, v in self.param_groups[0].items() if k != "params"}
        groups = [{**group, "params": list(range(len(self._trained)))}]
        kept = self._zero.optimizer.state
        if not kept:
            return {"state": {}, "param_groups": groups}
        count = kept[self.pieces[0]]["step"].clone()
        state = {
            number: {"step": count.clone(), **{n: safe_get_full_optimizer_state(weight, n).clone() for n in _FLAT}}
            for number, weight in enumerate(self._trained)
        }
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, stored: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned, and the weights as they are by now.

        Args:
            stored: Of this or of any other AdamW of the same weights.
        """
        from deepspeed.utils import (  # pyright: ignore[reportMissingImports]
            lazy_init_hp_params_optimizer_state,
            safe_set_full_optimizer_state,
        )

        zero = self._zero
        if stored["state"]:
            for piece in self.pieces:  # AdamW makes its state in its first step, which was elsewhere
                zero.optimizer.state[piece] = {"step": stored["state"][0]["step"].clone().cpu()}
                zero.optimizer.state[piece] |= {name: torch.zeros_like(piece) for name in _FLAT}
            for weights, piece in zip(zero.bit16_groups, zero.single_partition_of_fp32_groups, strict=True):
                lazy_init_hp_params_optimizer_state(weights, piece, zero.optimizer.state)
            for number, weight in enumerate(self._trained):
                for name in _FLAT:
                    safe_set_full_optimizer_state(weight, stored["state"][number][name].to(weight.device), name)
        zero.refresh_fp32_params()
