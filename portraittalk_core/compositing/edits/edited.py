"""What prompts change in a photograph: its own pixels where they can stay, the decoder's where they cannot.

The denoiser draws the whole picture anew, and softer than a photograph. So what it *means* is taken from it: which
colour hair and clothes have, where a beard grows, what lies behind somebody. What that looks like comes from the
photograph wherever it shows such a thing: strands and folds keep their light and dark, and nothing else changes.
"""

from __future__ import annotations

from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from ...people.palette import PLACES, WALLS
from ...topology import SEGMENTS
from ..face_parser import Parser
from ..head_camera import face_unit
from ..masked import (
    STRANDS,
    blurred,
    evenness,
    filled,
    grown,
    luma,
    mean_of,
    recoloured,
    softness,
    surely,
)
from ..matting import before_another_place, person_share
from ..scene import Scene, View
from .age import FIRM, OLD, greying, older, with_sagged_face, younger
from .beards import AREAS, BEARDS, BeardKind, beard_colour, beard_density, bearded, shows_beard
from .clothes import other_clothes
from .details import DYES, HAIR_COLOURS, HAIRCUTS, OF_GLASSES
from .frames import without_thick_frame
from .glasses import GLASSES, glasses_of, shows_glasses, with_glasses
from .hair_colours import lightest_strands, named_colour, with_strands
from .haircuts import (
    another_haircut,
    bald,
    cap,
    knitted_hat,
    long_hair,
    no_hat,
    with_hat,
    with_long_hair,
    with_new_hair,
)
from .hands import with_hands
from .hats import hat_of, with_smooth_hair
from .irises import with_eye_colour
from .lipstick import with_lipstick
from .places import SCENES, painted_place
from .regions import ASKED, PAINTED, REGIONS, region_maps
from .removal import without_frame
from .shaving import beard_of, shaven
from .uncovered import without_hair
from .worn import has_hair_colour, worn_beard, worn_lenses

_CELLS = 64  # of the maps of regions
_LARGEST_CHANGES = 0.98  # quantile of what a prompt changes that counts as wholly changed
_CHANGED = 0.05  # of the range: what changes less is as before
_BLUEST = 1.03  # of hair's red, that its green and blue are: grey that is drawn is bluer than grey hair
_LIGHT_HAIR, _LIGHTER = ("blonde hair", "white hair"), 1.35  # how much lighter than usual it may be
_CONTRAST = 2.4  # times as much light and dark, at most, that hair gets with a lighter colour
_WHOLE = BEARDS["beard"].parts  # of a face, that a full beard covers
_PLACE_NAMED = (0.03, 0.05)  # likewise, of places: those that are drawn in the dark differ little
_EVEN, _BLANK = 0.08, 0.05  # of the range: how far half of the pixels of a wall, or of a blank one, are from its colour
_SAME_WALL = (0.06, 0.14)  # of the range: distance of two colours of walls that are the same, and that are not
_NO_SUCH_PLACE = (
    "The prompt asks for another background, but for none that tiny paints: it stays a blur. It paints "
    f"{', '.join((*dict.fromkeys((*PLACES, *SCENES)),))}, and walls that are {', '.join(WALLS)}."
)
_ENDS = 0.25  # in distances of the eyes: how far beyond its usual place a beard ends
_HAIRY = (0.2, 0.8)  # of how far a beard is from skin on the whole: what is none yet, and what is nothing but
_KEEPS_GLASSES = "The photograph shows glasses that are dark, or that are not seen whole: they stay."


