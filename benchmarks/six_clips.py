"""A few clips by heart: how far the loss has fallen, and how near drawn frames come to what was filmed.

    python -m benchmarks.six_clips --shards shards/ --run runs/six --config benchmarks/six_clips.toml

Every frame that was learned is measured, with the reference that it was learned beside. The loss is that of the run, of
the same times, noise and corruption before the first step and now. Frames are drawn from noise, everything that a step
shows being shown, by the averaged weights of the newest checkpoints.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from portraittalk_core.checkpoints.native import load_text_encoder, load_vae
from portraittalk_core.config import TrainingConfig
from portraittalk_core.config_file import from_mapping, toml_values
from portraittalk_core.metrics.functional.image import psnr
from portraittalk_core.preparation.samples import decoded as picture_of
from portraittalk_core.preparation.shards import read_samples
from portraittalk_core.training.denoiser.assembly import build_objective, load_weights
from portraittalk_core.training.denoiser.bank import EncodedBank
from portraittalk_core.training.denoiser.clip_bank import FRAMES, ClipStore, open_clip_bank
from portraittalk_core.training.denoiser.objective import Objective
from portraittalk_core.training.denoiser.pairs import Batch, Draw, FrameStore, Tokenize
from portraittalk_core.training.denoiser.shard_bank import bank_name
from portraittalk_core.training.denoiser.stages import ASSETS
from portraittalk_core.training.denoiser.validation import decoded, sampled
from portraittalk_core.training.model import read_model

from .parts.program import command_line

Pictures = Float[Tensor, "n 3 s s"]
Figures = dict[str, float]


@dataclass(frozen=True)
class _Learned:
    """What a run learned from."""

    config: TrainingConfig
    folder: Path
    """The bank."""

    pictures: dict[str, Pictures]
    """Filmed frames of each stretch, by its clip and the frame that it begins with."""


def figures(
    shards: Path, run: Path, recipe: Path, stage: int, noises: int, sampling: int
) -> dict[str, dict[str, float]]:
    """Return losses before and now, and PSNR of drawn frames, of the VAE alone and of moved references, by stretch.

    Args:
        shards: That were trained on.
        run: Folder of the program.
        recipe: That it ran.
        stage: Whose loss, of single frames or clips; its weights and those of the stages before it are measured.
        noises: Draws of times and noise for each frame.
        sampling: Steps of sampling.
    """
    values = toml_values(recipe)
    runs = [from_mapping(TrainingConfig, one) for one in values["runs"]]
    config = next(one for one in runs if one.stage == stage)
    vae, text = load_vae(ASSETS / "vae.safetensors"), load_text_encoder(ASSETS / "text.safetensors")
    files = [run / f"stage{k}" / "model.safetensors" for k in range(1, stage + 1)]
    before, now = (build_objective(read_model(values["model"]), config, text, vae).eval() for _ in range(2))
    load_weights(now, *files)
    learned = _Learned(config, run / bank_name(config), _pictures(shards, config))
    found: dict[str, Figures] = {}
    for number, (name, true) in enumerate(learned.pictures.items()):
        batch = _batch(learned, number, text.tokenize)
        one = {"loss before": _loss(before, batch, noises), "loss now": _loss(now, batch, noises)}
        shown = {
            "drawn, dB": decoded(vae, sampled(now, batch, sampling, seed=number)),
            "VAE alone, dB": decoded(vae, batch.latents),
            "moved reference alone, dB": batch.warped_pictures,
        }
        one |= {what: psnr(pictures, true) for what, pictures in shown.items()}
        found[name] = one
        sys.stdout.write(f"{name:<28} " + "  ".join(f"{what} {value:.3f}" for what, value in one.items()) + "\n")
    names = next(iter(found.values()))
    return found | {"all": {what: sum(one[what] for one in found.values()) / len(found) for what in names}}


def _pictures(shards: Path, config: TrainingConfig) -> dict[str, Pictures]:
    """Return the filmed frames of all stretches, in the order of the bank."""
    found: dict[str, Pictures] = {}
    for sample in read_samples(shards):
        count = min(len(sample.frames), config.sample_frames or len(sample.frames))
        for first in range(0, count // FRAMES * FRAMES if count > FRAMES else 0, FRAMES):
            levels = [torch.from_numpy(picture_of(content)) for content in sample.frames[first : first + FRAMES]]
            pictures = torch.stack(levels).permute(0, 3, 1, 2).float() / 127.5 - 1
            found[f"{sample.key}:{first}"] = F.interpolate(pictures, (config.size, config.size), mode="area")
    return found


def _batch(learned: _Learned, number: int, tokenize: Tokenize) -> Batch:
    """Return all frames of a stretch, with nothing dropped: single ones, or clips one after the other."""
    config, reference = learned.config, number * (FRAMES + 1)
    clips = config.stage == 2
    step = config.clip if clips else 1
    targets = torch.arange(reference + 1, reference + 1 + FRAMES, step)
    bank = EncodedBank.open(learned.folder, config.size)
    rows = len(targets) if clips else 1
    none = torch.zeros(len(targets), dtype=torch.bool)
    ids = tokenize([bank.tags[reference]["caption"]] * len(targets))
    owner = torch.arange(rows) if clips else torch.zeros(len(targets), dtype=torch.long)
    draw = Draw(torch.full((rows,), reference), targets, owner, ids, none, none, none, none)
    cpu = torch.device("cpu")
    if clips:
        return ClipStore(open_clip_bank(learned.folder, config.size), config.clip, cpu).gather(draw)
    return FrameStore(bank, cpu).gather(draw)


@torch.no_grad()
def _loss(objective: Objective, batch: Batch, noises: int) -> float:
    """Return the mean loss over times and noise that are drawn from the same seeds every time."""
    losses = [float(objective(batch, torch.Generator().manual_seed(seed))["loss"]) for seed in range(noises)]
    return sum(losses) / len(losses)


def main() -> None:
    """Read the command line, measure, and print."""
    parser = command_line("six_clips", __doc__)
    add = parser.add_argument
    add("--shards", type=Path, required=True)
    add("--run", type=Path, required=True, help="--out of `portraittalk train`")
    add("--config", type=Path, default=Path(__file__).with_name("six_clips.toml"))
    add("--stage", type=int, default=1, choices=(1, 2))
    add("--noises", type=int, default=8, help="draws of times and noise for each frame (8)")
    add("--steps", type=int, default=2, help="of sampling (2, as many as the tiny model takes)")
    add("--out", type=Path, help="a JSON file for the figures")
    given = parser.parse_args()
    found = figures(given.shards, given.run, given.config, given.stage, given.noises, given.steps)
    whole = found["all"]
    sys.stdout.write("all: " + "  ".join(f"{what} {value:.3f}" for what, value in whole.items()) + "\n")
    sys.stdout.write(f"the loss has fallen {whole['loss before'] / whole['loss now']:.1f} times\n")
    if given.out:
        given.out.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
