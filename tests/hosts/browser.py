"""The pack in a real browser: a page of each frontend, with nodes on the canvas and as part of the page.

Needs a host (see `comfy_server`), playwright and Chromium. CHROMIUM names the browser, PORTRAITTALK_SCREENSHOTS a
folder for pictures. The host's own frontend is looked at, and those that COMFYUI_FRONTEND names: `static` folders of
other versions of the package comfyui-frontend-package, separated as in PATH.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import time
import wave
from pathlib import Path

import pytest

from .comfy_server import missing_host, serve

ROOT = Path(__file__).resolve().parents[2]
OWN = "own"
FRONTENDS = [OWN, *filter(None, os.environ.get("COMFYUI_FRONTEND", "").split(os.pathsep))]
CANVAS, PAGE = "canvas", "page"
SIZED_SINCE = (1, 30)
"""The first frontend whose nodes, where they are part of the page, keep the sizes of a file."""

SETTINGS = {"Comfy.TutorialCompleted": True, "Comfy.Minimap.Visible": False, "LiteGraph.Canvas.MinFontSizeForLOD": 0}
"""No first-run dialog, nothing over the graph, texts however small."""

READY = (
    "() => window.app && window.app.graph && window.LiteGraph"
    " && Object.keys(window.LiteGraph.registered_node_types).some(name => name.startsWith('PortraitTalk_'))"
)


def _label(frontend: str) -> str:
    """Return a short name of a frontend: its version, where the package's own notes lie beside it."""
    beside = sorted(path.name for path in Path(frontend).parent.parent.glob("comfyui_frontend_package-*.dist-info"))
    named = re.search(r"\d+\.\d+\.\d+", beside[0] if beside and frontend != OWN else "")
    return named[0] if named else frontend


@pytest.fixture(scope="module", params=FRONTENDS, ids=_label)
def frontend(request, tmp_path_factory):
    """A host with this pack and a frontend, whose folder of inputs is empty."""
    if why := missing_host():
        pytest.skip(why)
    base = tmp_path_factory.mktemp("comfy")
    options = () if request.param == OWN else ("--front-end-root", request.param)
    with serve(base, options=options) as running:
        for name, value in SETTINGS.items():
            running.post(f"/settings/{name}", value)
        yield running


@pytest.fixture(scope="session")
def chromium():
    """A browser."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
    named = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if not named:
        pytest.skip("no Chromium: install it (apt-get install chromium) or set CHROMIUM to its path")
    with sync_api.sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=named, headless=True, args=options)
        yield browser
        browser.close()


@pytest.fixture(scope="module", params=[CANVAS, PAGE])
def opened(request, frontend, chromium):
    """A page of the frontend, its nodes on the canvas or part of the page, and errors of our files in it."""
    frontend.post("/settings/Comfy.VueNodes.Enabled", request.param == PAGE)
    page = chromium.new_page(viewport={"width": 1500, "height": 1000})
    page.set_default_timeout(60_000)
    page.set_default_navigation_timeout(240_000)  # of a machine with much else to do
    ours: list[str] = []
    page.on("pageerror", lambda error: ours.append(error.stack or "") if "portraittalk" in str(error.stack) else None)
    page.goto(frontend.url, wait_until="domcontentloaded")
    ready(page)
    version = page.evaluate("() => window.__COMFYUI_FRONTEND_VERSION__ ?? '0.0'")
    if request.param == PAGE and tuple(int(part) for part in version.split(".")[:2]) < SIZED_SINCE:
        page.close()
        pytest.skip(f"nodes of the page take no saved sizes in {version}: name a newer build in COMFYUI_FRONTEND")
    page.mode, page.label = request.param, version
    yield page, ours
    page.close()


@pytest.fixture
def page(opened):
    """The page, with an empty graph; errors of our files fail the test."""
    page, ours = opened
    page.keyboard.press("Escape")
    clear(page)
    if page.locator(".pt-timeline, .pt-player").count():
        # Frontend 1.27.10 keeps the elements of a subgraph that was looked into until the page is loaded anew.
        page.evaluate("() => app.extensionManager.command.execute('Comfy.NewBlankWorkflow')")
        page.wait_for_timeout(1500)
        page.reload(wait_until="domcontentloaded")
        ready(page)
        clear(page)
    yield page
    assert not ours


@pytest.fixture
def shot(page, tmp_path):
    """Save a picture of the page under a name."""
    folder = Path(os.environ.get("PORTRAITTALK_SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    return lambda name: page.screenshot(path=folder / f"{page.label}_{page.mode}_{name}.png")


def ready(page):
    """Wait until the page has the pack's nodes and has settled."""
    page.wait_for_function(READY, timeout=120_000)
    page.wait_for_timeout(2500)


