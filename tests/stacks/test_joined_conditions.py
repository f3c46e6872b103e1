"""Conditions joined: what is kept from window to window, and what a reset lets in."""

import pytest
import torch

from portraittalk_core.stacks.conditions import Conditions

from .small_stacks import seeded, tiny_case


@pytest.fixture
def tiny(random_model, avatar_identity):
    return tiny_case(random_model, avatar_identity)


def test_windows_are_kept_up_to_a_number_and_dropped_together(tiny):
    condition, device = Conditions(tiny.conditions(), keep=2), torch.device("cpu")
    with torch.no_grad(), tiny.model.host.open() as host:
        windows = [torch.arange(k, k + 2) for k in range(3)]
        one, two = (condition.branches(host, frames, False, device) for frames in windows[:2])
        assert condition.branches(host, windows[0], False, device) is one
        assert condition.branches(host, windows[0], True, device) is not one  # maps for passes without the person
        assert condition.branches(host, windows[1], False, device) is two
        assert condition.branches(host, windows[0], False, device) is not one  # the oldest has gone
        condition.reset()
        assert condition.branches(host, windows[1], False, device) is not two


@torch.no_grad()
def test_reset_lets_networks_that_have_changed_be_seen(tiny):
    adapters = tiny.stack.adapters
    made = tiny.stack.conditions(tiny.identity)
    condition, before = Conditions(made), tiny.predict(made)
    weight = next(p for n, p in adapters.identity_net.named_parameters() if "proj" in n and p.ndim == 2)
    kept = weight.clone()
    try:
        weight.add_(torch.randn(weight.shape, generator=seeded(1)), alpha=0.5)
        assert torch.equal(tiny.predict(made), before)  # projected once
        condition.reset()
        assert not torch.allclose(tiny.predict(made), before, atol=1e-4)
    finally:
        weight.copy_(kept)
