"""The graphs of the shipped workflows in ComfyUI's API format, from which `export.py` makes the files beside it."""

from __future__ import annotations

from typing import Any

PHOTOGRAPH, SPEECH = "portraittalk/astronaut.jpg", "portraittalk/speech.wav"
CLIP = "portraittalk/video/clip.mp4"
MOTION = "portraittalk/motion/nodding.csv"
"""What the graphs begin with: the pack puts all of it among the host's inputs when one of its workflows is opened."""

Graph = dict[str, dict[str, Any]]

LORA = "lcm-lora-sdv1-5.safetensors"
CONTROLNET = "control_v11p_sd15_softedge_fp16.safetensors"

MODELS = {
    "LoraLoader": {
        "name": LORA,
        "url": "https://huggingface.co/latent-consistency/lcm-lora-sdv1-5/resolve/main/pytorch_lora_weights.safetensors",
        "directory": "loras",
    },
    "ControlNetLoader": {
        "name": CONTROLNET,
        "url": "https://huggingface.co/comfyanonymous/ControlNet-v1-1_fp16_safetensors/resolve/main/" + CONTROLNET,
        "directory": "controlnet",
    },
}
"""Where the public files of a node come from, which the frontend offers to fetch."""


def public_entries() -> list[Any]:
    """Return the public files of sd15-portraittalk as the catalogue has them."""
    from portraittalk_core.checkpoints.catalogue import select

    return select(["sd15-portraittalk"])


def public_files() -> list[dict[str, str]]:
    """Return those that the frontend can offer to fetch: it knows names, addresses and folders of models."""
    made = []
    for entry in public_entries():
        folder, _, name = entry.save_as.rpartition("/")
        address = f"https://huggingface.co/{entry.repo}/resolve/main/{entry.file}" if entry.repo else entry.url
        if folder and name and not entry.unpack:
            made.append({"name": name, "url": address, "directory": folder})
    return made


PLOT = "21"
"""The node that shows the plot of a score."""

LOOK = "31"
"""The node that draws what the prompt changes."""


def _node(kind: str, /, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs}


def _ours(kind: str, /, **inputs: Any) -> dict[str, Any]:
    return _node(f"PortraitTalk_{kind}", **inputs)


def full_graph(prompt: str = "a smiling person", edits: str = "") -> Graph:
    """Return the whole way from a photograph and a recording to a video, every step a node."""
    return {
        "1": _ours("Load", model="tiny", fast=False),
        "2": _node("LoadImage", image=PHOTOGRAPH),
        "3": _node("LoadAudio", audio=SPEECH),
        "4": _ours("LoadIdentity", portraittalk=["1", 3], image=["2", 0], face=1, no_face="stop"),
        "5": _ours("EncodeAudio", portraittalk=["1", 3], audio=["3", 0], fps=25.0, start_s=0.0, duration_s=0.0),
        "6": _ours(
            "PromptEdit",
            clip=["1", 1],
            prompt=prompt,
            negative="",
            edits=edits,
            frame_count=100,
            fps=25.0,
            speech=["5", 0],
        ),
        "7": _ours(
            "SpeechToMotion",
            speech=["5", 0],
            identity=["4", 0],
            positive=["6", 0],
            lip=1.0,
            head=1.0,
            blink=1.0,
            expression=1.0,
            still_head=False,
            seed=0,
        ),
        LOOK: _ours(
            "PromptLook",
            model=["1", 0],
            identity=["4", 0],
            positive=["6", 0],
            negative=["6", 1],
            seed=0,
            steps=2,
            cfg=2.0,
        ),
        "8": _ours(
            "IdentityNetConditioning",
            model=["1", 0],
            positive=["6", 0],
            negative=["6", 1],
            identity=[LOOK, 0],
            identity_scale=1.0,
            start_percent=0.0,
            end_percent=1.0,
            guide_identity="default",
        ),
        "9": _ours("ReferenceNetApply", model=["8", 0], reference_scale=1.0),
        "10": _ours(
            "AnimateNetSampler",
            model=["9", 0],
            motion=["7", 0],
            speech=["5", 0],
            window=16,
            overlap=4,
            fusion="joint",
            audio_scale=1.0,
            positive=["8", 1],
            negative=["8", 2],
            seed=0,
            steps=2,
            cfg=1.0,
            sampler_name="euler",
            scheduler="simple",
            denoise=1.0,
        ),
        "11": _node("VAEDecode", samples=["10", 0], vae=["1", 2]),
        "16": _ours(
            "PasteBack",
            images=["11", 0],
            identity=[LOOK, 0],
            motion=["7", 0],
            frame="photograph",
            size=0,
            edits=0.0,
        ),
        "12": _node("CreateVideo", images=["16", 0], fps=["5", 2], audio=["5", 3]),
        "13": _node("SaveVideo", video=["12", 0], filename_prefix="video/portraittalk", format="mp4", codec="h264"),
    }


