"""What years do to faces."""

import torch

from portraittalk_core.compositing.edits.ageing import bare_forehead, sagged, spotted

from ...rendered_people import portraits

POINTS = portraits()[1][:1].float()
SIDE = 160


def _at(name):
    return ((POINTS[0, name] + 1) * SIDE / 2).long().tolist()


def test_jaws_sag_and_eyes_stay():
    ramp = (torch.arange(SIDE) / SIDE).view(1, 1, SIDE, 1).expand(1, 3, SIDE, SIDE)  # brighter further down
    old, firm = (sagged(ramp, POINTS, much) for much in (1.0, -0.4))
    x, y = _at(136)
    assert old[0, 0, y, x] < ramp[0, 0, y, x] - 0.5 / SIDE < firm[0, 0, y, x], "what is there was higher before"
    for eye in (33, 133, 362, 263, 159):
        x, y = _at(eye)
        assert (old - ramp)[0, 0, y, x].abs() < 0.4 / SIDE
    assert torch.equal(old[..., :8, :], ramp[..., :8, :]), "what is far from the face is untouched"


def test_spots_are_brown_and_only_on_skin():
    face, skin = torch.full((1, 3, SIDE, SIDE), 0.6), torch.ones(1, 1, SIDE, SIDE)
    face[:, 2] -= 0.1
    made = spotted(face, skin, POINTS)
    spot = made.mean(1).flatten().argmin()
    red, _, blue = (made / face)[0].flatten(1)[:, spot].tolist()
    assert red > blue + 0.05
    grey = face[:, :1].expand(-1, 3, -1, -1)
    assert torch.equal(spotted(grey, skin, POINTS), spotted(grey, skin, POINTS)[:, [2, 1, 0]]), "no colour of its own"
    assert torch.equal(spotted(face, 0 * skin, POINTS), face)


def test_a_fringe_is_no_forehead():
    face = torch.full((1, 3, SIDE, SIDE), 0.6)
    strands = 0.1 * torch.sin(torch.arange(SIDE) * 1.9).view(1, 1, 1, SIDE)
    x, y = _at(151)
    face = face + 0.012 * torch.randn(1, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    fringe = face.clone()
    fringe[..., : y + 3, :] += strands
    assert bare_forehead(face, POINTS)[0, 0, y, x] > 0.9
    assert bare_forehead(fringe, POINTS)[0, 0, y, x] < 0.1
