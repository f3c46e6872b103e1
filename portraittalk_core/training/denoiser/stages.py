"""The two stages of training the denoiser (PortraitTalk): a stage is a value that says what is updated, and on what.

Stage 1 learns identity and appearance on single frames. Our base is trained from scratch, so it learns the U-Net and
the structure encoder as well; with a public base the two would be given. Stage 2 freezes what stage 1 learned, except
the structure encoder and the occlusion map, and adds motion over time and speech, on clips.
"""

from __future__ import annotations

import itertools
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from accelerate import PartialState
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from ... import builders, presets
from ...checkpoints.native import load_text_encoder, load_vae
from ...config import ModelConfig, TrainingConfig
from ...errors import BadConfig, BadInput
from ...perception.text import TextEncoder
from ..faces.embedding import EmbedFrames
from ..loop import Batches, State, train
from .bank import Bank, Encode, draw_album, make_bank
from .clip_bank import ClipDraws, ClipStore, make_clip_bank, open_clip_bank
from .objective import Objective
from .pairs import Batch, Draw, FrameStore, PairDraws

if TYPE_CHECKING:
    from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny

ASSETS = Path(__file__).resolve().parents[2] / "assets" / "tiny"
"""Where the networks lie that are trained before the denoiser."""


@dataclass(frozen=True)
class Stage:
    """What a stage updates: parameters of `Objective` by the beginning of their names."""

    trained: tuple[str, ...]


STAGES = {
    1: Stage(("unet.", "identity_net.", "animate_net.identity.", "animate_net.structure.", "animate_net.occlusion.")),
    2: Stage(("animate_net.structure.", "animate_net.occlusion.", "animate_net.temporal.", "animate_net.audio.")),
}


def build_objective(model: ModelConfig, config: TrainingConfig, text: TextEncoder, vae: AutoencoderTiny) -> Objective:
    """Return the objective of a stage, of which only the stage's parameters ask for gradients.

    Raises `BadConfig` for a stage that does not exist.
    """
    if config.stage not in STAGES:
        raise BadConfig(f"`stage` must be one of {sorted(STAGES)}, but got {config.stage}.")
    torch.manual_seed(config.seed)
    trained = _trained(config)
    objective = Objective(
        unet=builders.unet(model),
        identity_net=builders.identity_net(model),
        animate_net=builders.animate_net(model),
        reference=builders.reference_net(model),
        text=text,
        vae=vae,
        alphas=builders.noise_schedule(model).alphas_cumprod.float(),
        high_noise=config.high_noise,
        face_weight=config.face_weight,
        mouth_weight=config.mouth_weight,
        mask_weight=config.mask_weight,
        mask_chance=config.mask_chance,
        shared_noise=config.shared_noise,
        latent_size=model.size // model.vae_factor,
    )
    for name, parameter in objective.named_parameters():
        parameter.requires_grad_(name.startswith(trained))
    return objective


def _trained(config: TrainingConfig) -> tuple[str, ...]:
    """Return the beginnings of the names of what a run updates; raises `BadConfig` for parts the stage has not."""
    parts = {prefix.rstrip(".").rpartition(".")[2]: prefix for prefix in STAGES[config.stage].trained}
    unknown = [part for part in config.parts if part not in parts]
    if unknown:
        raise BadConfig(f"`parts` of stage {config.stage} are {', '.join(parts)}, but got {unknown[0]!r}.")
    return tuple(parts[part] for part in config.parts or parts)


def load_weights(objective: Objective, *files: Path) -> None:
    """Load trained weights, later files over earlier ones; keys the objective lacks are an error.

    A convolution that has got more input channels since begins with zeros for them: they change nothing until they are
    learned. Raises `BadInput` naming up to ten foreign keys.
    """
    own = {**dict(objective.named_parameters()), **dict(objective.named_buffers())}
    for file in files:
        stored = load_file(file)
        foreign = sorted(stored.keys() - own.keys())
        if foreign:
            raise BadInput(f"{file}: is of another model, which has {foreign[:10]}. Start from the same preset.")
        with torch.no_grad():
            for name, value in stored.items():
                if value.ndim == 4 and (more := own[name].shape[1] - value.shape[1]) > 0:
                    value = F.pad(value, (0, 0, 0, 0, 0, more))
                own[name].copy_(value)


