"""The photograph's pixels are taken where they are, moved or still, and only the rest from the decoder."""

from dataclasses import replace

import pytest
import torch

from portraittalk_core import ASSETS
from portraittalk_core.compositing import head_warp
from portraittalk_core.compositing.edits.regions import ASKED
from portraittalk_core.compositing.head_warp import HeadWarp, composited, moved_picture
from portraittalk_core.compositing.resting import all_shown, calibrated, without_rim
from portraittalk_core.media.image import read_image
from portraittalk_core.motion.geometry import face_warp
from portraittalk_core.nets.dense_motion import DenseMotion, DenseMotionNet, identity_grid
from portraittalk_core.stacks.prompts import PromptTrack, appearance_edits
from portraittalk_core.stacks.tiny import TinyStack
from portraittalk_core.topology import EYES, POINTS, SEGMENTS
from portraittalk_core.types import Frames, Identity, StructureMaps


def picture(size: int, seed: int = 0) -> torch.Tensor:
    coarse = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return torch.nn.functional.interpolate(coarse, (size, size), mode="bicubic").clamp(-1, 1)[0]


def motion(owner: int, shift: float = 0.0, rows: int = 1) -> DenseMotion:
    """One share everywhere, and a shift to the right of the picture, in [-1, 1]."""
    flow = identity_grid(torch.zeros(1, 3, 128, 128)).repeat(rows, 1, 1, 1)
    flow[:, 0] -= shift
    shares = torch.zeros(rows, 3, 128, 128)
    shares[:, owner] = 1
    return DenseMotion(flow, shares)


OWN, WARPED, STILL = range(3)
FACE = torch.zeros(1, POINTS, 2)


def test_what_stands_still_is_the_photograph_to_the_bit() -> None:
    photograph = picture(300)
    decoded = torch.nn.functional.interpolate(photograph[None], (256, 256)) * 0.97
    made = composited(decoded, motion(STILL), FACE, photograph)
    assert torch.equal(made[0], photograph)


def test_what_nobody_has_seen_is_the_decoders() -> None:
    photograph, decoded = picture(256), picture(256, 1)
    assert torch.allclose(composited(decoded[None], motion(OWN), FACE, photograph)[0], decoded, atol=1e-6)


def test_what_moves_comes_from_its_place() -> None:
    photograph = picture(256)
    made = moved_picture(photograph[None], motion(WARPED, shift=16 * 2 / 256))
    assert torch.allclose(made[0, :, 8:-8, 32:-8], photograph[:, 8:-8, 16:-24], atol=0.02)


