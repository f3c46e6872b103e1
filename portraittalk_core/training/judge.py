"""A judge of generated portraits that had no part in training the generator: who is it, and what does it wear?

The benchmark asks it whether a face is still the person's and whether an edit took place. It learns from true
renderings alone, blurred and shifted a little, so that it looks at what matters rather than at the renderer's pixels.

It tells people apart by naming the numbers that the renderer drew them from (face width, colour of the eyes, ...),
each as far as it can be read off such a picture. A judge that learned to tell a thousand people apart instead knew
them by heart and nobody else: of 64 strangers it found 5 % on true pictures.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from ..avatars.parameters import IDENTITY, INDEX
from ..checkpoints.native import building, fill, read_modules, save_modules
from .optimiser import MuonAdamW

logger = logging.getLogger(__name__)

SIZE = 128
"""Pictures are judged at this side, pixels."""

TAGS = ("background", "hair", "style", "clothes", "beard", "glasses", "expression")
"""What the judge names."""

VIEWS = ((1.0, 0.0, 0.0), (1.03, 0.02, 0.02), (0.97, -0.02, 0.02), (1.03, -0.02, -0.02), (0.97, 0.02, -0.02))
"""Scale and shift (of half a side) at which a picture is looked at; their mean has less of the judge's own error."""

HELD_OUT = 512
"""Pictures at the end that are not learned from (at most a quarter): on them the judge's own errors are measured."""


