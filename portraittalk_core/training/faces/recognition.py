"""What is asked of the recogniser in training: pictures of one person are alike, and their traits can be read off."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor, nn

from ...perception.face_nets import Recogniser
from .precision import half_precision

TEMPERATURE = 0.06


class Tutored(nn.Module):
    """A recogniser in training: a linear layer beside it reads the person's traits off the embedding.

    Telling 32 people apart is soon done by their skin alone; the traits ask for the shape of every feature. The
    layer is thrown away afterwards.
    """

    def __init__(self, recogniser: Recogniser, traits: int, *, half: bool = False):
        """Put the layer beside a recogniser.

        Args:
            recogniser: Is trained.
            traits: How many numbers make a person.
            half: Compute in bfloat16 what can be.
        """
        super().__init__()
        self.in_half = half
        self.recogniser = recogniser
        self.tutor = nn.Linear(recogniser.project.out_features, traits)

    def forward(self, x: Float[Tensor, "b 3 112 112"]) -> tuple[Float[Tensor, "b dim"], Float[Tensor, "b traits"]]:
        """Return unit embeddings and the traits that are read off them.

        Args:
            x: Aligned crops in [-1, 1].
        """
        with half_precision(self.in_half):
            raw = self.recogniser(x)
        vectors = F.normalize(raw.float(), dim=1)
        return vectors, self.tutor(vectors * math.sqrt(vectors.shape[1]))


def identity_loss(net: nn.Module, crops: ndarray, traits: ndarray) -> Tensor:
    """Return InfoNCE (arXiv 1807.03748) over pairs, first half against second, plus the error of the traits.

    Args:
        net: A `Tutored` recogniser.
        crops: [2 * people, 3, 112, 112] in [-1, 1], all first pictures before all second ones.
        traits: [people, k], standardised.
    """
    vectors, read = net(torch.from_numpy(crops).contiguous(memory_format=torch.channels_last))
    known = torch.from_numpy(traits).repeat(2, 1)
    return pair_loss(*vectors.chunk(2)) + 2 * (read - known).square().mean()


def pair_loss(first: Float[Tensor, "n d"], second: Float[Tensor, "n d"]) -> Tensor:
    """Ask of each row to be nearest to the same row of the other side, and the other way round.

    Args:
        first: Unit embeddings.
        second: Unit embeddings of the same people.
    """
    alike = first @ second.T / TEMPERATURE
    same = torch.arange(len(first))
    return (F.cross_entropy(alike, same) + F.cross_entropy(alike.T, same)) / 2
