"""The pack in a real browser: the template, its run, the timeline and the player; and what the browser fetches of us.

Needs a host (see `comfy_server`), playwright and Chromium. PORTRAITTALK_SCREENSHOTS names a folder for the pictures,
CHROMIUM the browser; COMFYUI_FRONTEND may name another build of the frontend (its `static` folder).
"""

import importlib.util
import os
import re
import shutil
import sys
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.comfy, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted(path.stem for path in (ROOT / "workflows").glob("*.json"))
SHORT = {"duration_s": 0.4, "steps": 2}
READY = (
    "() => window.app && window.app.graph && window.LiteGraph"
    " && Object.keys(window.LiteGraph.registered_node_types).some(name => name.startsWith('PortraitTalk_'))"
)


def _comfy_server():
    """Load the module beside this one: test folders are no packages."""
    if "comfy_server" not in sys.modules:
        spec = importlib.util.spec_from_file_location("comfy_server", Path(__file__).with_name("comfy_server.py"))
        sys.modules["comfy_server"] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules["comfy_server"]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A host with this pack, whose folder of inputs is empty."""
    comfy = _comfy_server()
    if why := comfy.missing_host():
        pytest.skip(why)
    base = tmp_path_factory.mktemp("comfy")
    frontend = os.environ.get("COMFYUI_FRONTEND")
    with comfy.serve(base, options=("--front-end-root", frontend) if frontend else ()) as running:
        yield running


@pytest.fixture(scope="module")
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


@pytest.fixture
def page(server, chromium):
    """The frontend, ready, its first-run dialog closed; page errors of our files fail the test."""
    opened = chromium.new_page(viewport={"width": 1500, "height": 1000})
    ours: list[str] = []
    opened.on("pageerror", lambda error: ours.append(error.stack or "") if "portraittalk" in str(error.stack) else None)
    opened.goto(server.url, wait_until="domcontentloaded")
    opened.wait_for_function(READY, timeout=120_000)
    opened.wait_for_timeout(2500)
    opened.keyboard.press("Escape")
    opened.wait_for_timeout(1500)  # a dialog that is closing cannot be opened again
    yield opened
    opened.close()
    assert not ours


@pytest.fixture
def shot(page, tmp_path):
    """Save a picture of the page under a name."""
    folder = Path(os.environ.get("PORTRAITTALK_SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    return lambda name: page.screenshot(path=folder / f"{name}.png")


def _clear(page):
    """Empty the graph and show it unscaled."""
    page.evaluate("() => { app.graph.clear(); app.canvas.ds.scale = 1; app.canvas.ds.offset = [0, 0] }")


def _add(page, kind, x=200):
    """Put a new node on the screen, wait until it is drawn."""
    page.evaluate(
        "([kind, x]) => { const n = LiteGraph.createNode(kind); n.pos = [x, 120]; app.graph.add(n);"
        " app.canvas.setDirty(true, true) }",
        [kind, x],
    )
    page.wait_for_timeout(800)


ALL = "const all = g => g._nodes.flatMap(n => n.subgraph ? [n, ...all(n.subgraph)] : [n]);"
"""JavaScript: the nodes of a graph and of its subgraphs."""


def _widget(page, kind, name):
    """Return the value of a node's widget."""
    return page.evaluate(
        f"([kind, name]) => {{ {ALL} return all(app.graph.rootGraph).find(n => n.type === kind)"
        ".widgets.find(w => w.name === name).value }",
        [kind, name],
    )


def _set(page, kind, name, value):
    """Give a widget a value, as typing does."""
    page.evaluate(
        f"([kind, name, value]) => {{ {ALL} const n = all(app.graph.rootGraph).find(n => n.type === kind);"
        " const w = n.widgets.find(w => w.name === name); w.value = value; w.callback?.(value) }",
        [kind, name, value],
    )


def _mark(page, words):
    """Return the middle of a mark's left edge."""
    box = page.locator(".pt-mark", has_text=words).bounding_box()
    return box["x"] + 5, box["y"] + box["height"] / 2


def _load(page, name):
    """Open a template as the browser of templates does."""
    page.evaluate(
        "async n => app.loadGraphData(await (await fetch(`/api/workflow_templates/portraittalk/${n}.json`)).json(),"
        " true, true, n)",
        name,
    )
    page.wait_for_timeout(2500)