def quickstart() -> Graph:
    """Return the graph whose middle `export.py` makes one node: the blueprint PortraitTalk."""
    return full_graph()


def one_node() -> Graph:
    """Return the shortest graph, for programs and for hosts without subgraphs: Talking Portrait."""
    graph = full_graph()
    talking = _ours(
        "TalkingPortrait",
        image=["2", 0],
        audio=["3", 0],
        prompt="a smiling person",
        model="tiny",
        seed=0,
        lip=1.0,
        head=1.0,
        expression=1.0,
        frame="photograph",
        fast=False,
    )
    return {"2": graph["2"], "3": graph["3"], "30": talking, "13": _saved(graph["13"], ["30", 0])}


def _saved(node: dict[str, Any], source: list[Any]) -> dict[str, Any]:
    return {**node, "inputs": {**node["inputs"], "video": source}}


def prompt_edit() -> Graph:
    """Return a portrait whose looks change while it speaks."""
    return full_graph("a person", "0.8: a person with red hair\n1.7: an old person wearing round glasses")


def multi_reference() -> Graph:
    """Return a portrait from two photographs of one person; the first is the one that speaks."""
    graph = full_graph("a person")
    graph["23"] = _node("LoadImage", image=PHOTOGRAPH)
    graph["24"] = _node("ImageBatch", image1=["2", 0], image2=["23", 0])
    graph["4"]["inputs"]["image"] = ["24", 0]
    return graph


def long_video() -> Graph:
    """Return a longer video, one window after the other, whose memory does not grow with its length."""
    graph = full_graph("a person")
    graph["25"] = _node("AudioConcat", audio1=["3", 0], audio2=["3", 0], direction="after")
    graph["5"]["inputs"]["audio"] = ["25", 0]
    graph["10"]["inputs"] |= {"fusion": "streaming"}
    return graph


def any_sampler() -> Graph:
    """Return the same with stock nodes where there are some: AnimateNet Apply, FreeU, KSampler."""
    graph = full_graph("a smiling person")
    sampler = graph["10"]["inputs"]
    names = ("model", "motion", "speech", "window", "overlap", "fusion", "audio_scale")
    graph["10"] = _ours("AnimateNetApply", **{name: sampler[name] for name in names})
    graph["14"] = _node("FreeU", model=["10", 0], b1=1.1, b2=1.2, s1=0.9, s2=0.2)
    names = ("positive", "negative", "seed", "steps", "cfg", "sampler_name", "scheduler", "denoise")
    graph["15"] = _node("KSampler", model=["14", 0], latent_image=["10", 1], **{name: sampler[name] for name in names})
    graph["11"]["inputs"]["samples"] = ["15", 0]
    return graph


def dubbing() -> Graph:
    """Return a video whose person says something else: head, eyes and brows as in it, the mouth of the new sound."""
    graph = full_graph("a person")
    graph["26"] = _node("LoadVideo", file=CLIP)
    graph["27"] = _node("GetVideoComponents", video=["26", 0])
    graph["28"] = _node("ImageFromBatch", image=["27", 0], batch_index=0, length=1)
    graph["29"] = _ours(
        "DrivingVideo", speech=["5", 0], video=["26", 0], mouth=["7", 0], images_fps=25.0, face=1, reader="face pack"
    )
    del graph["2"]
    graph["4"]["inputs"]["image"] = ["28", 0]
    for number in ("10", "16"):
        graph[number]["inputs"]["motion"] = ["29", 0]
    return graph


