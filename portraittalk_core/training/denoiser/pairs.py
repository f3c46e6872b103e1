"""Draw training batches from a bank: references, target frames of the same person, and what to say of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.utils.data import Dataset

from ...people.caption import describe
from ..people.draw import EDITABLE
from .bank import EncodedBank

Tokenize = Callable[[list[str]], Int[Tensor, "n t"]]


@dataclass(frozen=True)
class Draw:
    """Which rows a step uses, small enough to be made in another process."""

    references: Int[Tensor, "r"]
    """One row a reference picture: its frame in the album."""

    targets: Int[Tensor, "n"]
    """One row a target frame, or the first frame of a target clip."""

    owner: Int[Tensor, "n"]
    """Which reference each target belongs to, an index into `references`."""

    ids: Int[Tensor, "n t"]
    """Tokens of each target's caption; those of the empty prompt where the text is dropped."""

    no_identity: Bool[Tensor, "n"]
    """Which targets go without the face embedding."""

    no_reference: Bool[Tensor, "n"]
    """Which targets go without the reference picture."""

    no_audio: Bool[Tensor, "n"]
    """Which targets go without the speech."""

    no_mouth: Bool[Tensor, "n"]
    """Which targets go without the mouth in what structure shows."""

    other_audio: Bool[Tensor, "n"]
    """Which targets hear what another clip says."""

    def to(self, device: torch.device) -> Draw:
        """Return the draw on a device.

        Args:
            device: Where it is wanted.
        """
        return Draw(**{f.name: getattr(self, f.name).to(device, non_blocking=True) for f in fields(self)})


@dataclass(frozen=True)
class Batch:
    """References and targets of one step, on the device that trains."""

    reference_latents: Float[Tensor, "r c h w"]
    """Of the reference pictures."""

    reference_landmarks: Float[Tensor, "r 478 2"]
    """Of the reference pictures, in [-1, 1]."""

    warped_pictures: Float[Tensor, "n 3 s s"]
    """The reference pictures moved to each frame's points, in [-1, 1], eight times the side of the latents."""

    warped_latents: Float[Tensor, "n c h w"]
    """Of those."""

    latents: Float[Tensor, "n c h w"]
    """Of the target frames, clean; clip after clip."""

    landmarks: Float[Tensor, "n 478 2"]
    """Of the target frames, in [-1, 1]."""

    shown: Float[Tensor, "n 478 2"]
    """The landmarks that structure shows: those of the target, with the mouth at rest where it is withheld."""

    owner: Int[Tensor, "n"]
    """Which reference row each frame belongs to."""

    ids: Int[Tensor, "n t"]
    """Tokens of each frame's caption."""

    embeddings: Float[Tensor, "n 1 512"]
    """Of the reference's face, unit length; zero where identity is dropped."""

    present: Bool[Tensor, "n"]
    """Whether the frame sees its reference picture."""

    unseen: Float[Tensor, "n h w"] | None = None
    """Share of each cell that the reference does not show, in [0, 1]; None where that is not known."""

    features: Float[Tensor, "clips frames d"] | None = None
    """Of the speech of each clip, zero where it is dropped; None for single frames."""

    clip: int = 1
    """Consecutive frames of a clip in the rows; 1 for single frames."""

    names: tuple[str, ...] = ()
    """What is in it, for messages."""

    skipped: tuple[str, ...] = ()
    """What was left out because it was broken."""


