"""Has the audio branch learned to draw a mouth? Written as Markdown, for runs of stage 2.

    python -m benchmarks.withheld_mouth WEIGHTS ...

Clips of stage 2's bank, denoised in one step from pure noise: with the mouth in what is shown (points and moved
photograph) and with a mouth at rest there, heard and not. Squared error of the clean latents around the mouth, their
variance over time being the last column: a branch that hears nothing of use leaves as much of what moves as there is.
Then the first case again without temporal attention.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from portraittalk_core import presets
from portraittalk_core.checkpoints.native import load_text_encoder, load_vae
from portraittalk_core.config import TrainingConfig
from portraittalk_core.topology import INNER_LIPS, OUTER_LIPS
from portraittalk_core.training.denoiser.assembly import build_objective, load_weights
from portraittalk_core.training.denoiser.clip_bank import ClipDraws, ClipStore, open_clip_bank
from portraittalk_core.training.denoiser.objective import Objective
from portraittalk_core.training.denoiser.pairs import Batch
from portraittalk_core.training.denoiser.stages import ASSETS

from .parts.program import RUNS, command_line

FRAMES = 16
"""Of each clip."""

_REACH = 0.12
"""How far around the middle of the mouth counts, in [-1, 1] units."""

CASES = {
    "shown, heard": (0.0, False, False),
    "shown only": (0.0, True, False),
    "heard only": (1.0, False, False),
    "neither": (1.0, True, False),
    "shown, heard, no temporal attention": (0.0, False, True),
}
"""By name: the chance that the mouth is withheld, whether the speech is, and whether frames are on their own; the last,
for what is taken away stays away."""


def main() -> None:
    """Write the table."""
    parser = command_line("withheld_mouth", __doc__)
    parser.add_argument("weights", type=Path, nargs="*", help="trained over the shipped denoiser; none: that alone")
    parser.add_argument("--bank", type=Path, default=RUNS / "stage2" / "bank2")
    parser.add_argument("--size", type=int, default=256, help="side of the pictures whose latents are denoised (256)")
    parser.add_argument("--clips", type=int, default=16)
    given = parser.parse_args()
    text = load_text_encoder(ASSETS / "text.safetensors")
    vae = load_vae(ASSETS / "vae.safetensors")
    objective = build_objective(presets.tiny(), TrainingConfig(stage=2), text, vae).eval()
    load_weights(objective, ASSETS / "denoiser.safetensors", *given.weights)
    clips = open_clip_bank(given.bank, given.size)
    store = ClipStore(clips, FRAMES, torch.device("cpu"))
    sys.stdout.write("| mouth | error | of what moves | what moves |\n|---|---|---|---|\n")
    for name, (withheld, deaf, alone) in CASES.items():
        no = {"drop_text": 0.0, "drop_identity": 0.0, "drop_reference": 0.0, "drop_audio": 0.0}
        options = {"clips": 1, "frames": FRAMES, "drop_mouth": withheld, **no}
        draws = ClipDraws(clips.bank, text.tokenize, seed=77, **options)  # pyright: ignore[reportArgumentType]
        rows: list[list[float]] = []
        if alone:
            _silence_temporal(objective)
        for number in range(given.clips):
            batch = store.gather(draws[number])
            assert batch.features is not None
            silent = dataclasses.replace(batch, features=torch.zeros_like(batch.features))
            rows.append(_errors(objective, silent if deaf else batch, number))
        means = torch.tensor(rows).mean(0).tolist()
        sys.stdout.write(f"| {name} | " + " | ".join(f"{mean:.3f}" for mean in means) + " |\n")


@torch.no_grad()
def _errors(objective: Objective, batch: Batch, seed: int) -> list[float]:
    """Return the error around the mouth, that of its movement, and how much moves."""
    rows, shape = len(batch.latents), batch.latents.shape[1:]
    schedule = objective.schedule
    timestep = torch.full((rows,), schedule.num_train_timesteps - 1)
    noise = torch.randn((1, *shape), generator=torch.Generator().manual_seed(seed)).expand(rows, -1, -1, -1)
    noisy = schedule.add_noise(batch.latents, noise, timestep)
    clean = schedule.to_x0(noisy, objective.predict(batch, noisy, timestep), timestep)
    weight = _around_mouth(batch.landmarks, shape[-1])

    def moving(latents: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        return latents - latents.mean(0, keepdim=True)  # one clip a batch

    def mean(squared: Float[Tensor, "n c h w"]) -> float:
        return float((squared * weight).sum() / weight.sum() / shape[0])

    apart = moving(clean) - moving(batch.latents)
    return [mean((clean - batch.latents).square()), mean(apart.square()), mean(moving(batch.latents).square())]


@torch.no_grad()
def _silence_temporal(objective: Objective) -> None:
    """Set the output layers of temporal attention to zero."""
    for path, value in objective.animate_net.temporal.named_parameters():
        if "proj_out." in path:
            value.zero_()


def _around_mouth(landmarks: Float[Tensor, "n 478 2"], size: int) -> Float[Tensor, "n 1 size size"]:
    middle = landmarks[:, [*OUTER_LIPS, *INNER_LIPS]].mean(1)
    axis = (torch.arange(size) * 2 + 1) / size - 1
    x, y = axis[None, None, :] - middle[:, 0, None, None], axis[None, :, None] - middle[:, 1, None, None]
    return torch.exp(-(x * x + y * y) / _REACH**2)[:, None]


if __name__ == "__main__":
    main()
