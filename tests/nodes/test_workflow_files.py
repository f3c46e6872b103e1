"""The workflow files are the graphs of graphs.py as the frontend saves them; nobody has changed one alone."""

import importlib.util
import json
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "workflows"


def _graphs():
    spec = importlib.util.spec_from_file_location("graphs", FOLDER / "graphs.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GRAPHS = _graphs()


@pytest.fixture(params=(*GRAPHS.TINY, *GRAPHS.SD15), ids=lambda make: make.__name__)
def workflow(request):
    """Return a graph, and the nodes and links of its file."""
    saved = json.loads((FOLDER / f"{request.param.__name__}.json").read_text(encoding="utf-8"))
    links = {number: (str(source), slot) for number, source, slot, *_ in saved["links"]}
    return request.param(), {str(node["id"]): node for node in saved["nodes"]}, links


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


def test_every_graph_ends_in_the_photograph(workflow):
    graph, _, _ = workflow
    (video,) = (node for node in graph.values() if node["class_type"] == "CreateVideo")
    pasted = graph[video["inputs"]["images"][0]]
    assert pasted["class_type"] == "PortraitTalk_PasteBack"
    decoded, motion = (graph[pasted["inputs"][name][0]] for name in ("images", "motion"))
    assert decoded["class_type"] == "VAEDecode" and motion["class_type"] == "PortraitTalk_SpeechToMotion"