OVERLAPS = """() => {
  const boxes = app.canvas.graph._nodes.map(n => [n.title, n.pos[0], n.pos[1] - 30, n.pos[0] + n.size[0], n.pos[1] + n.size[1]]);
  return boxes.flatMap((a, k) => boxes.slice(k + 1).filter(b => a[1] < b[3] && b[1] < a[3] && a[2] < b[4] && b[2] < a[4])
    .map(b => `${a[0]} and ${b[0]}`));
}"""  # noqa: E501
"""Which nodes of the graph that is shown cover one another, as nodes are drawn on the canvas."""

VUE_OVERLAPS = """() => {
  const boxes = [...document.querySelectorAll('[data-node-id]')].map(e => [e.dataset.nodeId, e.getBoundingClientRect()]);
  return boxes.flatMap(([a, p], k) => boxes.slice(k + 1).filter(([, q]) =>
    p.left < q.right - 1 && q.left < p.right - 1 && p.top < q.bottom - 1 && q.top < p.bottom - 1).map(([b]) => `${a} and ${b}`));
}"""  # noqa: E501
"""The same where nodes are part of the page."""

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


@pytest.mark.parametrize("name", WORKFLOWS)
def test_no_node_covers_another_before_and_after_a_run(page, shot, name):
    _load(page, name)
    assert page.evaluate(OVERLAPS) == []
    page.evaluate(RAN)
    page.wait_for_timeout(1000)
    assert page.evaluate(OVERLAPS) == []
    shot(f"overlap_{name}")


@pytest.mark.skipif(
    "COMFYUI_FRONTEND" not in os.environ,
    reason="nodes of the page take no saved sizes in 1.27.10: set COMFYUI_FRONTEND to a newer build",
)
@pytest.mark.parametrize("name", ["quickstart", "prompt_edit", "adfd_score"])
def test_no_node_covers_another_where_nodes_are_part_of_the_page(page, shot, name):
    page.evaluate("() => app.extensionManager.setting.set('Comfy.VueNodes.Enabled', true)")
    try:
        page.reload(wait_until="domcontentloaded")
        page.wait_for_function(READY, timeout=120_000)
        page.wait_for_timeout(2500)
        _load(page, name)
        page.evaluate(RAN)
        page.wait_for_timeout(1500)
        shot(f"vue_{name}")
        assert page.locator("[data-node-id]").count() >= 5
        assert page.evaluate(VUE_OVERLAPS) == []
    finally:
        page.evaluate("() => app.extensionManager.setting.set('Comfy.VueNodes.Enabled', false)")


def test_the_quickstart_loads_runs_and_shows_again_what_it_showed(server, page, shot):
    page.evaluate("() => app.extensionManager.command.execute('Comfy.BrowseTemplates')")
    page.wait_for_timeout(2500)
    page.get_by_text("portraittalk", exact=True).locator("visible=true").first.click()
    page.wait_for_timeout(1000)
    shot("1_templates")
    page.locator("[data-testid='template-workflow-quickstart']").click()
    page.wait_for_function("() => app.graph._nodes.some(n => n.subgraph)")
    page.wait_for_timeout(2500)
    shot("2_quickstart")
    assert (server.base / "input" / "portraittalk" / "astronaut.jpg").is_file(), "what it begins with was put there"
    _set(page, "PortraitTalk_EncodeAudio", "duration_s", SHORT["duration_s"])
    _set(page, "PortraitTalk_AnimateNetSampler", "steps", SHORT["steps"])
    page.evaluate("() => app.queuePrompt(0, 1)")
    run = _finished(server)
    assert run["status"]["status_str"] == "success", run["status"]
    shown = [item for output in run["outputs"].values() for item in output.get("images", [])]
    assert [item for item in shown if item["filename"].endswith(".mp4")]
    page.wait_for_timeout(2500)
    shot("3_done")
    assert page.evaluate(OVERLAPS) == []
    _open_blueprint(page)
    _shows_the_motion(page)
    assert page.locator(".pt-status").text_content().startswith("click: add"), (
        "the length is known: Load Audio is outside"
    )
    assert page.evaluate(OVERLAPS) == []
    shot("4_inside")
    # Another tab and back; then the page anew.
    page.evaluate("() => app.extensionManager.command.execute('Comfy.NewBlankWorkflow')")
    page.wait_for_timeout(1500)
    page.evaluate("() => app.extensionManager.command.execute('Workspace.PreviousOpenedWorkflow')")
    page.wait_for_timeout(2500)
    _open_blueprint(page)
    _shows_the_motion(page)
    page.reload(wait_until="domcontentloaded")
    page.wait_for_function(READY, timeout=120_000)
    page.wait_for_timeout(4000)
    _open_blueprint(page)
    _shows_the_motion(page)


