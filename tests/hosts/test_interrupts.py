"""Interrupted at any moment, a real ComfyUI stops soon, leaves nothing behind, and its next run is right.

Runs are cut at moments spread over a whole run, each after another part of it; the run after each goes on from what the
host kept of it. Slow: `make test-comfyui` runs it.
"""

import hashlib
import os
import random
import threading
import time

import pytest

from portraittalk_core.media.video import probe

from .comfy_server import missing_host, serve

pytestmark = [pytest.mark.comfy, pytest.mark.slow]

SEED = 20
MOMENTS = int(os.environ.get("PORTRAITTALK_INTERRUPTS", "20"))
"""How many interrupts; docs/reliability.md has the figures of 200."""

SECONDS = 0.4
"""Of speech: ten frames, in two windows of eight."""

MOST_S = 2.0
"""From the interrupt to the end, on a machine with nothing else to do."""

LOADER, MODEL = "1", ["1", 0]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    why = missing_host()
    if why:
        pytest.skip(why)
    with serve(tmp_path_factory.mktemp("comfy")) as running:
        running.post("/portraittalk/examples", {})
        yield running


def whole(graphs, seed):
    """Return the graph of the quickstart, short, with the decoded pictures kept exactly as well: the sampler runs."""
    graph = graphs.full_graph()
    graph["5"]["inputs"]["duration_s"] = SECONDS
    graph["10"]["inputs"] |= {"steps": 2, "seed": seed, "window": 8, "overlap": 4}
    graph["50"] = {"class_type": "SaveImage", "inputs": {"images": ["11", 0], "filename_prefix": "exact"}}
    return graph


def bare():
    """Return a graph of stock samplers on the same MODEL, which nothing of ours may have changed."""
    return {
        LOADER: {"class_type": "PortraitTalk_Load", "inputs": {"model": "tiny"}},
        "2": {"class_type": "CLIPTextEncode", "inputs": {"clip": [LOADER, 1], "text": "a person"}},
        "3": {"class_type": "PortraitTalk_AvatarPortrait", "inputs": {"seed": 1007567, "pictures": 1, "size": 512}},
        "5": {"class_type": "VAEEncode", "inputs": {"pixels": ["3", 0], "vae": [LOADER, 2]}},
        "6": {
            "class_type": "KSampler",
            "inputs": {
                "model": MODEL,
                "positive": ["2", 0],
                "negative": ["2", 0],
                "latent_image": ["5", 0],
                "seed": 3,
                "steps": 2,
                "cfg": 1.0,
                "sampler_name": "euler",
                "scheduler": "simple",
                "denoise": 0.9,
            },
        },
        "7": {"class_type": "VAEDecode", "inputs": {"samples": ["6", 0], "vae": [LOADER, 2]}},
        "8": {"class_type": "SaveImage", "inputs": {"images": ["7", 0], "filename_prefix": "bare"}},
    }


def pictures(server, run):
    """Return a sum of the pictures that a run saved, as a viewer sees them."""
    import io

    from PIL import Image

    found = sorted(server.files(run, ".png"), key=lambda file: file["filename"])
    kept = [file for file in found if file["type"] == "output"]
    assert kept
    sums = hashlib.sha256()
    for file in kept:
        sums.update(Image.open(io.BytesIO(server.fetch(file))).tobytes())
    return sums.hexdigest()


def interrupted(server, graph, after_s):
    """Run a graph, interrupt it; return the run, how long the end took, and which node was running."""
    done = {}
    thread = threading.Thread(target=lambda: done.update(run=server.run(graph)))
    thread.start()
    time.sleep(after_s)
    asked = time.monotonic()
    server.post("/interrupt", {})
    thread.join(300)
    took = time.monotonic() - asked
    run = done["run"]
    cut = [m["data"] for m in run.messages if m["type"] == "execution_interrupted"]
    return run, took, cut[0]["node_type"] if cut else None


def test_the_run_after_an_interrupt_at_any_moment_is_right(server, graphs, capsys):
    expected = pictures(server, server.run(whole(graphs, 1)))
    plain = pictures(server, server.run(bare()))
    server.post("/free", {"free_memory": True, "unload_models": True})
    time.sleep(2)
    begun = time.monotonic()
    again = server.run(whole(graphs, 1))
    lasted = time.monotonic() - begun
    assert pictures(server, again) == expected, "the same graph gives the same bits"
    chance, stopped, slowest = random.Random(SEED), {}, 0.0
    for moment in chance.sample(range(MOMENTS), MOMENTS):  # in any order: a test that is stopped has seen all parts
        server.post("/free", {"free_memory": True, "unload_models": moment % 2 == 0})
        time.sleep(1.5)
        after_s = lasted * (moment + chance.random()) / MOMENTS
        run, took, kind = interrupted(server, whole(graphs, 1), after_s)
        if kind is not None:
            stopped.setdefault(kind, []).append(took)
            slowest = max(slowest, took)
        else:
            assert run.status == "success", run.error
        begun = time.monotonic()
        assert pictures(server, server.run(whole(graphs, 1))) == expected, f"after {kind} was interrupted"
        lasted = min(lasted, time.monotonic() - begun)  # else a busy first run would put moments after the others' ends
    with capsys.disabled():
        busy = os.getloadavg()[0] / (os.cpu_count() or 1)
        print(f"\ninterrupted in a run of {lasted:.1f} s, {busy:.1f} times as much to do as there are cores:")
        for kind, times in stopped.items():
            print(f"  {kind:38} {len(times):2} times, stopped after at most {max(times):.2f} s")
    assert sum(map(len, stopped.values())) > MOMENTS // 2
    assert slowest < MOST_S * max(1.0, busy)
    assert pictures(server, server.run(bare())) == plain, "nothing is left in the MODEL"
    _nothing_is_half_written(server)


def _nothing_is_half_written(server):
    frames = round(SECONDS * 25)
    for file in (path for path in (server.base / "output").rglob("*") if path.is_file()):
        assert file.suffix in (".png", ".mp4"), file
        if file.suffix == ".mp4":
            assert probe(file).frames == frames, file