class Judge(nn.Module):
    """Says who is in a portrait, and names its tags."""

    mean: Tensor
    std: Tensor
    whitening: Tensor

    def __init__(self, *, words: dict[str, list[str]], traits: int = len(IDENTITY), width: int = 32) -> None:
        """Build an untrained judge.

        Args:
            words: The values of each tag.
            traits: How many numbers describe a person.
            width: Channels of the first layer, to which all others are in proportion.
        """
        super().__init__()
        self.config = {"words": words, "traits": traits, "width": width}
        self.words = words
        hidden = 16 * width
        widths = [width, 2 * width, 3 * width, 4 * width, 6 * width]
        layers: list[nn.Module] = []
        for a, b in zip([3, *widths], widths):
            layers += [nn.Conv2d(a, b, 3, stride=2, padding=1), nn.GroupNorm(8, b), nn.SiLU()]
            layers += [nn.Conv2d(b, b, 3, padding=1), nn.GroupNorm(8, b), nn.SiLU()]
        self.body = nn.Sequential(*layers)
        # Flattened, not averaged: where a feature lies says who it is.
        self.person = nn.Sequential(nn.Flatten(), nn.Linear(widths[-1] * 16, hidden), nn.SiLU())
        self.traits = nn.Linear(hidden, traits)
        self.shared = nn.Sequential(nn.Flatten(), nn.Linear(widths[-1] * 16, hidden), nn.SiLU())
        self.tags = nn.ModuleDict({tag: nn.Linear(hidden, len(values)) for tag, values in words.items()})
        self.register_buffer("mean", torch.zeros(traits))
        self.register_buffer("std", torch.ones(traits))
        self.register_buffer("whitening", torch.eye(traits))

    def forward(self, pixels: Float[Tensor, "b 3 s s"]) -> tuple[Float[Tensor, "b traits"], dict[str, Tensor]]:
        """Look at pictures.

        Args:
            pixels: In [-1, 1], of any size.

        Returns:
            The person's traits, standardised over all people, and logits for each tag.
        """
        if pixels.shape[-1] != SIZE:
            pixels = F.interpolate(pixels, (SIZE, SIZE), mode="area")
        features = self.body(pixels)
        named = self.shared(features)
        return self.traits(self.person(features)), {tag: layer(named) for tag, layer in self.tags.items()}

    @torch.no_grad()
    def embed(self, pixels: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b traits"]:
        """Return who is in each picture, seen in `VIEWS`: the nearer, the more alike.

        Distances are in the judge's own errors: a trait that it reads badly counts little, and two pictures of one
        person lie about `sqrt(2 * traits)` apart, or nearer, for some of the errors differ between views.

        Args:
            pixels: In [-1, 1], of any size.
        """
        small = F.interpolate(pixels, (SIZE, SIZE), mode="area")
        views = [_moved(small, pixels.new_tensor(view).expand(len(small), 3)) for view in VIEWS]
        read = [torch.cat([self(part)[0] for part in view.split(64)]) for view in views]
        return torch.stack(read).mean(0) @ self.whitening

    @torch.no_grad()
    def classify(self, pixels: Float[Tensor, "b 3 s s"]) -> dict[str, list[str]]:
        """Return the word of every tag for each picture.

        Args:
            pixels: In [-1, 1], of any size.
        """
        parts = [self(part)[1] for part in pixels.split(64)]
        return {tag: [self.words[tag][i] for part in parts for i in part[tag].argmax(1).tolist()] for tag in self.words}


def train_judge(
    frames: UInt8[Tensor, "n 3 size size"],
    parameters: Float[Tensor, "n p"],
    tags: Sequence[dict[str, str]],
    out: Path,
    minutes: float,
    *,
    seed: int = 0,
    batch: int = 256,
    rate: float = 2e-3,
    width: int = 32,
    steps: float = math.inf,
    start: Path | None = None,
) -> Path:
    """Train a judge and write it in half precision.

    Args:
        frames: In [0, 255], on the device that trains; one or more of each person, the more people the better.
        parameters: The rows they were rendered from.
        tags: What can be said of each frame, at least `TAGS`.
        out: The file.
        minutes: Wall time.
        seed: Of batches and first weights.
        batch: Frames a step.
        rate: Highest learning rate.
        width: See `Judge`.
        steps: At most.
        start: A judge of the same width to go on from.

    Returns:
        The file.
    """
    device = frames.device
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # layers initialise from the global state, which is put back
        judge = Judge(words={tag: sorted({row[tag] for row in tags}) for tag in TAGS}, width=width).to(device)
    if start is not None:
        judge.load_state_dict(load_judge(start).state_dict())
    generator = torch.Generator(device).manual_seed(seed)
    labels = label_rows(judge, tags, device)
    traits = _standardise(judge, parameters.to(device))
    small = _shrink(frames)
    optimiser = MuonAdamW(judge.parameters(), rate, betas=(0.95, 0.99))
    average = [p.detach().clone() for p in judge.parameters()]
    learned = len(small) - _held_out(len(small))
    began, step, shown = time.monotonic(), 0, 0.0
    while (elapsed := time.monotonic() - began) < minutes * 60 and step < steps:
        for group in optimiser.param_groups:
            done = max(elapsed / (minutes * 60), step / steps)
            group["lr"] = rate * min(1.0, (step + 1) / 100) * max(0.01, 1 - done)
        rows = torch.randint(learned, (batch,), generator=generator, device=device)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type != "cpu"):
            read, named = judge(degrade(small[rows].float() / 127.5 - 1, generator))
        loss = judge_loss(read, traits[rows], named, {tag: values[rows] for tag, values in labels.items()})
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(judge.parameters(), 1.0)
        optimiser.step()
        step += 1
        with torch.no_grad():
            torch._foreach_lerp_(average, list(judge.parameters()), 1 - min(0.99, step / (step + 10)))  # pyright: ignore[reportPrivateImportUsage, reportPrivateUsage]
        if elapsed - shown > 10:
            shown = elapsed
            logger.info("judge step %d loss %.4f", step, float(loss.detach()))
    with torch.no_grad():
        torch._foreach_copy_(list(judge.parameters()), average)  # pyright: ignore[reportPrivateImportUsage, reportPrivateUsage]
    _measure_errors(judge, small[learned:], traits[learned:], generator)
    save_judge(judge, out)
    return out


def label_rows(judge: Judge, tags: Sequence[dict[str, str]], device: torch.device | str) -> dict[str, Int[Tensor, "n"]]:
    """Return the place of every frame's word among the judge's words, for each tag.

    Args:
        judge: Whose words they are.
        tags: Of each frame.
        device: Where they are wanted.
    """
    return {t: torch.tensor([words.index(row[t]) for row in tags], device=device) for t, words in judge.words.items()}


def judge_loss(
    read: Float[Tensor, "b traits"],
    traits: Float[Tensor, "b traits"],
    named: dict[str, Tensor],
    labels: dict[str, Int[Tensor, "b"]],
) -> Float[Tensor, ""]:
    """Return the traits' mean squared error, ten times, plus the tags' cross entropy.

    Args:
        read: Traits, as the judge reads them.
        traits: The true ones, standardised.
        named: Logits for each tag.
        labels: The true words, see `label_rows`.
    """
    loss = 10 * (read.float() - traits).square().mean()
    for tag, logits in named.items():
        loss = loss + F.cross_entropy(logits.float(), labels[tag])
    return loss


