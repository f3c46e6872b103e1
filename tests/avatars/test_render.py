"""The avatar renderer: pictures and landmarks follow the parameters, and only the parameters."""

from __future__ import annotations

import pytest
import torch
from torch import Generator, Tensor

from portraittalk_core.avatars.landmarks import landmarks
from portraittalk_core.avatars.parameters import (
    ATTRIBUTES,
    EXPRESSION,
    EXPRESSION_RANGES,
    IDENTITY,
    INDEX,
    PARAMETERS,
    TAGS,
    Traits,
    attributes_from_tags,
    column,
    pack,
    sample_attributes,
    sample_expression,
    sample_identity,
    sample_light,
    sample_pose,
    unpack,
)
from portraittalk_core.avatars.render import Renderer, render
from portraittalk_core.errors import BadInput
from portraittalk_core.types import COEFFICIENTS, LANDMARKS, POSE

SMALL = 96


def seeded(seed: int = 0) -> Generator:
    return torch.Generator().manual_seed(seed)


def avatars(count: int, seed: int = 0) -> Tensor:
    g = seeded(seed)
    samplers = (sample_identity, sample_attributes, sample_expression, sample_pose, sample_light)
    return torch.stack([pack(*(sample(g) for sample in samplers)) for _ in range(count)])


def neutral(**values: float) -> Tensor:
    """A shaven, frontal face without expression, and the given columns."""
    row = avatars(1)[0]
    for name in (*EXPRESSION, *POSE, *(n for n in ATTRIBUTES if n.startswith(("beard", "glasses", "style")))):
        row[INDEX[name]] = 0.0
    for name, value in ({"scale": 1.0} | values).items():
        row[INDEX[name]] = value
    return row


def swept(name: str, *values: float, **fixed: float) -> Tensor:
    return torch.stack([neutral(**fixed, **{name: value}) for value in values])


def pixels_at(picture: Tensor, points: Tensor) -> Tensor:
    """Sample [3, h, w] at points [n, 2] in picture coordinates: [n, 3]."""
    return torch.nn.functional.grid_sample(picture[None], points[None, None], align_corners=False)[0, :, 0].T


def test_columns_are_those_of_the_motion_records() -> None:
    assert EXPRESSION == COEFFICIENTS
    assert PARAMETERS[len(IDENTITY) + len(ATTRIBUTES) :][: len(COEFFICIENTS) + len(POSE)] == COEFFICIENTS + POSE
    assert len(set(PARAMETERS)) == len(PARAMETERS)


def test_pack_and_unpack_are_inverse() -> None:
    rows = avatars(3)
    assert torch.equal(torch.stack([unpack(rows)[name] for name in PARAMETERS], dim=1), rows)
    column(rows, "jaw")[:] = 0.25
    assert rows[:, INDEX["jaw"]].tolist() == [0.25] * 3


def test_pack_names_missing_and_unknown_columns() -> None:
    with pytest.raises(BadInput, match="light_x"):
        pack(*(sample(seeded()) for sample in (sample_identity, sample_attributes, sample_expression, sample_pose)))
    with pytest.raises(BadInput, match="nonsense"):
        pack(Traits({"nonsense": 1.0}))


def test_samplers_keep_to_their_ranges() -> None:
    rows = unpack(avatars(200))
    limits = dict.fromkeys(COEFFICIENTS, (0.0, 1.0)) | {"smile": (-0.5, 1.0), "brow_raise": (-0.5, 1.0)}
    limits |= {"gaze_x": (-1.0, 1.0), "gaze_y": (-1.0, 1.0), "yaw": (-0.35, 0.35), "pitch": (-0.25, 0.25)}
    limits |= {"roll": (-0.2, 0.2), "x": (-0.06, 0.06), "y": (-0.04, 0.04), "scale": (0.93, 1.07)}
    limits |= {name: (0.0, 1.0) for name in PARAMETERS if name.endswith(("_r", "_g", "_b"))}
    for name, (low, high) in limits.items():
        assert low - 1e-6 <= float(rows[name].min()) and float(rows[name].max()) <= high + 1e-6, name
        assert float(rows[name].std()) > 0, name


def test_samplers_repeat_with_the_seed_and_tag_everything() -> None:
    assert torch.equal(avatars(2, seed=3), avatars(2, seed=3))
    assert not torch.equal(avatars(2, seed=3), avatars(2, seed=4))
    assert sample_identity(seeded()).tags.keys() == {"age", "skin", "eyes"}
    assert sample_attributes(seeded()).tags.keys() == TAGS.keys()


def test_expression_classes_do_not_touch() -> None:
    words = [sample_expression(seeded(seed)) for seed in range(60)]
    assert {traits.tags["expression"] for traits in words} == set(EXPRESSION_RANGES)
    for traits in words:
        smile, raised = traits.values["smile"], traits.values["brow_raise"]
        guess = "smiling" if smile > 0.4 else "sad" if smile < -0.2 else "surprised" if raised > 0.5 else "neutral"
        assert guess == traits.tags["expression"]


def test_tags_set_attributes_and_change_nothing_else() -> None:
    before = attributes_from_tags({"hair": "pink", "style": "bob", "glasses": "none"}, seeded(1))
    after = attributes_from_tags({"hair": "pink", "style": "bob", "glasses": "round"}, seeded(1))
    assert {name for name in ATTRIBUTES if before.values[name] != after.values[name]} == {"glasses_round"}
    assert after.tags["hair"] == "pink" and after.values["style_bob"] == 1.0
    with pytest.raises(BadInput, match="hair = 'turquoise'"):
        attributes_from_tags({"hair": "turquoise"}, seeded())
    with pytest.raises(BadInput, match="hat"):
        attributes_from_tags({"hat": "red"}, seeded())


