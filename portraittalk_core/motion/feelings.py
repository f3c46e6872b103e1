"""What feelings look like: from how far a prompt smiles, raises brows and frowns to all of a face.

The text encoder says of a prompt three numbers only (`perception.text.EXPRESSION`), which its training gives each
feeling (`OFFSETS`). A face says more: sad brows rise in the middle and lids hang, angry eyes are narrow, surprised ones
wide. So the feelings are read back off the three numbers, and each is shown by the muscles that Ekman and Friesen's
action units name for it (Facial Action Coding System, 1978), in ARKit's blendshapes.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from .arkit import blendshapes

OFFSETS: dict[str, dict[str, float]] = {
    "smiling": {"smile": 0.75, "brow_raise": 0.1},
    "sad": {"smile": -0.4, "brow_raise": 0.1, "brow_frown": 0.4},
    "surprised": {"brow_raise": 0.85},
    "angry": {"smile": -0.3, "brow_frown": 0.85},
}
"""What the text encoder learned to say of each feeling, in words of `motion.arkit.TO_ARKIT`."""

SHOWN: dict[str, dict[str, float]] = {
    "smiling": {"mouthSmile": 0.65, "cheekSquint": 0.45, "eyeSquint": 0.15, "mouthDimple": 0.1, "browOuterUp": 0.08},
    "sad": {
        "browInnerUp": 0.8,
        "browDown": 0.15,
        "mouthFrown": 0.6,
        "mouthShrugLower": 0.35,
        "eyeBlink": 0.15,
        "eyeLookDown": 0.15,
    },
    "surprised": {"browInnerUp": 0.8, "browOuterUp": 0.8, "eyeWide": 0.7, "jawOpen": 0.12},
    "angry": {"browDown": 0.8, "eyeSquint": 0.2, "noseSneer": 0.3, "mouthFrown": 0.35, "mouthShrugUpper": 0.15},
}
"""How a face shows each: action units 6 and 12; 1, 4, 15 and 17; 1, 2, 5 and 26; 4, 7, 9 and 15. Our strengths."""

_SWEEPS = 250


def shown_feelings(offsets: Float[Tensor, "n words"], words: tuple[str, ...]) -> Float[Tensor, "n 52"]:
    """Return the blendshapes of what prompts feel.

    Args:
        offsets: What the text encoder says, a column a word.
        words: Names of the columns, those of `OFFSETS`.

    Returns:
        To be added to a motion, in [0, 1].
    """
    shown = torch.stack([blendshapes(**SHOWN[name]) for name in OFFSETS]).to(offsets)
    return (feelings_of(offsets, words) @ shown).clamp(0, 1)


def feelings_of(offsets: Float[Tensor, "n words"], words: tuple[str, ...]) -> Float[Tensor, "n 4"]:
    """Return how much of each feeling is in what the text encoder says of prompts.

    Args:
        offsets: A column a word.
        words: Names of the columns.

    Returns:
        A column a feeling of `OFFSETS`: the least squares among those that are not negative, by coordinate descent.
    """
    table = offsets.new_tensor([[said.get(word, 0.0) for word in words] for said in OFFSETS.values()])
    lengths = table.square().sum(1)
    found = offsets.new_zeros(len(offsets), len(table))
    for _ in range(_SWEEPS):
        for row, length in enumerate(lengths):
            left = offsets - found @ table
            found[:, row] = (found[:, row] + left @ table[row] / length).clamp(min=0)
    return found