def _standardise(judge: Judge, parameters: Float[Tensor, "n p"]) -> Float[Tensor, "n traits"]:
    """Return who is in each frame with zero mean and unit variance; mean and deviation become the judge's."""
    traits = parameters[:, [INDEX[name] for name in IDENTITY]].float()
    judge.mean.copy_(traits.mean(0))
    judge.std.copy_(traits.std(0).clamp(min=1e-6))
    return (traits - judge.mean) / judge.std


def _shrink(frames: UInt8[Tensor, "n 3 size size"]) -> UInt8[Tensor, "n 3 s s"]:
    if frames.shape[-1] == SIZE:
        return frames
    return torch.cat([F.interpolate(p.float(), (SIZE, SIZE), mode="area").round().byte() for p in frames.split(256)])


def _held_out(count: int) -> int:
    return min(HELD_OUT, count // 4)


@torch.no_grad()
def _measure_errors(
    judge: Judge,
    frames: UInt8[Tensor, "n 3 s s"],
    traits: Float[Tensor, "n traits"],
    generator: torch.Generator,
) -> None:
    """Set the whitening so that the judge's errors on unseen people have unit covariance."""
    read = torch.cat([judge(degrade(part.float() / 127.5 - 1, generator))[0] for part in frames.split(64)])
    error = read - traits
    covariance = error.T @ error / len(error)
    # Shrunk: with few pictures the smallest eigenvalues are far too small.
    values, vectors = torch.linalg.eigh(
        0.98 * covariance + 0.02 * covariance.diagonal().mean() * torch.eye(len(covariance), device=error.device)
    )
    judge.whitening.copy_(vectors @ torch.diag(values.rsqrt()) @ vectors.T)
    explained = 1 - error.square().mean(0)
    logger.info("judge: share of each trait that it reads: %s", dict(zip(IDENTITY, explained.tolist(), strict=True)))


def degrade(pixels: Float[Tensor, "b 3 s s"], generator: torch.Generator) -> Float[Tensor, "b 3 s s"]:
    """Shift, scale, blur and stain pictures a little, as a decoder or a detector's crop might.

    Args:
        pixels: In [-1, 1].
        generator: On their device.
    """
    count, device = len(pixels), pixels.device
    draw = torch.rand(count, 8, generator=generator, device=device) * 2 - 1
    moved = _moved(pixels, torch.cat([1 + 0.05 * draw[:, :1], 0.04 * draw[:, 1:3]], 1))
    soft = F.avg_pool2d(moved, 3, 1, 1, count_include_pad=False)
    moved = torch.lerp(moved, soft, draw[:, 3].clamp(min=0).view(-1, 1, 1, 1))
    moved = moved * (1 + 0.06 * draw[:, 4].view(-1, 1, 1, 1)) + 0.04 * draw[:, 5:8, None, None]
    noise = torch.randn(pixels.shape, generator=generator, device=device)
    return moved + 0.02 * noise


def _moved(pixels: Float[Tensor, "b 3 s s"], view: Float[Tensor, "b 3"]) -> Float[Tensor, "b 3 s s"]:
    """Return pictures scaled by the first number of a view and shifted by the other two."""
    theta = torch.zeros(len(pixels), 2, 3, device=pixels.device)
    theta[:, 0, 0] = theta[:, 1, 1] = view[:, 0]
    theta[:, :, 2] = view[:, 1:]
    grid = F.affine_grid(theta, list(pixels.shape), align_corners=False)
    return F.grid_sample(pixels, grid, padding_mode="border", align_corners=False)


def save_judge(judge: Judge, path: Path) -> None:
    """Write a judge in half precision, its configuration in the metadata.

    Args:
        judge: Trained.
        path: Of the file.
    """
    save_modules(path, judge.state_dict(), judge.config)


def load_judge(path: Path | str) -> Judge:
    """Load a judge, float32, frozen.

    Args:
        path: Of the file.

    Raises:
        WeightsMismatch: Unless the file is one and every tensor has its place.
    """
    config, tensors = read_modules(path)
    with building(path, "a judge"):
        judge = Judge(**config)
    fill(path, "a judge", judge, tensors)
    return judge
