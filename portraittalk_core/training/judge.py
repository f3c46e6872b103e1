"""A judge of generated portraits that had no part in training the generator: who is it, and what does it wear?

The benchmark asks it whether a face is still the person's and whether an edit took place. It learns from true
renderings alone, blurred and shifted a little, so that it looks at what matters rather than at the renderer's pixels.

    python -m portraittalk_core.training.judge --people runs/people --out judge.safetensors --minutes 60

It tells people apart by naming what the renderer drew them from (width of the nose, age, melanin, ...), each as far as
it can be read off a picture of somebody it never saw. A judge that learned to tell a thousand people apart instead knew
them by heart and nobody else.
"""

from __future__ import annotations

import argparse
import logging
import math
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from ..checkpoints.native import building, fill, read_modules, save_modules
from ..people.anatomy import load_anatomy
from ..people.caption import unseen
from ..people.person import stem
from .optimiser import MuonAdamW
from .people.bank import Bank, open_bank

logger = logging.getLogger(__name__)

SIZE = 128
"""Pictures are judged at this side, pixels."""

TAGS = ("background", "hair", "style", "clothes", "beard", "glasses", "expression")
"""What the judge names."""

FIRST_HELD_OUT = 90
"""Shards of a bank from here on are not learned from: on them the judge's own errors are measured."""

READABLE = 0.05
"""Traits of which a picture tells less than this share of the variance do not count for who somebody is."""

NUMBERS = ("age", "male", "muscle", "weight", "melanin", "blood", "freckles", "moles", "brow")
"""What `Bank.traits` has of a person after the shapes of the face and before the shares of three ancestries."""

_IGNORED = -100

VIEWS = ((1.0, 0.0, 0.0), (1.03, 0.02, 0.02), (0.97, -0.02, 0.02), (1.03, -0.02, -0.02), (0.97, 0.02, -0.02))
"""Scale and shift (of half a side) at which a picture is looked at; their mean has less of the judge's own error."""


class Judge(nn.Module):
    """Says who is in a portrait, and names its tags."""

    whitening: Tensor

    def __init__(self, *, words: dict[str, list[str]], traits: list[str], width: int = 32) -> None:
        """Build an untrained judge.

        Args:
            words: The values of each tag.
            traits: The names of the numbers that describe a person.
            width: Channels of the first layer, to which all others are in proportion.
        """
        super().__init__()
        self.config = {"words": words, "traits": traits, "width": width}
        self.words, self.names = words, traits
        hidden = 16 * width
        widths = [width, 2 * width, 3 * width, 4 * width, 6 * width]
        layers: list[nn.Module] = []
        for a, b in zip([3, *widths], widths):
            layers += [nn.Conv2d(a, b, 3, stride=2, padding=1), nn.GroupNorm(8, b), nn.SiLU()]
            layers += [nn.Conv2d(b, b, 3, padding=1), nn.GroupNorm(8, b), nn.SiLU()]
        self.body = nn.Sequential(*layers)
        # Flattened, not averaged: where a feature lies says who it is.
        self.person = nn.Sequential(nn.Flatten(), nn.Linear(widths[-1] * 16, hidden), nn.SiLU())
        self.traits = nn.Linear(hidden, len(traits))
        self.shared = nn.Sequential(nn.Flatten(), nn.Linear(widths[-1] * 16, hidden), nn.SiLU())
        self.tags = nn.ModuleDict({tag: nn.Linear(hidden, len(values)) for tag, values in words.items()})
        self.register_buffer("whitening", torch.eye(len(traits)))

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

        Distances are in the judge's own errors: a trait that it reads badly counts little, one
        that it cannot read not at all.

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
    learned: Bank,
    strangers: Bank,
    out: Path,
    minutes: float,
    *,
    device: torch.device | str = "cpu",
    seed: int = 0,
    batch: int = 256,
    rate: float = 2e-3,
    width: int = 32,
    steps: float = math.inf,
) -> Judge:
    """Train a judge and write it in half precision, its curve beside it.

    Args:
        learned: People to learn from, the more the better.
        strangers: Other people, on whom its errors are measured.
        out: The file.
        minutes: Wall time.
        device: Where it trains.
        seed: Of batches and first weights.
        batch: Pictures a step.
        rate: Highest learning rate.
        width: See `Judge`.
        steps: At most.

    Returns:
        The judge.
    """
    words = {tag: sorted({row[tag] for bank in (learned, strangers) for row in bank.tags}) for tag in TAGS}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # layers initialise from the global state, which is put back
        judge = Judge(words=words, traits=list(trait_axes()), width=width).to(device)
    generator = torch.Generator(device).manual_seed(seed)
    labels, traits = label_rows(judge, learned, device), traits_of(learned).to(device)
    frames = small_frames(learned).to(device)
    optimiser = MuonAdamW(judge.parameters(), rate, betas=(0.95, 0.99))
    average = [p.detach().clone() for p in judge.parameters()]
    began, step, shown = time.monotonic(), 0, 0.0
    curve = ["step,seconds,loss"]
    while (elapsed := time.monotonic() - began) < minutes * 60 and step < steps:
        for group in optimiser.param_groups:
            done = max(elapsed / (minutes * 60), step / steps)
            group["lr"] = rate * min(1.0, (step + 1) / 100) * max(0.01, 1 - done)
        rows = torch.randint(len(frames), (batch,), generator=generator, device=device)
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=torch.device(device).type != "cpu"):
            read, named = judge(degrade(frames[rows].float() / 127.5 - 1, generator))
        loss = judge_loss(read, traits[rows], named, {tag: values[rows] for tag, values in labels.items()})
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(judge.parameters(), 1.0)
        optimiser.step()
        step += 1
        with torch.no_grad():
            torch._foreach_lerp_(average, list(judge.parameters()), 1 - min(0.99, step / (step + 10)))  # pyright: ignore[reportPrivateImportUsage, reportPrivateUsage]
        if elapsed - shown > 30:
            shown = elapsed
            curve.append(f"{step},{elapsed:.0f},{float(loss.detach()):.4f}")
            logger.info("judge step %d loss %.4f", step, float(loss.detach()))
    with torch.no_grad():
        torch._foreach_copy_(list(judge.parameters()), average)  # pyright: ignore[reportPrivateImportUsage, reportPrivateUsage]
    _measure_errors(judge, strangers, generator)
    save_judge(judge, out)
    out.with_name(f"{out.stem}_curve.csv").write_text("\n".join(curve) + "\n", encoding="utf-8")
    return judge


