"""Lines of old faces."""

import torch

from portraittalk_core.compositing.edits.wrinkles import wrinkled

from ...rendered_people import portraits

POINTS = portraits()[1][:2].float()


def test_lines_run_beside_the_nose_and_over_the_forehead_only_on_skin():
    face = torch.full((2, 3, 192, 192), 0.6)
    skin = torch.ones_like(face[:, :1])
    made = wrinkled(face, skin, POINTS)
    dark = (face - made).mean(1)
    for row, points in enumerate(POINTS):
        pixels = ((points + 1) * 96).long()
        for one, other in ((203, 216), (423, 436)):
            x0, x1 = sorted((int(pixels[one, 0]), int(pixels[other, 0])))
            y = int(pixels[[one, other], 1].float().mean())
            assert dark[row, y, x0 - 6 : x1 + 7].max() > 0.05, "beside the nose"
        x, top, brow = int(pixels[10, 0]), int(pixels[10, 1]), int(pixels[9, 1])
        assert dark[row, top:brow, x].max() > 0.03, "on the forehead"
        x, y = pixels[4].tolist()
        assert dark[row, y, x].abs() < 0.02, "not on the tip of the nose"
    assert torch.equal(wrinkled(face, 0 * skin, POINTS), face)
    assert torch.equal(wrinkled(face, skin, POINTS), made)
