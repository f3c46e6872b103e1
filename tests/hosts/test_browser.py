"""The pack in a real browser: the template, its run, the timeline and the player; and what the browser fetches of us.

What it needs, and how other frontends are named, is said in `browser.py`. Every test is run with nodes on the canvas
and with nodes that are part of the page, where the frontend has those.
"""

import json
import re
import time

import pytest

from ..nodes.old_workflows import OLD, RENAMED
from .browser import (
    CANVAS,
    OPENED,
    PAGE,
    RAN,
    ROOT,
    add,
    drop,
    end,
    fill,
    load,
    overlaps,
    queued,
    ready,
    serialized,
    spoken,
    widget,
    wires,
)

pytestmark = [pytest.mark.comfy, pytest.mark.slow]

WORKFLOWS = sorted(path.stem for path in (ROOT / "workflows").glob("*.json"))
SECONDS = 0.4
STEPS = {CANVAS: 2, PAGE: 1}
"""Of the quickstart, so that no run is one from the cache."""


def _mark(page, words):
    """Return the middle of a mark's left edge."""
    box = page.locator(".pt-mark", has_text=words).bounding_box()
    return box["x"] + 5, box["y"] + box["height"] / 2


def test_no_node_covers_another_before_and_after_a_run(page, shot):
    found = {}
    for name in WORKFLOWS:
        load(page, name)
        before = overlaps(page)
        page.evaluate(RAN)
        page.wait_for_timeout(800)
        if covered := [*before, *overlaps(page)]:
            found[name] = covered
            shot(f"overlap_{name}")
    assert found == {}


@pytest.mark.parametrize("name", OLD)
def test_an_old_workflow_opens_whole_and_the_host_takes_it(frontend, page, name):
    old = OLD[name]
    page.evaluate("async workflow => { await app.loadGraphData(workflow, true, true, null) }", old["workflow"])
    page.wait_for_timeout(2500)
    opened = page.evaluate(OPENED)
    assert opened["missing"] == []
    assert sorted(opened["wires"]) == wires(old["workflow"])
    for kind, values in old["values"].items():
        kept = {name: opened["values"][kind][RENAMED.get(name, name)] for name in values}
        assert kept == values, kind
    sent = json.loads(page.evaluate("async () => JSON.stringify((await app.graphToPrompt()).output)"))
    taken = frontend.post("/prompt", {"prompt": sent})  # refuses what it finds wrong
    end(frontend, page, taken["prompt_id"])
    assert not taken["node_errors"]


def test_the_quickstart_loads_runs_and_shows_again_what_it_showed(frontend, page, shot):
    page.evaluate("() => app.extensionManager.command.execute('Comfy.BrowseTemplates')")
    page.wait_for_timeout(2500)
    page.get_by_text("portraittalk", exact=True).locator("visible=true").first.click()
    page.wait_for_timeout(1000)
    shot("1_templates")
    cards = page.locator("[data-testid^='template-workflow-']").locator("visible=true")
    listed = [card.get_attribute("data-testid").removeprefix("template-workflow-") for card in cards.all()[:3]]
    assert listed == ["Talking portrait", "Talking portrait, one plain node", "Talking portrait, every step"]
    page.locator("[data-testid='template-workflow-Talking portrait']").click()
    page.wait_for_function("() => app.graph._nodes.some(n => n.subgraph)")
    page.wait_for_timeout(2500)
    shot("2_quickstart")
    assert (frontend.base / "input" / "portraittalk" / "astronaut.jpg").is_file(), "what it begins with was put there"
    fill(page, "PortraitTalk_EncodeAudio", "duration_s", SECONDS)
    fill(page, "PortraitTalk_AnimateNetSampler", "steps", STEPS[page.mode])
    run = queued(frontend, page)
    assert run["status"]["status_str"] == "success", run["status"]
    shown = [item for output in run["outputs"].values() for item in output.get("images", [])]
    assert [item for item in shown if item["filename"].endswith(".mp4")]
    page.wait_for_timeout(2500)
    shot("3_done")
    assert overlaps(page) == []
    _open_blueprint(page)
    _shows_the_motion(page)
    assert page.locator(".pt-status").text_content().startswith("click: add"), (
        "the length is known: Load Audio is outside"
    )
    assert overlaps(page) == []
    shot("4_inside")
    # Another tab and back; then the page anew.
    page.evaluate("() => app.extensionManager.command.execute('Comfy.NewBlankWorkflow')")
    page.wait_for_timeout(1500)
    page.evaluate("() => app.extensionManager.command.execute('Workspace.PreviousOpenedWorkflow')")
    page.wait_for_timeout(2500)
    _open_blueprint(page)
    _shows_the_motion(page)
    page.reload(wait_until="domcontentloaded")
    ready(page)
    page.wait_for_timeout(1500)
    _open_blueprint(page)
    _shows_the_motion(page)
    # The same steps in another workflow: the host finds them in its cache and says nothing of them.
    load(page, "Talking portrait, every step")
    fill(page, "PortraitTalk_EncodeAudio", "duration_s", SECONDS)
    fill(page, "PortraitTalk_AnimateNetSampler", "steps", STEPS[page.mode])
    assert queued(frontend, page)["status"]["status_str"] == "success"
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


