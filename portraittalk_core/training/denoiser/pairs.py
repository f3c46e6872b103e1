"""Draw training batches from a bank: references, target frames of the same person, and what to say of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.utils.data import Dataset

from ...avatars.caption import caption
from .bank import EDITABLE, Album, Bank

Tokenize = Callable[[list[str]], Int[Tensor, "n t"]]


@dataclass(frozen=True)
class Draw:
    """Which rows a step uses, small enough to be made in another process.

    references: one row a reference picture; targets: one a target frame (or clip); owner: which reference each target
    belongs to; ids: the tokens of its caption, those of the empty prompt where the text is dropped; no_identity,
    no_reference, no_audio, no_mouth: which targets go without the embedding, the reference picture, the speech, the
    mouth in what structure shows.
    """

    references: Int[Tensor, "r"]
    targets: Int[Tensor, "n"]
    owner: Int[Tensor, "n"]
    ids: Int[Tensor, "n t"]
    no_identity: Bool[Tensor, "n"]
    no_reference: Bool[Tensor, "n"]
    no_audio: Bool[Tensor, "n"]
    no_mouth: Bool[Tensor, "n"]

    def to(self, device: torch.device) -> Draw:
        """Return the draw on a device."""
        return Draw(**{f.name: getattr(self, f.name).to(device, non_blocking=True) for f in fields(self)})


@dataclass(frozen=True)
class Batch:
    """References and targets of one step, on the device that trains.

    reference_*: one row a reference picture; latents, landmarks: one row a target frame; shown: the landmarks that
    structure tells of it, with the mouth at rest where it is withheld; owner: which reference row each frame belongs
    to; ids: caption tokens; embeddings: of the reference, zero where identity is dropped; present: whether the frame
    sees its reference picture; features: speech of each clip, None for single frames; clip: consecutive frames in a row
    of a clip, 1 for single frames.
    """

    reference_latents: Float[Tensor, "r c h w"]
    reference_landmarks: Float[Tensor, "r 70 2"]
    reference_pictures: Float[Tensor, "r 3 s s"]
    latents: Float[Tensor, "n c h w"]
    landmarks: Float[Tensor, "n 70 2"]
    shown: Float[Tensor, "n 70 2"]
    owner: Int[Tensor, "n"]
    ids: Int[Tensor, "n t"]
    embeddings: Float[Tensor, "n 1 512"]
    present: Bool[Tensor, "n"]
    features: Float[Tensor, "clips frames d"] | None = None
    clip: int = 1


class PairDraws(Dataset[Draw]):
    """Item k is the draw of step k; nothing but `seed` and k decides it, on which exact resuming rests.

    refs: people a step; targets: frames of each beside the reference; drop_*: chance of leaving a condition out.
    """

    def __init__(
        self,
        album: Album,
        tokenize: Tokenize,
        *,
        seed: int,
        refs: int,
        targets: int,
        drop_text: float = 0.1,
        drop_identity: float = 0.1,
        drop_reference: float = 0.1,
    ) -> None:
        self._tags, self._tokenize = album.tags, tokenize
        self._seed, self._refs, self._targets = seed, refs, targets
        self._drops = (drop_text, drop_identity, drop_reference)
        # Frames of a person follow one another in an album.
        _, self._first, self._count = np.unique(album.person, return_index=True, return_counts=True)

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
        return Draw(references, targets, owner, self._tokenize(captions), no_identity, no_reference, none, none)

    def _choose(self, person: int, generator: torch.Generator) -> list[int]:
        count, wanted = int(self._count[person]), self._targets + 1
        order = torch.randperm(count, generator=generator)[:wanted]
        while len(order) < wanted:
            order = torch.cat([order, torch.randperm(count, generator=generator)])[:wanted]
        return [int(self._first[person]) + i for i in order.tolist()]


def caption_of(given: dict[str, str], wanted: dict[str, str], alone: bool, generator: torch.Generator) -> str:
    """Speak of everything that differs and of a random part of the rest; of most of it without a reference."""
    changed = {t for t in EDITABLE if given[t] != wanted[t]}
    others = [t for t in wanted if t not in changed]
    extra = float(torch.rand((), generator=generator)) ** 2
    if alone and float(torch.rand((), generator=generator)) < 0.8:
        extra = 1.0
    spoken = changed | {t for t in others if float(torch.rand((), generator=generator)) < extra}
    return caption(wanted, generator, spoken) if spoken else ""


class FrameStore:
    """A bank on the device that trains, from which a draw becomes a batch."""

    def __init__(self, bank: Bank, device: torch.device) -> None:
        self._latents, self._landmarks = bank.latents.to(device), bank.landmarks.to(device)
        self._embeddings, self._device = bank.embeddings.to(device), device
        self._pictures = bank.read_pictures

    def gather(self, draw: Draw) -> Batch:
        """Return the rows of a draw, float32."""
        d = draw.to(self._device)
        return Batch(
            reference_latents=self._latents[d.references].float(),
            reference_landmarks=self._landmarks[d.references],
            reference_pictures=self._pictures(draw.references, self._device),
            latents=self._latents[d.targets].float(),
            landmarks=self._landmarks[d.targets],
            shown=self._landmarks[d.targets],
            owner=d.owner,
            ids=d.ids,
            embeddings=(self._embeddings[d.references[d.owner]] * ~d.no_identity[:, None])[:, None],
            present=~d.no_reference,
        )
