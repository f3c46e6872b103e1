"""What a prompt makes of a photograph is drawn once and then moved; videos of several prompts fade into one."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from portraittalk_core.looks import Span, counted, joined, spans_of
from portraittalk_core.pipeline import PortraitTalk
from portraittalk_core.stacks.options import SamplingOptions
from portraittalk_core.stacks.prompts import PromptTrack
from portraittalk_core.types import Frames

from .test_pipeline import hum


@pytest.mark.parametrize("edits", [[], [(0.4, "b")], [(0.4, "b"), (0.5, "c"), (0.52, "d")], [(0.0, "b")], [(9.0, "b")]])
@pytest.mark.parametrize("at_once", [1, 3, 40])
def test_fades_weigh_as_the_prompts_do(edits, at_once):
    track = PromptTrack("a", edits, 25.0, 30)
    spans = spans_of(track.weights)

    def video(span):
        pixels = torch.full((span.end - span.first, 3, 2, 2), float(span.number))
        for part in pixels.split(at_once):
            yield Frames(part, 25.0)

    frames = torch.cat([part.pixels for part in joined(map(video, spans), spans, track.weights)])
    wanted = track.weights @ torch.arange(len(track.prompts)).float()
    assert torch.allclose(frames[:, 0, 0, 0], wanted, atol=1e-3)


def test_frames_before_a_fade_come_at_once():
    track = PromptTrack("a", [(0.4, "b")], 25.0, 30)
    spans = spans_of(track.weights)
    begun = []

    def video(span):
        begun.append(span.number)
        for _ in range(span.first, span.end):
            yield Frames(torch.zeros(1, 3, 2, 2), 25.0)

    came = joined(map(video, spans), spans, track.weights)
    next(came)
    assert begun == [0]
    assert spans[0] == Span(0, 0, 16) and spans[1].first == 11 and spans[1].end == 30


def test_the_photographs_that_frames_belong_in_fade_as_well():
    track = PromptTrack("a", [(0.4, "b")], 25.0, 30)
    spans = spans_of(track.weights)
    behind = [torch.full((3, 4, 4), float(number)) for number in range(2)]

    def video(span):
        yield Frames(torch.zeros(span.end - span.first, 3, 2, 2), 25.0, photograph=behind[span.number])

    parts = [*joined(map(video, spans), spans, track.weights)]
    seen = torch.cat([part.photograph[None, 0, 0, 0].expand(len(part.pixels)) for part in parts])
    assert torch.allclose(seen, track.weights[:, 1], atol=1e-3)


def test_steps_count_as_one_work():
    seen = []
    spans = [Span(0, 0, 10), Span(1, 8, 20)]
    of = counted(lambda done, total: seen.append((done, total)), spans)
    for span in spans:
        callback = of(span)
        for done in (1, 2):
            callback(done, 2)
    assert seen == [(5, 22), (10, 22), (16, 22), (22, 22)]
    assert counted(None, spans)(spans[0]) is None


@pytest.fixture
def drawing(random_model, monkeypatch):
    """A model whose decoder draws red where it is asked for another look, and what the looks were made of."""
    stack = random_model.stack
    quick = replace(stack.config.sampling, plain_size=stack.config.size // 2, steps=1, edit_cfg=None)
    model = PortraitTalk(replace(stack, config=replace(stack.config, sampling=quick)), random_model.host)
    asked = []
    animate = PortraitTalk.animate

    def remember(self, identity, maps, features, prompts, **how):
        asked.append((prompts.prompts[0], len(maps.landmarks), how.get("edited"), identity))
        return animate(self, identity, maps, features, prompts, **how)

    monkeypatch.setattr(PortraitTalk, "animate", remember)
    return model, asked


def test_a_prompt_that_changes_the_photograph_is_drawn_once(drawing, portrait):
    model, asked = drawing
    video = model.generate([portrait[0]], hum(0.12), "a man with glasses", options=SamplingOptions(cfg=1.0, steps=1))
    assert torch.cat([frames.pixels for frames in video]).shape == (3, 3, 256, 256)
    assert [each[:3] for each in asked] == [
        ("a man with glasses", 1, True),
        ("", 1, True),  # beside it, to know what the prompt changes
        ("a man with glasses", 3, False),
    ]
    before, after = asked[0][3], asked[2][3]
    assert not torch.equal(before.crops[0], after.crops[0]) and torch.equal(before.embeddings, after.embeddings)
    assert torch.equal(before.landmarks, after.landmarks) and after.portrait.shape == before.portrait.shape


@pytest.mark.slow
def test_prompts_over_time_each_have_their_look(drawing, portrait):
    model, asked = drawing
    done = []
    edits = [(0.04, "a man with glasses"), (0.4, "a smiling man")]
    video = model.generate(
        [portrait[0]], hum(0.72), "a man", edits=edits, on_step=lambda *step: done.append(step), size=64
    )
    assert torch.cat([frames.pixels for frames in video]).shape == (18, 3, 64, 64)
    assert [(prompt, frames > 1) for prompt, frames, *_ in asked] == [
        ("a man", True),
        ("a man with glasses", False),
        ("", False),
        ("a man with glasses", True),
        ("a smiling man", True),
    ]
    assert asked[0][3] is asked[4][3] is asked[1][3] and asked[3][3] is not asked[0][3]
    assert done[-1][0] == done[-1][1] and done == sorted(done)
