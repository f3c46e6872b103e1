"""Only frames in which what is drawn is seen are denoised."""

from dataclasses import dataclass, field

import pytest
import torch

from portraittalk_core.drawing import AT_ONCE, drawn_where_seen
from portraittalk_core.stacks.options import SamplingOptions
from portraittalk_core.stacks.prompts import PromptTrack
from portraittalk_core.types import Frames, LatentVideo, SpeechFeatures, StructureMaps

FPS = 25.0
DRAWN = 0.5
"""In the pictures of a decoder; those of the photograph say which frame they are."""


def maps_of(count: int) -> StructureMaps:
    number = torch.arange(count, dtype=torch.float32)
    return StructureMaps(number[:, None, None].expand(-1, 478, 2), torch.zeros(count, 2, 3), FPS)


def said(count: int) -> SpeechFeatures:
    number = torch.arange(count, dtype=torch.float32)
    return SpeechFeatures(number[:, None], number, FPS)


@dataclass
class Stack:
    """Draws the frames that it is told to."""

    seen: set[int]
    asked: list[int] = field(default_factory=list)

    def undrawn(self, identity, maps, which, size=None, sure=False):
        numbers = maps.landmarks[which, 0, 0]
        self.asked.append(int(numbers[0]))
        if self.seen & set(numbers.int().tolist()):
            return None
        return Frames(numbers.view(-1, 1, 1, 1).expand(-1, 3, 4, 4), FPS)

    def decode(self, video):
        for latents in video.latents.split(2):
            yield Frames(latents + DRAWN, FPS)


class Animate:
    """Denoises some frames at a time, and remembers which."""

    def __init__(self, at_once: int) -> None:
        self.at_once, self.done, self.closed = at_once, [], 0

    def __call__(self, identity, maps, features, prompts, *, on_step=None, **how):
        numbers = maps.landmarks[:, 0, 0]
        assert torch.equal(features.hidden[:, 0], numbers) and torch.equal(features.loudness, numbers)
        assert len(prompts.weights) == len(numbers)
        try:
            for step, part in enumerate(numbers.split(self.at_once), 1):
                self.done += part.int().tolist()
                if on_step is not None:
                    on_step(step, -(-len(numbers) // self.at_once))
                yield LatentVideo(part.view(-1, 1, 1, 1).expand(-1, 3, 4, 4), FPS)
        finally:
            self.closed += 1


def made(stack: Stack, animate: Animate, count: int, **how) -> list[float]:
    track = PromptTrack("", (), FPS, count)
    video = drawn_where_seen(stack, animate, None, maps_of(count), said(count), track, **how)
    return torch.cat([part.pixels for part in video])[:, 0, 0, 0].tolist()


def test_nothing_is_denoised_where_nothing_of_it_is_seen() -> None:
    stack, animate = Stack(set()), Animate(4)
    assert made(stack, animate, 30) == list(range(30))
    assert not animate.done and stack.asked == [0, AT_ONCE, 2 * AT_ONCE]


def test_a_stretch_in_which_it_is_seen_is_denoised_and_all_frames_come_in_order() -> None:
    seen = {AT_ONCE + 3}
    stack, animate = Stack(seen), Animate(4)
    frames = made(stack, animate, 5 * AT_ONCE)
    assert [int(value) for value in frames] == list(range(5 * AT_ONCE))
    drawn = [number for number, value in enumerate(frames) if value != number]
    assert drawn == animate.done == list(range(AT_ONCE, AT_ONCE + 4)) and animate.closed == 1
    assert all(value - number in (0, DRAWN) for number, value in enumerate(frames))


def test_all_of_a_video_in_which_it_is_always_seen_is_denoised_as_one() -> None:
    stack, animate = Stack(set(range(100))), Animate(16)
    assert made(stack, animate, 40) == [number + DRAWN for number in range(40)]
    assert animate.done == list(range(40)) and animate.closed == 1


def test_progress_counts_frames_and_may_end_the_work() -> None:
    steps: list[tuple[int, int]] = []
    made(Stack({AT_ONCE}), Animate(6), 3 * AT_ONCE, on_step=lambda *step: steps.append(step))
    assert steps == sorted(steps) and steps[-1] == (36, 36) and {total for _, total in steps} == {36}

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    animate = Animate(6)
    with pytest.raises(KeyboardInterrupt):
        made(Stack({0}), animate, 12, on_step=stop)
    assert animate.closed == 1


@pytest.mark.parametrize(
    ("how", "denoised"),
    [({}, False), ({"options": SamplingOptions()}, False), ({"options": SamplingOptions(audio_scale=0.5)}, True)],
)
def test_whoever_says_how_a_video_is_denoised_gets_every_frame_denoised(
    random_model, portrait, monkeypatch, how, denoised
) -> None:
    from portraittalk_core.pipeline import PortraitTalk

    ran: list[int] = []
    monkeypatch.setattr(PortraitTalk, "animate", lambda self, identity, maps, *rest, **named: ran.append(1) or iter(()))
    stack = random_model.stack
    identity = stack.identify([portrait[0]])
    maps = stack.rest(identity, FPS)
    video = random_model.draw(identity, maps, None, PromptTrack("", (), FPS, 1), 64, **how)
    assert (sum(len(part.pixels) for part in video) == 0) == denoised and bool(ran) == denoised
    looked_at = random_model.draw(identity, maps, None, PromptTrack("", (), FPS, 1), 64, on_preview=print, **how)
    assert not list(looked_at) and ran


def test_the_prompts_of_later_frames_are_those_of_the_video() -> None:
    track = PromptTrack("a man", [(0.4, "a smiling man")], FPS, 30)
    later = track.since(10)
    assert torch.equal(later.weights, track.weights[10:]) and later.prompts == track.prompts
    assert len(track.weights) == 30
