"""A U-Net is held for as long as one video is denoised: patches end with it, and what was read is let go."""

import copy
import weakref
from contextlib import contextmanager

import pytest
import torch

from portraittalk_core.errors import SiteNotFound
from portraittalk_core.host import Call
from portraittalk_core.hosts.diffusers_session import DiffusersSession
from portraittalk_core.nets.low_rank import LowRankPatch
from portraittalk_core.pipeline import PortraitTalk
from portraittalk_core.sites import Site
from portraittalk_core.stacks.options import SamplingOptions

from ..stacks.small_stacks import FRAMES, tiny_case


class Reader:
    """Reads a U-Net anew each time, and knows whether it is still there."""

    def __init__(self, unet):
        self._unet, self.events, self._read = unet, [], []

    @contextmanager
    def __call__(self):
        nets = [copy.deepcopy(self._unet)]
        self._read.append(weakref.ref(nets[0]))
        self.events.append("read")
        try:
            yield nets.pop()
        finally:
            self.events.append("end")

    @property
    def held(self):
        return [unet() for unet in self._read if unet() is not None]


@pytest.fixture
def reader(unet):
    return Reader(unet)


@pytest.fixture
def patches(noise):
    site = Site("mid", 0, 0)
    down, up = torch.randn(2, 64, generator=noise), torch.randn(64, 2, generator=noise)
    return [LowRankPatch(site, "attn1", "to_q", down, up), LowRankPatch(site, "attn2", "to_out.0", down, up)]


@torch.no_grad()
def run(host, inputs):
    return host.denoise(*inputs, Call(frames=torch.arange(4)))


def hooks(unet):
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in unet.modules())


def test_a_resident_unet_stays_and_is_always_the_same(unet, inputs):
    session = DiffusersSession.resident(unet)
    with session.open() as first, session.open() as second:
        assert first.unet is second.unet is unet and first is not second
        with torch.no_grad():
            assert torch.equal(run(first, inputs), unet(*inputs).sample)


def test_patches_act_in_the_context_and_end_with_it(unet, inputs, patches):
    session, before = DiffusersSession.resident(unet), {k: v.clone() for k, v in unet.state_dict().items()}
    with session.open() as host:
        bare = run(host, inputs)
    with session.open(patches) as host:
        patched = run(host, inputs)
        assert hooks(unet) == len(patches)
    assert not torch.allclose(patched, bare, atol=1e-3) and hooks(unet) == 0
    with session.open() as host:
        assert torch.equal(run(host, inputs), bare)
    assert all(torch.equal(value, before[name]) for name, value in unet.state_dict().items())
    with session.open(patches) as host:
        assert torch.equal(run(host, inputs), patched)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, GeneratorExit])
def test_patches_end_with_an_error_too(unet, patches, error):
    with pytest.raises(error), DiffusersSession.resident(unet).open(patches):
        raise error
    assert hooks(unet) == 0


def test_branches_that_were_left_attached_do_not_outlive_the_host(unet, inputs):
    session = DiffusersSession.resident(unet)

    class Shift:
        site = Site("mid", 0, 0)

        def after(self, hidden, call):
            return hidden + 1

    with session.open() as host:
        bare = run(host, inputs)
        host.attach([Shift()])
        assert not torch.equal(run(host, inputs), bare)
    with session.open() as host:
        assert torch.equal(run(host, inputs), bare)


def test_nothing_is_read_before_it_is_opened(reader):
    session = DiffusersSession(reader)
    opening = session.open()
    assert reader.events == []
    with opening:
        assert reader.events == ["read"]
    assert reader.events == ["read", "end"]


def test_what_was_read_is_let_go_with_the_context(reader, inputs, patches):
    session = DiffusersSession(reader)
    with session.open(patches) as host:
        first = run(host, inputs)
        assert reader.held == [host.unet]
        del host
        assert len(reader.held) == 1
    assert reader.held == []  # without waiting for the garbage collector
    with session.open(patches) as host:
        assert torch.equal(run(host, inputs), first)
    assert reader.events == ["read", "end"] * 2


def test_patches_are_off_before_what_was_read_is_given_back(unet, patches):
    at_end = []

    @contextmanager
    def lend():
        yield unet
        at_end.append(hooks(unet))

    with DiffusersSession(lend).open(patches):
        assert hooks(unet) == len(patches)
    assert at_end == [0]


def test_what_was_read_is_let_go_after_an_error(reader, patches):
    session = DiffusersSession(reader)
    with pytest.raises(ValueError), session.open(patches):
        raise ValueError
    assert reader.events == ["read", "end"]
    elsewhere = [LowRankPatch(Site("up", 7, 0), "attn1", "to_q", torch.zeros(1, 64), torch.zeros(64, 1))]
    with pytest.raises(SiteNotFound, match="first up_blocks.7"), session.open(elsewhere):
        pass
    assert reader.events == ["read", "end"] * 2


def test_the_unet_is_not_held_while_the_last_latents_are_decoded(random_model, avatar_identity):
    """The VAE's decoder needs the room: this is what makes 8 GB enough."""
    with random_model.host.open() as host:
        reader = Reader(host.unet)
    case = tiny_case(random_model, avatar_identity)
    options, seen = SamplingOptions(steps=1, fusion="joint"), []
    video = PortraitTalk(case.stack, DiffusersSession(reader)).animate(
        case.identity,
        case.maps,
        case.features,
        case.track,
        options=options,
        on_step=lambda done, total: seen.append(len(reader.held)),
    )
    assert reader.events == []  # pictures and prompts are looked at without it
    latents = []
    for part in video:
        assert reader.held == [] and reader.events == ["read", "end"]
        assert sum(len(frames.pixels) for frames in case.stack.decode(part)) == FRAMES
        latents.append(part.latents)
    assert seen == [1]
    resident = torch.cat([part.latents for part in case.animate(options=options)])
    assert torch.equal(torch.cat(latents), resident)
