"""The recipe composed once: which branches come, in which order, and which stay away."""

import pytest
import torch

from portraittalk_core import builders, presets
from portraittalk_core.host import CrossBranch, InputBranch, OutputBranch, SelfBranch
from portraittalk_core.nets.attention import has_learned
from portraittalk_core.nets.reference_net import ReferenceFeatures


@pytest.fixture(scope="module")
def adapters():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = builders.adapters(presets.tiny())
    for out in made.animate_net.structure.out:
        torch.nn.init.normal_(out.weight, std=0.1)
    return made.requires_grad_(False)


@pytest.fixture
def structure(noise):
    def some(*shape):
        return torch.randn(shape, generator=noise)

    return {
        "contours": some(2, 7, 16, 16),
        "placement": some(2, 2, 3),
        "cue": some(2, 6),
        "reference_latents": some(1, 8, 8, 8),
        "warped_pictures": some(2, 3, 64, 64),
        "warped_latents": some(2, 8, 8, 8),
    }


def test_its_parameters_are_named_as_in_the_weights_files(adapters):
    assert {name.partition(".")[0] for name in adapters.state_dict()} == {"identity_net", "animate_net"}


def test_identity_stands_beside_text_and_in_self_attention_which_ends_at_one(adapters, noise):
    embeddings = torch.randn(2, 512, generator=noise)
    found = adapters.identity_branches(embeddings, 1.5)
    cross = [b for b in found if isinstance(b, CrossBranch)]
    own = [b for b in found if isinstance(b, SelfBranch)]
    assert found == [*cross, *own] and {b._scale for b in cross} == {1.5} and cross and own
    full = adapters.animate_net.identity.branches(embeddings, 1.0)
    assert all(torch.equal(a._given, b._given) for a, b in zip(own, full, strict=True))
    assert adapters.identity_branches(embeddings, 0.0) == []


def test_references_are_picked_by_row(adapters):
    features = ReferenceFeatures({site: torch.zeros(2, 4, 8) for site in adapters.reference_net.sites})
    found = adapters.reference_branches(features, torch.tensor([[0], [-1]]))
    assert [b.site for b in found] == list(adapters.reference_net.sites)
    assert adapters.reference_branches(features, scale=0.0) == []


def test_passes_without_identity_get_maps_without_the_reference(adapters, structure):
    found = adapters.structure_branches(**structure, uncond=True)
    maps = [b for b in found if isinstance(b, InputBranch)]
    assert [isinstance(b, OutputBranch) for b in found] == [False] * len(maps) + [True]
    nobody = adapters.structure_branches(**structure, present=torch.tensor([False, False]))
    for both, alone in zip(maps, nobody, strict=False):
        assert torch.equal(both._absent, alone._given) and not torch.equal(both._given, alone._given)
    assert all(b._absent is None for b in adapters.structure_branches(**structure)[:-1])
    assert not nobody[-1]._present.any()


def test_what_has_not_begun_to_learn_is_not_run(adapters):
    features = torch.zeros(3, adapters.animate_net.audio.feature_dim)
    assert adapters.audio_branches(features) == [] == adapters.temporal_branches()
    adapters.animate_net.requires_grad_(True)
    assert not has_learned(adapters.animate_net.temporal, "proj_out")
    assert adapters.audio_branches(features) and adapters.temporal_branches()
    adapters.animate_net.requires_grad_(False)
