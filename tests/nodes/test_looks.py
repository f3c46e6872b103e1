"""Looks of several prompts in one video: which windows it has, what each is conditioned on, how pictures fade."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from .test_paste_back import FPS, FRAMES, Finder, Stack, hosted, photograph

SPANS = {
    "one look": [(0, 0, 50)],
    "two looks": [(0, 0, 30), (1, 24, 60)],
    "shorter than a fade": [(0, 0, 30), (1, 24, 31), (2, 25, 70)],
    "both from the first frame": [(0, 0, 5), (1, 0, 40)],
    "a fade longer than a window": [(0, 0, 60), (1, 20, 90)],
    "one comes back": [(0, 0, 80), (1, 30, 50)],
}


@pytest.mark.parametrize("coupled", [True, False])
@pytest.mark.parametrize("spans", SPANS.values(), ids=SPANS)
def test_windows_cover_every_frame_and_come_in_turn(pack, spans, coupled):
    span, fuse = pack("portraittalk_core.looks").Span, pack("portraittalk_core.diffusion.windows").fusion_weights
    frames = max(end for _, _, end in spans)
    plan = pack("nodes.window_plan").WindowPlan(16, 4, coupled, tuple(span(*each) for each in spans))
    windows, total = plan.windows(frames), torch.zeros(frames)
    for weights in (fuse(windows, 0.0), fuse(windows, 1.0)):
        total.zero_()
        for window, weight in zip(windows, weights, strict=True):
            total[window.frames] += weight
        torch.testing.assert_close(total, torch.ones(frames))
    starts, stops = [w.start for w in windows], [w.stop for w in windows]
    assert starts == sorted(set(starts)) and stops == sorted(set(stops)) and max(map(len, windows)) <= 16


def test_frames_that_do_not_see_one_another_are_denoised_once_but_in_fades(pack):
    span, plan = pack("portraittalk_core.looks").Span, pack("nodes.window_plan").WindowPlan
    assert sum(map(len, plan(16, 4, coupled=False).windows(100))) == 100
    assert sum(map(len, plan(16, 4, coupled=True).windows(100))) > 120
    two = (span(0, 0, 50), span(1, 44, 100))
    assert sum(map(len, plan(16, 4, False, two).windows(100))) == 106
    assert plan(16, 4, False, two).windows(30) == plan(16, 4, False).windows(30), "a video of another length"


class Person:
    """Nobody in particular."""


def test_prompts_that_ask_for_nothing_share_a_look(pack):
    looks = pack("nodes.looks")
    plain, red = Person(), Person()
    weights = torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.0, 0.2, 0.8]])
    made = looks.Looks.of([looks.Look(person, None) for person in (plain, red, plain)], weights)
    assert [look.identity for look in made.each] == [plain, red]
    torch.testing.assert_close(made.weights, torch.tensor([[1.0, 0.0], [0.5, 0.5], [0.8, 0.2]]))
    longer = made.over(5)
    assert torch.equal(longer.weights[2:], made.weights[2:].expand(3, -1)) and len(made.over(2).weights) == 2
    assert [(s.number, s.first, s.end) for s in made.spans] == [(0, 0, 3), (1, 1, 3)]


def test_a_window_is_conditioned_on_the_look_it_shows_most_of(pack):
    looks, base = pack("nodes.looks"), pack("portraittalk_core.stacks.base")
    span, asked = pack("portraittalk_core.looks").Span, []

    class One(base.Condition):
        def __init__(self, name):
            self.name, self.networks, self.couples_frames = name, (name,), name == "b"

        def branches(self, host, frames, uncond, device):
            asked.append((self.name, frames.tolist()))
            return []

    weights = torch.tensor([[1.0, 0.0]] * 6 + [[0.5, 0.5]] * 2 + [[0.0, 1.0]] * 6)
    both = looks.InTurn([One("a"), One("b")], weights, [span(0, 0, 8), span(1, 6, 14)])
    for frames in (range(8), range(6, 14), range(10, 16)):
        both.branches(None, torch.tensor(frames), False, None)
    assert asked == [("a", [*range(8)]), ("b", [*range(8)]), ("b", [4, 5, 6, 7, 7, 7])]
    assert list(both.networks) == ["a", "b"] and both.couples_frames
    one = One("a")
    assert looks.in_turn([one], None) is one


@pytest.fixture
def bound(pack):
    """A person in two looks, grey and white, who fade in the middle of the video."""
    stack, looks = Stack(pack, Finder(pack, (0, 0, 128))), pack("nodes.looks")
    found = pack("nodes.identity").LoadIdentity.execute(hosted(stack), photograph(128, 128)).args[0]
    maps = pack("portraittalk_core.types").StructureMaps
    stack.structure = lambda motion, person: maps(torch.zeros(FRAMES, 478, 2), torch.zeros(FRAMES, 2, 3), FPS)
    people = [replace(found.identity, portrait=torch.full((3, 128, 128), value)) for value in (0.0, 1.0)]
    share = torch.tensor([0.0] * 3 + [0.25, 0.5, 0.75] + [1.0] * 3)
    each = tuple(looks.Look(person, stack) for person in people)
    return replace(found, identity=people[0], looks=looks.Looks(each, torch.stack([1 - share, share], 1)))


def test_pictures_fade_from_one_look_to_the_next(pack, bound):
    kind = pack("portraittalk_core.types").FaceMotion
    motion, decoded = kind(torch.zeros(FRAMES, 52), torch.zeros(FRAMES, 6), FPS), torch.full((FRAMES, 64, 64, 3), 0.5)
    # What Prompt Edit asks for has been drawn: it does not count again.
    asked = [(torch.zeros(1, 1, 1), {pack("nodes.encoding").LOOKS: torch.ones(FRAMES, 6)})]
    given = []
    composite = bound.hosted.stack.composite
    bound.hosted.stack.composite = lambda *args, **named: given.append(args[-1]) or composite(*args, **named)
    made = pack("nodes.paste_back").PasteBack.execute(decoded, bound, motion, frame="crop", positive=asked).args[0]
    assert given == [0.0, 0.0]
    corner = made[:, 2, 2].mean(-1)
    torch.testing.assert_close(corner, 0.5 + 0.5 * bound.looks.weights[:, 1], atol=1e-5, rtol=0)
    torch.testing.assert_close(made[:, 64, 64], torch.full((FRAMES, 3), 0.5), atol=1e-5, rtol=0)


@pytest.mark.parametrize("own", [False, True])
def test_what_prompts_change_around_the_square_is_shown_and_fades(pack, bound, own):
    kind, image = pack("portraittalk_core.types").FaceMotion, photograph(200, 160)
    bound = replace(bound, photograph=image[0])
    place = pack("portraittalk_core.types").CropPlace(30, 10, 128, 160, 200)
    stack = bound.hosted.stack
    people = [
        replace(each.identity, places=(place,), photograph=torch.full((3, 160, 200), value))
        for each, value in zip(bound.looks.each, (0.0, 1.0), strict=True)
    ]
    looks = pack("nodes.looks")
    each = tuple(looks.Look(person, stack) for person in people)
    bound = replace(bound, identity=people[0], looks=looks.Looks(each, bound.looks.weights))
    motion, decoded = kind(torch.zeros(FRAMES, 52), torch.zeros(FRAMES, 6), FPS), torch.full((FRAMES, 64, 64, 3), 0.5)
    given = {"photograph": image} if own else {}
    made = pack("nodes.paste_back").PasteBack.execute(decoded, bound, motion, **given).args[0]
    assert made.shape == (FRAMES, 160, 200, 3)
    corner = made[:, -1, -1]
    wanted = image[0, -1, -1].expand(FRAMES, 3) if own else 0.5 + 0.5 * bound.looks.weights[:, 1:].expand(-1, 3)
    torch.testing.assert_close(corner, wanted, atol=1e-5, rtol=0)


def test_plain_frames_are_small_only_where_looks_have_been_drawn(pack, bound):
    sizes = []

    class Sized:
        config = type("Config", (), {"sampling": type("Sampling", (), {"plain_size": 128})})

        def with_codec(self, codec):
            return self

        def at(self, size):
            sizes.append(size)
            return self

    bound.hosted.codec = lambda model, vae: None
    look = pack("nodes.looks").Look(bound.identity, Sized())
    replace(bound, looks=None).stack_for(look, None, None)
    assert not sizes
    bound.stack_for(look, None, None)
    assert sizes == [128]


def test_conditioning_of_other_nodes_is_noted(pack):
    encoding = pack("nodes.encoding")
    wanted = encoding.Wanted(("a",), torch.ones(2, 1), None)
    assert encoding.wanted([(None, {})]) is None and encoding.wanted([(None, {encoding.WANTED: wanted})]) is wanted
