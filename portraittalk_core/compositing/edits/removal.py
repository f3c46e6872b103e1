"""What is taken off faces: frames of glasses, in whose place skin grows.

Its colour is that of the skin around, and its pores are those of the same photograph's cheeks. Where too little is
known of what was hidden, nothing is taken off.
"""

from __future__ import annotations

import cv2
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from ...topology import BROW_OUTLINES, EYES
from ..head_camera import face_unit
from ..masked import blurred, grown, inside, luma, mean_of, softened
from ..scene import Scene

# In distances of the eyes, where nothing else is said.
_FRAME = (0.06, 0.25)  # share of a frame from which on a pixel may be one, and its line is
_FRAME_OVER_BROWS = (0.35, 0.5)  # likewise, over a brow
_WIDEST = 0.09  # half of a line that is found by its sides
_LINE = (0.07, 0.16)  # of the range: contrast of such a line
_RIM = 0.03  # how far a frame's edge and its shadow reach beyond what is found
_LIDS = 0.02  # around eyes, where nothing is touched
_LASHES = 0.09  # around eyes, that no skin is like
_THICK = 0.3  # squares of the distance of the eyes that only a thick frame has
_OVER_BROWS = 0.55  # of a brow, that a frame hides
_BOTH = 0.4  # of a frame's larger half that the other has: else half of it was not found
PATCH = 0.17  # half of the side of a patch of cheek
_PORES = 0.035  # detail that is finer is pores
_PLAIN = (205, 425, 187, 411, 50, 280, 151, 194, 418)  # where skin may be plain
_AROUND_EYES = (127, 70, 63, 105, 66, 107, 336, 296, 334, 293, 300, 356, 454, 352, 425, 205, 123, 234)
_BARE = ((117, 118, 101, 36, 205, 187, 123), (346, 347, 330, 266, 425, 411, 352))
_LENSES = ((230, 229, 228, 119, 120), (450, 449, 448, 348, 349))
_DARK_LENSES = 0.72  # of the light of cheeks


def without_frame(scene: Scene, picture: Tensor, where: Tensor, covered: bool = False) -> Tensor | None:
    """Take the frame of glasses off; None where lenses are dark, or it is thick, over brows or half unseen.

    What is behind a thick frame, brows above all, nobody knows.

    Args:
        scene: The photograph, and what the denoiser made of it.
        picture: What is changed, in [0, 1].
        where: Around the eyes.
        covered: Whether other glasses come there, so that a brow which a frame crosses may fade.
    """
    if has_dark_lenses(scene):
        return None
    unit, side = float(face_unit(scene.landmarks).mean()) / 2, picture.shape[-1]
    where = where * grown(inside(scene.landmarks[:, list(_AROUND_EYES)], picture), 0.08 * unit) * (1 - scene.hat)
    worn = scene.glasses * where
    # Frames are thin: what they hide is lighter or darker on both sides.
    wide = 2 * max(1, round(_WIDEST * unit * side)) + 1
    thin = torch.maximum(_closed(scene.shown, wide) - scene.shown, scene.shown + _closed(-scene.shown, wide))
    thin = ((thin.amax(1, keepdim=True) - _LINE[0]) / (_LINE[1] - _LINE[0])).clamp(0, 1)
    brows = [inside(scene.landmarks[:, list(outline)], worn) for outline in BROW_OUTLINES]
    over = torch.stack(brows).amax(0)  # whose hairs are thin and dark, too
    low, high = (torch.lerp(worn.new_tensor(a), worn.new_tensor(b), over) for a, b in zip(_FRAME, _FRAME_OVER_BROWS))
    perhaps = ((worn - low) / (high - low)).clamp(0, 1)
    found = torch.maximum(perhaps * thin, ((worn - 0.6) / 0.2).clamp(0, 1))
    line = (found > 0.4).float()
    if float((worn > 0.5).float().sum((1, 2, 3)).amax()) > _THICK * (unit * side) ** 2:
        return None
    eyes = sum((inside(scene.landmarks[:, list(eye)], picture) for eye in EYES), torch.zeros_like(found)).clamp(max=1)
    gone = grown(line, _RIM * unit) * (1 - grown(eyes, _LIDS * unit))
    if not covered and max(float(mean_of(gone, brow).amax()) for brow in brows) > _OVER_BROWS:
        return None
    halves = [float((gone * half).sum((1, 2, 3)).amin()) for half in _halves(scene.landmarks, gone)]
    if min(halves) < _BOTH * max(halves):
        return None
    return _skin_instead(scene, picture, gone, grown(eyes, _LASHES * unit))