def draw_batches(
    dataset: Dataset[Draw], gather: Callable[[torch.device], Callable[[Draw], Batch]], workers: int
) -> Batches:
    """Return the batches of `loop.train`: draws, made ahead by worker processes, gathered on the device."""

    def batches(first: int, rank: int, ranks: int, device: torch.device) -> Iterable[Any]:
        steps: Iterator[int] = itertools.count(first * ranks + rank, ranks)
        options: dict[str, Any] = {"prefetch_factor": 4, "multiprocessing_context": "spawn"} if workers else {}
        loader: Any = DataLoader(
            dataset,
            batch_size=None,
            sampler=steps,
            num_workers=workers,
            **options,  # pyright: ignore
        )
        return map(gather(device), loader)

    return batches


def train_stage(
    config: TrainingConfig,
    out: Path,
    *,
    data: Path,
    people: int,
    looks: int = 2,
    frames: int = 3,
    vae: Path = ASSETS / "vae.safetensors",
    start: Path | None = None,
    speech: Path | None = None,
    processes: int = 1,
    end: float = math.inf,
    max_steps: int | None = None,
) -> State:
    """Train a stage of the tiny model; data that is not there yet is drawn first.

    out: weights, state and curves; data: folder of the bank; people: avatars (stage 1, each in `looks` looks with
    `frames` frames) or clips (stage 2) to draw; vae: trained before; start: weights to begin with; speech: features
    for stage 2, as `clips.save_speech_clips` writes them; processes: that draw; end: when to stop at the latest, as
    `time.monotonic` counts. Raises `BadInput` where something to begin with is missing.
    """
    if start is None and config.stage == 2:
        start = out.parent / "stage1" / "model.safetensors"
    for what, file in (("the VAE", vae), ("the weights to begin with", start)):
        if file is not None and not file.exists():
            raise BadInput(f"stage {config.stage} needs {what}, but {file} is missing. Train what comes before.")
    if config.stage == 2 and speech is None:
        raise BadInput("stage 2 needs `speech`, a file of speech features. Make it: see training/clips.py.")
    model, text = presets.tiny(), load_text_encoder(ASSETS / "text.safetensors")
    objective = build_objective(model, config, text, load_vae(vae))
    if start is not None:
        load_weights(objective, start)
    # Accelerate joins processes without a GPU only where it is told that they have none.
    processes_at_work = PartialState(cpu=not torch.accelerator.is_available())
    if processes_at_work.is_main_process:
        device: Any = processes_at_work.device
        threads = torch.get_num_threads()
        torch.set_num_threads(os.cpu_count() or 1)  # the others wait
        encode, embed = _encoder(vae, device), EmbedFrames(ASSETS / "faces", device)
        if config.stage == 1:
            album = draw_album(range(people), looks=looks, frames=frames, processes=processes)
            make_bank(data, album, encode, embed, device)
        else:
            assert speech is not None
            make_clip_bank(data, speech, people, encode, embed, device, processes=processes)
        torch.set_num_threads(threads)
    processes_at_work.wait_for_everyone()
    batches = _pairs(config, data, text) if config.stage == 1 else _clips(config, data, text)
    left = (end - time.monotonic()) / 60  # drawing the data took its share
    return train(objective, batches, replace(config, minutes=min(config.minutes, left)), out, max_steps)


def _pairs(config: TrainingConfig, data: Path, text: TextEncoder) -> Batches:
    bank = Bank.open(data, config.size)
    drops = {name: getattr(config, name) for name in ("drop_text", "drop_identity", "drop_reference")}
    draws = PairDraws(bank.album, text.tokenize, seed=config.seed, refs=config.refs, targets=config.targets, **drops)
    return draw_batches(draws, lambda device: FrameStore(bank, device).gather, config.workers)


def _clips(config: TrainingConfig, data: Path, text: TextEncoder) -> Batches:
    clips = open_clip_bank(data, config.size)
    names = ("drop_text", "drop_identity", "drop_reference", "drop_audio", "drop_mouth")
    drops = {name: getattr(config, name) for name in names}
    draws = ClipDraws(clips.bank.album, text.tokenize, seed=config.seed, clips=config.refs, frames=config.clip, **drops)
    return draw_batches(draws, lambda device: ClipStore(clips, config.clip, device).gather, config.workers)


def _encoder(file: Path, device: torch.device) -> Encode:
    vae: Any = load_vae(file)
    vae.to(device, memory_format=torch.channels_last)  # the order in which convolutions on a CPU prefer their input

    def encode(pixels: Tensor) -> Tensor:
        return vae.encode(pixels.contiguous(memory_format=torch.channels_last)).latents

    return encode
