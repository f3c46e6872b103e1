"""Make the workflow files and their pictures with a real ComfyUI and its frontend: `python workflows/export.py`.

For each graph of `graphs.py`: the JSON that the frontend saves (called by its title), the API format, pictures of the
page after a run in docs/workflows, in the dark and in the light theme, and a thumbnail: frames of the video that it
makes, and a close-up of the nodes that are its own. The quickstart's middle becomes the blueprint in
`subgraphs`. Needs ComfyUI, playwright and Chromium, as `tests/hosts/test_browser.py` does; every graph that can run is
run.
"""

from __future__ import annotations

import argparse
import io
import json
import logging
import shutil
import sys
import tempfile
import uuid
import wave
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PICTURES = HERE.parent / "docs" / "workflows"
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "tests" / "hosts")]

import graphs  # noqa: E402
import layout  # noqa: E402
from comfy_server import ComfyServer, serve  # noqa: E402
from texts import NOTES, TITLES  # noqa: E402

logger = logging.getLogger(__name__)

READY = "() => window.app?.graph && Object.keys(window.LiteGraph?.registered_node_types ?? {}).length > 100"

FIX_SEEDS = """() => {
  for (const node of app.graph._nodes)
    for (const widget of node.widgets ?? []) if (widget.name === "control_after_generate") widget.value = "fixed";
}"""

SHOW = """() => {
  const boxes = [...app.graph._nodes, ...app.graph._groups].map(each => [...each.pos, ...each.size]);
  const left = Math.min(...boxes.map(b => b[0])), top = Math.min(...boxes.map(b => b[1])) - 40;
  const right = Math.max(...boxes.map(b => b[0] + b[2])), bottom = Math.max(...boxes.map(b => b[1] + b[3]));
  const {clientWidth: width, clientHeight: height} = app.canvas.canvas;
  const scale = Math.min(1, (width - 80) / (right - left), (height - 150) / (bottom - top));
  app.canvas.ds.scale = scale;
  app.canvas.ds.offset = [40 / scale - left, 90 / scale - top];
  app.canvas.setDirty(true, true);
}"""

CLOSE_UP = """([ids, width, height, left, top]) => {
  const nodes = ids.length ? ids.map(id => app.graph.getNodeById(Number(id))) : [...app.graph._nodes, ...app.graph._groups];
  const edges = [0, 1].map(axis => [Math.min(...nodes.map(n => n.pos[axis])), Math.max(...nodes.map(n => n.pos[axis] + n.size[axis]))]);
  const [[west, east], [north, south]] = edges;
  const scale = ids.length ? 0.75 : Math.min(width / (east - west + 40), height / (south - north + 90));
  const corner = app.canvas.canvas.getBoundingClientRect();
  app.canvas.ds.scale = scale;
  app.canvas.ds.offset = [(left - corner.left + width / 2) / scale - (west + east) / 2, (top - corner.top) / scale - north + 70];
  app.canvas.setDirty(true, true);
}"""  # noqa: E501
"""Show some nodes of a graph, or all, where a thumbnail is cut out of the page (run in the page)."""

CLIP = {"x": 900, "y": 250, "width": 512}
"""Where that is."""

OWN = {
    "one_node": ["30"],
    "full_graph": [],
    "multi_reference": ["24"],
    "dubbing": ["29"],
    "motion_file": ["32"],
    "folder": ["3"],
    "long_video": ["10"],
    "any_sampler": ["14"],
    "sd15_public_weights": ["1"],
    "chain_with_lora_and_controlnet": ["1", "17"],
}
"""Nodes that a thumbnail shows, by graph; none is the whole graph. The others show four frames, or a plot."""

SECONDS = {"prompt_edit": 2.5, "adfd_score": 1.6}
"""Of the recording that are spoken for the pictures, where a second does not show it."""

SETTINGS = {"Comfy.TutorialCompleted": True, "Comfy.Minimap.Visible": False, "LiteGraph.Canvas.MinFontSizeForLOD": 0}
"""Of the frontend, for the pictures: no first-run dialog, nothing hides the graph, texts are drawn however small."""

