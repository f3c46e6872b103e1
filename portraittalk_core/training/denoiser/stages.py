"""Run a stage of the denoiser's training: put together what it needs, make its data ready, and train.

What a stage updates is said in `assembly`.
"""

from __future__ import annotations

import itertools
import logging
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from multiprocessing import get_start_method
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ... import presets
from ...checkpoints.hearing import Hearing, made_by_same, open_hearing, sign_of_speech
from ...checkpoints.native import (
    load_dense_motion,
    load_structure,
    load_text_encoder,
    load_vae,
)
from ...compositing.head_warp import HeadWarp
from ...config import ModelConfig, TrainingConfig
from ...errors import BadConfig, BadInput
from ...perception.text import TextEncoder
from ...preparation.cache import LATENTS, SPEECH, sign_of_vae
from ...preparation.shards import is_shards, read_index
from ..checkpoint import State
from ..faces.embedding import EmbedFrames
from ..loop import Batches, Validate, train
from ..model import check_picture_size, picture_sizes
from .assembly import build_objective, load_weights, lower_frozen
from .bank import Encode, EncodedBank, FrameEncoders, encode_bank, is_made
from .clip_bank import ClipDraws, ClipStore, encode_clips, open_clip_bank
from .compiling import compile_layers
from .objective import Objective
from .pairs import Batch, FrameStore, PairDraws, Tokenize
from .shard_bank import Readers, encode_shards
from .stream import ShardDraws, StreamStore

logger = logging.getLogger(__name__)

ASSETS = Path(__file__).resolve().parents[2] / "assets" / "tiny"
"""Where the networks lie that are trained before the denoiser."""


def draw_batches(
    dataset: Dataset[Any], gather: Callable[[torch.device], Callable[[Any], Batch]], workers: int
) -> Batches:
    """Return the batches of `loop.train`: draws, made ahead by worker processes, gathered on the device.

    Args:
        dataset: Item k is the draw of batch k.
        gather: Takes the device and returns what turns a draw into a batch there.
        workers: Processes that draw ahead; 0 draws when a batch is asked for.
    """

    def batches(first: int, rank: int, ranks: int, device: torch.device) -> Iterable[Any]:
        steps: Iterator[int] = itertools.count(first * ranks + rank, ranks)
        # A fork server, if the program has started one, has workers ready at once; spawned ones end with the program.
        method = "forkserver" if get_start_method(allow_none=True) == "forkserver" else "spawn"
        options: dict[str, Any] = {"prefetch_factor": 4, "multiprocessing_context": method} if workers else {}
        loader: Any = DataLoader(
            dataset,
            batch_size=None,
            sampler=steps,
            num_workers=workers,
            **options,  # pyright: ignore
        )
        return _Gathered(loader, gather(device))

    return batches


class _Gathered:
    """Batches of draws; counts for how long draws are waited for."""

    def __init__(self, draws: Iterable[Any], gather: Callable[[Any], Batch]) -> None:
        self._draws, self._gather = iter(draws), gather
        self.waited = 0.0

    def __iter__(self) -> _Gathered:
        return self

    def __next__(self) -> Batch:
        begun = time.monotonic()
        draw = next(self._draws)
        self.waited += time.monotonic() - begun
        return self._gather(draw)


