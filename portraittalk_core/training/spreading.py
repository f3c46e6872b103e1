"""How a training is spread over processes: a whole copy of the weights in each, or a piece of them (FSDP).

With whole copies Accelerate averages gradients (DDP). Pieces are asked for by a file of `accelerate launch`, such as
`fsdp.yaml` beside this module; torch's `fully_shard` makes them, in layers of the U-Net. What is written to disk is the
same either way: whole tensors, by which a run goes on with any number of processes, in pieces or not.

ZeRO-2 shares out gradients and optimiser, and keeps the weights whole. There are two ways to it: `zero2.yaml` asks it
of `fully_shard`, and `deepspeed.yaml` takes DeepSpeed's own engine where that is installed, see `zero_engine`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..config import TrainingConfig
from ..errors import BadConfig
from .optimiser import make_optimiser
from .zero_engine import Engine, Pieces, check_asked

FSDP = Path(__file__).with_name("fsdp.yaml")
"""For `accelerate launch --config_file`: weights, gradients and optimiser in pieces (ZeRO-3)."""

ZERO2 = Path(__file__).with_name("zero2.yaml")
"""The same, but weights stay whole between the passes (ZeRO-2)."""

DEEPSPEED = Path(__file__).with_name("deepspeed.yaml")
"""ZeRO-2 by DeepSpeed's engine."""

LAYERS = ("down_blocks", "mid_block", "up_blocks")
"""Of a U-Net: each is gathered when it runs."""


