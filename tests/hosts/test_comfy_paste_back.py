"""Paste Back in a real ComfyUI, without weights: the host runs the dense motion, Create Video takes the result."""

import copy

import pytest
import torch

from portraittalk_core.media.video import probe

from ..nodes.test_paste_back import FPS, FRAMES, SIDE, Finder, Stack, photograph
from .comfy_env import as_the_host_runs_nodes, result  # noqa: F401 - the first is a fixture

pytestmark = pytest.mark.comfy


@pytest.fixture
def dense(pack):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = pack("portraittalk_core.nets.dense_motion").DenseMotionNet(widths=(8, 16)).eval()
        torch.nn.init.normal_(net.leave.weight, std=0.05)
    return net


def test_the_dense_motion_in_the_hosts_layers_is_the_same(pack, dense):
    stacks = pack("nodes.hosted_stack")
    ours, theirs = copy.deepcopy(dense), stacks.castable(dense)
    assert {type(layer).__module__ for layer in theirs.modules() if hasattr(layer, "weight")} == {"comfy.ops"}
    memory = stacks.HostMemory([theirs])
    stacks.HostedStack("a", None, memory, moving=(theirs,)).bring_moving()
    given = (torch.rand(2, 3, 128, 128), torch.rand(2, 7, 64, 64), torch.rand(2, 7, 64, 64), torch.rand(2, 6, 64, 64))
    expected, found = ours(*given), theirs(*given)
    torch.testing.assert_close(found.flow, expected.flow, atol=1e-6, rtol=0)
    torch.testing.assert_close(found.shares, expected.shares, atol=1e-6, rtol=0)


def test_a_photograph_with_odd_sides_becomes_a_video(comfy_host, pack, dense, tmp_path):
    comfy_host.load_extra_nodes()
    stacks, records = pack("nodes.hosted_stack"), pack("portraittalk_core.types")
    stack = Stack(pack, Finder(pack, (90, 30, 121)))
    steps = torch.linspace(0, 0.1, FRAMES)[:, None, None] * torch.tensor([1.0, 0.0])
    stack.structure = lambda motion, identity: records.StructureMaps(
        identity.landmarks[:1] + steps, torch.zeros(FRAMES, 2, 3), FPS
    )
    stack.composite = pack("portraittalk_core.compositing.head_warp").HeadWarp(stacks.castable(dense)).composite
    hosted = stacks.HostedStack("a", stack, stacks.HostMemory([dense]), moving=(dense,))
    image = photograph(241, 161)
    bound = result(pack("nodes.identity").LoadIdentity.execute(hosted, image))[0]
    motion = records.FaceMotion(torch.zeros(FRAMES, 52), torch.zeros(FRAMES, 6), FPS)
    decoded = torch.full((FRAMES, SIDE, SIDE, 3), 0.5)
    made = result(pack("nodes.paste_back").PasteBack.execute(decoded, bound, motion))[0]
    assert made.shape == (FRAMES, 162, 242, 3)
    assert torch.equal(made[:, 0, :241], image[:, 0].expand(FRAMES, -1, -1))
    video = result(comfy_host.node("CreateVideo").execute(made, FPS))[0]
    video.save_to(str(tmp_path / "a.mp4"))
    found = probe(tmp_path / "a.mp4")
    assert (found.width, found.height, found.frames) == (242, 162, FRAMES)