HEAD = (0.2, 0.0, 0.45)
"""Left, top and side of what a thumbnail shows of the example photograph, as shares of its width."""

ALIASES = ["talking head", "lip sync", "avatar", "portrait", "dubbing"]
"""Words by which newer hosts find the blueprint as well."""

DESCRIPTION = "A photograph and a recording in, a video of the photograph speaking out."


def main() -> None:
    """Read the command line and export."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", help="names of graphs (all)")
    parser.add_argument("--no-run", action="store_true", help="run nothing: keep the pictures that are there")
    parser.add_argument("--still", action="store_true", help="take pictures, but run nothing")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    from playwright.sync_api import sync_playwright

    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as base, _serve(Path(base)) as server, sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=options)
        for name, value in SETTINGS.items():
            server.post(f"/settings/{name}", value)
        for make in (*graphs.TINY, *graphs.SD15):
            if not given.only or make.__name__ in given.only:
                saved = export(_page(browser, server), server, make)
                if not given.no_run:
                    run = make in graphs.TINY and not given.still
                    _pictures(_page(browser, server), server, make, saved, run)
        browser.close()


def _page(browser: Any, server: ComfyServer) -> Any:
    """Open the frontend as somebody does who has opened nothing yet; the page before is closed."""
    for context in browser.contexts:
        context.close()
    page = browser.new_page(viewport={"width": 2300, "height": 1060})
    page.goto(server.url, wait_until="domcontentloaded", timeout=240_000)
    page.wait_for_function(READY, timeout=240_000)
    page.wait_for_timeout(2500)
    page.keyboard.press("Escape")
    return page


def _serve(base: Path) -> Any:
    """Start the host with empty stand-ins for the public files: the frontend makes no node whose list is empty."""
    for model in graphs.MODELS.values():
        folder = base / "models" / model["directory"]
        folder.mkdir(parents=True)
        (folder / model["name"]).touch()
    inputs = base / "input" / "portraittalk"
    inputs.mkdir(parents=True)
    shutil.copy(HERE / "inputs" / "astronaut.jpg", inputs)
    return serve(base)


def _speak(server: ComfyServer, seconds: float = 60.0) -> None:
    """Put the recording among the inputs, or so much of it as a picture needs."""
    with wave.open(str(HERE.parent / "portraittalk_core" / "assets" / "speech.wav")) as source:
        rate, count = source.getframerate(), source.getnframes()
        sound = source.readframes(min(count, round(seconds * rate)))
        with wave.open(str(server.base / "input" / "portraittalk" / "speech.wav"), "wb") as sink:
            sink.setparams(source.getparams())
            sink.writeframes(sound)


def export(page: Any, server: ComfyServer, make: Any) -> dict[str, Any]:
    """Write one workflow in both formats; return what the frontend saves."""
    name, title, graph = make.__name__, TITLES[make.__name__], make()
    _speak(server)
    page.evaluate("([api, name]) => app.loadApiJson(api, name)", [graph, title])
    page.wait_for_timeout(1500)
    page.evaluate(FIX_SEEDS)
    if make is graphs.quickstart:
        inside = [number for number in graph if number not in layout.OUTER]
        _place(page, layout.COLUMNS, NOTES["full_graph"])
        page.evaluate(layout.WRAP, [inside, "PortraitTalk"])
    note = NOTES[name] + (_files() if make in graphs.SD15 else "")
    page.evaluate("() => { for (const g of [...app.graph._groups]) app.graph.remove(g); }")
    page.evaluate(
        "() => { for (const n of app.graph._nodes.filter(n => n.type === 'MarkdownNote')) app.graph.remove(n); }"
    )
    _place(page, _columns(page), note)
    page.evaluate(SHOW)
    page.wait_for_timeout(1500)
    saved = _saved(page, make)
    (HERE / f"{title}.json").write_text(json.dumps(saved, indent=1) + "\n", encoding="utf-8")
    if make is not graphs.quickstart:
        (HERE / "api" / f"{name}.json").write_text(json.dumps(graph, indent=1) + "\n", encoding="utf-8")
    else:
        _publish(saved)
    logger.info("%s: %d nodes", name, len(saved["nodes"]))
    return saved


def _place(page: Any, columns: Any, note: str) -> None:
    page.evaluate(layout.PLACE, [columns, layout.SIZES, layout.GREEN, note, layout.GAPS])


def _columns(page: Any) -> list[Any]:
    """Return the columns, with the blueprint, whose number the frontend chose, in its place."""
    wrapped = page.evaluate("() => app.graph._nodes.filter(n => n.subgraph).map(n => String(n.id))")
    bare = [(title, [number for number in ids if number not in wrapped]) for title, ids in layout.COLUMNS]
    return [(title, [*ids, *(wrapped if "40" in ids else [])]) for title, ids in bare]


def _saved(page: Any, make: Any) -> dict[str, Any]:
    """Return what the frontend saves, with what the host's dialogs ask of a workflow."""
    # Turned into text inside the page: outside, what is undefined would become null and trouble the loader.
    saved: dict[str, Any] = json.loads(page.evaluate("() => JSON.stringify(app.graph.serialize())"))
    # By its id the player finds what a workflow showed last: no two may share one.
    saved["id"] = str(uuid.uuid5(uuid.NAMESPACE_URL, f"portraittalk/{make.__name__}"))
    inner = [node for each in saved.get("definitions", {}).get("subgraphs", []) for node in each["nodes"]]
    for node in (*saved["nodes"], *inner):
        properties = node.setdefault("properties", {})
        if node["type"].startswith("PortraitTalk_"):
            properties |= {"cnr_id": "portraittalk", "Node name for S&R": node["type"]}
        if node["type"] in graphs.MODELS:
            properties["models"] = [graphs.MODELS[node["type"]]]
        if node["type"] == "PortraitTalk_Load" and make in graphs.SD15:
            properties["models"] = graphs.public_files()
    return saved