class Whole:
    """Every process has all weights, and Accelerate averages the gradients."""

    sharded = False
    """Whether saving and validating need every process."""

    def __init__(self, accelerator: Any, module: nn.Module, config: TrainingConfig) -> None:
        """Prepare a module to be trained.

        Args:
            accelerator: Of Accelerate.
            module: On its device.
            config: The run.
        """
        self._accelerator = accelerator
        self.trained = _trained(module)
        """What is learned, by name."""

        optimiser = make_optimiser(self.trained.values(), config)
        self.module, self.optimiser = accelerator.prepare(module, optimiser)

    def no_sync(self) -> AbstractContextManager[Any]:
        """Return a context in which gradients of a batch stay in their process."""
        return self._accelerator.no_sync(self.module)

    def step(self, losses: Mapping[str, Tensor], times: int) -> None:
        """Go backwards through one of several batches of a step.

        Args:
            losses: Of the batch.
            times: How many batches there are.
        """
        self._accelerator.backward(losses["loss"] / times)

    def forward(self, batch: Any, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the losses of a batch.

        Args:
            batch: What the module takes.
            generator: Of its chances.
        """
        return self.module(batch, generator)

    def clip(self, norm: float) -> None:
        """Scale gradients down to a norm.

        Args:
            norm: The largest.
        """
        self._accelerator.clip_grad_norm_(self.module.parameters(), norm)


class Sharded(Whole):
    """Every process has a piece of each weight, of its gradient and of what the optimiser keeps."""

    sharded = True

    def __init__(self, accelerator: Any, module: nn.Module, config: TrainingConfig, weights: bool = True) -> None:
        """Share a module out.

        Args:
            accelerator: Of Accelerate.
            module: On its device; its parameters become DTensors.
            config: The run.
            weights: Whether weights are let go between the passes, too.

        Raises:
            BadConfig: For an optimiser that needs whole matrices.
        """
        if config.optimiser != "adamw":
            raise BadConfig(f"`optimiser` must be adamw where weights are in pieces, but got {config.optimiser!r}.")
        self._accelerator = accelerator
        _shard(module, accelerator.device.type, weights)
        self.trained = _trained(module)
        self.module = module
        self.optimiser = make_optimiser(self.trained.values(), config)

    @contextmanager
    def no_sync(self) -> Any:
        """Return a context in which gradients of a batch stay in their process."""
        module: Any = self.module
        module.set_requires_gradient_sync(False)
        try:
            yield
        finally:
            module.set_requires_gradient_sync(True)

    def forward(self, batch: Any, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the losses of a batch, multiplied in the precision of the run."""
        with self._accelerator.autocast():
            return self.module(batch, generator)

    def step(self, losses: Mapping[str, Tensor], times: int) -> None:
        """Go backwards through one of several batches of a step."""
        (losses["loss"] / times).backward()

    def clip(self, norm: float) -> None:
        """Scale gradients down to a norm, that of all pieces together."""
        nn.utils.clip_grad_norm_(self.trained.values(), norm)


def spread(accelerator: Any, module: nn.Module, config: TrainingConfig) -> Whole | Engine:
    """Return a module as the launch of the program asks for it.

    Args:
        accelerator: Of Accelerate.
        module: On its device.
        config: The run.

    Raises:
        BadConfig: For a way that there is not.
        MissingExtra: When DeepSpeed is asked for and not there.
    """
    asked = asked_way()
    if asked == "deepspeed":
        return Engine(accelerator, module, config)
    if asked == "whole":
        return Whole(accelerator, module, config)
    return Sharded(accelerator, module, config, weights=asked == "fsdp")


def asked_way() -> str:
    """Return what a file of `accelerate launch` asks for: `whole` copies, `fsdp`, `zero2` or `deepspeed`.

    Raises:
        BadConfig: For Megatron-LM, and for FSDP and DeepSpeed of another kind.
    """
    if _on("ACCELERATE_USE_MEGATRON_LM"):
        raise BadConfig(
            "training must be launched plainly, with FSDP or with DeepSpeed, but Accelerate was told Megatron-LM. "
            f"Try accelerate launch --config_file {FSDP} -m …"
        )
    if _on("ACCELERATE_USE_DEEPSPEED"):
        check_asked(DEEPSPEED)
        return "deepspeed"
    if not _on("ACCELERATE_USE_FSDP"):
        return "whole"
    version = os.environ.get("FSDP_VERSION", "1")
    if version != "2":
        raise BadConfig(f"`fsdp_version` must be 2, but got {version}. Take {FSDP} as it is.")
    if _on("FSDP_OFFLOAD_PARAMS"):
        raise BadConfig(f"`fsdp_offload_params` must be false, but got true. Take {FSDP} as it is.")
    return "fsdp" if _on("FSDP_RESHARD_AFTER_FORWARD", "true") else "zero2"


def whole(tensors: Mapping[str, Tensor], keep: bool = True) -> dict[str, Tensor]:
    """Return tensors as they are without pieces. Where there are pieces every process has to ask.

    Args:
        tensors: Of a run.
        keep: Whether this process wants them; pieces that are put together for another are let go.
    """
    return {name: _whole(value, keep) for name, value in tensors.items()}


def fill(target: Tensor, value: Tensor) -> None:
    """Copy a whole tensor into one that may be in pieces.

    Args:
        target: Changed in place.
        value: Of the same shape; the same in every process.
    """
    with torch.no_grad():
        target.copy_(_alike(value, target))


def whole_state(optimiser: Any, keep: bool = True) -> dict[str, Any]:
    """Return an optimiser's state with whole tensors; see `whole`.

    Args:
        optimiser: Of the run.
        keep: Whether this process wants them.
    """
    found = optimiser.state_dict()
    state = {
        number: {name: _whole(value, keep) if torch.is_tensor(value) else value for name, value in one.items()}
        for number, one in found["state"].items()
    }
    return {**found, "state": state}


def fill_state(optimiser: Any, stored: Mapping[str, Any]) -> None:
    """Give an optimiser the state that `whole_state` returned.

    Args:
        optimiser: Of the run; the same kind, for the same weights.
        stored: As it was read.
    """
    if isinstance(optimiser, Pieces):  # which has no tensor a weight
        optimiser.load_state_dict(stored)
        return
    own = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    state = {
        number: {
            name: _alike(value, own[number]) if torch.is_tensor(value) and value.shape == own[number].shape else value
            for name, value in one.items()
        }
        for number, one in stored["state"].items()
    }
    optimiser.load_state_dict({**stored, "state": state})


def _trained(module: nn.Module) -> dict[str, Tensor]:
    return {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}


def _shard(module: Any, device: str, weights: bool) -> None:
    """Share out the layers of a U-Net one by one, and all else together."""
    import torch.distributed as dist
    from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

    mesh = dist.device_mesh.init_device_mesh(device, (dist.get_world_size(),))
    options: dict[str, Any] = {"mesh": mesh, "reshard_after_forward": weights}
    unet = getattr(module, "unet", None)
    for name in LAYERS if unet is not None else ():
        layers: Any = getattr(unet, name)
        for layer in layers if isinstance(layers, nn.ModuleList) else (layers,):
            fully_shard(layer, **options)
    fully_shard(module, mesh=mesh)
    if hasattr(module, "predict"):  # by which validation runs it
        register_fsdp_forward_method(module, "predict")


def _on(name: str, usual: str = "false") -> bool:
    return os.environ.get(name, usual).lower() in ("true", "1")


def _whole(value: Any, keep: bool) -> Tensor:
    if not hasattr(value, "full_tensor"):
        return value
    found = value.detach().full_tensor()
    return found.cpu() if keep else found[:0]


def _alike(value: Tensor, like: Any) -> Tensor:
    """Return a whole tensor in the pieces of another; every process has all of it, so nobody is asked."""
    if not hasattr(like, "full_tensor"):
        return value
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(value.to(like.device), like.device_mesh, like.placements, src_data_rank=None)
