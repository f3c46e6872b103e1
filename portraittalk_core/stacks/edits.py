"""What prompts change in a photograph: its own pixels where they can stay, the decoder's where they cannot.

The denoiser draws the whole picture anew, and softer than a photograph. So what it *means* is taken from it: which
colour hair and clothes have, where a beard grows, what lies behind somebody. What that looks like comes from the
photograph wherever it shows such a thing: strands and folds keep their light and dark, and nothing else changes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from ..topology import SEGMENTS
from .edit_regions import REGIONS, region_maps
from .face_parser import FaceParser
from .masked import STRANDS, blurred, filled, luma, mean_of, recoloured, surely, thinned
from .strands import beard, head_of_hair, where_beards_grow, without_lips

_CELLS = 64  # of the maps of regions
_LARGEST_CHANGES = 0.98  # quantile of what a prompt changes that counts as wholly changed
_CHANGED = 0.05  # of the range: what changes less is as before
_BEARD_CHANGES, _FAINT = 0.25, 0.1  # likewise, of a whole beard; of what is none yet
_BEARD_SHADE = 0.7  # how much of the face's own light and shade a beard shows
_NAMED = (0.1, 0.3)  # of the range: what a prompt changes on the whole where it names what is there, and where not
_CLOTH_REACH = 0.05  # of the picture's side: over which clothes have one colour
_STRAY = 0.15  # share of a person below which a pixel is all place
_LINES = 0.012  # of the picture's side: how wide lines of age are at most
_OLDER, _YOUNGER = 0.9, -0.5  # how much deeper lines of age become
_RIM = 0.55  # of a drawn rim's width that is left: the denoiser's cells are as wide as real rims


@dataclass(frozen=True)
class Scene:
    """Frames with and without a prompt, in [0, 1], and what their pixels belong to."""

    shown: Float[Tensor, "n 3 s s"]
    """The photograph, moved."""

    drawn: Float[Tensor, "n 3 s s"]
    """What the denoiser drew for the prompt."""

    plain: Float[Tensor, "n 3 s s"]
    """What it drew without; where nobody has drawn that, the photograph."""

    before: Float[Tensor, "n segments s s"]
    """Segments of the photograph."""

    after: Float[Tensor, "n segments s s"]
    """Segments of what was drawn."""

    landmarks: Float[Tensor, "n 478 2"]
    """Of both, in [-1, 1]."""

    eyes: Float[Tensor, "n 1 s s"]
    """Around the eyes, where accessories are glasses."""

    def was(self, *names: str) -> Float[Tensor, "n 1 s s"]:
        """Return the share of some of `topology.SEGMENTS` in the photograph."""
        return self.before[:, [SEGMENTS.index(name) for name in names]].sum(1, keepdim=True).clamp(max=1)

    def becomes(self, *names: str) -> Float[Tensor, "n 1 s s"]:
        """Return their share in what was drawn."""
        return self.after[:, [SEGMENTS.index(name) for name in names]].sum(1, keepdim=True).clamp(max=1)

    def change(self) -> Float[Tensor, "n 1 s s"]:
        """Return how much the prompt changed each pixel, of the range."""
        return (self.drawn - self.plain).abs().amax(1, keepdim=True)


def edited(
    shown: Float[Tensor, "n 3 s s"],
    drawn: Float[Tensor, "n 3 s s"],
    plain: Float[Tensor, "n 3 s s"] | None,
    asked: Float[Tensor, "n regions"],
    landmarks: Float[Tensor, "n 478 2"],
    parser: FaceParser,
) -> Float[Tensor, "n 3 s s"]:
    """Change what prompts ask for and leave the rest.

    Args:
        shown: The photograph, moved, in [-1, 1].
        drawn: What the denoiser drew for the prompt.
        plain: The same without the prompt; None where nobody has drawn it.
        asked: How far each of `edit_regions.REGIONS` is asked for, in [0, 1].
        landmarks: Of the frames, in [-1, 1].
        parser: Tells hair, skin, clothes and the place apart.
    """
    side = shown.shape[-1]
    places = functional.interpolate(region_maps(landmarks, _CELLS), (side, side), mode="bilinear", align_corners=False)
    scene = Scene(
        shown=(shown + 1) / 2,
        drawn=(drawn + 1) / 2,
        plain=((shown if plain is None else plain) + 1) / 2,
        before=parser.segments(shown, landmarks),
        after=parser.segments(drawn, landmarks),
        landmarks=landmarks,
        eyes=places[:, [REGIONS.index("eyes")]],
    )
    picture = scene.shown
    for number, region in enumerate(REGIONS):
        wanted = asked[:, number, None, None, None]
        if bool(wanted.any()):
            where = places[:, [number]]
            made = _EDITS[region](scene, picture, where)
            picture = picture + wanted * (made - picture)
            if region == "hair":
                scene = _with_new_hair(scene, wanted * where)
    return picture.clamp(0, 1) * 2 - 1


def _hair(scene: Scene, picture: Tensor, where: Tensor) -> Tensor:
    """Another haircut, or none, or something on the head: new hair is drawn, what hair no longer hides is uncovered."""
    was, becomes = scene.was("hair"), scene.becomes("hair")
    # Hair ends in single strands, and the place behind it is full of them.
    place = filled(scene.shown, surely(scene.was("background"), STRANDS))
    bare = scene.becomes("skin") / scene.becomes("skin", "background").clamp(min=1e-3)
    face = mean_of(scene.shown, scene.was("skin") * scene.becomes("skin"))
    skin = recoloured(scene.drawn, mean_of(scene.drawn, was * scene.becomes("skin")), face)
    hats = [share * (1 - scene.eyes) for share in (scene.was("accessory"), scene.becomes("accessory"))]
    gone = (2 * blurred((was + hats[0]).clamp(max=1), STRANDS)).clamp(max=1)
    lost = gone * (1 - scene.becomes("hair", "clothes", "accessory"))
    picture = picture + where * lost * (place + bare * (skin - place) - picture)
    # New hair is of the colour that there was, if there was any: the denoiser's is that of most people.
    old = mean_of(scene.shown, was.square())
    new = mean_of(scene.drawn, (becomes * (1 - was)).square())
    known = (was.mean((-2, -1), keepdim=True) / 0.02).clamp(max=1)
    hair = head_of_hair(scene.drawn + known * (recoloured(scene.drawn, new, old) - scene.drawn), scene.landmarks)
    picture = picture + where * becomes * (1 - was) * (hair - picture)
    return picture + where * hats[1] * (scene.drawn - picture)


def _with_new_hair(scene: Scene, where: Tensor) -> Scene:
    """Say that hair lies where it has been drawn, for what comes after."""
    return replace(scene, before=scene.before + where * (scene.after - scene.before))


def _hair_colour(scene: Scene, picture: Tensor, where: Tensor) -> Tensor:
    """Another colour of every strand."""
    # Hair of another colour is now and then taken for a hat.
    both = (scene.was("hair") * scene.becomes("hair", "accessory")).square()
    change = scene.change()
    most = (change * both.sign()).flatten(1).quantile(_LARGEST_CHANGES, dim=1)[:, None, None, None]
    sure = both * (change / most.clamp(min=_CHANGED)).clamp(0, 1).square()
    new = mean_of(scene.drawn, sure + 1e-3 * both)
    old = mean_of(picture, scene.was("hair").square())
    return picture + scene.was("hair") * (recoloured(picture, old, new) - picture)


def _clothes(scene: Scene, picture: Tensor, where: Tensor) -> Tensor:
    """Clothes of another colour with the folds that they have; new ones where there was skin."""
    was, becomes = scene.was("clothes"), scene.becomes("clothes")
    new = blurred(filled(scene.drawn, (was * becomes).square()), _CLOTH_REACH)
    old = blurred(filled(scene.shown, was.square()), _CLOTH_REACH)
    other = _otherwise(scene, was)
    picture = picture + other * was * (recoloured(picture, old, new) - picture)
    return picture + other * where * becomes * scene.was("skin") * (scene.drawn - picture)


def _beard(scene: Scene, picture: Tensor, where: Tensor) -> Tensor:
    """A beard of the colour of the hair where the denoiser drew one."""
    change = blurred(scene.change(), 0.006) * where
    most = (change * scene.was("skin")).flatten(1).quantile(_LARGEST_CHANGES, dim=1)[:, None, None, None]
    cover = ((change - _FAINT) / (most.clamp(min=_BEARD_CHANGES) - _FAINT)).clamp(0, 1)
    cover = where_beards_grow(without_lips(cover * scene.was("skin"), scene.landmarks), scene.landmarks)
    hair = scene.was("hair")
    own = (hair.mean((-2, -1), keepdim=True) / 0.02).clamp(max=1)
    drawn = mean_of(scene.drawn, cover.square())
    colour = drawn + own * (mean_of(picture, hair.square()) - drawn)
    light = luma(picture)
    around = blurred(filled(light, (1 - cover).clamp(min=0.02)), 0.03).clamp(min=0.05)
    shade = 1 + _BEARD_SHADE * (blurred(light, 0.02) / around - 1).clamp(-0.5, 0.5)
    return beard(picture, cover, colour * shade, scene.landmarks)


def _shaven(scene: Scene, picture: Tensor, where: Tensor) -> Tensor:
    """The face as the denoiser drew it without a beard, by the difference that this makes."""
    return picture + without_lips(where * scene.was("skin"), scene.landmarks) * (scene.drawn - scene.plain)


def _eyes(scene: Scene, picture: Tensor, where: Tensor) -> Tensor:
    """Glasses before the eyes, or no more."""
    worn = scene.becomes("accessory")
    rim = thinned(worn, _RIM)
    gone = scene.was("accessory") * (1 - worn)
    picture = picture + where * gone * (scene.drawn - picture)
    # What is drawn of a rim is darkest or lightest in its middle, and mixed with the face at its edges.
    return picture + where * rim * (filled(scene.drawn, rim) - picture)


def _background(scene: Scene, picture: Tensor, where: Tensor) -> Tensor:
    """Another place behind somebody of whom not a hair changes."""
    person = ((1 - scene.was("background") - _STRAY) / (1 - 2 * _STRAY)).clamp(0, 1)
    place = filled(scene.drawn, surely(scene.becomes("background"), STRANDS))
    # At the edge a pixel is part person, part old place: what the person looks like is known from further in.
    inside = filled(picture, surely(person))
    own = inside + (2 * person - 1).clamp(0, 1) * (picture - inside)
    return picture + _otherwise(scene, scene.was("background")) * (place + person * (own - place) - picture)


def _otherwise(scene: Scene, share: Tensor) -> Tensor:
    """Say how far a prompt asks for something else than there is: naming what a photograph shows changes little."""
    low, high = _NAMED
    return ((mean_of(scene.change(), share) - low) / (high - low)).clamp(0, 1)


def _older(scene: Scene, picture: Tensor, where: Tensor) -> Tensor:
    """Deeper lines of the skin."""
    return _lined(scene, picture, _OLDER)


def _younger(scene: Scene, picture: Tensor, where: Tensor) -> Tensor:
    """Fainter lines of the skin."""
    return _lined(scene, picture, _YOUNGER)


def _lined(scene: Scene, picture: Tensor, strength: float) -> Tensor:
    skin = without_lips(surely(scene.was("skin")), scene.landmarks)
    lines = picture - blurred(filled(picture, skin), _LINES)
    return picture + strength * blurred(skin, 0.006) * luma(lines)


_EDITS = {
    "older skin": _older,
    "younger skin": _younger,
    "hair": _hair,
    "colour of the hair": _hair_colour,
    "clothes": _clothes,
    "shaven chin": _shaven,
    "beard": _beard,
    "eyes": _eyes,
    "background": _background,
}