class PairDraws(Dataset[Draw]):
    """Draws of pairs: item k is the draw of step k, decided by the seed and k alone, on which exact resuming rests."""

    def __init__(
        self,
        bank: EncodedBank,
        tokenize: Tokenize,
        *,
        seed: int,
        refs: int,
        targets: int,
        edited: float = 0.45,
        drop_text: float = 0.1,
        drop_identity: float = 0.1,
        drop_reference: float = 0.1,
    ) -> None:
        """Set what is drawn.

        Args:
            bank: From which frames are taken.
            tokenize: Of the text encoder.
            seed: From which, with k, everything follows.
            refs: People a step.
            targets: Frames of each beside the reference.
            edited: Chance that a frame has another appearance than the reference.
            drop_text: Chance that a frame loses its caption.
            drop_identity: Chance that it loses the face embedding.
            drop_reference: Chance that it loses the reference picture.
        """
        self._tags, self._tokenize = bank.tags, tokenize
        self._seed, self._refs, self._targets, self._edited = seed, refs, targets, edited
        self._drops = (drop_text, drop_identity, drop_reference)
        # Frames of a person follow one another in a bank, the reference first.
        _, self._first, self._count = np.unique(bank.person, return_index=True, return_counts=True)

    def __getitem__(self, step: int) -> Draw:
        generator = torch.Generator().manual_seed((self._seed << 40) + step)
        people = torch.randint(len(self._first), (self._refs,), generator=generator).tolist()
        chosen = [self._choose(p, generator) for p in people]
        references = torch.tensor([c[0] for c in chosen])
        targets = torch.tensor([t for c in chosen for t in c[1:]])
        owner = torch.arange(self._refs).repeat_interleave(self._targets)
        drop = torch.rand(3, len(targets), generator=generator)
        no_text, no_identity, no_reference = (d < limit for d, limit in zip(drop, self._drops, strict=True))
        captions = [
            "" if quiet else caption_of(self._tags[r], self._tags[t], alone, generator)
            for r, t, alone, quiet in zip(
                references[owner].tolist(), targets.tolist(), no_reference.tolist(), no_text.tolist(), strict=True
            )
        ]
        none = torch.zeros(len(targets), dtype=torch.bool)
        return Draw(references, targets, owner, self._tokenize(captions), no_identity, no_reference, none, none, none)

    def _choose(self, person: int, generator: torch.Generator) -> list[int]:
        """Return the reference and the targets, of which the reference may be one: a portrait at rest."""
        first, count = int(self._first[person]), int(self._count[person])
        rows = range(first, first + count)
        changed = [row for row in rows if any(self._tags[row].get(t) != self._tags[first].get(t) for t in EDITABLE)]
        alike = [row for row in rows if row not in changed]
        targets: list[int] = []
        for kind, where in torch.rand(self._targets, 2, generator=generator).tolist():
            pool = changed if changed and kind < self._edited else alike
            targets.append(pool[int(where * len(pool))])
        return [first, *targets]


def caption_of(given: dict[str, str], wanted: dict[str, str], alone: bool, generator: torch.Generator) -> str:
    """Compose a caption: everything that differs and a random part of the rest, or most of it without a reference.

    Pictures of real people have a whole caption in place of tags, which is taken as it is.

    Args:
        given: Tags of the reference.
        wanted: Tags of the target.
        alone: Whether the target goes without its reference.
        generator: That decides what is said and how.
    """
    if "caption" in wanted:
        return wanted["caption"]
    changed = {t for t in (*EDITABLE, "expression") if given[t] != wanted[t]}
    others = [t for t in wanted if t not in changed]
    extra = float(torch.rand((), generator=generator)) ** 2
    if alone and float(torch.rand((), generator=generator)) < 0.8:
        extra = 1.0
    spoken = changed | {t for t in others if float(torch.rand((), generator=generator)) < extra}
    words = np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))
    return describe(wanted, words, spoken) if spoken else ""


class FrameStore:
    """A bank on the device that trains, from which a draw becomes a batch."""

    def __init__(self, bank: EncodedBank, device: torch.device) -> None:
        """Put a bank on a device; its pictures stay where they are.

        Args:
            bank: What is drawn from.
            device: That trains.
        """
        self._latents, self._landmarks = bank.latents.to(device), bank.landmarks.to(device)
        self._warped, self._unseen = bank.warped_latents.to(device), bank.unseen.to(device)
        self._embeddings, self._device = bank.embeddings.to(device), device
        self._pictures = bank.read_warped

    def gather(self, draw: Draw) -> Batch:
        """Return the rows of a draw, float32.

        Args:
            draw: Of `PairDraws`.
        """
        d = draw.to(self._device)
        return Batch(
            reference_latents=self._latents[d.references].float(),
            reference_landmarks=self._landmarks[d.references],
            warped_pictures=self._pictures(draw.targets, self._device),
            warped_latents=self._warped[d.targets].float(),
            latents=self._latents[d.targets].float(),
            landmarks=self._landmarks[d.targets],
            shown=self._landmarks[d.targets],
            owner=d.owner,
            ids=d.ids,
            embeddings=(self._embeddings[d.references[d.owner]] * ~d.no_identity[:, None])[:, None],
            present=~d.no_reference,
            unseen=self._unseen[d.targets],
        )