def test_the_node_library_offers_the_blueprint(frontend, page, shot):
    published = frontend.base / "user" / "default" / "subgraphs" / "PortraitTalk.json"
    newer = page.evaluate("async () => (await fetch('/api/global_subgraphs')).ok")
    assert newer or published.is_file()
    page.evaluate("() => app.extensionManager.command.execute('Workspace.ToggleSidebarTab.node-library')")
    page.wait_for_timeout(1000)
    page.locator("input[placeholder*='Search']").locator("visible=true").first.fill("PortraitTalk")
    page.wait_for_timeout(2000)
    shot("5_library")
    assert page.get_by_text("Subgraph Blueprints").locator("visible=true").count()
    page.evaluate("() => app.extensionManager.command.execute('Workspace.ToggleSidebarTab.node-library')")


@pytest.mark.parametrize("blueprint", [False, True], ids=["node", "blueprint"])
def test_a_picture_and_a_sound_dropped_on_one_node_and_run_are_a_video(frontend, page, shot, blueprint):
    if blueprint:
        load(page, "Talking portrait")
        page.evaluate("() => app.graph._nodes.filter(n => !n.subgraph).forEach(n => app.graph.remove(n))")
        page.evaluate(
            "() => { app.graph._nodes[0].pos = [600, 120]; app.canvas.ds.scale = 1; app.canvas.ds.offset = [0, 0] }"
        )
        fill(page, "PortraitTalk_AnimateNetSampler", "steps", STEPS[page.mode])
        page.wait_for_timeout(1500)
    else:
        add(page, "PortraitTalk_TalkingPortrait", 600)
    drop(page, {"face.jpg": (ROOT / "workflows/inputs/astronaut.jpg").read_bytes(), "voice.wav": spoken(SECONDS)})
    page.wait_for_function("() => app.graph._nodes[0].inputs.slice(0, 2).every(each => each.link)", timeout=20_000)
    page.wait_for_timeout(1500)
    name = f"6_dropped_{'blueprint' if blueprint else 'node'}"
    shot(name)
    chosen = {widget(page, "LoadImage", "image"), widget(page, "LoadAudio", "audio")}
    assert all(re.fullmatch(r"(face|voice)( \(\d+\))?\.(jpg|wav)", each) for each in chosen), chosen
    assert all((frontend.base / "input" / each).is_file() for each in chosen)
    run = queued(frontend, page)
    assert run["status"]["status_str"] == "success", run["status"]
    page.wait_for_function(
        "() => [...document.querySelectorAll('video')].some(v => v.currentSrc.includes('.mp4') && v.videoWidth)",
        timeout=20_000,
    )
    page.wait_for_timeout(1500)
    shot(f"{name}_and_run")
    assert overlaps(page) == []


