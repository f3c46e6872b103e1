"""Every tiny workflow, run over HTTP by a real ComfyUI, gives a playable video as long as its sound."""

import importlib.util
import json
import os
import threading
import time
import urllib.error
import urllib.parse
from pathlib import Path

import pytest

from portraittalk_core.checkpoints.native import ASSETS
from portraittalk_core.media.audio import read_sound
from portraittalk_core.media.video import probe

from .comfy_server import missing_host, serve

pytestmark = pytest.mark.comfy

FOLDER = Path(__file__).resolve().parents[2] / "workflows"


def _graphs():
    spec = importlib.util.spec_from_file_location("graphs", FOLDER / "graphs.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GRAPHS = _graphs()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    why = missing_host()
    if why:
        pytest.skip(why)
    with serve(tmp_path_factory.mktemp("comfy")) as running:
        wanted = [GRAPHS.PHOTOGRAPH, GRAPHS.SPEECH, GRAPHS.CLIP, GRAPHS.MOTION]
        assert running.post("/portraittalk/examples", {}) == wanted
        yield running


@pytest.fixture(scope="module")
def speech_s() -> float:
    return read_sound(ASSETS / "speech.wav").duration_s


FLAT = [make for make in GRAPHS.TINY if make is not GRAPHS.quickstart]
"""The quickstart is the full graph once more."""


@pytest.mark.parametrize("make", FLAT, ids=lambda make: make.__name__)
def test_a_tiny_workflow_runs_as_it_is(server, tmp_path, make, speech_s):
    graph = make()
    started = time.monotonic()
    run = server.run(graph, timeout_s=1800)
    assert run.status == "success", run.error
    (shown,) = server.files(run, ".mp4")
    video = tmp_path / "video.mp4"
    video.write_bytes(server.fetch(shown))
    asked = speech_s * (2 if make is GRAPHS.long_video else 1)
    found = probe(video)
    print(f"{make.__name__}: {found.frames} frames in {time.monotonic() - started:.0f} s")
    assert found.frames == round(asked * 25) and (found.width, found.height) == (512, 512), "as the photograph is"
    assert found.audio_codec == "aac"
    assert abs(read_sound(video).duration_s - asked) < 0.02 + 0.1  # AAC pads to whole packets
    if "7" in graph:
        curves = run.outputs["7"]["portraittalk_motion"][0]
        assert curves["frames"] == len(curves["jaw"]) == len(curves["loudness"]) == found.frames
    if "10" in graph and graph["10"]["class_type"].endswith("Sampler"):
        shown = len([1 for node, _ in run.previews if node == "10"])
        pasted = any(node["class_type"] == "PortraitTalk_PasteBack" for node in graph.values())
        assert shown == 0 if pasted else shown >= graph["10"]["inputs"]["steps"], "nothing of its frames would be seen"
    if GRAPHS.PLOT in graph:
        _check_score(server, run, found.frames)


def _check_score(server, run, frames):
    """The tiny model's own face networks find its face, so that the video has a score, a plot and a curve."""
    (score,) = run.outputs["20"]["portraittalk_score"]
    (report,) = run.outputs["22"]["text"]
    (plot,) = run.outputs[GRAPHS.PLOT]["images"]
    print(report)
    word, value, over, *_ = report.split()
    assert (word, over) == ("ADFD", "over") and abs(float(value) - score["adfd"]) < 0.001 and 0.3 < score["adfd"] <= 1
    assert abs(score["offset"]) <= 2, "the mouth follows the voice"
    assert score["frames"] == frames and abs(len(score["mouth"]) - frames) <= 2
    assert sum(value is not None for value in score["mouth"]) > 0.9 * frames
    assert len(run.outputs["20"]["images"]) == min(frames, 50)
    data = server.fetch(plot)
    assert data[:8] == b"\x89PNG\r\n\x1a\n" and int.from_bytes(data[16:20], "big") == 1200


def _short(seconds: float = 0.4, **sampler):
    """Return a graph whose decoded frames are wanted for themselves, or the sampler would rest."""
    graph = GRAPHS.full_graph()
    graph["14"] = {"class_type": "PreviewImage", "inputs": {"images": ["11", 0]}}
    graph["5"]["inputs"]["duration_s"] = seconds
    graph["10"]["inputs"] |= sampler
    return graph


def test_the_bar_moves_with_every_window_and_an_interrupt_stops_within_two_seconds(server):
    before = server.run(_short(steps=2))
    assert before.status == "success", before.error
    done = {}
    graph = _short(seconds=4.0, steps=200, seed=3)
    thread = threading.Thread(target=lambda: done.update(run=server.run(graph, timeout_s=600)))
    thread.start()
    end = time.monotonic() + 300
    while time.monotonic() < end and "0%" not in server.log.read_text(errors="replace")[-400:]:
        time.sleep(0.5)
    time.sleep(20)
    asked = time.monotonic()
    server.post("/interrupt", {})
    thread.join(120)
    took = time.monotonic() - asked
    run = done["run"]
    busy = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    moves = {m["data"]["value"] for m in run.messages if m["type"] == "progress" and m["data"].get("node") == "10"}
    print(f"stopped after {took:.1f} s on a machine {busy:.1f} times as busy as it can be; the bar moved to {moves}")
    assert any(m["type"] == "execution_interrupted" for m in run.messages)
    assert took < 2 * busy
    assert any(value % 100 for value in moves), "a step is a hundred parts, and has nine windows"
    after = server.run(_short(steps=2, seed=0))
    assert after.status == "success", after.error


def test_what_does_not_stop_a_node_is_noted_on_it(server):
    graph = _short(steps=1)
    graph["6"]["inputs"] |= {"prompt": "a smling person", "edits": "3.0: a sad person"}
    # Nobody has told this model who the person is; the sampler is.
    graph["10"]["inputs"] |= {"model": ["1", 0], "identity": ["4", 0]}
    run = server.run(graph)
    assert run.status == "success", run.error
    late, unknown = run.outputs["6"]["portraittalk_notes"]
    assert late.startswith("The edit at 3 s begins after the video has ended, at 0.40 s")
    assert 'does not know "smling" (did you mean "smiling"?)' in unknown
    (stranger,) = run.outputs["10"]["portraittalk_notes"]
    assert stranger.startswith("`model` was not told who the person is")


def test_errors_are_one_line_and_leave_the_host_usable(server):
    graph = _short(window=40)
    run = server.run(graph)
    assert run.status == "error"
    assert run.error["exception_message"].strip() == (
        "`window` must be at most 32 frames for this model, but got 40. Try 16."
    )
    empty = _short()
    empty["2"] = {"class_type": "EmptyImage", "inputs": {"width": 256, "height": 256, "batch_size": 1, "color": 0}}
    run = server.run(empty)
    assert "no face was found" in run.error["exception_message"] and run.error["node_id"] == "4"
    unknown = _short()
    unknown["1"]["inputs"]["model"] = "sd15-portraittalk"
    run = server.run(unknown)
    said = run.error["exception_message"]
    assert 'Press "Public files" on a Load PortraitTalk that is set to this model' in said and "`" not in said
    assert server.run(_short(steps=1)).status == "success"


def test_the_nodes_are_the_committed_ones(server):
    committed = json.loads((Path(__file__).parents[1] / "nodes" / "schemas.json").read_text())
    served = {k: v for k, v in server.get_json("/object_info").items() if k.startswith("PortraitTalk_")}
    assert sorted(served) == sorted(committed)
    for name, schema in committed.items():
        order = served[name]["input_order"]
        asked = [i["id"] for i in schema["inputs"] if not i.get("optional")]
        assert order["required"] == asked, name
        assert served[name]["output"] == [o["type"] for o in schema["outputs"]], name
        described = {**served[name]["input"]["required"], **served[name]["input"].get("optional", {})}
        bare = [key for key, (_, *options) in described.items() if not (options and options[0].get("tooltip"))]
        assert not bare, f"{name}: inputs without a tooltip: {bare}"


def test_templates_have_their_pictures_where_the_host_serves_none(server):
    for name in ("Talking portrait", "SD1.5, public weights"):
        shown = server.get(f"/workflow_templates/portraittalk/{urllib.parse.quote(name)}.jpg")
        assert shown == (FOLDER / f"{name}.jpg").read_bytes()
    with pytest.raises(urllib.error.HTTPError, match="404"):
        server.get("/workflow_templates/portraittalk/no%20such.jpg")