def trait_axes() -> dict[str, dict[int, float]]:
    """Return what the judge reads of a person: by name, which columns of `Bank.traits` make it up, with their signs.

    The two sides of a face, and shapes that are opposites, are one trait.
    """
    axes: dict[str, dict[int, float]] = {}
    for column, name in enumerate(load_anatomy().local):
        shape, sign = stem(name)
        axes.setdefault(shape, {})[column] = float(sign)
    first = len(load_anatomy().local)
    return axes | {name: {first + k: 1.0} for k, name in enumerate((*NUMBERS, "african", "asian", "caucasian"))}


def traits_of(bank: Bank) -> Float[Tensor, "n traits"]:
    """Return the traits of who is in each picture, of about unit variance.

    Args:
        bank: Pictures; `Bank.traits` are standardised.
    """
    place = {seed: row for row, seed in enumerate(dict.fromkeys(bank.person.tolist()))}
    of_picture = torch.from_numpy(bank.traits)[[place[seed] for seed in bank.person.tolist()]]
    columns = [
        (of_picture[:, list(axis)] * torch.tensor(list(axis.values()))).sum(1) / len(axis) ** 0.5
        for axis in trait_axes().values()
    ]
    return torch.stack(columns, 1)


def small_frames(bank: Bank) -> UInt8[Tensor, "n 3 s s"]:
    """Return all pictures of a bank at the side that is judged.

    Args:
        bank: Pictures of any size.
    """
    found = []
    for i in range(len(bank)):
        picture = torch.from_numpy(np.array(bank.picture(i))).permute(2, 0, 1)[None].float()
        found.append(F.interpolate(picture, (SIZE, SIZE), mode="area").round().byte())
    return torch.cat(found)


