"""Draw training batches from a bank: references, target frames of the same person, and what to say of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..avatars.caption import caption
from .bank import EDITABLE, Bank


@dataclass(frozen=True)
class Batch:
    """References and targets of one step.

    reference_*: one row a reference picture; latents, landmarks: one row a target; owner: which reference row each
    target belongs to; captions: one a target, empty where the text is dropped; embeddings: of the reference, zero
    where identity is dropped; present: whether the target sees its reference picture.
    """

    reference_latents: Float[Tensor, "r c h w"]
    reference_landmarks: Float[Tensor, "r 70 2"]
    latents: Float[Tensor, "n c h w"]
    landmarks: Float[Tensor, "n 70 2"]
    owner: Int[Tensor, "n"]
    embeddings: Float[Tensor, "n 1 512"]
    present: Bool[Tensor, "n"]
    captions: list[str]


class PairSampler:
    """Draws batches; the same generator state gives the same batch, on which exact resuming rests.

    people: first and past-the-last person to draw from, so that some can be held out.
    """

    def __init__(
        self,
        bank: Bank,
        *,
        people: tuple[int, int],
        drop_text: float = 0.1,
        drop_identity: float = 0.1,
        drop_reference: float = 0.1,
    ) -> None:
        if bank.latents is None:
            raise ValueError("the bank has no latents; run encode_bank first")
        self.bank = bank
        self.latents: Tensor = bank.latents
        self.drops = (drop_text, drop_identity, drop_reference)
        self.rows = [np.flatnonzero(bank.person == p) for p in range(*people)]

    def draw(self, refs: int, targets: int, generator: torch.Generator) -> Batch:
        """Return `refs` people with one reference and `targets` target frames each."""
        people = torch.randint(len(self.rows), (refs,), generator=generator).tolist()
        chosen = [self._choose(self.rows[p], targets, generator) for p in people]
        references = torch.tensor([c[0] for c in chosen])
        wanted = torch.tensor([t for c in chosen for t in c[1:]])
        owner = torch.arange(refs).repeat_interleave(targets)
        drop = torch.rand(3, len(wanted), generator=generator)
        no_text, no_identity, no_reference = (d < limit for d, limit in zip(drop, self.drops, strict=True))
        captions = [
            "" if quiet else self._caption(int(r), int(t), bool(alone), generator)
            for r, t, alone, quiet in zip(references[owner], wanted, no_reference, no_text, strict=True)
        ]
        bank = self.bank
        shape = (len(wanted), 1, 512)
        known = torch.zeros(shape) if bank.embeddings is None else bank.embeddings[references[owner]].view(shape)
        return Batch(
            reference_latents=self.latents[references].float(),
            reference_landmarks=bank.landmarks[references],
            latents=self.latents[wanted].float(),
            landmarks=bank.landmarks[wanted],
            owner=owner,
            embeddings=known * ~no_identity[:, None, None],
            present=~no_reference,
            captions=captions,
        )

    def _choose(self, rows: np.ndarray, targets: int, generator: torch.Generator) -> list[int]:
        order = torch.randperm(len(rows), generator=generator)[: targets + 1]
        while len(order) < targets + 1:
            order = torch.cat([order, torch.randperm(len(rows), generator=generator)])[: targets + 1]
        return [int(rows[i]) for i in order]

    def _caption(self, reference: int, target: int, alone: bool, generator: torch.Generator) -> str:
        """Speak of everything that differs and of a random part of the rest; of all of it without a reference."""
        given, wanted = self.bank.tags[reference], self.bank.tags[target]
        changed = {t for t in EDITABLE if given[t] != wanted[t]}
        others = [t for t in wanted if t not in changed]
        extra = float(torch.rand((), generator=generator)) ** 2
        if alone and float(torch.rand((), generator=generator)) < 0.8:
            extra = 1.0
        spoken = changed | {t for t in others if float(torch.rand((), generator=generator)) < extra}
        return caption(wanted, generator, spoken) if spoken else ""
