"""Portraits of nobody, to be used as input pictures."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from . import parameters as traits
from .caption import caption
from .render import render


def draw_portraits(
    seed: int, tags: Mapping[str, str] | None = None, size: int = 256, count: int = 1
) -> tuple[Float[Tensor, "count 3 size size"], str]:
    """Draw pictures of one person; the first is frontal and at rest.

    The others turn the head and have another light. The identity is drawn first, so that tags change what is worn
    and not who wears it.

    Args:
        seed: Of everything that is drawn.
        tags: Attributes that the person has, as in `parameters.TAGS`.
        size: Side of a picture in pixels.
        count: Pictures, at least 1.

    Returns:
        The pictures in [-1, 1], and a caption of the first.

    Raises:
        BadInput: For tags that are not known.
    """
    generator = torch.Generator().manual_seed(seed)
    person, light = traits.sample_identity(generator), traits.sample_light(generator)
    appearance = traits.attributes_from_tags(dict(tags or {}), generator)
    calm = traits.Traits(dict.fromkeys(traits.EXPRESSION, 0.0), {"expression": "neutral"})
    frontal = traits.Traits({**dict.fromkeys(traits.POSE, 0.0), "scale": 1.0})
    said = caption({**person.tags, **appearance.tags, **calm.tags}, generator)
    rows = [traits.pack(person, appearance, calm, frontal, light)]
    for _ in range(count - 1):
        pose, other_light = traits.sample_pose(generator), traits.sample_light(generator)
        rows.append(traits.pack(person, appearance, calm, pose, other_light))
    return render(torch.stack(rows), size=size), said