def _open_blueprint(page):
    page.evaluate(
        "() => { const n = app.graph.rootGraph._nodes.find(n => n.subgraph); app.canvas.openSubgraph(n.subgraph, n);"
        " app.canvas.ds.scale = 0.6; app.canvas.setDirty(true, true) }"
    )
    page.wait_for_timeout(2500)


def _shows_the_motion(page):
    page.wait_for_selector(".pt-player.pt-shown", state="attached", timeout=20_000)
    assert re.fullmatch(r"\d\.\d\d / 0\.40 s", page.locator(".pt-shown .pt-time").first.text_content())


def test_the_node_library_offers_the_blueprint(server, page, shot):
    published = server.base / "user" / "default" / "subgraphs" / "PortraitTalk.json"
    newer = page.evaluate("async () => (await fetch('/api/global_subgraphs')).ok")
    assert newer or published.is_file()
    page.evaluate("() => app.extensionManager.command.execute('Workspace.ToggleSidebarTab.node-library')")
    page.wait_for_timeout(1000)
    page.locator("input[placeholder*='Search']").locator("visible=true").first.fill("PortraitTalk")
    page.wait_for_timeout(2000)
    shot("5_library")
    assert page.get_by_text("Subgraph Blueprints").locator("visible=true").count()


def test_files_dropped_on_talking_portrait_are_connected(server, page, shot):
    kind = "PortraitTalk_TalkingPortrait"
    _clear(page)
    _add(page, kind, 600)
    data = {name: list((ROOT / path).read_bytes()) for name, path in DROPPED.items()}
    page.evaluate(
        """data => {
          const make = ([name, bytes]) => new File([new Uint8Array(bytes)], name,
            {type: name.endsWith('.jpg') ? 'image/jpeg' : 'audio/wav'});
          const files = Object.entries(data).map(make);
          app.graph._nodes[0].onDragDrop({dataTransfer: {files}});
        }""",
        data,
    )
    page.wait_for_function("() => app.graph._nodes[0].inputs.slice(0, 2).every(each => each.link)", timeout=20_000)
    page.wait_for_timeout(1500)
    shot("6_dropped")
    assert _widget(page, "LoadImage", "image") == "face.jpg" and _widget(page, "LoadAudio", "audio") == "voice.wav"
    assert (server.base / "input" / "voice.wav").is_file()


DROPPED = {"face.jpg": "workflows/inputs/astronaut.jpg", "voice.wav": "portraittalk_core/assets/speech.wav"}


def test_notes_are_a_toast_and_a_sign(page, shot):
    _clear(page)
    _add(page, "PortraitTalk_PromptEdit")
    note = 'This model does not know "smling" (did you mean "smiling"?) and ignores it.'
    page.evaluate("note => app.graph._nodes[0].onExecuted({portraittalk_notes: [note]})", note)
    page.wait_for_timeout(800)
    assert page.locator(".p-toast", has_text="smling").count() and "smling" in page.locator(".pt-status").text_content()
    shot("7_note")