def test_notes_are_a_toast_and_a_sign(page, shot):
    add(page, "PortraitTalk_PromptEdit")
    note = 'This model does not know "smling" (did you mean "smiling"?) and ignores it.'
    page.evaluate("note => app.graph._nodes[0].onExecuted({portraittalk_notes: [note]})", note)
    page.wait_for_timeout(800)
    assert page.locator(".p-toast, ol > li", has_text="smling").count(), "a toast, of the old kind or the new"
    assert "smling" in page.locator(".pt-status").text_content()
    if page.mode == PAGE:
        assert "smling" in page.locator(".pt-sign").get_attribute("title")
    shot("7_note")


def test_the_timeline_is_edited_by_mouse(page, shot):
    kind = "PortraitTalk_PromptEdit"
    add(page, kind)
    fill(page, kind, "frame_count", 100)
    fill(page, kind, "edits", "2.0: a sad person\nhalf typed")
    page.wait_for_timeout(400)
    track = page.locator(".pt-track").bounding_box()
    middle = track["y"] + track["height"] / 2

    page.mouse.click(track["x"] + 0.25 * track["width"], middle)  # add
    page.keyboard.type("a smiling person")
    page.keyboard.press("Enter")
    first, *rest = widget(page, kind, "edits").splitlines()
    assert re.fullmatch(r"(0\.9\d?|1\.0\d?): a smiling person", first) and rest == ["2.0: a sad person", "half typed"]

    x, y = _mark(page, "smiling")  # drag by a quarter of the axis: about a second
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 0.1 * track["width"], y, steps=4)
    page.mouse.up()
    assert 1.2 < float(widget(page, kind, "edits").split(":")[0]) < 1.6

    page.mouse.dblclick(*_mark(page, "a sad"))  # reword
    page.keyboard.type("an angry person")
    page.keyboard.press("Enter")
    assert "\n2.0: an angry person\n" in widget(page, kind, "edits")
    page.wait_for_timeout(300)
    shot("8_timeline")

    page.mouse.click(*_mark(page, "smiling"), button="right")  # remove
    assert widget(page, kind, "edits") == "2.0: an angry person\nhalf typed"
    assert "half typed" in page.locator(".pt-status").text_content() or page.locator(".pt-mark").count() == 1


def test_the_timeline_is_edited_by_keyboard(page):
    kind = "PortraitTalk_PromptEdit"
    add(page, kind)
    fill(page, kind, "edits", "2.0: a sad person")
    page.locator(".pt-mark").focus()
    page.keyboard.press("ArrowRight")
    assert widget(page, kind, "edits") == "2.12: a sad person"
    page.keyboard.press("Shift+ArrowLeft")
    assert widget(page, kind, "edits") == "1.12: a sad person"
    page.keyboard.press("Delete")
    assert widget(page, kind, "edits") == "" and page.evaluate("() => app.graph._nodes.length") == 1
    page.locator(".pt-add").click()
    page.keyboard.type("3.0: a smiling person")
    page.keyboard.press("Escape")
    assert widget(page, kind, "edits") == ""


def test_the_player_plays_seeks_and_stops(page, shot):
    kind = "PortraitTalk_SpeechToMotion"
    add(page, kind)
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


def test_names_of_files_may_hold_the_date_and_values_of_the_graph(page):
    year = time.strftime("%Y")
    for kind, other in (("PortraitTalk_SaveMotion", "kind"), ("SaveVideo", "format")):
        add(page, kind)
        title = page.evaluate("kind => app.graph._nodes.find(n => n.type === kind).title", kind)
        value = widget(page, kind, other)
        fill(page, kind, "filename_prefix", f"video/%date:yyyy%_%{title}.{other}%_%year%")
        assert serialized(page, kind, "filename_prefix") == f"video/{year}_{value}_%year%", "%year% is the server's"