def test_a_prompt_changes_the_frame_that_was_made_of_the_photograph() -> None:
    photograph, decoded = picture(256) * 0.3, picture(128, 1) * 0.3

    def darker(shown: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
        assert shown.shape == drawn.shape == (1, 3, 256, 256), "both at the photograph's size"
        return shown - 0.2

    for owner in (STILL, OWN):
        plain = composited(decoded[None], motion(owner), FACE, photograph)
        assert torch.allclose(
            composited(decoded[None], motion(owner), FACE, photograph, darker), plain - 0.2, atol=1e-6
        )


@pytest.fixture
def identity() -> Identity:
    points = torch.rand(1, POINTS, 2, generator=torch.Generator().manual_seed(3)) - 0.5
    return Identity(torch.zeros(1, 512), picture(256)[None], points, portrait=picture(400))


def test_frames_are_as_large_as_the_photograph_or_as_asked(identity: Identity) -> None:
    warp = HeadWarp(DenseMotionNet().eval())
    maps = StructureMaps(identity.landmarks.repeat(5, 1, 1), torch.zeros(5, 2, 3), 25.0)
    video = [Frames(torch.zeros(3, 3, 256, 256), 25.0, "tiny"), Frames(torch.zeros(2, 3, 256, 256), 25.0, "tiny")]
    made = list(warp.composite(video, identity, maps))
    assert sum(len(frames.pixels) for frames in made) == 5
    assert {frames.pixels.shape[-1] for frames in made} == {400}
    assert {frames.model for frames in made} == {"tiny"}
    assert next(iter(warp.composite(video, identity, maps, 128))).pixels.shape[-1] == 128
    unknown = replace(identity, portrait=None)
    assert next(iter(warp.composite(video, unknown, maps))).pixels.shape[-1] == 256


class Place:
    """Finds nothing but a place in every picture."""

    def segments(self, pictures: torch.Tensor, landmarks: torch.Tensor) -> torch.Tensor:
        found = torch.zeros(len(pictures), len(SEGMENTS), *pictures.shape[2:])
        found[:, SEGMENTS.index("background")] = 1
        return found


def test_what_is_not_done_is_said_once_a_video(identity: Identity, caplog: pytest.LogCaptureFixture) -> None:
    warp = HeadWarp(DenseMotionNet(widths=(8, 16)).eval(), Place())
    maps = StructureMaps(identity.landmarks.repeat(3, 1, 1), torch.zeros(3, 2, 3), 25.0)
    video = [Frames(torch.zeros(1, 3, 64, 64), 25.0)] * 3
    asked = torch.tensor([[float(region == "cap") for region in ASKED]]).expand(3, -1)
    for times in (1, 2):
        assert len(list(warp.composite(video, identity, maps, 64, asked))) == 3
        assert caplog.text.count("A cap cannot be drawn") == times


def test_each_frame_moves_as_its_own_points(identity: Identity) -> None:
    warp = HeadWarp(DenseMotionNet().eval())
    torch.nn.init.normal_(warp.net.leave.weight, std=0.05)
    steps = torch.linspace(0, 0.2, 4)[:, None, None] * torch.tensor([1.0, 0.0])
    landmarks = identity.landmarks + steps
    together = warp.warped(identity, landmarks)
    alone = torch.cat([warp.warped(identity, row[None]) for row in landmarks])
    assert torch.allclose(together, alone, atol=1e-4)
    assert float((together[0] - together[3]).abs().mean()) > 0.01


def test_a_frames_motion_is_computed_once(identity: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    warp = HeadWarp(DenseMotionNet(widths=(8, 16)).eval())
    torch.nn.init.normal_(warp.net.leave.weight, std=0.05)
    landmarks = identity.landmarks + torch.linspace(0, 0.2, 6)[:, None, None]
    maps = StructureMaps(landmarks, torch.zeros(6, 2, 3), 25.0)
    video = [Frames(torch.zeros(6, 3, 64, 64), 25.0)]
    wanted = torch.cat([part.pixels for part in HeadWarp(warp.net).composite(video, identity, maps, 64)])
    ran: list[int] = []
    handle = warp.net.register_forward_hook(lambda _net, given, _out: ran.append(len(given[0])))
    for start in (0, 2):  # two windows
        warp.warped(identity, landmarks[start : start + 4])
    found = torch.cat([part.pixels for part in warp.composite(video, identity, maps, 64)])
    assert ran == [4, 2, 1] and torch.allclose(found, wanted, atol=1e-4)  # and once how the head rests
    warp.warped(identity, landmarks[:1])  # what is composited is let go
    warp.warped(replace(identity, crops=-identity.crops), landmarks[:1])  # another person's is not this one's
    assert ran == [4, 2, 1, 1, 1]
    monkeypatch.setattr("portraittalk_core.compositing.motions_kept.KEPT", 2)
    for _ in range(2):
        warp.warped(identity, landmarks)
    assert ran[5:] == [6, 4], "the oldest go"
    handle.remove()


def test_what_is_known_of_a_photograph_is_found_once_for_asking_and_for_compositing(identity: Identity) -> None:
    class Counting(Place):
        asked = 0

        def segments(self, pictures: torch.Tensor, landmarks: torch.Tensor) -> torch.Tensor:
            self.asked += 1
            found = super().segments(pictures, landmarks)
            found[:, SEGMENTS.index("background"), 8:-8] = 0
            found[:, SEGMENTS.index("skin"), 8:-8] = 1
            return found

    parser = Counting()
    warp = HeadWarp(DenseMotionNet(widths=(8, 16)).eval(), parser)
    landmarks = identity.landmarks + torch.linspace(0, 0.05, 4)[:, None, None]
    maps = StructureMaps(landmarks, torch.zeros(4, 2, 3), 25.0)
    ran: list[int] = []
    handle = warp.net.register_forward_hook(lambda _net, given, _out: ran.append(len(given[0])))
    parts = [warp.undrawn(identity, landmarks[k : k + 2], 64) for k in (0, 2)]
    assert all(part is not None and part.shape == (2, 3, 128, 128) for part in parts)
    asked_of, moved = parser.asked, list(ran)
    made = torch.cat([f.pixels for f in warp.composite([Frames(p, 25.0) for p in parts], identity, maps, 64)])
    assert parser.asked == asked_of == 1 and ran == moved, "nothing is computed again"
    again = torch.cat([f.pixels for f in warp.composite([Frames(p, 25.0) for p in parts], identity, maps, 64)])
    assert parser.asked == 2 and torch.allclose(made, again, atol=1e-4), "and it is let go with the video"
    assert HeadWarp(warp.net).undrawn(identity, landmarks) is None, "without face parsing the decoder is needed"
    handle.remove()


def test_a_frame_that_is_torn_has_to_be_drawn(identity: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    class Person(Place):
        def segments(self, pictures: torch.Tensor, landmarks: torch.Tensor) -> torch.Tensor:
            return super().segments(pictures, landmarks).roll(1, 1)

    warp = HeadWarp(DenseMotionNet(widths=(8, 16)).eval(), Person())
    torn = torch.zeros(2, 1, 128, 128)
    monkeypatch.setattr(head_warp, "redrawn", lambda *_: torn)
    landmarks = identity.landmarks.repeat(2, 1, 1)
    assert warp.undrawn(identity, landmarks, 64) is not None
    torn[1, 0, 40, 40] = 0.3
    assert warp.undrawn(identity, landmarks, 64) is None


def test_prompts_that_ask_for_another_look_are_known() -> None:
    track = PromptTrack("a smiling person", [(1.0, "a man with red hair")], 25.0, 60)
    asked = appearance_edits(track, 60)
    assert float(asked[:20].max()) == 0

    def names(row: torch.Tensor) -> set[str]:
        return {region for region, much in zip(ASKED, row, strict=True) if much}

    assert names(asked[40]) == {"colour of the hair", "red hair"} and len(asked[40:].unique(dim=0)) == 1
    other = appearance_edits(PromptTrack("a young man in an office", [], 25.0, 3), 3)
    assert names(other[2]) == {"younger skin", "office background"}


def test_the_rim_that_a_head_leaves_behind_is_drawn_and_at_rest_nothing_is():
    shares = torch.zeros(1, 3, 32, 32)
    shares[:, 2], shares[:, 2, 8:24, 8:24], shares[:, 1, 8:24, 8:24] = 1.0, 0.0, 1.0  # a head that stays
    rest = DenseMotion(identity_grid(shares), shares)
    assert torch.equal(without_rim(rest, rest).shares, shares)
    gone = DenseMotion(identity_grid(shares) + torch.tensor([0.25, 0.0]).view(1, 2, 1, 1), shares.roll(4, 3))
    left = without_rim(gone, rest).shares
    torch.testing.assert_close(left.sum(1), torch.ones(1, 32, 32))
    assert left[0, 0, 16, 6:8].min() > 0.9 and left[0, 2, 16, :5].tolist() == [1] * 5  # outside the old head
    assert torch.equal(left[:, 1], gone.shares[:, 1])


def test_a_head_at_rest_is_the_photograph():
    error = 0.01 * torch.randn(1, 2, 128, 128, generator=torch.Generator().manual_seed(0))
    rest = motion(WARPED)
    rest = replace(rest, flow=rest.flow + error)
    still = calibrated(rest, rest)
    assert torch.allclose(
        composited(torch.zeros(1, 3, 128, 128), still, FACE, picture(300))[0], picture(300), atol=1e-3
    )
    far = motion(WARPED, shift=0.3)
    assert torch.allclose(calibrated(far, rest).flow, far.flow, atol=1e-6), "elsewhere the network errs differently"


def test_of_a_photograph_that_is_not_moved_all_is_shown():
    shares = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0)).softmax(1)
    shown = all_shown(DenseMotion(identity_grid(shares), shares)).shares
    torch.testing.assert_close(shown.sum(1), torch.ones(1, 8, 8))
    assert shown[:, 0].max() == 0 and torch.equal(shown[:, 1], shares[:, 1])


def test_lids_are_left_to_the_network(monkeypatch) -> None:
    """Where lids meet there are two ways back, and a smooth field between points takes the mean of both."""
    stack = TinyStack.load("tiny")
    person = stack.identify([read_image(ASSETS / "portrait.png")])
    points = person.landmarks[:1]
    flows = []
    for further in (0.0, 0.01):
        monkeypatch.setattr(
            head_warp,
            "face_warp",
            lambda *given, further=further: face_warp(*given) + torch.tensor([further, 0.0]),
        )
        flows.append(stack.warp.motion(person.crops[:1], points, points).flow)
    change = (flows[1] - flows[0])[:, :1]
    lids, nose = (
        torch.nn.functional.grid_sample(change, points[:, None, list(which)], align_corners=False).mean()
        for which in ((*EYES[0], *EYES[1]), (1, 4, 5))
    )
    assert nose > 0.007 and lids < 0.003
