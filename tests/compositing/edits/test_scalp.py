"""Heads without hair are where the points of a face say, and in its skin and light."""

import numpy as np
import torch

from portraittalk_core.compositing.edits.scalp import bare_head, scattered, skin_of_head
from portraittalk_core.compositing.head_camera import face_unit
from portraittalk_core.compositing.head_mesh import head_mesh, placed_head, rasterised

from ...rendered_people import portraits

POINTS = portraits()[1].float()
SIDE = 128
LIKE = torch.ones(len(POINTS), 1, SIDE, SIDE)


def at(points, number):
    return ((points[number] + 1) * SIDE / 2).long().clamp(0, SIDE - 1).tolist()


def test_the_mean_head_lies_on_the_points_of_faces():
    mesh = head_mesh()
    assert len(mesh.landmarks) == 468 and (mesh.normals * mesh.points).sum(1).mean() > 0.3, "normals look outwards"
    for points in POINTS:
        head = placed_head(points.numpy(), SIDE)
        pixels = (points.numpy() + 1) * (SIDE / 2) - 0.5
        rigid = [33, 263, 168, 4, 10, 127, 356]
        away = np.linalg.norm(head.seen(mesh.landmarks[rigid])[0] - pixels[rigid], axis=1)
        assert away.mean() < 0.15 * head.unit


def test_the_nearest_triangle_is_seen_and_values_change_evenly():
    pixels = np.array([[0, 0], [20, 0], [0, 20], [2, 2], [6, 2], [2, 6]], np.float32)
    triangles = np.array([[0, 1, 2], [3, 4, 5]])
    values = np.array([[0], [20], [0], [100], [100], [100]], np.float32)
    picture, depth = rasterised(pixels, np.array([0, 0, 0, 1, 1, 1], np.float32), triangles, values, 24)
    assert picture[3, 3, 0] == 100 and depth[3, 3] == 1
    assert abs(picture[1, 10, 0] - 10) < 1e-3 and depth[1, 10] == 0
    assert picture[20, 20, 0] == 0 and depth[20, 20] == -np.inf


def test_a_bare_head_has_a_cranium_above_the_forehead_and_ears_beside_the_eyes():
    people = POINTS[::2]  # each once
    head = bare_head(people, LIKE[::2])
    for row, points in enumerate(people):
        unit = float(face_unit(points[None])) * SIDE / 2
        x, y = at(points, 10)
        assert head.share[row, 0, y, x] > 0.95 and head.share[row, 0, max(0, int(y - 0.4 * unit)), x] > 0.95
        rows, columns = (head.ears[row, 0] * head.share[row, 0] > 0.4).nonzero().T
        assert len(rows) > 0.05 * unit**2 and columns.min() < at(points, 127)[0] and at(points, 356)[0] <= columns.max()


def test_a_scalp_has_the_colour_and_the_light_of_the_face():
    head = bare_head(POINTS[:1], LIKE[:1])
    tone = torch.tensor([0.5, 0.3, 0.22]).view(1, 3, 1, 1)
    face = (head.places[:, 1:2] > -0.6) * (head.places[:, 1:2] < 0.7) * (head.share > 0.99) * 1.0
    for way in (1, -1):
        lit = 0.8 + 0.5 * way * head.normals[:, :1] + 0.2 * head.normals[:, 2:]
        picture = (tone * lit * (0.25 + 0.75 * head.openness)).clamp(0, 1).pow(1 / 2.2)
        made = skin_of_head(picture * face, face, head, torch.zeros_like(face))
        skull = (head.places[:, 1:2] < -0.9) * (head.share > 0.99)
        left, right = (made[:, :, (skull * (way * head.places[:, :1] * sign > 0.5))[0, 0]] for sign in (-1, 1))
        assert right.mean() > 1.1 * left.mean(), "the side that the light comes from"
        hue = made[:, :, skull[0, 0]].mean(2)[0].pow(2.2)
        assert (hue / hue.sum() - tone.flatten() / tone.sum()).abs().max() < 0.06


def test_scattered_detail_has_the_strength_and_the_size_of_the_patch():
    chance = torch.Generator().manual_seed(1)
    rough = torch.nn.functional.avg_pool2d(torch.randn(1, 1, 130, 130, generator=chance), 3, 1)
    made = scattered(rough, 20)
    assert 0.4 < made.std() / rough.std() < 0.8
    near = [(part[..., 1:] * part[..., :-1]).mean() / part.square().mean() for part in (made, rough)]
    assert abs(near[0] - near[1]) < 0.15