def clear(page):
    """Empty the graph and show it unscaled."""
    page.evaluate(
        "() => { if (app.canvas.graph !== app.graph.rootGraph) app.canvas.setGraph(app.graph.rootGraph);"
        " app.graph.clear(); app.canvas.ds.scale = 1; app.canvas.ds.offset = [0, 0]; }"
    )


def add(page, kind, x=200):
    """Put a new node on the screen, wait until it is drawn."""
    page.evaluate(
        "([kind, x]) => { const n = LiteGraph.createNode(kind); n.pos = [x, 120]; app.graph.add(n);"
        " app.canvas.setDirty(true, true) }",
        [kind, x],
    )
    page.wait_for_timeout(800)


ALL = "const all = g => g._nodes.flatMap(n => n.subgraph ? [n, ...all(n.subgraph)] : [n]);"
"""JavaScript: the nodes of a graph and of its subgraphs."""


def widget(page, kind, name):
    """Return the value of a node's widget."""
    return page.evaluate(
        f"([kind, name]) => {{ {ALL} return all(app.graph.rootGraph).find(n => n.type === kind)"
        ".widgets.find(w => w.name === name).value }",
        [kind, name],
    )


def fill(page, kind, name, value):
    """Give a widget a value, as typing does."""
    page.evaluate(
        f"([kind, name, value]) => {{ {ALL} const n = all(app.graph.rootGraph).find(n => n.type === kind);"
        " const w = n.widgets.find(w => w.name === name); w.value = value; w.callback?.(value) }",
        [kind, name, value],
    )


def load(page, name):
    """Open a template as the browser of templates does."""
    page.evaluate(
        "async n => { const at = `/api/workflow_templates/portraittalk/${encodeURIComponent(n)}.json`;"
        " await app.loadGraphData(await (await fetch(at)).json(), true, true, n) }",
        name,
    )
    page.wait_for_timeout(2000)


DROP = """([data, kind]) => {
  const node = app.graph._nodes[0], element = document.querySelector(`[data-node-id='${node.id}']`);
  const transfer = new DataTransfer(), types = {jpg: 'image/jpeg', wav: 'audio/wav'};
  for (const [name, bytes] of Object.entries(data))
    transfer.items.add(new File([new Uint8Array(bytes)], name, {type: types[name.slice(-3)]}));
  const {scale, offset} = app.canvas.ds, corner = app.canvas.canvas.getBoundingClientRect();
  let [clientX, clientY] = [0, 1].map(k => (node.pos[k] + 20 + offset[k]) * scale + [corner.left, corner.top][k]);
  if (element) ({x: clientX, y: clientY} = element.getBoundingClientRect(), clientX += 20, clientY += 60);
  const target = element ? document.elementFromPoint(clientX, clientY) : app.canvas.canvas;
  const options = {bubbles: true, cancelable: true, dataTransfer: transfer, clientX, clientY};
  target.dispatchEvent(new DragEvent(kind, options));
}"""
"""Do with files over the first node what the mouse does."""


def drop(page, files):
    """Drop files, bytes by name, on the first node of the graph."""
    data = {name: list(content) for name, content in files.items()}
    for kind in ("dragenter", "dragover", "drop"):
        page.evaluate(DROP, [data, kind])
        page.wait_for_timeout(200)


OVERLAPS = """() => {
  const boxes = app.canvas.graph._nodes.map(n => [n.title, n.pos[0], n.pos[1] - 30, n.pos[0] + n.size[0], n.pos[1] + n.size[1]]);
  return boxes.flatMap((a, k) => boxes.slice(k + 1).filter(b => a[1] < b[3] && b[1] < a[3] && a[2] < b[4] && b[2] < a[4])
    .map(b => `${a[0]} and ${b[0]}`));
}"""  # noqa: E501
"""Which nodes of the graph that is shown cover one another, as nodes are drawn on the canvas."""

PAGE_OVERLAPS = """() => {
  const { scale, offset } = app.canvas.ds, corner = app.canvas.canvas.getBoundingClientRect();
  const boxes = [...document.querySelectorAll('[data-node-id]')].map(e => {
    const title = app.canvas.graph.getNodeById(Number(e.dataset.nodeId))?.title, box = e.getBoundingClientRect();
    return { title, left: box.left, top: box.top, right: box.right, bottom: box.bottom };
  });
  const covering = boxes.flatMap((p, k) => boxes.slice(k + 1).filter(q =>
    p.left < q.right - 1 && q.left < p.right - 1 && p.top < q.bottom - 1 && q.top < p.bottom - 1)
    .map(q => `${p.title} and ${q.title}`));
  const groups = app.canvas.graph._groups.map(g => {
    const left = (g.pos[0] + offset[0]) * scale + corner.left, top = (g.pos[1] + offset[1]) * scale + corner.top;
    return { title: g.title, left, top, right: left + g.size[0] * scale, bottom: top + g.size[1] * scale };
  });
  const leaving = boxes.filter(p => groups.some(g => p.left >= g.left && p.right <= g.right && p.top >= g.top
    && p.top < g.bottom && p.bottom > g.bottom)).map(p => `${p.title} leaves its group`);
  return [...covering, ...leaving];
}"""
"""The same where nodes are part of the page, and which are higher than the group that they stand in."""


