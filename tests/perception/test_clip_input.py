"""Pictures for CLIP: the numbers of transformers' processor, and ArcFace's alignment."""

import numpy as np
import pytest
import torch

from portraittalk_core.perception.clip_input import aligned_face, clip_pixels


@pytest.mark.parametrize("size", [(256, 256), (300, 300), (224, 224)])
def test_pixels_are_those_of_transformers(size, capsys):
    from PIL import Image
    from transformers import CLIPImageProcessor

    picture = torch.rand(3, *size, generator=torch.Generator().manual_seed(0)) * 2 - 1
    bytes_ = ((picture + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).numpy()
    image = Image.fromarray(bytes_).resize((224, 224), Image.Resampling.BICUBIC)  # as AniPortrait does before
    expected = CLIPImageProcessor()(image, return_tensors="pt").pixel_values
    expected = torch.as_tensor(np.asarray(expected))
    found = clip_pixels(picture[None])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_a_face_is_brought_onto_the_template():
    side = 240
    landmarks = torch.zeros(70, 2)
    place = {68: (38.2946, 51.6963), 69: (73.5318, 51.5014), 30: (56.0252, 71.7366), 48: (41.5493, 92.3655)}
    place[54] = (70.7299, 92.2041)
    turn = torch.tensor([[0.9, -0.3], [0.3, 0.9]])
    for row, point in place.items():
        landmarks[row] = turn @ torch.tensor(point) + torch.tensor([70.0, 40.0])
    picture = torch.full((3, side, side), -1.0)
    x, y = landmarks[30].round().long().tolist()
    picture[:, y - 1 : y + 2, x - 1 : x + 2] = 1.0
    out = aligned_face(picture, landmarks)
    assert out.shape == (3, 224, 224)
    bright = (out[0] > 0).nonzero().float().mean(0)
    assert bright.tolist() == pytest.approx([2 * 71.7366, 2 * 56.0252], abs=1.5)
    mirrored = landmarks.clone()
    mirrored[[68, 69]] = landmarks[[69, 68]]  # whichever iris comes first, the picture's left one is the left one
    assert torch.equal(aligned_face(picture, mirrored), out)
