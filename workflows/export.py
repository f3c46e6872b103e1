"""Make the workflow files and their pictures with a real ComfyUI and its frontend: `python workflows/export.py`.

For each graph of `graphs.py`: the JSON that the frontend saves, a picture of it in docs/workflows, and a thumbnail: a
strip of the video that it makes, or the graph where it needs weights that are not here. Needs ComfyUI, playwright and
Chromium, as `tests/hosts/test_browser.py` does.
"""

from __future__ import annotations

import argparse
import io
import json
import logging
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PICTURES = HERE.parent / "docs" / "workflows"
sys.path[:0] = [str(HERE), str(HERE.parent / "tests" / "hosts")]

import graphs  # noqa: E402
from comfy_server import ComfyServer, serve  # noqa: E402

logger = logging.getLogger(__name__)

READY = "() => window.app?.graph && Object.keys(window.LiteGraph?.registered_node_types ?? {}).length > 100"
COLUMNS = (
    ("1", "2", "3", "17"),
    ("4", "5", "6", "18"),
    ("7", "8", "19"),
    ("9", "10", "14", "15"),
    ("11", "16", "12", "13"),
    ("20",),
    ("21", "22"),
)
"""Which nodes stand under one another, from left to right."""

PLACE = """columns => {
  let x = 0;
  for (const column of columns) {
    let y = 0, widest = 0;
    for (const id of column) {
      const node = app.graph.getNodeById(Number(id));
      if (!node) continue;
      node.setSize(node.computeSize());
      node.pos = [x, y];
      y += node.size[1] + 60;
      widest = Math.max(widest, node.size[0]);
    }
    x += widest ? widest + 150 : 0;  // the player makes its node wider
  }
  app.canvas.setDirty(true, true);
}"""

FIX_SEEDS = """() => {
  for (const node of app.graph._nodes)
    for (const widget of node.widgets ?? []) if (widget.name === "control_after_generate") widget.value = "fixed";
}"""

SHOW = """() => {
  let right = 0, bottom = 0;
  for (const n of app.graph._nodes) {
    right = Math.max(right, n.pos[0] + n.size[0]); bottom = Math.max(bottom, n.pos[1] + n.size[1]);
  }
  const scale = Math.min(1, (innerWidth - 160) / right, (innerHeight - 220) / bottom);
  app.canvas.ds.scale = scale;
  app.canvas.ds.offset = [90 / scale, 120 / scale];
  app.canvas.setDirty(true, true);
}"""


def main() -> None:
    """Read the command line and export."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", help="names of graphs (all)")
    parser.add_argument("--no-run", action="store_true", help="keep the thumbnails that are there")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    from playwright.sync_api import sync_playwright

    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as base, _serve(Path(base)) as server, sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=options)
        page = browser.new_page(viewport={"width": 1920, "height": 1080})
        page.goto(server.url, wait_until="domcontentloaded", timeout=240_000)
        page.wait_for_function(READY, timeout=240_000)
        page.wait_for_timeout(2500)
        page.keyboard.press("Escape")
        for make in (*graphs.TINY, *graphs.SD15):
            if not given.only or make.__name__ in given.only:
                export(page, server, make, run=not given.no_run and make in graphs.TINY)
        browser.close()


def _serve(base: Path) -> Any:
    """Start the host with empty stand-ins for the public files: the frontend makes no node whose list is empty."""
    for model in graphs.MODELS.values():
        folder = base / "models" / model["directory"]
        folder.mkdir(parents=True)
        (folder / model["name"]).touch()
    (base / "input").mkdir()
    for name in ("example.png", "speech.wav"):
        (base / "input" / name).touch()
    return serve(base)


def export(page: Any, server: ComfyServer, make: Any, run: bool) -> None:
    """Write one workflow, its picture and its thumbnail."""
    name, graph = make.__name__, make()
    page.evaluate("([api, name]) => app.loadApiJson(api, name)", [graph, name])
    page.wait_for_timeout(1500)
    page.evaluate(FIX_SEEDS)
    page.evaluate(PLACE, COLUMNS)
    page.evaluate(SHOW)
    page.wait_for_timeout(1500)
    # Turned into text inside the page: outside, what is undefined would become null and trouble the loader.
    saved = json.loads(page.evaluate("() => JSON.stringify(app.graph.serialize())"))
    for node in saved["nodes"]:
        if node["type"] in graphs.MODELS:
            node.setdefault("properties", {})["models"] = [graphs.MODELS[node["type"]]]
    (HERE / f"{name}.json").write_text(json.dumps(saved, indent=1) + "\n", encoding="utf-8")
    picture = page.screenshot(type="jpeg", quality=80)
    (PICTURES / f"{name}.jpg").write_bytes(picture)
    thumbnail = HERE / f"{name}.jpg"
    if run:
        thumbnail.write_bytes(_strip(server, graph))
    elif make in graphs.SD15 or not thumbnail.exists():
        thumbnail.write_bytes(_small(picture))
    logger.info("%s: %d nodes", name, len(saved["nodes"]))


def _strip(server: ComfyServer, graph: graphs.Graph) -> bytes:
    """Run a graph; return four frames of its video as a JPEG, or two above the plot where it draws one."""
    import av
    import numpy as np
    from PIL import Image

    # Playwright's own event loop runs in this thread.
    with ThreadPoolExecutor(1) as other:
        run = other.submit(server.run, graph, 1200).result()
    if run.status != "success":
        raise RuntimeError(run.error)
    (shown,) = server.files(run, ".mp4")
    with av.open(io.BytesIO(server.fetch(shown))) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    chosen = [frames[round(k * (len(frames) - 1))] for k in (0.1, 0.4, 0.65, 0.95)]
    above, below = (np.concatenate(part, 1) for part in (chosen[:2], chosen[2:]))
    if graphs.PLOT in run.outputs:
        (plot,) = run.outputs[graphs.PLOT]["images"]
        image = Image.open(io.BytesIO(server.fetch(plot))).convert("RGB")
        below = np.asarray(image.resize((above.shape[1], round(above.shape[1] * image.height / image.width))))
    return _jpeg(np.concatenate([above, below]))


def _small(picture: bytes) -> bytes:
    import numpy as np
    from PIL import Image

    image = Image.open(io.BytesIO(picture)).convert("RGB")
    return _jpeg(np.asarray(image.resize((512, round(512 * image.height / image.width)))))


def _jpeg(pixels: Any) -> bytes:
    from PIL import Image

    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, "JPEG", quality=85)
    return sink.getvalue()


if __name__ == "__main__":
    main()
