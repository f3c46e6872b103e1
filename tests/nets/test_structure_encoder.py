"""The structure encoder: what goes in, and where its residuals land."""

import pytest
import torch
from torch import nn

from portraittalk_core.errors import BadInput
from portraittalk_core.host import Call, Pass
from portraittalk_core.nets.structure_encoder import StructureEncoder, structure_channels, structure_input

CALL = Call(frames=torch.arange(4))
STAY = torch.eye(2, 3).expand(4, 2, 3)


@pytest.fixture
def conditions(noise):
    contours = torch.rand(4, 7, 32, 32, generator=noise)
    cue, latent = torch.randn(4, 6, generator=noise), torch.randn(1, 8, 16, 16, generator=noise)
    warped = torch.rand(4, 3, 128, 128, generator=noise)
    return contours, STAY, cue, latent, warped, torch.randn(4, 8, 16, 16, generator=noise)


@pytest.fixture
def encoder(shape):
    torch.manual_seed(5)
    return StructureEncoder(in_channels=structure_channels(latent_channels=8), channels=shape.channels, width=32)


def wake(encoder):
    for out in encoder.out:
        nn.init.normal_(out.weight, std=0.05)
    return encoder


def test_the_identity_placement_leaves_the_reference_where_it_is(conditions):
    made = structure_input(*conditions)
    assert made.shape == (4, structure_channels(latent_channels=8), 16, 16)
    placed, outside, plain = made[:, 28:36], made[:, 36], made[:, 37:45]
    torch.testing.assert_close(placed, plain, atol=1e-5, rtol=1e-5)
    assert torch.equal(plain[2], conditions[3][0])
    assert not outside.any()


def test_the_placement_maps_output_to_reference(conditions):
    """The output shows at x what the reference has at x + 0.5, four pixels to the right; beyond its edge is outside."""
    contours, _, *others = conditions
    shift = STAY + torch.tensor([[0.0, 0.0, 0.5], [0.0, 0.0, 0.0]])
    made = structure_input(contours, shift, *others)
    torch.testing.assert_close(made[0, 28:36, :, :12], others[1][0, :, :, 4:], atol=1e-5, rtol=1e-5)
    assert made[0, 36, :, 12:].all()
    assert not made[0, 36, :, :12].any()


def test_a_missing_reference_is_zeros_and_says_so(conditions):
    made = structure_input(*conditions, torch.tensor([True, False, True, True]))
    assert not made[1, 28:45].any() and not made[1, 54:].any()
    assert made[:, 51, 0, 0].tolist() == [1, 0, 1, 1]
    torch.testing.assert_close(made[:, 45:51, 3, 4], conditions[2])
    assert torch.equal(made[1, :28], structure_input(*conditions)[1, :28])


def test_what_the_warped_reference_shows_can_pass_without_loss(conditions, encoder):
    made = structure_input(*conditions)
    assert made.shape[1] == 54 + 3 * 64 + 8
    with torch.no_grad():
        encoder.direct.weight[5, 54 + 2 * 64 + 3 * 8 + 1, 1, 1] = 1.0  # of blue, row 3 and column 1 of a cell
        encoder.direct.weight[6, 54 + 3 * 64 + 7, 1, 1] = 1.0
    maps = encoder(made)[0]
    torch.testing.assert_close(maps[:, 5], conditions[4][:, 2, 3::8, 1::8])
    torch.testing.assert_close(maps[:, 6], conditions[5][:, 7])


def test_coordinates_are_pixel_centres(conditions):
    x, y = structure_input(*conditions)[0, 52:54]
    torch.testing.assert_close(x[7], (torch.arange(16) + 0.5) / 8 - 1)
    torch.testing.assert_close(y[:, 3], x[0])


def test_contours_must_fold_onto_the_latent(conditions):
    with pytest.raises(BadInput, match="multiple of the latent's, but got 30"):
        structure_input(conditions[0][..., :30, :30], *conditions[1:])
    with pytest.raises(BadInput, match="`warped` must be square"):
        structure_input(*conditions[:4], conditions[4][..., :60, :60], conditions[5])


@torch.no_grad()
def test_untrained_or_at_scale_zero_it_is_the_bare_model(encoder, host, inputs, conditions):
    bare = host.denoise(*inputs, CALL)
    with host.attach(encoder.branches(encoder(structure_input(*conditions)))) as attachment:
        assert torch.equal(host.denoise(*inputs, CALL), bare)
        assert list(attachment.counts.values()) == [1, 1, 1]
    assert encoder.branches(wake(encoder)(structure_input(*conditions)), scale=0.0) == []


@torch.no_grad()
def test_every_output_matters_and_rows_keep_their_own(encoder, host, inputs, conditions):
    maps = wake(encoder)(structure_input(*conditions))
    bare = host.denoise(*inputs, CALL)
    for branch in encoder.branches(maps):
        with host.attach([branch]):
            assert not torch.allclose(host.denoise(*inputs, CALL), bare, atol=1e-5), branch.site
    with host.attach(encoder.branches(maps)):
        together = host.denoise(*inputs, CALL)
        alone = host.denoise(*(t[2:3] for t in inputs), Call(frames=torch.tensor([2])))
    torch.testing.assert_close(together[2:3], alone, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_passes_without_identity_get_the_maps_without_reference(encoder, host, inputs, conditions):
    wake(encoder)
    given, without = encoder(structure_input(*conditions)), encoder(structure_input(*conditions, torch.zeros(1).bool()))
    twice = [torch.cat([t, t]) for t in inputs]
    with host.attach(encoder.branches(given, without)):
        joint = host.denoise(*twice, Call(frames=torch.arange(4), passes=(Pass(), Pass(identity=False))))
    for i, maps in enumerate((given, without)):
        with host.attach(encoder.branches(maps)):
            alone = host.denoise(*inputs, CALL)
        torch.testing.assert_close(joint[4 * i : 4 * i + 4], alone, atol=1e-5, rtol=1e-5)
