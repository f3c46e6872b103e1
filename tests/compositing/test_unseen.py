"""What a photograph does not show of a moving head."""

import torch

from portraittalk_core.compositing.unseen import redrawn, stretching, toned, torn
from portraittalk_core.nets.dense_motion import DenseMotion, identity_grid

SIDE = 256
FAR = torch.full((1, 478, 2), 5.0)
"""A face that is outside the picture."""


def picture(seed: int) -> torch.Tensor:
    coarse = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return torch.nn.functional.interpolate(coarse, (SIDE, SIDE), mode="bilinear")


def field(across: float = 1.0, shift: float = 0.0) -> torch.Tensor:
    """Return a flow that takes a stretch `across` times as wide as the cells show."""
    flow = identity_grid(torch.zeros(1, 3, 128, 128)).clone()
    flow[:, 0] = flow[:, 0] * across + shift
    return flow


def test_what_is_torn_is_drawn_but_for_mouths() -> None:
    def drawn(flow: torch.Tensor, own: float = 1.0, at: torch.Tensor = FAR) -> float:
        shares = torch.tensor([own, 1 - own, 0.0]).view(1, 3, 1, 1).expand(1, 3, *flow.shape[2:])
        return float(redrawn(DenseMotion(flow, shares), at)[..., 60:68, 60:68].mean())

    mouth = torch.rand(1, 478, 2, generator=torch.Generator().manual_seed(0)) * 0.4 - 0.2
    torn_field = field(across=0.05)
    assert drawn(torn_field) > 0.99 and drawn(field(shift=0.2)) == 0
    assert drawn(torn_field, own=0.0) == 0, "the photograph shows it"
    assert drawn(torn_field, at=mouth) < 0.05


def test_a_field_says_how_far_it_draws_out_and_presses_together() -> None:
    inside = slice(2, -2)
    for across in (0.3, 1.0, 2.0, -1.0):
        least, most = (value[..., inside, inside] for value in stretching(field(across)))
        wanted = sorted((across, 1.0))
        torch.testing.assert_close(least, torch.full_like(least, wanted[0]), atol=1e-3, rtol=0)
        torch.testing.assert_close(most, torch.full_like(most, wanted[1]), atol=1e-3, rtol=0)


def test_a_field_is_torn_where_it_stretches_far_or_folds() -> None:
    inside = slice(2, -2)
    for across, share in ((1.0, 0.0), (1.8, 0.0), (0.5, 0.0), (0.25, 0.5), (0.05, 1.0), (-1.0, 1.0)):
        found = torn(field(across))[..., inside, inside]
        assert torch.allclose(found, torch.full_like(found, share), atol=1e-3), across
    angle = torch.tensor(0.9)
    turn = torch.stack([torch.cos(angle), -torch.sin(angle), torch.sin(angle), torch.cos(angle)]).view(2, 2)
    turned = torch.einsum("dc,ncyx->ndyx", turn, field())
    assert torn(turned)[..., inside, inside].max() < 1e-3, "a turned head is not torn"


def test_what_is_drawn_gets_the_colours_of_what_is_around_it() -> None:
    known = torch.ones(1, 1, SIDE, SIDE)
    known[..., 96:160, 96:160] = 0
    shown = picture(1) * 0.2
    cast = torch.tensor([0.3, -0.2, 0.1]).view(1, 3, 1, 1)
    truth = toned(shown + cast, shown, known)
    assert (truth - shown).abs().max() < 0.02, "a cast of colour goes wholly"
    assert torch.equal(toned(shown, shown * 0, known * 0), shown), "nothing is known"
