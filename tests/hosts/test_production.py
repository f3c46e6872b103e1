"""Many videos from one real ComfyUI: lists, ten in a row, one of two cancelled, offloading, stock LoRA and ControlNet.

Slow: `make test-comfyui` runs it. The figures that it prints stand in docs/tutorials/comfyui.md.
"""

import hashlib
import io
import shutil
import sys
import threading
import time
import wave
from pathlib import Path

import pytest

from portraittalk_core.checkpoints.native import ASSETS
from portraittalk_core.media.video import probe

from .comfy_server import missing_host, serve

pytestmark = [pytest.mark.comfy, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
IN_A_ROW = 10
SETTLED = 3
"""Prompts after which memory has what it keeps."""

MOST_GROWTH = 60e6
"""Bytes from then to the last of the row."""

LEAST_PSNR = 40.0
"""dB between pictures that were computed with other roundings: no eye sees what is left."""

DEVICE = '''
"""Torch says that its CPU is a GPU: without one ComfyUI would end where it is not told `--cpu`."""
import torch

torch.cuda.current_device = lambda: "cpu"
'''
"""A `sitecustomize`, which Python imports before the host."""

ROOM = '''
"""Where weights are loaded, the host takes its CPU for a GPU: it then does what the flag says."""
import sys
import comfy.model_management as management

NODE_CLASS_MAPPINGS = {}
_real = management.is_device_cpu
management.is_device_cpu = lambda device: sys._getframe(1).f_code.co_name != "load_models_gpu" and _real(device)
'''
"""A pack."""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    why = missing_host()
    if why:
        pytest.skip(why)
    base = tmp_path_factory.mktemp("comfy")
    patches(base / "models")
    with serve(base) as running:
        running.post("/portraittalk/examples", {})
        yield running


def short(graphs, seed=0, seconds=0.4, steps=1):
    """Return the full graph of a moment of speech, with the decoded pictures kept exactly as well.

    They are wanted for themselves, or the sampler would rest.
    """
    graph = graphs.full_graph()
    graph["5"]["inputs"]["duration_s"] = seconds
    graph["10"]["inputs"] |= {"steps": steps, "seed": seed}
    graph["50"] = {"class_type": "SaveImage", "inputs": {"images": ["11", 0], "filename_prefix": "exact"}}
    return graph


def frames(server, run):
    """Return the pictures that a run saved, as a viewer sees them: [n, h, w, 3], 0 to 255."""
    import numpy as np
    from PIL import Image

    found = sorted(server.files(run, ".png"), key=lambda file: file["filename"])
    kept = [server.fetch(file) for file in found if file["type"] == "output"]
    return np.stack([np.asarray(Image.open(io.BytesIO(file))) for file in kept]).astype(np.float32)


def pictures(server, run):
    """Return a sum of the pictures that a run saved."""
    return hashlib.sha256(frames(server, run).tobytes()).hexdigest()


def apart(some, others):
    """Return how far pictures are apart: peak signal to noise in dB, and the largest difference of 255."""
    import numpy as np

    assert some.shape == others.shape
    off = np.abs(some - others)
    return 10 * np.log10(255**2 / max(1e-9, float((off**2).mean()))), float(off.max())


def cut(target, begin_s, length_s):
    """Write a part of the example speech."""
    with wave.open(str(ASSETS / "speech.wav")) as source, wave.open(str(target), "wb") as sink:
        sink.setparams(source.getparams())
        source.setpos(round(begin_s * source.getframerate()))
        sink.writeframes(source.readframes(round(length_s * source.getframerate())))


def test_a_folder_of_recordings_and_pictures_becomes_a_video_each(server, graphs):
    folder = server.base / "input" / "takes"
    folder.mkdir()
    for name, seconds in (("hello", 0.4), ("again", 0.6)):
        cut(folder / f"{name}.wav", 1.0, seconds)
    for name in ("ann", "bob"):
        shutil.copy(ASSETS / "portrait.png", folder / f"{name}.png")
    graph = graphs.folder()
    graph["3"]["inputs"] |= {"folder": "takes", "prefix": "takes/"}
    graph["2"] = {
        "class_type": "PortraitTalk_LoadPhotographs",
        "inputs": {"folder": "takes", "prefix": "people/%year%_"},
    }
    assert server.run(graph).status == "success"
    made = {path.name: probe(path).frames for path in (server.base / "output" / "takes").iterdir()}
    assert made == {"again_00001_.mp4": 15, "hello_00001_.mp4": 10}, "each as long as its own recording"
    graph["13"]["inputs"]["filename_prefix"] = ["2", 1]
    assert server.run(graph).status == "success"
    named = sorted(path.name for path in (server.base / "output" / "people").iterdir())
    year = time.strftime("%Y")
    assert named == [f"{year}_ann_00001_.mp4", f"{year}_bob_00001_.mp4"], "the host's own placeholders work"


def test_a_list_through_the_full_graph_shows_each_motion(server, graphs):
    graph = short(graphs)
    graph["3"] = {"class_type": "PortraitTalk_LoadRecordings", "inputs": {"folder": "takes", "prefix": "list/"}}
    graph["13"]["inputs"]["filename_prefix"] = ["3", 1]
    graph["5"]["inputs"]["duration_s"] = 0.0
    run = server.run(graph)
    assert run.status == "success", run.error
    motions, shown = (run.outputs["7"][key] for key in ("portraittalk_motion", "images"))
    assert [each["frames"] for each in motions] == [15, 10] and len(shown) == sum(each["pictures"] for each in motions)


def rss(server):
    """Return the bytes of memory that the host has."""
    for line in Path(f"/proc/{server.process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from /proc")
def test_ten_prompts_in_a_row_take_no_more_memory(server, graphs, capsys):
    held, took = [], []
    for number in range(IN_A_ROW):
        begun = time.monotonic()
        run = server.run(short(graphs, seed=number, seconds=1.0))
        assert run.status == "success", run.error
        took.append(time.monotonic() - begun)
        held.append(rss(server))
    with capsys.disabled():
        print(f"\n{IN_A_ROW} prompts: MB {[round(each / 1e6) for each in held]}, s {[round(each, 1) for each in took]}")
    # What a run has just let go of may still be there once, by 120 MB; what grows is there every time.
    assert min(held[-3:]) - held[SETTLED - 1] < MOST_GROWTH


def test_of_two_that_are_queued_one_is_cancelled_and_the_other_is_right(server, graphs):
    expected = pictures(server, server.run(short(graphs, seed=5)))
    server.post("/free", {"free_memory": True, "unload_models": True})
    long = short(graphs, seed=6, seconds=4.0, steps=100)
    first = server.post("/prompt", {"prompt": long})["prompt_id"]
    waiting = server.post("/prompt", {"prompt": short(graphs, seed=7)})["prompt_id"]
    done = {}
    thread = threading.Thread(target=lambda: done.update(run=server.run(short(graphs, seed=5))))
    thread.start()
    time.sleep(5)
    server.post("/queue", {"delete": [waiting]})
    server.post("/interrupt", {"prompt_id": first})
    thread.join(300)
    assert pictures(server, done["run"]) == expected
    history = server.get_json("/history")
    assert waiting not in history, "what was taken out of the queue never ran"
    cut_off = [kind for kind, _ in history[first]["status"]["messages"]]
    assert "execution_interrupted" in cut_off and "execution_success" not in cut_off


HINT = (3, 16, 16, 32, 32, 96, 96, 256)
"""Channels of a ControlNet's way from a picture to the first map."""


def patches(models):
    """Write a LoRA and a ControlNet of random weights that fit the tiny model, in the layouts that stock nodes read."""
    import torch
    from safetensors.torch import save_file

    from portraittalk_core import builders
    from portraittalk_core.checkpoints import native as weights
    from portraittalk_core.nets.unet_keys import to_comfy

    config, tensors = weights.read_denoiser(weights.model_files("tiny")["denoiser"])
    shape, generator = builders.unet_shape(config), torch.Generator().manual_seed(0)
    found = {key.removeprefix("unet."): value for key, value in tensors.items() if key.startswith("unet.")}
    unet = {key: value.float().contiguous() for key, value in to_comfy(found, shape).items()}

    def random(*sizes, share=0.05):
        return torch.randn(*sizes, generator=generator) * share

    lora = {}
    for key, value in unet.items():
        if key.endswith(("attn2.to_q.weight", "attn2.to_k.weight")):
            name = "lora_unet_" + key.removesuffix(".weight").replace(".", "_")
            lora[f"{name}.lora_up.weight"] = random(len(value), 4, share=0.3)
            lora[f"{name}.lora_down.weight"] = random(4, value.shape[1], share=0.3)
    control = {key: value for key, value in unet.items() if key.startswith(("input_blocks", "middle", "time_embed"))}
    last = len(shape.channels) - 1
    maps = [shape.channels[0], *(c for k, c in enumerate(shape.channels) for _ in range(shape.layers + (k < last)))]
    ends = {f"zero_convs.{k}.0": c for k, c in enumerate(maps)} | {"middle_block_out.0": shape.channels[-1]}
    for name, channels in ends.items():
        control |= {f"{name}.weight": random(channels, channels, 1, 1), f"{name}.bias": torch.zeros(channels)}
    for k, (given, made) in enumerate(zip(HINT, (*HINT[1:], shape.channels[0]))):
        name = f"input_hint_block.{2 * k}"
        control |= {f"{name}.weight": random(made, given, 3, 3), f"{name}.bias": torch.zeros(made)}
    for folder, file in (("loras", lora), ("controlnet", control)):
        (models / folder).mkdir(parents=True, exist_ok=True)
        save_file(file, models / folder / "random.safetensors")


def test_stock_lora_and_controlnet_act_at_run_time_and_leave_nothing(server, graphs):
    plain = pictures(server, server.run(short(graphs, seed=9)))
    graph = short(graphs, seed=9)
    graph["17"] = {
        "class_type": "LoraLoaderModelOnly",
        "inputs": {"model": ["1", 0], "lora_name": "random.safetensors", "strength_model": 1.0},
    }
    graph["8"]["inputs"]["model"] = ["17", 0]
    lora = pictures(server, server.run(graph))
    graph["18"] = {"class_type": "ControlNetLoader", "inputs": {"control_net_name": "random.safetensors"}}
    graph["19"] = {
        "class_type": "ControlNetApplyAdvanced",
        "inputs": {
            "positive": ["8", 1],
            "negative": ["8", 2],
            "control_net": ["18", 0],
            "image": ["4", 1],
            "strength": 1.0,
            "start_percent": 0.0,
            "end_percent": 1.0,
        },
    }
    graph["10"]["inputs"] |= {"positive": ["19", 0], "negative": ["19", 1]}
    both = server.run(graph)
    assert both.status == "success", both.error
    assert len({plain, lora, pictures(server, both)}) == 3, "each changes the pictures"
    log = server.log.read_text(errors="replace")
    assert "lora key not loaded" not in log and "missing controlnet keys" not in log
    server.post("/free", {"free_memory": True})
    time.sleep(2)
    assert pictures(server, server.run(short(graphs, seed=9))) == plain


@pytest.mark.parametrize(("flag", "partly"), [("--novram", True), ("--lowvram", False)])
def test_a_host_told_to_save_memory_gives_the_same_pictures(server, graphs, tmp_path, capsys, flag, partly):
    expected = frames(server, server.run(short(graphs, seed=5)))
    pack, modules = tmp_path / "custom_nodes" / "room", tmp_path / "modules"
    for folder, name, text in ((pack, "__init__.py", ROOM), (modules, "sitecustomize.py", DEVICE)):
        folder.mkdir(parents=True)
        (folder / name).write_text(text)
    with serve(tmp_path, device=(flag,), modules=modules) as other:
        other.post("/portraittalk/examples", {})
        psnr, most = apart(frames(other, other.run(short(graphs, seed=5))), expected)
        log = other.log.read_text(errors="replace")
    with capsys.disabled():
        print(f"\n{flag} against weights in place: {psnr:.1f} dB, at most {most:.0f} of 255")
    assert psnr > LEAST_PSNR
    assert f"Set vram state to: {'NO' if partly else 'LOW'}_VRAM" in log
    # `--lowvram` leaves 128 MB for weights in any case, more than the tiny model has.
    assert ("loaded partially" in log) == partly and ("loaded completely" in log) != partly


def test_the_video_is_the_one_of_the_command_line(server, graphs, tmp_path, capsys):
    import torch

    from portraittalk_core import PortraitTalk
    from portraittalk_core.media.audio import read_sound
    from portraittalk_core.media.image import read_image

    cut(server.base / "input" / "said.wav", 1.0, 0.4)
    graph = graphs.one_node()
    graph["3"]["inputs"]["audio"] = "said.wav"
    graph["30"]["inputs"] |= {"frame": "crop", "seed": 4}
    graph["50"] = {"class_type": "SaveImage", "inputs": {"images": ["30", 1], "filename_prefix": "same"}}
    run = server.run(graph)
    picture = read_image(ROOT / "workflows" / "inputs" / "astronaut.jpg")
    sound = read_sound(server.base / "input" / "said.wav")
    prompt = graph["30"]["inputs"]["prompt"]
    with torch.inference_mode():
        parts = [part.pixels for part in PortraitTalk.load("tiny").generate([picture], sound, prompt, seed=4)]
    there = ((torch.cat(parts).movedim(1, -1) / 2 + 0.5).clamp(0, 1) * 255).round().numpy()
    _, height, width, _ = there.shape  # in ComfyUI odd sides are made even
    psnr, most = apart(frames(server, run)[:, :height, :width], there)
    with capsys.disabled():
        print(f"\nComfyUI against the command line: {psnr:.1f} dB, at most {most:.0f} of 255")
    assert psnr > LEAST_PSNR
