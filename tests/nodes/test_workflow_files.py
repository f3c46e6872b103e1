"""The workflow files are the graphs of graphs.py as the frontend saves them; nobody has changed one alone."""

import importlib.util
import itertools
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "workflows"
TITLE = 30
"""Pixels of a node's title, which stands above its place."""


def _module(name):
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GRAPHS, TEXTS = _module("graphs"), _module("texts")
MADE = (*GRAPHS.TINY, *GRAPHS.SD15)
FLAT = [make for make in MADE if make is not GRAPHS.quickstart]


def _saved(make):
    return json.loads((FOLDER / f"{TEXTS.TITLES[make.__name__]}.json").read_text(encoding="utf-8"))


@pytest.fixture(params=FLAT, ids=lambda make: make.__name__)
def workflow(request):
    """Return a graph, and the nodes and links of its file."""
    saved = _saved(request.param)
    links = {number: (str(source), slot) for number, source, slot, *_ in saved["links"]}
    return request.param(), {str(n["id"]): n for n in saved["nodes"] if n["type"] != "MarkdownNote"}, links


def test_the_file_has_the_nodes_and_the_wires_of_the_graph(workflow):
    graph, nodes, links = workflow
    assert {name: node["type"] for name, node in nodes.items()} == {n: node["class_type"] for n, node in graph.items()}
    for name, node in graph.items():
        wired = {socket["name"]: links[socket["link"]] for socket in nodes[name]["inputs"] if socket.get("link")}
        assert wired == {key: tuple(value) for key, value in node["inputs"].items() if isinstance(value, list)}, name


def test_the_file_has_the_values_of_the_graph(workflow):
    graph, nodes, _ = workflow
    for name, node in graph.items():
        values = nodes[name].get("widgets_values", [])
        values = list(values.values()) if isinstance(values, dict) else values
        missing = [v for v in node["inputs"].values() if not isinstance(v, list) and v not in values]
        assert not missing, f"{name}: {node['class_type']} has {values}, not {missing}"


SHORT = (GRAPHS.one_node, GRAPHS.folder)
"""Whose nodes are inside Talking Portrait."""


MOVES = {"dubbing": "29", "motion_file": "32"}
"""Which node says how the face moves, where it is not Speech to Motion."""


@pytest.mark.parametrize("make", [make for make in FLAT if make not in SHORT], ids=lambda m: m.__name__)
def test_every_graph_ends_in_the_photograph(make):
    graph = make()
    (video,) = (node for node in graph.values() if node["class_type"] == "CreateVideo")
    pasted = graph[video["inputs"]["images"][0]]
    assert pasted["class_type"] == "PortraitTalk_PasteBack"
    decoded, motion = (graph[pasted["inputs"][name][0]] for name in ("images", "motion"))
    assert decoded["class_type"] == "VAEDecode" and motion is graph[MOVES.get(make.__name__, "7")]


@pytest.mark.parametrize("make", FLAT, ids=lambda make: make.__name__)
def test_the_api_format_is_the_graph(make):
    assert json.loads((FOLDER / "api" / f"{make.__name__}.json").read_text()) == make()


def _inside(definition):
    """Return the nodes of a subgraph by kind, and its wires as (source kind, slot, target kind, input)."""
    nodes = {node["id"]: node for node in definition["nodes"]}
    wires = {
        (nodes[link["origin_id"]]["type"], link["origin_slot"], nodes[link["target_id"]]["type"],
         nodes[link["target_id"]]["inputs"][link["target_slot"]]["name"])
        for link in definition["links"]
        if link["origin_id"] in nodes and link["target_id"] in nodes
    }  # fmt: skip
    return {node["type"] for node in nodes.values()}, wires


def test_the_blueprint_is_the_middle_of_the_full_graph():
    graph, outer = GRAPHS.quickstart(), _module("layout").OUTER
    blueprint = json.loads((ROOT / "subgraphs" / "PortraitTalk.json").read_text())
    (node,), (definition,) = blueprint["nodes"], blueprint["definitions"]["subgraphs"]
    assert node["type"] == definition["id"] and definition["name"] == "PortraitTalk" and not blueprint["links"]
    assert [each["name"] for each in definition["inputs"]] == ["image", "audio", "prompt", "edits", "seed"]
    assert [each["name"] for each in definition["outputs"]] == ["video", "images"]
    kinds, wires = _inside(definition)
    within = {number: each for number, each in graph.items() if number not in outer}
    assert kinds == {each["class_type"] for each in within.values()}
    assert wires == {
        (within[value[0]]["class_type"], value[1], each["class_type"], name)
        for each in within.values()
        for name, value in each["inputs"].items()
        if isinstance(value, list) and value[0] in within
    }


