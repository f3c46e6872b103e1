"""Prompt edits, judged without a network: on avatars the truth of every word can be rendered.

Of one person at rest, the benchmark asks for another background, hair, clothes, glasses or beard, or for a smile. The
picture that comes is compared with renderings of that person wearing each word of the attribute, in several shades
where words have shades. The nearest one names what the picture shows; the edit succeeded if that is what was asked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ...avatars import parameters as traits
from ...avatars.caption import caption
from ...avatars.render import render
from ...media.image import resize
from ...pipeline import PortraitTalk
from ...stacks.options import SamplingOptions
from ...stacks.prompts import PromptTrack
from ...types import COEFFICIENTS, POSE, FaceMotion, Identity
from .avatars import FIRST_PERSON, FPS, Person

EDITS = ("background", "hair", "clothes", "glasses", "beard", "expression")
"""What is edited, one at a time; glasses and beard are put on, never taken off; the expression becomes a smile."""

SHADES = 2
"""Renderings of each word."""

SIDE = 128
"""Pictures are compared at this side, pixels."""

_CHANGES = 0.04
"""Difference, of the range 2, from which on a place counts as changed by a word."""

Picture = Float[Tensor, "3 h w"]
"""In [-1, 1]."""


def asked(person: Person, tag: str) -> tuple[str, str]:
    """Draw what an edit asks for, seeded by the person.

    Args:
        person: Who is edited.
        tag: One of `EDITS`.

    Returns:
        A word of the attribute that the person does not wear, and the prompt that asks for it.
    """
    generator = torch.Generator().manual_seed(FIRST_PERSON + 7 * person.number + EDITS.index(tag))
    if tag == "expression":
        wanted = "smiling"
    else:
        others = [word for word in traits.TAGS[tag] if word not in (person.tags[tag], "none")]
        wanted = others[int(torch.randint(len(others), (), generator=generator))]
    return wanted, caption({**person.tags, tag: wanted}, generator, {tag})


def candidates(person: Person, tag: str) -> dict[str, Float[Tensor, "shades 3 h w"]]:
    """Render what an edit may show.

    Args:
        person: Who is edited.
        tag: One of `EDITS`.

    Returns:
        By word, `SHADES` pictures of the person who wears it, otherwise as in the portrait.
    """
    words = tuple(traits.EXPRESSION_RANGES) if tag == "expression" else traits.TAGS[tag]
    rows = {word: torch.stack([_wearing(person, tag, word, shade) for shade in range(SHADES)]) for word in words}
    return {word: render(rows[word], SIDE) for word in words}


def _wearing(person: Person, tag: str, word: str, shade: int) -> Float[Tensor, "p"]:
    """Return the person's row with the columns that belong to a word, in one of its shades."""
    row = person.row.clone()
    if tag == "expression":
        share = shade / max(1, SHADES - 1)
        ranges = zip(("smile", "brow_raise", "brow_frown"), traits.EXPRESSION_RANGES[word], strict=True)
        values = {name: low + (high - low) * share for name, (low, high) in ranges}
    else:
        generator = torch.Generator().manual_seed(FIRST_PERSON + 100 * person.number + shade)
        drawn = traits.attributes_from_tags({tag: word}, generator).values
        values = {name: value for name, value in drawn.items() if name.startswith(f"{tag}_")}
        values.pop("background_seed", None)
        values.pop("hair_seed", None)
    for name, value in values.items():
        traits.column(row, name).fill_(value)
    return row


def named(picture: Picture, shown: dict[str, Float[Tensor, "shades 3 h w"]]) -> str:
    """Name what a picture shows: the word whose nearest rendering is nearest to it, where renderings of words differ.

    Args:
        picture: The result of an edit.
        shown: See `candidates`.

    Returns:
        One of the words.
    """
    place = _changing(shown)
    small = resize(picture, SIDE, SIDE)

    def distance(word: str) -> float:
        apart = (shown[word] - small[None]).abs().mean(1)
        return min(float(d[place].mean()) for d in apart)

    return min(shown, key=distance)


def _changing(shown: dict[str, Float[Tensor, "shades 3 h w"]]) -> Bool[Tensor, "h w"]:
    first = torch.stack([pictures[0] for pictures in shown.values()])
    place = (first.amax(0) - first.amin(0)).amax(0) > _CHANGES
    return place if bool(place.any()) else torch.ones_like(place)


def judge_edits(person: Person, make: Callable[[str], Picture]) -> dict[str, dict[str, Any]]:
    """Make and judge every edit of a person; the hair of the bald is not asked for.

    Args:
        person: Who is edited.
        make: Makes the picture of the person at rest for a prompt.

    Returns:
        For each of `EDITS` what was `asked`, what the picture `shows` and whether it `obeyed`.
    """
    found: dict[str, dict[str, Any]] = {}
    for tag in EDITS:
        if tag == "hair" and person.tags["style"] == "bald":
            continue
        wanted, prompt = asked(person, tag)
        shows = named(make(prompt), candidates(person, tag))
        found[tag] = {"asked": wanted, "shows": shows, "obeyed": shows == wanted}
    return found


def at_rest(
    model: PortraitTalk, identity: Identity, prompt: str, seed: int, steps: int | None = None
) -> Float[Tensor, "3 h w"]:
    """Make one picture of a person at rest, wearing what the prompt says and the expression that it asks for.

    Args:
        model: A model whose motion is coefficients.
        identity: The person.
        prompt: What the picture shows.
        seed: Of the noise.
        steps: Of denoising; None for the model's own.

    Returns:
        The picture, in [-1, 1].
    """
    stack, prompts = model.stack, PromptTrack(prompt, (), FPS, 1)
    asked_of_face = stack.expression(prompts)
    expression = torch.zeros(1, len(COEFFICIENTS)) if asked_of_face is None else asked_of_face
    rest = torch.tensor([[float(name == "scale") for name in POSE]])
    maps = stack.structure(FaceMotion(expression, rest, FPS), identity)
    video = next(model.animate(identity, maps, None, prompts, seed=seed, options=SamplingOptions(steps=steps)))
    return next(stack.decode(video)).pixels[0]