def train_stage(
    config: TrainingConfig,
    out: Path,
    *,
    data: Path,
    people: Path,
    model: ModelConfig | None = None,
    vae: Path = ASSETS / "vae.safetensors",
    text: Path = ASSETS / "text.safetensors",
    warp: Path = ASSETS / "dense_motion.safetensors",
    faces: Path | None = ASSETS / "faces",
    start: Sequence[Path] = (),
    speech: Path | None = None,
    hearing: Hearing | None = None,
    end: float = math.inf,
    max_steps: int | None = None,
    by_time: bool = False,
    validate: Callable[[Objective], Validate] | None = None,
) -> State:
    """Train a stage of a model; data that is not there yet is encoded first, unless it is streamed.

    Args:
        config: The run.
        out: Folder of weights, state and curves; a run in it goes on.
        data: Folder of the encoded bank, which belongs to one VAE and one dense motion.
        people: Folder of rendered people, of `training.people.bank`; for stage 2 of those who speak, of `clip_bank`.
            Or, for either, shards of real people, of `portraittalk prepare`.
        model: What is trained, such as `training.model.read_model` reads it; tiny by default.
        vae: Trained before; with as many latent channels as the model.
        text: The text encoder; as wide as the model's cross-attention.
        warp: The dense motion, trained before.
        faces: Folder of the face pack, whose recogniser says who somebody is; None trains without.
        start: Weights to begin with, later files over earlier ones: a run writes no more than it trained. For stage 2
            those of stage 1, in the folder beside `out`, by default.
        speech: Features for stage 2, as `clips.save_speech_clips` writes them; shards have their own sound.
        hearing: What listens to the sound of shards; the shipped encoder by default.
        end: When to stop at the latest, as `time.monotonic` counts.
        max_steps: Steps in all after which to stop.
        by_time: See `loop.train`.
        validate: Takes what is trained and returns what `loop.train` calls every `validate_every` steps.

    Returns:
        Where the run stands.

    Raises:
        BadConfig: When the model's parts, or model and run, cannot go together.
        BadInput: When something to begin with is missing, or is of another model.
    """
    model = presets.tiny() if model is None else model
    if not start and config.stage == 2:
        start = (out.parent / "stage1" / "model.safetensors",)
    needed = {vae: "the VAE", text: "the text encoder", warp: "the dense motion"}
    for file, what in {**needed, **dict.fromkeys(start, "the weights to begin with")}.items():
        if not file.exists():
            raise BadInput(f"stage {config.stage} needs {what}, but {file} is missing. Train what comes before.")
    if config.stage == 2 and speech is None and not is_shards(people):
        raise BadInput("stage 2 needs `speech`, a file of speech features. Make it with training.denoiser.clips.")
    if hearing is not None and hearing.width != model.audio_dim:
        raise BadConfig(
            f"{model.name}: `audio_dim` must be {hearing.width}, the width of {hearing.name}, but got "
            f"{model.audio_dim}. Set it, or name another encoder with `--speech`."
        )
    if config.other_audio and is_shards(people):
        raise BadConfig("`other_audio` is for rendered people alone, but the clips are shards. Set it to 0.")
    encoder = load_text_encoder(text)
    objective = build_objective(model, config, encoder, load_vae(vae))
    check_picture_size(model, config.size, streamed=config.stream)
    load_weights(objective, *start)
    if config.precision == "bf16":
        lower_frozen(objective, torch.bfloat16)
    if config.compiled:
        logger.info("%d layers of the U-Net are compiled when they first run", compile_layers(objective.unet))
    if config.stream:
        batches = streamed_batches(config, people, (vae, warp), encoder.tokenize, hearing=hearing)
    else:
        _encode_data(config, model, data, people, (vae, warp, faces), speech, hearing)
        batches = (_pairs if config.stage == 1 else _clips)(model, config, data, encoder)
    left = (end - time.monotonic()) / 60  # drawing the data took its share
    run = replace(config, minutes=min(config.minutes, left))
    look = validate(objective) if validate else None
    return train(objective, batches, run, out, max_steps, by_time=by_time, validate=look)


def streamed_batches(
    config: TrainingConfig,
    shards: Path,
    networks: tuple[Path, Path],
    tokenize: Tokenize,
    split: str = "train",
    *,
    hearing: Hearing | None = None,
) -> Batches:
    """Return the batches of a run that are read from shards and encoded as they are needed.

    Args:
        config: The run.
        shards: Of `portraittalk prepare`.
        networks: Files of the VAE and of the dense motion.
        tokenize: Of the text encoder.
        split: Which samples.
        hearing: What listens; the shipped encoder by default.

    Raises:
        BadInput: When the folder holds no shards, or no sample that is long enough.
    """
    if not is_shards(shards):
        raise BadInput(
            f"`stream` needs shards, but {shards} holds none. Make them: portraittalk prepare CLIPS -o {shards}"
        )
    hearing = hearing or open_hearing()
    names = ("drop_text", "drop_identity", "drop_reference", "drop_audio", "drop_mouth")
    draws = ShardDraws(
        shards,
        seed=config.seed,
        refs=config.refs,
        targets=config.targets,
        clip=config.clip,
        size=config.size,
        drops={name: getattr(config, name) for name in names},
        split=split,
        frames=config.sample_frames,
        made=_made_ahead(shards, config.size, networks[0], hearing),
    )

    def gather(device: torch.device) -> Callable[[Any], Batch]:
        encoders = frame_encoders(*networks, None, device)
        return StreamStore(encoders, shard_readers(hearing, device), tokenize, device, config.clip).gather

    return draw_batches(draws, gather, config.workers)


def _made_ahead(shards: Path, size: int, vae: Path, hearing: Hearing) -> list[str]:
    """Return what need not be made of a run's shards, since `prepare --latents` has with the same networks."""
    known = read_index(shards).get("cached")
    if known is None:
        return []
    latents, speech = known[LATENTS], known[SPEECH]
    why = {
        LATENTS: latents["size"] == size and made_by_same(sign_of_vae(load_vae(vae)), latents["sign"]),
        SPEECH: made_by_same(sign_of_speech(hearing.encoder), speech["sign"]),
    }
    for name, same in why.items():
        if same:
            logger.info("%s are read from the shards", name)
        else:
            size_of = f"{latents['size']} px" if name == LATENTS else f"{len(speech['sign'])} wide"
            told = f"{known[name]['made by']}, {size_of}"
            logger.warning("%s: %s in it is of other networks or pictures (%s): it is made anew.", shards, name, told)
    return [name for name, same in why.items() if same]


