"""Prompt edits, judged without a network: of rendered people the truth of every word can be rendered.

Of one person at rest, the benchmark asks for another background, hair, clothes, glasses or beard, or for a smile. The
picture that comes is compared with renderings of that person wearing each word of the attribute, in several shades
where words have shades. The nearest one names what the picture shows; the edit succeeded if that is what was asked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ...looks import restyled
from ...media.image import resize
from ...people.caption import compose, unseen
from ...people.person import ATTRIBUTES, dress
from ...pipeline import PortraitTalk
from ...stacks.options import SamplingOptions
from ...stacks.prompts import PromptTrack
from ...types import COEFFICIENTS, POSE, FaceMotion, Identity
from .people import FIRST_PERSON, FPS, Person, resting

EDITS = ("background", "hair", "clothes", "glasses", "beard", "expression")
"""What is edited, one at a time; glasses and beard are put on, never taken off; the expression becomes a smile."""

SHADES = {"background": 2, "clothes": 2}
"""Renderings of each word of an attribute whose words have shades; others have one."""

SIDE = 128
"""Pictures are compared at this side, pixels."""

_CHANGES = 0.04
"""Difference, of the range 2, from which on a place counts as changed by a word."""

Picture = Float[Tensor, "3 h w"]
"""In [-1, 1]."""


def possible(person: Person) -> tuple[str, ...]:
    """Return which of `EDITS` a person's picture can show: no hair of the bald or under hats, no women's beards.

    Args:
        person: Who is edited.
    """
    hidden = unseen(person.tags)
    return tuple(tag for tag in EDITS if tag not in hidden)


def asked(person: Person, tag: str) -> tuple[tuple[str, ...], str]:
    """Draw what an edit asks for, seeded by the person.

    Args:
        person: Who is edited.
        tag: One of `EDITS`.

    Returns:
        What the picture may show: a word of the attribute that the person does not wear, or several where the prompt's
        word stands for several ("brown hair" is dark brown too); and the prompt that asks for it.
    """
    rng = np.random.default_rng([FIRST_PERSON + person.number, EDITS.index(tag)])
    while True:
        others = [word for word in ATTRIBUTES[tag] if word not in (person.tags[tag], "none")]
        wanted = "smiling" if tag == "expression" else str(rng.choice(others))
        made = compose({**person.tags, tag: wanted}, rng, {"sex", tag})
        meant = tuple(made.spoken[tag].split("|"))
        if person.tags[tag] not in meant:
            return meant, made.text


def candidates(person: Person, tag: str) -> dict[str, Float[Tensor, "shades 3 h w"]]:
    """Render what an edit may show.

    Args:
        person: Who is edited.
        tag: One of `EDITS`.

    Returns:
        By word, pictures of the person who wears it, `SIDE` pixels wide.
    """
    shades = range(SHADES.get(tag, 1))
    drawn = {word: torch.cat([wearing(person, tag, word, shade) for shade in shades]) for word in ATTRIBUTES[tag]}
    return {word: resize(pictures, SIDE, SIDE) for word, pictures in drawn.items()}


def wearing(person: Person, tag: str, word: str, shade: int = 0) -> Float[Tensor, "1 3 256 256"]:
    """Render a person with one attribute as a word has it, otherwise as in the portrait.

    Args:
        person: Who.
        tag: One of `EDITS`.
        word: What it is.
        shade: Which shade of the word.
    """
    seed = [FIRST_PERSON + person.number, 100, shade]
    worn = dress(person.drawn, {tag: word}, np.random.default_rng(seed))
    return person.show(resting(worn), torch.zeros(1, 3), replace(worn, expression="neutral"), shade)


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
    """Make and judge every edit of a person that a picture can show.

    Args:
        person: Who is edited.
        make: Makes the picture of the person at rest for a prompt.

    Returns:
        For each of those edits what was `asked`, what the picture `shows` and whether it `obeyed`.
    """
    found: dict[str, dict[str, Any]] = {}
    for tag in possible(person):
        wanted, prompt = asked(person, tag)
        shows = named(make(prompt), candidates(person, tag))
        found[tag] = {"asked": " or ".join(wanted), "shows": shows, "obeyed": shows in wanted}
    return found


def at_rest(
    model: PortraitTalk, identity: Identity, prompt: str, seed: int, steps: int | None = None
) -> Float[Tensor, "3 h w"]:
    """Make one picture of a person at rest, wearing what the prompt says and the expression that it asks for.

    As a user gets it: what the prompt changes is drawn once, and what the photograph shows is taken from it.

    Args:
        model: A model whose motion is blendshapes.
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
    options, rest_maps = SamplingOptions(steps=steps), stack.rest(identity, FPS)
    if rest_maps is not None:
        identity = restyled(stack, model.animate, identity, rest_maps, prompts, seed=seed, options=options)
    videos = model.animate(identity, maps, None, prompts, seed=seed, options=options, edited=False)
    decoded = (frames for video in videos for frames in stack.decode(video))
    return next(iter(stack.composite(decoded, identity, maps))).pixels[0]
