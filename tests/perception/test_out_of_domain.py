"""Avatars are told from photographs: by the detector's score, and by what the VAE makes of the portrait."""

import pytest
import torch
import torch.nn.functional as F

from portraittalk_core.errors import OutOfDomain
from portraittalk_core.evaluation.benchmark.avatars import draw_person
from portraittalk_core.perception.out_of_domain import (
    IN_DOMAIN_PSNR_DB,
    IN_DOMAIN_SCORE,
    InDomainFinder,
    reconstruction_db,
)
from portraittalk_core.types import Face

PICTURE = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1


def face(score):
    corners = torch.rand(70, 2, generator=torch.Generator().manual_seed(1)) * 40 + 10
    return Face(box=torch.tensor([10.0, 10, 50, 50]), landmarks=corners, embedding=torch.ones(8), score=score)


class Finds:
    hint = "Look elsewhere."

    def __init__(self, *scores):
        self.faces = [face(score) for score in scores]

    def find(self, pixels):
        return self.faces


def finder(*scores, off=0.0):
    return InDomainFinder(Finds(*scores), "tiny", 64, lambda pixels: pixels + 2 * off)


def test_only_faces_that_the_detector_is_sure_of_are_found():
    assert [f.score for f in finder(0.8, 0.9, 0.95).find(PICTURE)] == [0.9, 0.95]
    assert finder().find(PICTURE) == [] and finder().hint == "Look elsewhere."
    with pytest.raises(OutOfDomain, match=r"tiny model .* only 80% sure of it \(86% is asked\).*SD1\.5"):
        finder(0.8, IN_DOMAIN_SCORE - 0.01).find(PICTURE)


def test_what_the_vae_cannot_draw_is_not_found():
    limit = 10 ** (-IN_DOMAIN_PSNR_DB / 20)
    assert reconstruction_db(PICTURE, face(1), 64, lambda pixels: pixels + 0.02) == pytest.approx(40, abs=1e-3)
    assert len(finder(0.9, off=0.99 * limit).find(PICTURE)) == 1
    with pytest.raises(OutOfDomain, match=r"reconstructs it at only 27\.\d dB \(28\.0 dB are asked\).*SD1\.5"):
        finder(0.9, 0.99, off=1.01 * limit).find(PICTURE)


CHANGES = {
    "grey": lambda p: p.mean(0, keepdim=True).expand(3, -1, -1),
    "noise": lambda p: (p + 0.05 * torch.randn(p.shape, generator=torch.Generator().manual_seed(2))).clamp(-1, 1),
    "small": lambda p: F.interpolate(p[None], scale_factor=0.5, mode="bicubic", antialias=True)[0].clamp(-1, 1),
    "wide": lambda p: F.pad(p, (200, 200, 60, 60), value=0.2),
}


@pytest.mark.parametrize("name", CHANGES)
def test_an_avatar_that_something_has_happened_to_is_still_one(name, random_model):
    for person in range(3):
        changed = CHANGES[name](draw_person(person).portrait)
        assert len(random_model.stack.identify([changed]).crops) == 1