def edited(
    shown: Float[Tensor, "n 3 s s"],
    drawn: Float[Tensor, "n 3 s s"],
    plain: Float[Tensor, "n 3 s s"] | None,
    asked: Float[Tensor, "n asked"],
    landmarks: Float[Tensor, "n 478 2"],
    parser: Parser,
    said: set[str] | None = None,
    view: View | None = None,
) -> Float[Tensor, "n 3 s s"]:
    """Change what prompts ask for and leave the rest.

    Args:
        shown: The photograph, moved, in [-1, 1].
        drawn: What the denoiser drew for the prompt.
        plain: The same without the prompt; None where nobody has drawn it.
        asked: How far each of `edit_regions.ASKED` is asked for, in [0, 1].
        landmarks: Of the frames, in [-1, 1].
        parser: Tells hair, skin, clothes and the place apart.
        said: What the log has been told of the same video; what is said now is added.
        view: Which part of the photograph these are; None: nobody shows more of it.
    """
    side = shown.shape[-1]
    places = functional.interpolate(region_maps(landmarks, _CELLS), (side, side), mode="bilinear", align_corners=False)
    eyes = places[:, [REGIONS.index("no glasses")]]
    before = with_smooth_hair(parser.segments(shown, landmarks), shown, landmarks, eyes)
    hat = hat_of(before, landmarks, eyes)
    before = before * (1 - hat)
    before[:, [SEGMENTS.index("accessory")]] += hat
    scene = Scene(
        shown=(shown + 1) / 2,
        drawn=(drawn + 1) / 2,
        plain=((shown if plain is None else plain) + 1) / 2,
        before=before,
        after=parser.segments(drawn, landmarks),
        landmarks=landmarks,
        eyes=eyes,
        hat=hat,
        hair=before[:, [SEGMENTS.index("hair")]],
        said=set() if said is None else said,
        details=frozenset(name for name, much in zip(ASKED, asked.amax(0), strict=True) if much > 0.5),
        view=View() if view is None else view,
    )
    if bool(asked[:, _BEHIND_HANDS].any()):
        scene = with_hands(scene)
    picture = scene.shown
    for number, region in enumerate(REGIONS):
        wanted = asked[:, number, None, None, None]
        if bool(wanted.any()):
            where = places[:, [number]]
            made = _EDITS[region](scene, picture, where)
            picture = picture + wanted * (made - picture)
            if region in _AFTERWARDS:
                scene = _AFTERWARDS[region](scene, wanted * where)
    return picture.clamp(0, 1) * 2 - 1


def _hair_colour(scene: Scene, picture: Tensor, where: Tensor) -> Tensor:
    """Another colour of every strand: that of its name in the photograph's light, else the one that was drawn."""
    hair = scene.was("hair")
    named = sorted(scene.details & set(HAIR_COLOURS))
    if named and scene.settled("has the colour", lambda: has_hair_colour(scene, named[0])):
        return picture
    old, new = scene.settled("colours of the hair", lambda: _colours_of_hair(scene, picture, named))
    if named and named[0].removesuffix(" hair") not in DYES and not scene.view.beyond:
        picture = _with_beard(scene, picture, new)
    if scene.made.keys() & set(HAIRCUTS.values()):  # which have been drawn in it
        return picture
    person, _, _ = person_share(picture, scene.shown, scene.was("background"), hair, scene.view.zoom)
    dyed = recoloured(picture, old, new, most=_CONTRAST if named else 1.6)
    if named:
        dyed = dyed.minimum(lightest_strands(new))  # skin and place between curls are lighter than hair
        dyed = with_strands(dyed, old, new, hair, scene.landmarks, softness(scene.shown, scene.was("skin")))
    return picture + torch.minimum(hair, person) * (dyed - picture)


def _colours_of_hair(scene: Scene, picture: Tensor, named: list[str]) -> tuple[Tensor, Tensor]:
    """Return which colour hair has, and which it gets."""
    old, new = mean_of(picture, scene.was("hair").square()), named_colour(scene)
    new = _drawn_hair(scene) if new is None else new
    if named and named[0] in _LIGHT_HAIR:  # words of light hair make none darker
        new = (new * (luma(old) / luma(new)).clamp(1, _LIGHTER)).clamp(max=1)
    return old, new