def overlaps(page):
    """Return which nodes cover one another, in words."""
    if page.mode == PAGE:
        assert page.locator("[data-node-id]").count()
        return page.evaluate(PAGE_OVERLAPS)
    return page.evaluate(OVERLAPS)


OPENED = f"""() => {{ {ALL}
  const graphs = g => [g, ...g._nodes.filter(n => n.subgraph).flatMap(n => graphs(n.subgraph))];
  const nodes = all(app.graph.rootGraph), known = LiteGraph.registered_node_types;
  const wires = graphs(app.graph.rootGraph).flatMap(g => [...(g.links.values?.() ?? Object.values(g.links))].map(link => {{
    const [from, to] = [g.getNodeById(link.origin_id), g.getNodeById(link.target_id)];
    return from && to && `${{from.type}} ${{link.origin_slot}} to ${{to.inputs[link.target_slot]?.name}} of ${{to.type}}`;
  }})).filter(Boolean);
  const values = nodes.map(n => [n.type, Object.fromEntries((n.widgets ?? []).map(w => [w.name, w.value]))]);
  return {{ missing: nodes.map(n => n.type).filter(type => !known[type]), wires, values: Object.fromEntries(values) }};
}}"""  # noqa: E501
"""What an opened workflow is made of, its subgraphs included."""

RAN = """() => {
  for (const node of app.canvas.graph._nodes) {
    if (node.type === 'PortraitTalk_SpeechToMotion')
      node.onExecuted({portraittalk_motion: [{fps: 25, frames: 9, jaw: Array(9).fill(0.5), loudness: Array(9).fill(-20)}]});
    if (node.type === 'PortraitTalk_ADFDScore')
      node.onExecuted({portraittalk_score: [{fps: 25, frames: 9, hz: 25, adfd: 0.5, offset: 0, mouth: [], voice: [], silent: []}]});
    node.setDirtyCanvas(true, true);
  }
}"""  # noqa: E501
"""Let nodes show what a run gives them."""


def wires(workflow):
    """Return the wires of a workflow file and of the subgraphs in it, in the words of `OPENED`."""
    made = []
    for graph in (workflow, *workflow.get("definitions", {}).get("subgraphs", [])):
        nodes = {node["id"]: node for node in graph["nodes"]}
        for link in graph["links"]:
            ends = ("origin_id", "origin_slot", "target_id", "target_slot")
            begin, output, end, place = link[1:5] if isinstance(link, list) else (link[key] for key in ends)
            if begin in nodes and end in nodes:
                name, (one, other) = nodes[end]["inputs"][place]["name"], (nodes[k]["type"] for k in (begin, end))
                made.append(f"{one} {output} to {name} of {other}")
    return sorted(made)


def spoken(seconds):
    """Return the bytes of a recording that is short enough for every run of these tests."""
    with wave.open(str(ROOT / "portraittalk_core/assets/speech.wav")) as source:
        sound, params = source.readframes(round(seconds * source.getframerate())), source.getparams()
    made = io.BytesIO()
    with wave.open(made, "wb") as sink:
        sink.setparams(params)
        sink.writeframes(sound)
    return made.getvalue()


def queued(host, page, timeout_s=600):
    """Press Run, wait for the end and return the host's history of that run."""
    before = set(host.get_json("/history"))
    page.evaluate("() => app.queuePrompt(0, 1)")
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        new = [run for key, run in host.get_json("/history").items() if key not in before]
        if new and new[0].get("status", {}).get("status_str"):
            return new[0]
        page.wait_for_timeout(500)
    raise AssertionError(f"no run ended within {timeout_s} s")


def end(host, page, prompt_id, timeout_s=120):
    """Interrupt a run until it has ended."""
    last = time.monotonic() + timeout_s
    while prompt_id not in host.get_json("/history"):
        assert time.monotonic() < last, f"{prompt_id} goes on after {timeout_s} s"
        host.post("/interrupt", {"prompt_id": prompt_id})
        page.wait_for_timeout(500)


def serialized(page, kind, name):
    """Return what the page would send for a node's input."""
    return page.evaluate(
        "async ([kind, name]) => Object.values((await app.graphToPrompt()).output)"
        ".find(n => n.class_type === kind).inputs[name]",
        [kind, name],
    )
