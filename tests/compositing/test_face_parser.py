"""What the pixels of a portrait belong to, along its edges."""

import pytest
import torch

from portraittalk_core.checkpoints.native import ASSETS, load_face_parsing
from portraittalk_core.compositing.face_parser import FaceParser, guided
from portraittalk_core.topology import EYES, SEGMENTS

from ..rendered_people import portraits


@pytest.fixture(scope="module")
def parser():
    return FaceParser(load_face_parsing(ASSETS / "tiny" / "face_parsing.safetensors"))


def test_the_shipped_network_reads_people_whom_it_has_not_seen(parser):
    pictures, points = portraits()
    found = parser.segments(pictures[::2], points[::2].float())
    assert found.shape == (4, len(SEGMENTS), 256, 256) and found.min() >= 0 and found.max() <= 1
    assert (found.sum(1) - 1).abs().mean() < 0.05
    for k in range(4):
        cheek, forehead = (((points[2 * k, row] + 1) * 128).long().tolist() for row in (50, 151))
        for x, y in (cheek, forehead):
            assert found[k, SEGMENTS.index("skin"), y, x] > 0.5
        assert found[k, SEGMENTS.index("clothes"), 230:].max() > 0.5
        x, y = ((points[2 * k, list(EYES[0])].mean(0) + 1) * 128).long().tolist()
        assert found[k, [SEGMENTS.index("eyes"), SEGMENTS.index("skin")], y, x].sum() > 0.5
        assert found[k, SEGMENTS.index("background"), 6, 6] > 0.5


@pytest.mark.slow
def test_any_size_is_read(parser):
    picture, points = portraits()[0][:1], portraits()[1][:1].float()
    usual = parser.segments(picture, points)
    for side in (96, 600):
        other = parser.segments(torch.nn.functional.interpolate(picture, (side, side), mode="bilinear"), points)
        assert other.shape[-1] == side
        back = torch.nn.functional.interpolate(other, (256, 256), mode="area" if side > 256 else "bilinear")
        assert (back - usual).abs().mean() < 0.06


def test_shares_follow_the_edges_of_the_picture():
    picture = -torch.ones(1, 3, 256, 256)
    picture[..., 122:] = 1  # an edge that the map has two pixels off
    shares = torch.zeros(1, 1, 128, 128)
    shares[..., 60:] = 1
    found = guided(shares, picture)
    assert found[..., 116].max() < 0.35 and found[..., 126].min() > 0.65
    assert torch.allclose(guided(torch.full((1, 1, 128, 128), 0.4), picture), torch.full_like(found, 0.4), atol=1e-5)
