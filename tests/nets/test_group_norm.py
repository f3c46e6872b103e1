"""Group norms go the fast way on a CPU, and answer the same."""

import pytest
import torch
from torch import nn

from portraittalk_core.nets.group_norm import GroupNorm, normed, with_fast_norms


@pytest.mark.parametrize("side", [8, 32])
def test_the_order_of_a_map_changes_nothing(side):
    norm = nn.GroupNorm(4, 16)
    nn.init.normal_(norm.weight)
    x = torch.randn(2, 16, side, side, generator=torch.Generator().manual_seed(0))
    turned = x.to(memory_format=torch.channels_last)
    assert torch.allclose(normed(norm, turned), norm(x), atol=1e-6)
    assert normed(norm, turned).is_contiguous() == (side == 8)


def test_norms_of_a_network_are_replaced_with_their_weights():
    net = nn.Sequential(nn.Conv2d(3, 8, 1), nn.Sequential(nn.GroupNorm(2, 8, eps=1e-6), nn.SiLU())).eval()
    nn.init.normal_(net[1][0].weight)
    x, before = torch.randn(1, 3, 4, 4), {name: value.clone() for name, value in net.state_dict().items()}
    wanted = net(x)
    assert with_fast_norms(net) is net and type(net[1][0]) is GroupNorm and not net[1][0].training
    assert torch.equal(net(x), wanted)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