def _halves(landmarks: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """Return where the picture's left and right halves of faces are."""
    axis = (torch.arange(like.shape[-1]) * 2 + 1) / like.shape[-1] - 1
    left = (axis[None] < landmarks[:, 168, :1]).float()[:, None, None].expand_as(like)
    return left, 1 - left


def _closed(picture: Tensor, wide: int) -> Tensor:
    """Return a picture without dark lines: its morphological closing."""
    padded = functional.pad(picture, (wide // 2,) * 4, mode="replicate")
    high = functional.pad(functional.max_pool2d(padded, wide, 1), (wide // 2,) * 4, mode="replicate")
    return -functional.max_pool2d(-high, wide, 1)


def has_dark_lenses(scene: Scene) -> bool:
    """Say whether what is around the eyes is much darker than cheeks."""
    light = blurred(luma(scene.shown), 0.005)

    def brightness(outlines: tuple[tuple[int, ...], ...]) -> Tensor:
        masks = (inside(scene.landmarks[:, list(outline)], light) for outline in outlines)
        return torch.stack([mean_of(light, mask) for mask in masks]).mean(0)

    return bool((brightness(_LENSES) < _DARK_LENSES * brightness(_BARE)).any())


def _skin_instead(scene: Scene, picture: Tensor, gone: Tensor, eyes: Tensor) -> Tensor:
    """Draw across gaps from the skin on both sides."""
    unit = float(face_unit(scene.landmarks).mean()) / 2
    side = picture.shape[-1]
    unknown = torch.maximum(gone, eyes)  # whose lashes are no skin
    reach = max(3, round(0.06 * unit * side))
    rows = [drawn_across(row, mask[0], reach) for row, mask in zip(picture, unknown, strict=True)]
    made = torch.stack(rows).to(picture)
    fine = pores(scene.shown, scene.landmarks)
    return picture + blurred(gone, 0.012 * unit) * (made + fine - picture)


def drawn_across(picture: Float[Tensor, "3 s s"], gone: Float[Tensor, "s s"], reach: int) -> Float[Tensor, "3 s s"]:
    """Continue what is around gaps into them: Telea's inpainting.

    Args:
        picture: In [0, 1].
        gone: Where gaps are.
        reach: How far it looks, pixels.
    """
    levels = (picture.float().clamp(0, 1) * 255).round().byte().permute(1, 2, 0).contiguous().cpu().numpy()
    mask = (gone > 0.04).byte().cpu().numpy()
    made = cv2.inpaint(levels, mask, reach, cv2.INPAINT_TELEA)
    return torch.from_numpy(made).permute(2, 0, 1).float() / 255


def pores(picture: Float[Tensor, "n 3 s s"], landmarks: Float[Tensor, "n 478 2"]) -> Float[Tensor, "n 1 s s"]:
    """Return the finest detail of a cheek, mirrored over the whole picture.

    Args:
        picture: In [0, 1].
        landmarks: Of the face, in [-1, 1].
    """
    unit, side = face_unit(landmarks) / 2, picture.shape[-1]
    light = luma(picture)
    fine = light - softened(light, _PORES * float(unit.mean()) * side)
    rows: list[Tensor] = []
    for row, points, size in zip(fine[:, 0], landmarks, unit, strict=True):
        half = max(3, round(PATCH * float(size) * side))
        at = ((points[list(_PLAIN)] + 1) * side / 2).round().long().clamp(half, side - half)
        patches = [row[y - half : y + half, x - half : x + half] for x, y in at.tolist()]
        patch = min(patches, key=lambda found: float(found.square().mean()))  # the other has hair or a shadow
        tile = torch.cat([torch.cat([patch, patch.flip(1)], 1), torch.cat([patch, patch.flip(1)], 1).flip(0)])
        count = -(-side // len(tile))
        rows.append(tile.repeat(count, count)[:side, :side])
    return torch.stack(rows)[:, None]