def _with_beard(scene: Scene, picture: Tensor, new: Tensor) -> Tensor:
    """Give a beard that the photograph shows the colour of the hair: of its own colour nobody grows two."""
    kind = worn_beard(scene)
    if kind is None:
        return picture
    area = beard_density(scene.landmarks, AREAS[kind], picture)
    reach = _ENDS * float(face_unit(scene.landmarks).mean()) / 2
    where = blurred(grown(area, reach), reach / 2) * beard_of(scene, hairs=True)
    bare = filled(picture, surely(scene.was("skin")) * (1 - where))
    apart = (picture - bare).abs().amax(1, keepdim=True)
    usual = mean_of(apart.square(), where.square()).sqrt()
    low, high = _HAIRY
    hairs = where * ((apart / usual.clamp(min=0.02) - low) / (high - low)).clamp(0, 1)
    return picture + hairs * (recoloured(picture, mean_of(picture, hairs.pow(4)), new) - picture)


def _drawn_hair(scene: Scene) -> Tensor:
    """Return the colour of the hair that the denoiser drew."""
    # Hair of another colour is now and then taken for a hat.
    both = (scene.was("hair") * scene.becomes("hair", "accessory")).square()
    change = scene.change()
    most = (change * both.sign()).flatten(1).quantile(_LARGEST_CHANGES, dim=1)[:, None, None, None]
    sure = both * (change / most.clamp(min=_CHANGED)).clamp(0, 1).square()
    new = mean_of(scene.drawn, sure + 1e-3 * both)
    return new.minimum(new[:, :1] * _BLUEST)


def _beard(kind: BeardKind, scene: Scene, picture: Tensor, where: Tensor) -> Tensor:
    """A beard of the colour of the hair, lit as the face is, in place of one that can be shaven."""
    skin = scene.was("skin")
    known = worn_beard(scene)
    if known is not None and BEARDS[known] == kind:
        scene.warn("The photograph shows such a beard already: it is left as it is.")
        return picture
    worn = shows_beard(picture, skin, scene.landmarks)
    bare = None if worn else shaven(scene, picture, drawn=False)
    # A full beard covers what there is; so does any kind a shade of stubble that cannot be told from skin.
    bare = picture if bare is None and (not worn or kind.parts == _WHOLE) else bare
    if bare is None:
        scene.warn("The photograph shows a beard: it is left as it is. tiny cannot exchange it.")
        return picture
    picture = bare
    light = luma(picture)
    lit = blurred(filled(light, skin.clamp(min=0.02)), 0.02) / mean_of(light, skin).clamp(min=0.05)
    colour = named_colour(scene)
    colour = beard_colour(scene.shown, scene.hair, scene.landmarks) if colour is None else colour
    colour = colour * lit.clamp(0.4, 1.5)
    density = beard_density(scene.landmarks, kind, picture) * skin
    return bearded(picture, density, colour, kind, scene.landmarks, softness(scene.shown, skin))


def _shaven(scene: Scene, picture: Tensor, where: Tensor) -> Tensor:
    """Skin where a beard was."""
    made = shaven(scene, picture)
    if made is None:
        scene.warn("The photograph shows a beard that stays: what is below it tiny does not know.")
        return picture
    return made


def _glasses(name: str, scene: Scene, picture: Tensor, where: Tensor) -> Tensor:
    """Glasses before the eyes, in place of those that somebody wears."""
    frame = scene.glasses * where
    if shows_glasses(frame, scene.landmarks):
        shaped = name == "round glasses" or "square lenses" in scene.details
        looks = scene.details & set(OF_GLASSES)
        if not looks and (not shaped or worn_lenses(frame, scene.landmarks) == name):
            scene.warn("The photograph shows such glasses already: they are left as they are.")
            return picture
        bare = without_frame(scene, picture, where, covered=True)
        bare = without_thick_frame(scene, picture, where) if bare is None else bare
        if bare is None:
            scene.warn(_KEEPS_GLASSES)
            return picture
        picture = bare
    glasses, soft = glasses_of(name, scene.details), softness(scene.shown, scene.was("skin"))
    return with_glasses(picture, scene.landmarks, glasses, scene.was("hair", "background"), soft)


