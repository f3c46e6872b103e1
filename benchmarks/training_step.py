"""One training step at full SD1.5 width with random weights: what moves, and how much memory it takes.

    python -m benchmarks.training_step --stage 2 --size 128 --frames 4

Prints what `portraittalk plan --train` predicts beside what the process took at most, and fails when a trained
parameter does not move, a frozen one does, or anything is not finite. Needs no file.
"""

from __future__ import annotations

import json
import resource
import sys
import threading
import time
from pathlib import Path

import psutil
import torch

from portraittalk_core.config import TrainingConfig
from portraittalk_core.hosts.sd15_models import empty_text_encoder
from portraittalk_core.perception.clip_text import ClipTokens
from portraittalk_core.training.denoiser.assembly import build_objective, lower_frozen
from portraittalk_core.training.memory import Parts, empty_batch, plan_step
from portraittalk_core.training.model import read_model
from portraittalk_core.training.optimiser import make_optimiser

from .parts.program import command_line

SPARE = 1e9
"""Bytes that others keep."""


def _say(text: object) -> None:
    sys.stdout.write(f"{text}\n")


class _Peak:
    """The most memory that this process has while a block runs, looked at fifty times a second."""

    def __init__(self) -> None:
        self.bytes = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> _Peak:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        process = psutil.Process()
        while not self._over.wait(0.02):
            self.bytes = max(self.bytes, process.memory_info().rss)


class _Sizes:
    """Says what a VAE's latents are like."""

    config = {"latent_channels": 4}  # noqa: RUF012 (as diffusers has it)


def _no_words(prompts: str | list[str], **_options: object) -> dict[str, torch.Tensor]:
    rows = [prompts] if isinstance(prompts, str) else prompts
    return {"input_ids": torch.full((len(rows), 77), 49407)}


def _random_clip() -> torch.nn.Module:
    model = empty_text_encoder()
    made = ClipTokens(model, _no_words)
    made.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            norm = "norm" in name
            parameter.copy_(
                torch.ones(parameter.shape) if norm else 0.02 * torch.randn(parameter.shape, generator=generator)
            )
    made.reset_positions()
    return made.eval().requires_grad_(False)


def step(config: TrainingConfig) -> dict[str, float]:
    """Take a step; return figures.

    Args:
        config: The run.

    Raises:
        RuntimeError: When something stands still that should move, moves that should not, or is not finite.
    """
    model = read_model("sd15")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    objective = build_objective(model, config, _random_clip(), _Sizes())
    with torch.no_grad():  # the last layers begin at zero, and nothing behind a zero learns in the first step
        for name, parameter in objective.named_parameters():
            if parameter.requires_grad and not parameter.any():
                parameter.normal_(std=0.01, generator=torch.Generator().manual_seed(len(name)))
    if config.precision == "bf16":
        lower_frozen(objective, torch.bfloat16)
    sums = {name: _print(p) for name, p in objective.named_parameters()}
    batch = _somebody(empty_batch(model, config, torch.device("cpu"), torch.float32))
    own = [p for p in objective.parameters() if p.requires_grad]
    optimiser = make_optimiser(own, config)
    begun = time.process_time()
    with _Peak() as peak:
        with torch.autocast("cpu", torch.bfloat16, enabled=config.precision == "bf16"):
            losses = objective(batch, torch.Generator().manual_seed(0))
        losses["loss"].backward()
        norm = float(torch.nn.utils.clip_grad_norm_(own, config.clip_gradient))
        optimiser.step()
    loss = float(losses["loss"].detach())
    _check(objective, sums, loss, norm)
    return {
        "loss": loss,
        "gradient": norm,
        "core_seconds": time.process_time() - begun,
        "trained": sum(p.numel() for p in own),
        "bytes": peak.bytes - before,
        "bytes_before_it": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before,
    }


def _print(parameter: torch.Tensor) -> tuple[float, float]:
    value = parameter.detach().flatten()
    return float(value.double().sum()), float(value[:: max(1, len(value) // 997)].double().square().sum())


def _somebody(batch):
    from dataclasses import fields, replace

    generator = torch.Generator().manual_seed(2)
    made = {}
    for field in fields(batch):
        value = getattr(batch, field.name)
        if isinstance(value, torch.Tensor) and value.is_floating_point():
            made[field.name] = torch.rand(value.shape, generator=generator) * 1.6 - 0.8
    made["unseen"] = made["unseen"].abs()
    return replace(batch, **made)


def _check(objective: torch.nn.Module, sums: dict[str, tuple[float, float]], loss: float, norm: float) -> None:
    wrong = [] if loss == loss and norm == norm and norm < float("inf") else [f"loss {loss}, gradient {norm}"]
    for name, parameter in objective.named_parameters():
        if not bool(parameter.isfinite().all()):
            wrong.append(f"{name} is not finite")
        elif (_print(parameter) != sums[name]) != parameter.requires_grad:
            wrong.append(f"{name} {'stands still' if parameter.requires_grad else 'moved'}")
    if wrong:
        raise RuntimeError(f"{len(wrong)} wrong: " + "; ".join(wrong[:10]))


def rows_of(parts: Parts) -> list[tuple[str, float]]:
    """Return a prediction as rows of gigabytes."""
    return [(name, value / 1e9) for name, value in vars(parts).items()]


def main() -> None:
    """Read the command line, predict, and take the step."""
    parser = command_line("training_step", __doc__)
    add = parser.add_argument
    add("--stage", type=int, default=2, choices=(1, 2))
    add("--size", type=int, default=128, help="side of the pictures (128)")
    add("--frames", type=int, default=4, help="of a clip in stage 2 (4)")
    add("--batch", type=int, default=1, help="clips, or people of a target each (1)")
    add("--rank", type=int, default=0, help="of matrices beside the U-Net in stage 1; 0 trains it itself")
    add("--no-recompute", action="store_true", help="without gradient checkpointing")
    add("--out", type=Path, help="a JSON file for the figures")
    given = parser.parse_args()
    config = TrainingConfig(
        stage=given.stage,
        size=given.size,
        refs=given.batch,
        targets=1,
        clip=given.frames if given.stage == 2 else 1,
        optimiser="adamw",
        rate=1e-5,
        ema=0.0,
        min_snr=5.0,
        noise_offset=0.05,
        precision="bf16",
        recompute=not given.no_recompute,
        unet_rank=given.rank,
        mask_chance=1.0,
    )
    parts = plan_step(read_model("sd15"), config)
    for name, value in rows_of(parts):
        _say(f"{name:<12} {value:>7.2f} GB predicted")
    _say(f"{'together':<12} {parts.total / 1e9:>7.2f} GB predicted")
    free = psutil.virtual_memory().available
    if free < parts.total + SPARE:
        raise SystemExit(f"{free / 1e9:.1f} GB are free, which is too little. Take smaller pictures or fewer frames.")
    if (wish := Path("/proc/self/oom_score_adj")).exists():
        wish.write_text("1000")  # should memory end after all, this program goes and no other
    found = step(config)
    _say(f"{'together':<12} {found['bytes'] / 1e9:>7.2f} GB measured in the step ({found['bytes'] / 2**30:.2f} GiB)")
    _say({name: round(value, 4) for name, value in found.items()})
    if given.out:
        given.out.write_text(
            json.dumps({"predicted": vars(parts), "measured": found, "config": vars(config)}, indent=1)
        )


if __name__ == "__main__":
    main()