def _finished(server, timeout_s=600):
    """Wait for the first run of the host and return its history."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        for run in server.get_json("/history").values():
            if run.get("status", {}).get("status_str"):
                return run
        time.sleep(1)
    raise AssertionError(f"no run ended within {timeout_s} s")


def test_the_timeline_is_edited_by_mouse(page, shot):
    kind = "PortraitTalk_PromptEdit"
    _clear(page)
    _add(page, kind)
    _set(page, kind, "frame_count", 100)
    _set(page, kind, "edits", "2.0: a sad person\nhalf typed")
    page.wait_for_timeout(400)
    track = page.locator(".pt-track").bounding_box()
    middle = track["y"] + track["height"] / 2

    page.mouse.click(track["x"] + 0.25 * track["width"], middle)  # add
    page.keyboard.type("a smiling person")
    page.keyboard.press("Enter")
    first, *rest = _widget(page, kind, "edits").splitlines()
    assert re.fullmatch(r"(0\.9\d?|1\.0\d?): a smiling person", first) and rest == ["2.0: a sad person", "half typed"]

    x, y = _mark(page, "smiling")  # drag by a quarter of the axis: about a second
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 0.1 * track["width"], y, steps=4)
    page.mouse.up()
    assert 1.2 < float(_widget(page, kind, "edits").split(":")[0]) < 1.6

    page.mouse.dblclick(*_mark(page, "a sad"))  # reword
    page.keyboard.type("an angry person")
    page.keyboard.press("Enter")
    assert "\n2.0: an angry person\n" in _widget(page, kind, "edits")
    page.wait_for_timeout(300)
    shot("8_timeline")

    page.mouse.click(*_mark(page, "smiling"), button="right")  # remove
    assert _widget(page, kind, "edits") == "2.0: an angry person\nhalf typed"
    assert "half typed" in page.locator(".pt-status").text_content() or page.locator(".pt-mark").count() == 1


def test_the_timeline_is_edited_by_keyboard(page):
    kind = "PortraitTalk_PromptEdit"
    _clear(page)
    _add(page, kind)
    _set(page, kind, "edits", "2.0: a sad person")
    page.locator(".pt-mark").focus()
    page.keyboard.press("ArrowRight")
    assert _widget(page, kind, "edits") == "2.12: a sad person"
    page.keyboard.press("Shift+ArrowLeft")
    assert _widget(page, kind, "edits") == "1.12: a sad person"
    page.keyboard.press("Delete")
    assert _widget(page, kind, "edits") == "" and page.evaluate("() => app.graph._nodes.length") == 1
    page.locator(".pt-add").click()
    page.keyboard.type("3.0: a smiling person")
    page.keyboard.press("Escape")
    assert _widget(page, kind, "edits") == ""


def test_the_player_plays_seeks_and_stops(page, shot):
    kind = "PortraitTalk_SpeechToMotion"
    _clear(page)
    _add(page, kind)
    motion = {"fps": 25, "frames": 50, "jaw": [0.5] * 50, "loudness": [-20.0] * 50}
    page.evaluate("motion => app.graph._nodes[0].onExecuted({portraittalk_motion: [motion], images: []})", motion)
    page.wait_for_timeout(700)
    before = page.locator(".pt-time").text_content()
    page.wait_for_timeout(300)
    assert page.locator(".pt-time").text_content() != before
    strip = page.locator(".pt-strip").bounding_box()
    page.mouse.click(strip["x"] + strip["width"] / 2, strip["y"] + 10)
    assert page.locator(".pt-time").text_content() in ("0.96 / 2.00 s", "1.00 / 2.00 s")
    shot("9_player")
    page.evaluate("() => { window.player = document.querySelector('.pt-play'); player.click() }")
    assert page.evaluate("() => player.title") == "Pause"
    page.evaluate("() => app.graph.remove(app.graph._nodes[0])")
    page.wait_for_timeout(300)
    assert page.evaluate("() => player.title") == "Play", "the node is gone, its player stopped"
    assert page.locator(".pt-player").count() == 0


def test_every_node_has_its_page_and_its_texts(server):
    nodes = {name: node for name, node in server.get_json("/object_info").items() if name.startswith("PortraitTalk_")}
    assert nodes
    english = server.get_json("/i18n")["en"]["nodeDefs"]
    for name, node in nodes.items():
        text = server.get(f"/extensions/portraittalk/docs/{name}.md").decode()
        inputs = [*node["input"].get("required", {}), *node["input"].get("optional", {})]
        outputs = english[name]["outputs"]
        labels = [outputs[str(number)]["name"] for number in range(len(node["output"]))]
        missing = [label for label in [*inputs, *labels] if f"`{label}`" not in text]
        assert not missing, f"{name}.md does not name {missing}"
        assert sorted(english[name]["inputs"]) == sorted(inputs), name
        # Older hosts call an output without a display name by its type.
        shown = [
            (label, said) for label, said, kind in zip(labels, node["output_name"], node["output"]) if said != kind
        ]
        assert all(label == said for label, said in shown), f"{name}: {shown}"