def _no_glasses(scene: Scene, picture: Tensor, where: Tensor) -> Tensor:
    """Skin where a frame was."""
    if not shows_glasses(scene.glasses * where, scene.landmarks):
        return picture
    bare = without_frame(scene, picture, where)
    bare = without_thick_frame(scene, picture, where) if bare is None else bare
    if bare is None:
        scene.warn(_KEEPS_GLASSES)
    return picture if bare is None else bare


def _earrings(scene: Scene, picture: Tensor, where: Tensor) -> Tensor:
    """Nothing: the denoiser draws none, and redraws hair for their sake."""
    scene.warn("Earrings are left as they are: tiny cannot draw them.")
    return picture


def _background(name: str | None, scene: Scene, picture: Tensor, where: Tensor) -> Tensor:
    """Another place behind somebody of whom not a hair changes: painted, or as it was drawn."""
    drawn = scene.becomes("background")
    zoom = scene.view.zoom
    if name is None:
        place = filled(scene.drawn, surely(drawn, STRANDS / zoom))
        scene.warn(_NO_SUCH_PLACE)
    else:
        place = painted_place(name, scene)
    made = before_another_place(picture, scene.shown, scene.was("background"), place, scene.was("hair"), zoom)
    elsewhere = scene.settled("elsewhere", lambda: _elsewhere(scene, name, place))
    if name is not None and not elsewhere.any():
        scene.warn("The photograph shows such a place already: it is left as it is.")
    return picture + elsewhere * (made - picture)


def _elsewhere(scene: Scene, name: str | None, place: Tensor) -> Tensor:
    """Say whether a prompt names another place than the photograph shows: 1 or 0, and between for colours of walls.

    A blank wall is no place that has something in it; otherwise the denoiser, which was shown the photograph, says.
    """
    share = scene.was("background")
    even = evenness(scene.shown, surely(share, STRANDS))
    if name in WALLS:
        apart = (mean_of(scene.shown, share) - mean_of(place, share)).abs().amax(1, keepdim=True)
        low, high = _SAME_WALL
        return torch.where(even < _EVEN, ((apart - low) / (high - low)).clamp(0, 1), 1.0)
    if name is None:
        return scene.otherwise(share)
    if name not in PLACES:
        return torch.ones_like(even)
    return ((even < _BLANK) | (scene.otherwise(share, _PLACE_NAMED) > 0)).float()


_EDITS = {
    "older skin": older,
    "younger skin": younger,
    "colour of the eyes": with_eye_colour,
    "colour of the lips": with_lipstick,
    "hair": another_haircut,
    "long hair": long_hair,
    "bald head": bald,
    "knitted hat": knitted_hat,
    "cap": cap,
    "no hat": no_hat,
    "earrings": _earrings,
    "colour of the hair": _hair_colour,
    "greying hair": greying,
    "clothes": other_clothes,
    "shaven chin": _shaven,
    **{name: partial(_beard, kind) for name, kind in BEARDS.items()},
    "no glasses": _no_glasses,
    **{name: partial(_glasses, name) for name in GLASSES},
    **{f"{name} background": partial(_background, name) for name in PAINTED},
    "background": partial(_background, None),
}

_BEHIND_HANDS = [
    k
    for k, name in enumerate(REGIONS)
    if name in ("hair", "long hair", "bald head", "clothes") or name.endswith("background")
]
"""What may be behind a hand, or is taken for one."""

_AFTERWARDS = {
    "older skin": partial(with_sagged_face, OLD),
    "younger skin": partial(with_sagged_face, FIRM),
    "hair": with_new_hair,
    "long hair": with_long_hair,
    "bald head": without_hair,
    "knitted hat": with_hat,
}
"""What changes where hair and skin are, for the changes that come later."""