def _files() -> str:
    """Return a table of the public files, for a note."""
    rows = [f"| {e.save_as} | {e.size / 1e9:.2f}\u00a0GB | {e.licence} |" for e in graphs.public_entries()]
    return "\n\n| file in models/ | size | licence |\n|---|---|---|\n" + "\n".join(rows)


def _publish(saved: dict[str, Any]) -> None:
    """Write the blueprint: the one subgraph node of a workflow, alone."""
    (definition,) = saved["definitions"]["subgraphs"]
    (node,) = (each for each in saved["nodes"] if each["type"] == definition["id"])
    alone = {**node, "pos": [0, 0]}
    alone["inputs"] = [{**socket, "link": None} for socket in node["inputs"]]
    alone["outputs"] = [{**socket, "links": []} for socket in node["outputs"]]
    blueprint = {
        "revision": 0,
        "last_node_id": node["id"],
        "last_link_id": 0,
        "nodes": [alone],
        "links": [],
        "version": 0.4,
        "definitions": {"subgraphs": [definition]},
        "extra": {"BlueprintDescription": DESCRIPTION, "BlueprintSearchAliases": ALIASES},
    }
    folder = HERE.parent / "subgraphs"
    folder.mkdir(exist_ok=True)
    (folder / "PortraitTalk.json").write_text(json.dumps(blueprint, indent=1) + "\n", encoding="utf-8")


def _pictures(page: Any, server: ComfyServer, make: Any, saved: dict[str, Any], run: bool) -> None:
    """Open a workflow as whoever chooses it does, run it where it needs no weights, and take its pictures."""
    name, title, graph = make.__name__, TITLES[make.__name__], make()
    page.evaluate("([saved, title]) => app.loadGraphData(saved, true, true, title)", [saved, title])
    page.wait_for_timeout(2500)
    page.evaluate(SHOW)
    page.wait_for_timeout(1500)
    outputs: dict[str, Any] | None = None
    if run:
        _speak(server, SECONDS.get(name, 1.1))
        seen = set(server.get_json("/history"))
        page.evaluate("() => app.queuePrompt(0, 1)")
        outputs = _finished(page, server, seen)["outputs"]
        page.wait_for_timeout(4000)
    (PICTURES / f"{name}.jpg").write_bytes(_small(page.screenshot(type="png"), 1600, 62))
    close_up = _close_up(page, OWN[name], 256 if outputs else 512) if name in OWN else None
    _colours(page, "light")
    (PICTURES / f"{name}_light.jpg").write_bytes(_small(page.screenshot(type="png"), 1200, 58))
    _colours(page, "dark")
    (HERE / f"{title}.jpg").write_bytes(_thumbnail(server, outputs, graph, close_up))