def test_pictures_are_finite_in_range_and_repeatable() -> None:
    rows = avatars(4)
    pictures = render(rows, size=SMALL)
    assert pictures.shape == (4, 3, SMALL, SMALL)
    assert pictures.isfinite().all() and pictures.min() >= -1 and pictures.max() <= 1
    assert torch.equal(pictures, render(rows, size=SMALL))
    assert torch.allclose(pictures[2:3], render(rows[2:3], size=SMALL), atol=1e-5)


def test_renderer_pads_the_last_batch() -> None:
    rows = avatars(3)
    renderer = Renderer(size=SMALL, batch=2, compile=False)
    assert torch.allclose(renderer(rows), render(rows, size=SMALL), atol=1e-5)


def test_wrong_rows_are_refused() -> None:
    with pytest.raises(BadInput, match=r"`parameters` must be \[b, "):
        render(torch.zeros(2, 5))


def test_landmarks_lie_within_the_picture() -> None:
    points = landmarks(avatars(200))
    assert points.shape == (200, LANDMARKS, 2)
    assert points.isfinite().all() and points.abs().max() < 1


def test_landmarks_follow_the_order_of_ibug() -> None:
    points = landmarks(neutral()[None])[0]
    assert points[0, 0] < points[8, 0] < points[16, 0]
    assert points[8, 1] == points[:, 1].max()
    assert points[17, 0] < points[21, 0] < points[22, 0] < points[26, 0]
    assert points[36, 0] < points[68, 0] < points[39, 0] < points[42, 0] < points[69, 0] < points[45, 0]
    assert points[37, 1] < points[41, 1] and points[44, 1] < points[46, 1]
    assert points[48, 0] < points[60, 0] < points[64, 0] < points[54, 0]
    assert points[51, 1] < points[62, 1] <= points[66, 1] < points[57, 1]


def test_jaw_opens_the_lips_in_landmarks_and_pixels() -> None:
    rows = swept("jaw", 0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    points = landmarks(rows)
    gap = points[:, 66, 1] - points[:, 62, 1]
    assert gap[0].abs() < 1e-4
    assert (gap.diff() > 0.02).all()
    # What differs from the shut mouth, within the box that the widest mouth takes.
    pictures = render(rows)
    left, right = points[:, 60, 0].min(), points[:, 64, 0].max()
    top, bottom = points[-1, 51, 1], points[-1, 57, 1]
    columns = slice(*(int((side + 1) * 128) for side in (left, right)))
    lines = slice(*(int((side + 1) * 128) for side in (top, bottom)))
    box = pictures[:, :, lines, columns]
    changed = ((box - box[:1]).abs().amax(1) > 0.25).sum((1, 2))
    assert (changed.diff() > 0).all()


def test_the_inside_of_the_mouth_lies_between_the_inner_lips() -> None:
    row = neutral(jaw=1.0, yaw=0.3, pitch=-0.2, roll=0.2, x=0.05)
    points = landmarks(row[None])[0]
    inside = pixels_at(render(row[None])[0], points[[62, 66]].lerp(points[[66, 62]], 0.35))
    lips = pixels_at(render(neutral(yaw=0.3, pitch=-0.2, roll=0.2, x=0.05)[None])[0], points[[57]])
    assert (inside.mean(1) < lips.mean() - 0.3).any()


@pytest.mark.parametrize(
    "pose", [{}, {"yaw": 0.3, "roll": 0.2}, {"yaw": -0.3, "pitch": 0.2}, {"x": 0.06, "scale": 0.93}]
)
@pytest.mark.parametrize("gaze_x", [-1.0, 1.0])
def test_iris_landmarks_lie_on_the_dark_pupils(pose: dict[str, float], gaze_x: float) -> None:
    row = neutral(gaze_x=gaze_x, gaze_y=0.6, **pose)
    points = landmarks(row[None])[0]
    assert pixels_at(render(row[None])[0], points[68:]).max() < -0.6


def test_blink_shuts_both_eyes() -> None:
    points = landmarks(swept("blink", 0.0, 0.5, 1.0))
    heights = torch.stack([points[:, 41, 1] - points[:, 37, 1], points[:, 46, 1] - points[:, 44, 1]])
    assert (heights.diff(dim=1) < -0.01).all()
    assert heights[:, -1].abs().max() < 1e-4


def test_smile_lifts_the_corners_and_brows_rise() -> None:
    smile = landmarks(swept("smile", -0.5, 0.0, 1.0))
    assert (smile[:, [48, 54], 1].mean(1).sub(smile[:, 51, 1]).diff() < -0.01).all()
    brows = landmarks(swept("brow_raise", -0.5, 0.0, 1.0))
    assert (brows[:, 17:27, 1].mean(1).diff() < -0.01).all()


def test_background_does_not_move_with_the_head() -> None:
    still = neutral(style_short=1.0)
    moved = neutral(style_short=1.0, jaw=1.0, smile=1.0, blink=1.0, yaw=0.35, pitch=0.2, roll=0.2, x=0.06, scale=1.07)
    pictures = render(torch.stack([still, moved]))
    for corner in (pictures[..., :40, :40], pictures[..., :40, -40:]):
        assert torch.equal(corner[0], corner[1])
    expression = neutral(style_short=1.0, jaw=1.0, smile=1.0, brow_raise=1.0, blink=1.0)
    frames = render(torch.stack([still, expression]))
    assert torch.equal(frames[0, :, :, :30], frames[1, :, :, :30])
    assert (frames[0] - frames[1]).abs().max() > 0.5


@pytest.mark.slow
def test_compiled_pictures_equal_eager_ones() -> None:
    rows = avatars(5)
    assert torch.allclose(Renderer(size=SMALL, batch=4)(rows), render(rows, size=SMALL), atol=1e-3)