def motion_file() -> Graph:
    """Return a portrait that moves as a file says, its mouth with the sound; all of that becomes a file again."""
    graph = full_graph("a person")
    graph["32"] = _ours("LoadMotion", file=MOTION, speech=["5", 0], mouth=["7", 0])
    graph["33"] = _ours("SaveMotion", motion=["32", 0], filename_prefix="portraittalk/motion", kind="live-link")
    for number in ("10", "16"):
        graph[number]["inputs"]["motion"] = ["32", 0]
    return graph


def folder() -> Graph:
    """Return one video of each recording of a folder, called as the recording."""
    graph = one_node()
    graph["3"] = _ours("LoadRecordings", folder="portraittalk", prefix="video/")
    graph["13"]["inputs"]["filename_prefix"] = ["3", 1]
    return graph


def adfd_score() -> Graph:
    """Return a video and its score: how well the face moves with the voice, as a figure, a plot and a few lines."""
    graph = full_graph("a person")
    graph["20"] = _ours("ADFDScore", portraittalk=["1", 3], images=["16", 0], audio=["5", 3], fps=["5", 2])
    graph[PLOT] = _node("PreviewImage", images=["20", 4])
    graph["22"] = _node("PreviewAny", source=["20", 3])
    return graph


def _sd15(chain: bool) -> Graph:
    """Return a graph on public SD1.5 files, with a LoRA and a ControlNet in the chain or without.

    sd15-portraittalk has no ReferenceNet and draws every frame as the prompt wants it, so those nodes are left out.
    """
    graph = full_graph("portrait photo of a smiling person, soft light")
    graph["1"] = _ours("Load", model="sd15-portraittalk", fast=False)
    del graph["9"], graph[LOOK]
    graph["8"]["inputs"]["identity"] = graph["16"]["inputs"]["identity"] = ["4", 0]
    graph["16"]["inputs"]["positive"] = ["6", 0]
    graph["10"]["inputs"]["model"] = ["8", 0]
    if chain:
        graph["17"] = _node(
            "LoraLoader",
            model=["1", 0],
            clip=["1", 1],
            lora_name=LORA,
            strength_model=1.0,
            strength_clip=1.0,
        )
        graph["8"]["inputs"]["model"], graph["6"]["inputs"]["clip"] = ["17", 0], ["17", 1]
        graph["18"] = _node("ControlNetLoader", control_net_name=CONTROLNET)
        graph["19"] = _node(
            "ControlNetApplyAdvanced",
            positive=["8", 1],
            negative=["8", 2],
            control_net=["18", 0],
            image=["4", 1],
            strength=0.4,
            start_percent=0.0,
            end_percent=0.6,
            vae=["1", 2],
        )
        graph["10"]["inputs"] |= {"positive": ["19", 0], "negative": ["19", 1]}
    sampling = {"steps": 8, "cfg": 1.5, "sampler_name": "lcm"} if chain else {"steps": 30, "cfg": 7.5}
    graph["10"]["inputs"] |= sampling
    return graph


def sd15_public_weights() -> Graph:
    """Return the graph for photographs: the files are those that `models download sd15-portraittalk` fetches."""
    return _sd15(chain=False)


def chain_with_lora_and_controlnet() -> Graph:
    """Return the graph for photographs with a LoRA before and a ControlNet beside our nodes."""
    return _sd15(chain=True)


TINY = (
    quickstart,
    one_node,
    full_graph,
    prompt_edit,
    multi_reference,
    dubbing,
    motion_file,
    folder,
    long_video,
    any_sampler,
    adfd_score,
)
"""Graphs that run as they are, without a download."""

SD15 = (sd15_public_weights, chain_with_lora_and_controlnet)
"""Graphs that need public weights."""