def label_rows(judge: Judge, bank: Bank, device: torch.device | str) -> dict[str, Int[Tensor, "n"]]:
    """Return the place of every picture's word among the judge's words, for each tag; -100 where nobody can see it.

    Args:
        judge: Whose words they are.
        bank: Pictures with their tags.
        device: Where they are wanted.
    """
    hidden = [unseen(row) for row in bank.tags]
    return {
        tag: torch.tensor(
            [_IGNORED if tag in h else words.index(row[tag]) for row, h in zip(bank.tags, hidden, strict=True)],
            device=device,
        )
        for tag, words in judge.words.items()
    }


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
        loss = loss + F.cross_entropy(logits.float(), labels[tag], ignore_index=_IGNORED, reduction="sum") / len(read)
    return loss


@torch.no_grad()
def _measure_errors(judge: Judge, strangers: Bank, generator: torch.Generator) -> None:
    """Set the whitening so that the judge's errors on strangers, in what it can read of them, have unit covariance."""
    device = generator.device
    frames, traits = small_frames(strangers).to(device), traits_of(strangers).to(device)
    read = torch.cat([judge(degrade(part.float() / 127.5 - 1, generator))[0] for part in frames.split(64)])
    error = read - traits
    explained = 1 - error.square().mean(0) / traits.var(0).clamp(min=1e-6)
    kept = (explained > READABLE).nonzero().flatten()
    if not len(kept):
        kept = explained.argmax()[None]
    covariance = error[:, kept].T @ error[:, kept] / len(error)
    # Shrunk: with few people the smallest eigenvalues are far too small.
    noise = covariance.diagonal().mean() * torch.eye(len(kept), device=device)
    values, vectors = torch.linalg.eigh(0.9 * covariance + 0.1 * noise)
    judge.whitening.zero_()
    judge.whitening[kept[:, None], kept[None]] = vectors @ torch.diag(values.rsqrt()) @ vectors.T
    best = {judge.names[i]: round(float(explained[i]), 2) for i in explained.argsort(descending=True).tolist()[:40]}
    logger.info("judge: reads %d of %d traits; the share of each best: %s", len(kept), len(judge.names), best)


@torch.no_grad()
def score_judge(judge: Judge, bank: Bank) -> dict[str, float]:
    """Measure what the judge knows of people that it did not learn from.

    Args:
        judge: Trained.
        bank: Those people, several pictures each.

    Returns:
        `top-1`: how often a person's last picture, in another light, is nearest to their own first one; and by tag how
        often the word is right, where it can be seen.
    """
    pixels = small_frames(bank).float() / 127.5 - 1
    firsts = np.sort(np.unique(bank.person, return_index=True)[1])
    lasts = np.append(firsts[1:], len(bank)) - 1
    found = judge.embed(pixels[np.concatenate([firsts, lasts])])
    gallery, asked = found.split(len(firsts))
    nearest = torch.cdist(asked, gallery).argmin(1)
    scores = {"top-1": float((nearest == torch.arange(len(gallery))).float().mean())}
    named, labels = judge.classify(pixels), label_rows(judge, bank, "cpu")
    for tag, words in judge.words.items():
        right = [words.index(said) == true for said, true in zip(named[tag], labels[tag].tolist()) if true != _IGNORED]
        scores[tag] = sum(right) / max(1, len(right))
    return scores


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


def main() -> None:
    """Read the command line, train, and say what was learned."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=Path, required=True, help="a bank, of training.people.bank")
    parser.add_argument("--out", type=Path, required=True, help="the judge's file")
    parser.add_argument("--minutes", type=float, default=60.0, help="of training (60)")
    parser.add_argument("--device", default="cpu", help="where it trains (cpu)")
    parser.add_argument("--batch", type=int, default=256, help="pictures a step (256)")
    parser.add_argument("--width", type=int, default=32, help="channels of the first layer (32)")
    parser.add_argument(
        "--held-out", type=int, default=FIRST_HELD_OUT, metavar="N", help="learn from shards before this one (90)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of batches and first weights (0)")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    learned = open_bank(given.people, range(given.held_out))
    strangers = open_bank(given.people, range(given.held_out, 1_000_000))
    options = {"device": given.device, "seed": given.seed, "batch": given.batch, "width": given.width}
    judge = train_judge(learned, strangers, given.out, given.minutes, **options)
    logger.info("judge: on strangers %s", {k: round(v, 3) for k, v in score_judge(judge.cpu(), strangers).items()})


if __name__ == "__main__":
    main()
