"""A few clips by heart: how far the loss has fallen, and how near drawn frames come to what was filmed.

    python -m benchmarks.six_clips --shards shards/ --run runs/six --config benchmarks/six_clips.toml

The loss is that of the same draws, times and noise before the first step and now. Frames are drawn from noise,
everything that a step shows being shown, by the averaged weights of the newest checkpoints.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import torch

from portraittalk_core.checkpoints.native import load_text_encoder, load_vae
from portraittalk_core.config import TrainingConfig, from_mapping, toml_values
from portraittalk_core.metrics.functional.image import psnr
from portraittalk_core.training.denoiser.assembly import build_objective, load_weights
from portraittalk_core.training.denoiser.stages import ASSETS, frame_encoders, shard_readers
from portraittalk_core.training.denoiser.stream import ShardDraws, StreamStore
from portraittalk_core.training.denoiser.validation import decoded, sampled
from portraittalk_core.training.model import read_model

from .parts.program import command_line


def figures(shards: Path, run: Path, recipe: Path, stage: int, draws: int, sampling: int) -> dict[str, float]:
    """Return losses before and now, and PSNR of drawn frames, of the VAE alone and of moved references.

    Args:
        shards: That were trained on.
        run: Folder of the program.
        recipe: That it ran.
        stage: Whose draws: single frames or clips.
        draws: How many.
        sampling: Steps of sampling.
    """
    values = toml_values(recipe)
    runs = [from_mapping(TrainingConfig, one) for one in values["runs"]]
    config = next(one for one in runs if one.stage == stage)
    model = read_model(values["model"])
    vae, text = load_vae(ASSETS / "vae.safetensors"), load_text_encoder(ASSETS / "text.safetensors")
    files = [file for k in range(1, stage + 1) if (file := run / f"stage{k}" / "model.safetensors").exists()]
    wanted = dataclasses.replace(config, refs=6 if stage == 1 else 1, targets=1)
    source = ShardDraws(shards, seed=99, refs=wanted.refs, targets=1, clip=config.clip, size=config.size)
    encoders = frame_encoders(
        ASSETS / "vae.safetensors", ASSETS / "dense_motion.safetensors", None, torch.device("cpu")
    )
    store = StreamStore(encoders, shard_readers(), text.tokenize, torch.device("cpu"), config.clip)
    found: dict[str, list[float]] = {}
    before, now = (build_objective(model, wanted, text, vae).eval() for _ in range(2))
    load_weights(before, *files[: stage - 1])
    load_weights(now, *files)
    for number in range(draws):
        draw = source[number]
        batch = store.gather(draw)
        true = draw.pictures.permute(0, 3, 1, 2).float() / 127.5 - 1
        with torch.no_grad():
            for name, objective in (("loss before", before), ("loss now", now)):
                for seed in range(4):
                    losses = objective(batch, torch.Generator().manual_seed(10 * number + seed))
                    found.setdefault(name, []).append(float(losses["loss"]))
        drawn = decoded(vae, sampled(now, batch, sampling, seed=number))
        found.setdefault("drawn, dB", []).append(psnr(drawn, true))
        found.setdefault("VAE alone, dB", []).append(psnr(decoded(vae, batch.latents), true))
        found.setdefault("moved reference alone, dB", []).append(psnr(batch.warped_pictures, true))
    return {name: sum(values) / len(values) for name, values in found.items()}


def main() -> None:
    """Read the command line, measure, and print."""
    parser = command_line("six_clips", __doc__)
    add = parser.add_argument
    add("--shards", type=Path, required=True)
    add("--run", type=Path, required=True, help="--out of `portraittalk train`")
    add("--config", type=Path, default=Path(__file__).with_name("six_clips.toml"))
    add("--stage", type=int, default=1, choices=(1, 2))
    add("--draws", type=int, default=3, help="batches that are measured (3)")
    add("--steps", type=int, default=10, help="of sampling (10)")
    add("--out", type=Path, help="a JSON file for the figures")
    given = parser.parse_args()
    found = figures(given.shards, given.run, given.config, given.stage, given.draws, given.steps)
    for name, value in found.items():
        sys.stdout.write(f"{name:<28} {value:8.3f}\n")
    if given.out:
        given.out.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