def test_the_quickstart_is_the_blueprint_between_loaders_and_save_video():
    saved = _saved(GRAPHS.quickstart)
    (definition,) = saved["definitions"]["subgraphs"]
    kinds = sorted(node["type"] for node in saved["nodes"])
    assert kinds == sorted(["LoadImage", "LoadAudio", definition["id"], "SaveVideo", "MarkdownNote"])
    published = json.loads((ROOT / "subgraphs" / "PortraitTalk.json").read_text())["definitions"]["subgraphs"]
    assert published == [definition]


def _boxes(nodes):
    return {n["id"]: (n["pos"][0], n["pos"][1] - TITLE, n["pos"][0] + n["size"][0], n["pos"][1] + n["size"][1])
            for n in nodes}  # fmt: skip


@pytest.mark.parametrize("make", MADE, ids=lambda make: make.__name__)
def test_no_node_covers_another_and_each_stands_in_one_box(make):
    saved = _saved(make)
    boxes = _boxes(saved["nodes"])
    for (one, a), (other, b) in itertools.combinations(boxes.items(), 2):
        apart = a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
        assert apart, f"{one} and {other} overlap"
    groups = [group["bounding"] for group in saved["groups"]]
    for node in saved["nodes"]:
        left, top, right, bottom = boxes[node["id"]]
        around = [g for g in groups if g[0] <= left and g[1] <= top and g[0] + g[2] >= right and g[1] + g[3] >= bottom]
        assert len(around) == (node["type"] != "MarkdownNote"), node["type"]


@pytest.mark.parametrize("make", MADE, ids=lambda make: make.__name__)
def test_each_workflow_has_a_title_a_note_a_thumbnail_and_says_where_its_nodes_come_from(make):
    name, saved = make.__name__, _saved(make)
    (note,) = (node for node in saved["nodes"] if node["type"] == "MarkdownNote")
    assert note["widgets_values"][0].startswith(TEXTS.NOTES[name])
    title = TEXTS.TITLES[name]
    assert (FOLDER / f"{title}.jpg").stat().st_size < 100_000 and (ROOT / "docs/workflows" / f"{name}.jpg").is_file()
    inner = [node for each in saved.get("definitions", {}).get("subgraphs", []) for node in each["nodes"]]
    ours = [node for node in (*saved["nodes"], *inner) if node["type"].startswith("PortraitTalk_")]
    assert ours and all(node["properties"]["cnr_id"] == "portraittalk" for node in ours)
    assert not set(title) & set('<>:"/\\|?*%'), "a file of any system"


def test_every_file_is_of_a_graph():
    assert sorted(path.stem for path in FOLDER.glob("*.json")) == sorted(TEXTS.TITLES[make.__name__] for make in MADE)


def test_the_browser_of_templates_lists_every_file_in_its_order():
    script = (ROOT / "web" / "js" / "templates.js").read_text(encoding="utf-8")
    listed = re.findall(r"^  '(.+)',$", script.split("ORDER = [")[1].split("]")[0], re.MULTILINE)
    assert listed == list(TEXTS.TITLES.values()) == [TEXTS.TITLES[make.__name__] for make in MADE]


def test_each_workflow_has_an_id_of_its_own():
    """By it the player finds what a workflow showed last."""
    assert len({_saved(make)["id"] for make in MADE}) == len(MADE)


@pytest.mark.parametrize("make", GRAPHS.SD15, ids=lambda make: make.__name__)
def test_the_host_can_offer_every_public_file(make):
    offered = {m["name"]: m for node in _saved(make)["nodes"] for m in node["properties"].get("models", [])}
    wanted = [entry for entry in GRAPHS.public_entries() if not entry.unpack]
    assert wanted and all(
        f"{offered[Path(e.save_as).name]['directory']}/{Path(e.save_as).name}" == e.save_as for e in wanted
    )
    (note,) = (node["widgets_values"][0] for node in _saved(make)["nodes"] if node["type"] == "MarkdownNote")
    assert all(entry.save_as in note and entry.licence in note for entry in GRAPHS.public_entries())
    folders = {model["directory"] for model in offered.values()}
    known = {"checkpoints", "vae", "text_encoders", "controlnet", "loras"}  # ComfyUI's own
    init = (ROOT / "__init__.py").read_text()
    assert all(f'"{folder}"' in init for folder in folders - known)
