"""What Talking Portrait becomes: the nodes of the full graph, with the defaults of the chosen model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from comfy_execution.graph_utils import GraphBuilder

from ..portraittalk_core.checkpoints.catalogue import fast_parts
from ..portraittalk_core.checkpoints.few_steps import FEW_STEPS
from ..portraittalk_core.checkpoints.native import model_files, read_denoiser
from ..portraittalk_core.config import ModelConfig, SamplingConfig
from ..portraittalk_core.presets import FAST, PRESETS, PUBLIC
from ..portraittalk_core.stacks.options import usual_cfg
from . import models
from .model_names import STACK, located

if TYPE_CHECKING:
    from comfy_execution.graph_utils import Node

FPS = 25.0
"""Frames a second."""

SAMPLERS = {"ddim": "euler", "dpm++2m": "dpmpp_2m", "lcm": "lcm"}
"""The host's names of `diffusion.sampler.SAMPLERS`."""

Graph = dict[str, dict[str, object]]
"""Nodes in the host's API format, by id."""

Outputs = tuple[object, object]
"""Where VIDEO and IMAGE come from."""


def whole_graph(
    image: object,
    audio: object,
    prompt: str,
    model: str,
    seed: int,
    dials: Mapping[str, float],
    frame: str,
    fast: bool = False,
) -> tuple[Outputs, Graph]:
    """Compose the graph of a video.

    Args:
        image: Where the photograph comes from, or the photograph.
        audio: Likewise, the recording.
        prompt: What the video shows.
        model: Of `model_names.available`.
        seed: Of motion and noise.
        dials: Strengths of the movements, inputs of Speech to Motion.
        frame: Of Paste Back.
        fast: Of Load PortraitTalk; with fewer steps.

    Returns:
        Where the lists of VIDEO and of IMAGE come from, and the nodes.
    """
    graph, config = GraphBuilder(), model_config(model)
    config = replace(config, sampling=fast_sampling(config)) if fast else config
    loaded = _ours(graph, "Load", model=model, fast=fast)
    person = _ours(graph, "LoadIdentity", portraittalk=loaded.out(3), image=image)
    heard = _ours(graph, "EncodeAudio", portraittalk=loaded.out(3), audio=audio, fps=FPS)
    said = _ours(graph, "PromptEdit", clip=loaded.out(1), prompt=prompt, speech=heard.out(0))
    voiced = {"speech": heard.out(0)}
    moved = _ours(graph, "SpeechToMotion", **voiced, identity=person.out(0), positive=said.out(0), seed=seed, **dials)
    prompts = {"positive": said.out(0), "negative": said.out(1)}
    look = {"seed": seed, "steps": config.sampling.steps, "cfg": usual_cfg(config.sampling, edited=True)}
    dressed = _ours(graph, "PromptLook", model=loaded.out(0), identity=person.out(0), **prompts, **look)
    known = _ours(graph, "IdentityNetConditioning", model=loaded.out(0), identity=dressed.out(0), **prompts)
    shown = known
    if config.name != PUBLIC[0]:  # which has no ReferenceNet
        shown = _ours(graph, "ReferenceNetApply", model=known.out(0), identity=dressed.out(0), vae=loaded.out(2))
    latent = _ours(
        graph,
        "AnimateNetSampler",
        model=shown.out(0),
        motion=moved.out(0),
        positive=known.out(1),
        negative=known.out(2),
        seed=seed,
        **voiced,
        **_sampling(config),
    )
    decoded = graph.node("VAEDecode", samples=latent.out(0), vae=loaded.out(2))
    pasted = _ours(
        graph,
        "PasteBack",
        images=decoded.out(0),
        identity=dressed.out(0),
        motion=moved.out(0),
        frame=frame,
        size=0,
        edits=0.0,
        positive=said.out(0),
    )
    video = graph.node("CreateVideo", images=pasted.out(0), fps=FPS, audio=heard.out(3))
    gathered = _ours(graph, "GatherVideos", video=video.out(0), images=pasted.out(0))
    return (gathered.out(0), gathered.out(1)), graph.finalize()


def _sampling(config: ModelConfig) -> dict[str, object]:
    chosen = config.sampling
    return {
        "steps": chosen.steps,
        "cfg": usual_cfg(chosen, edited=False),
        "window": chosen.window,
        "overlap": chosen.overlap,
        "sampler_name": SAMPLERS[chosen.sampler],
        "scheduler": "simple",
        "denoise": 1.0,
    }


def model_config(name: str) -> ModelConfig:
    """Return what a model is made of, and its defaults of sampling. Raises as `models.load` does."""
    chosen = located(name)
    if chosen not in PRESETS and (Path(chosen) / STACK).is_file():
        chosen = models.stack_file(Path(chosen)).stack
    if chosen in PRESETS:
        return PRESETS[chosen]()
    return read_denoiser(model_files(chosen)["denoiser"])[0]


def fast_sampling(config: ModelConfig) -> SamplingConfig:
    """Return how a model samples where speed counts: of `presets.FAST`, or as its part for few steps wants it.

    What the host's samplers lack, guidance that ends early and layers that are used again, is left out.

    Args:
        config: Of the model.
    """
    few = FEW_STEPS.get(fast_parts(config.name).get("few_steps", ""))
    if few is not None:
        return replace(config.sampling, sampler=few.sampler, steps=few.steps, cfg=1.0)
    return replace(config.sampling, **FAST.get(config.name, FAST["tiny"]))


def _ours(graph: GraphBuilder, kind: str, **inputs: object) -> Node:
    return graph.node(f"PortraitTalk_{kind}", **inputs)