def _close_up(page: Any, ids: list[str], height: int) -> Any:
    """Return the pixels of some nodes as the page shows them."""
    import numpy as np
    from PIL import Image

    clip = {**CLIP, "height": height}
    page.evaluate(CLOSE_UP, [ids, clip["width"], clip["height"], clip["x"], clip["y"]])
    page.wait_for_timeout(1500)
    return np.asarray(Image.open(io.BytesIO(page.screenshot(type="png", clip=clip))).convert("RGB"))


def _colours(page: Any, palette: str) -> None:
    """Choose a theme of the frontend, and wait until the page shows it."""
    page.evaluate("name => app.extensionManager.setting.set('Comfy.ColorPalette', name)", palette)
    page.wait_for_timeout(2000)
    page.evaluate(SHOW)
    page.wait_for_timeout(1500)


def _finished(page: Any, server: ComfyServer, seen: set[str], timeout_s: float = 2400) -> dict[str, Any]:
    """Wait until the host has run something new; return its history."""
    for _ in range(int(timeout_s)):
        page.wait_for_timeout(1000)
        new = {key: run for key, run in server.get_json("/history").items() if key not in seen}
        for run in new.values():
            if run.get("status", {}).get("status_str") == "success":
                return run
            if run.get("status", {}).get("status_str") == "error":
                raise RuntimeError(run["status"]["messages"][-1])
    raise TimeoutError(f"no run ended within {timeout_s:g} s")


def _thumbnail(server: ComfyServer, outputs: dict[str, Any] | None, graph: graphs.Graph, close_up: Any) -> bytes:
    """Return a JPEG: frames of the video that a run made, above a plot or a close-up; that alone where nothing ran."""
    import numpy as np
    from PIL import Image

    if outputs is None:
        return _jpeg(close_up, 72)
    small = [np.asarray(Image.fromarray(head).resize((256, 256))) for head in _heads(server, outputs)]
    above, below = (np.concatenate(part, 1) for part in (small[:2], small[2:]))
    if graphs.PLOT in graph:
        (plot,) = outputs[graphs.PLOT]["images"]
        image = Image.open(io.BytesIO(server.fetch(plot))).convert("RGB")
        below = np.asarray(image.resize((above.shape[1], round(above.shape[1] * image.height / image.width))))
    return _jpeg(np.concatenate([above, below if close_up is None else close_up]), 72)


def _heads(server: ComfyServer, outputs: dict[str, Any]) -> list[Any]:
    """Return the head in four frames of the video that a run made."""
    import av

    shown = [item for output in outputs.values() for item in output.get("images", [])]
    (video,) = (item for item in shown if item["filename"].endswith(".mp4"))
    with av.open(io.BytesIO(server.fetch(video))) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    left, top, side = (round(share * frames[0].shape[1]) for share in HEAD)
    chosen = [frames[round(k * (len(frames) - 1))] for k in (0.1, 0.4, 0.65, 0.95)]
    return [frame[top : top + side, left : left + side] for frame in chosen]


def _small(picture: bytes, width: int, quality: int) -> bytes:
    import numpy as np
    from PIL import Image

    image = Image.open(io.BytesIO(picture)).convert("RGB")
    return _jpeg(np.asarray(image.resize((width, round(width * image.height / image.width)))), quality)


def _jpeg(pixels: Any, quality: int) -> bytes:
    from PIL import Image

    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, "JPEG", quality=quality, optimize=True)
    return sink.getvalue()


if __name__ == "__main__":
    main()