def test_the_seed_changes_after_a_run_as_it_is_told_to(page):
    kind = "PortraitTalk_TalkingPortrait"
    add(page, kind)
    page.evaluate(
        "() => { window.queue = app.api.queuePrompt;"
        " app.api.queuePrompt = async () => ({ prompt_id: 'none', node_errors: {} }) }"
    )
    try:
        seeds = {}
        for control in ("fixed", "increment", "decrement", "randomize"):
            fill(page, kind, "seed", 5)
            fill(page, kind, "control_after_generate", control)
            page.evaluate("async () => app.queuePrompt(0, 1)")
            page.wait_for_timeout(300)
            seeds[control] = widget(page, kind, "seed")
    finally:
        page.evaluate("() => { app.api.queuePrompt = window.queue }")
    assert seeds.pop("randomize") not in (4, 5, 6) and seeds == {"fixed": 5, "increment": 6, "decrement": 4}


BLUEPRINT = "app.graph._nodes.find(n => n.subgraph)"


def test_the_seed_of_the_blueprint_has_its_control_where_the_frontend_gives_it_none(page):
    load(page, "Talking portrait")
    page.wait_for_timeout(1000)
    names = page.evaluate(f"() => {BLUEPRINT}.widgets.map(w => w.name)")
    if page.mode == PAGE:
        assert "control_after_generate" not in names, "nodes of the page have a button for it beside the seed"
        return
    assert names[-2:] == ["seed", "control_after_generate"]
    saved = page.evaluate(f"() => {BLUEPRINT}.serialize().widgets_values")
    assert "fixed" not in (saved or []), "the control is no value of the workflow"
    page.evaluate(
        "() => { window.queue = app.api.queuePrompt;"
        " app.api.queuePrompt = async () => ({ prompt_id: 'none', node_errors: {} }) }"
    )
    try:
        for control, expected in (("fixed", 0), ("increment", 1), ("increment", 2), ("decrement", 1)):
            page.evaluate(
                f"control => {{ const w = {BLUEPRINT}.widgets.find(w => w.name === 'control_after_generate');"
                " w.value = control; w.callback(control) }",
                control,
            )
            page.evaluate("async () => app.queuePrompt(0, 1)")
            page.wait_for_timeout(300)
            seed = page.evaluate(f"() => {BLUEPRINT}.widgets.find(w => w.name === 'seed').value")
            assert seed == expected, control
    finally:
        page.evaluate("() => { app.api.queuePrompt = window.queue }")
    sent = page.evaluate("async () => Object.values((await app.graphToPrompt()).output)")
    seeds = {node["inputs"]["seed"] for node in sent if "seed" in node["inputs"]}
    assert seeds == {1}, "the seed of the blueprint is that of every node in it"
    again = page.evaluate(f"() => {BLUEPRINT}.serialize()")
    assert again["properties"]["control_after_generate"] == "decrement"
    assert again["widgets_values"] == saved or again["widgets_values"] == [*saved[:-1], 1], "as before, but the seed"


def test_r_lists_files_and_folders_that_are_new(frontend, page):
    for kind in ("PortraitTalk_LoadMotion", "PortraitTalk_LoadRecordings"):
        add(page, kind)
    new = frontend.base / "input" / f"{page.mode} takes"
    new.mkdir()
    (new / "nod.csv").write_text("timestamp_ms,jawOpen\n0,0\n")
    page.evaluate("() => document.activeElement?.blur()")
    page.keyboard.press("r")
    wanted = [("PortraitTalk_LoadMotion", "file", f"{new.name}/nod.csv")]
    wanted += [("PortraitTalk_LoadRecordings", "folder", new.name)]
    for kind, name, value in wanted:
        page.wait_for_function(
            "([kind, name, value]) => { const w = app.graph._nodes.find(n => n.type === kind).widgets"
            ".find(w => w.name === name), listed = w.options.values;"
            " return (typeof listed === 'function' ? listed(w) : listed).includes(value) }",
            arg=[kind, name, value],
            timeout=20_000,
        )


def test_every_node_has_its_page_and_its_texts(frontend):
    nodes = {name: node for name, node in frontend.get_json("/object_info").items() if name.startswith("PortraitTalk_")}
    assert nodes
    english = frontend.get_json("/i18n")["en"]["nodeDefs"]
    for name, node in nodes.items():
        text = frontend.get(f"/extensions/portraittalk/docs/{name}.md").decode()
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