def shard_readers(hearing: Hearing | None = None, device: torch.device | None = None) -> Readers:
    """Return what reads faces and speech of shards.

    Args:
        hearing: What listens; the shipped encoder by default.
        device: That computes what is heard; None: the CPU.
    """
    fitter, shaper = load_structure(ASSETS / "structure.safetensors")
    encoder = (hearing or open_hearing()).encoder
    return Readers(fitter, shaper, encoder if device is None else encoder.to(device))


def _encode_data(
    config: TrainingConfig,
    model: ModelConfig,
    data: Path,
    people: Path,
    networks: tuple[Path, Path, Path | None],
    speech: Path | None,
    hearing: Hearing | None,
) -> None:
    """Encode the bank of a stage unless it is there; one process does, the others wait for it."""
    # Accelerate joins processes without a GPU only where it is told that they have none.
    at_work = PartialState(cpu=not torch.accelerator.is_available())
    if at_work.is_main_process and not is_made(data):
        threads = torch.get_num_threads()
        torch.set_num_threads(os.cpu_count() or 1)  # the others wait
        device: Any = at_work.device
        encoders = frame_encoders(*networks, device)
        if is_shards(people):
            sizes = picture_sizes(model)
            encode_shards(data, people, encoders, shard_readers(hearing, device), sizes, frames=config.sample_frames)
        elif config.stage == 1:
            encode_bank(data, people, encoders, picture_sizes(model))
        else:
            assert speech is not None  # train_stage has refused it
            encode_clips(data, people, speech, encoders, picture_sizes(model))
        torch.set_num_threads(threads)
    at_work.wait_for_everyone()


def _pairs(model: ModelConfig, config: TrainingConfig, data: Path, text: TextEncoder) -> Batches:
    bank = _opened(model, EncodedBank.open(data, config.size), data)
    chances = {name: getattr(config, name) for name in ("edited", "drop_text", "drop_identity", "drop_reference")}
    draws = PairDraws(bank, text.tokenize, seed=config.seed, refs=config.refs, targets=config.targets, **chances)
    return draw_batches(draws, lambda device: FrameStore(bank, device).gather, config.workers)


def _clips(model: ModelConfig, config: TrainingConfig, data: Path, text: TextEncoder) -> Batches:
    clips = open_clip_bank(data, config.size)
    _opened(model, clips.bank, data)
    if (found := clips.features.shape[-1]) != model.audio_dim:
        raise BadInput(f"{data}: must hold speech features as wide as `audio_dim`, {model.audio_dim}, but got {found}.")
    names = ("drop_text", "drop_identity", "drop_reference", "drop_audio", "drop_mouth", "other_audio")
    drops = {name: getattr(config, name) for name in names}
    draws = ClipDraws(clips.bank, text.tokenize, seed=config.seed, clips=config.refs, frames=config.clip, **drops)
    return draw_batches(draws, lambda device: ClipStore(clips, config.clip, device).gather, config.workers)


def _opened(model: ModelConfig, bank: EncodedBank, data: Path) -> EncodedBank:
    """Return a bank whose latents are the model's; raises `BadInput` for another's."""
    if (found := bank.latents.shape[1]) != model.unet.latent_channels:
        raise BadInput(
            f"{data}: must hold latents of {model.unet.latent_channels} channels for {model.name}, but got {found}. "
            "Name another folder, in which they are made anew."
        )
    return bank


def frame_encoders(vae: Path, warp: Path, faces: Path | None, device: torch.device) -> FrameEncoders:
    """Return what a bank is encoded with.

    Args:
        vae: File of the VAE.
        warp: Of the dense motion.
        faces: Folder of the face pack, whose recogniser says who somebody is; None says nothing.
        device: That computes.
    """
    moving: Any = load_dense_motion(warp).to(device)
    embed = None if faces is None else EmbedFrames(faces, device)
    return FrameEncoders(vae_encoder(vae, device), HeadWarp(moving), embed, device)


def vae_encoder(file: Path, device: torch.device) -> Encode:
    """Return what makes latents with a VAE.

    Args:
        file: Of the VAE.
        device: That computes.
    """
    vae: Any = load_vae(file)
    vae.to(device, memory_format=torch.channels_last)  # the order in which convolutions on a CPU prefer their input

    def encode(pixels: Tensor) -> Tensor:
        return vae.encode(pixels.contiguous(memory_format=torch.channels_last)).latents

    return encode
