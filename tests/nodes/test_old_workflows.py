"""Workflows that were saved with earlier nodes fit the nodes of now: nothing missing, no input lost, no value astray.

`tests/hosts/test_browser.py` opens the same files in a real frontend.
"""

import json
from pathlib import Path

import pytest

from .old_workflows import OLD, RENAMED

SCHEMAS = json.loads(Path(__file__).with_name("schemas.json").read_text())

RENAMED_TYPES = {name: f"PORTRAITTALK_{name}" for name in ("IDENTITY", "SPEECH", "MOTION")} | {
    "PORTRAITTALK": "PORTRAITTALK_STACK"
}
"""Types of sockets that have another name now; a wire is known by its ends."""

WIDGETS = {"INT", "FLOAT", "STRING", "COMBO", "BOOLEAN"}


def widgets(kind):
    """Names of a node's widgets as the frontend puts them: what must be given first; a seed has its control behind."""
    inputs = sorted(SCHEMAS[kind]["inputs"], key=lambda each: bool(each.get("optional")))
    names = [each["id"] for each in inputs if each["type"] in WIDGETS]
    return [name for each in names for name in ([each, "control_after_generate"] if each == "seed" else [each])]


def nodes(workflow):
    """The pack's nodes of a workflow and of the subgraphs in it."""
    inner = [node for each in workflow.get("definitions", {}).get("subgraphs", []) for node in each["nodes"]]
    return [node for node in (*workflow["nodes"], *inner) if node["type"].startswith("PortraitTalk_")]


@pytest.mark.parametrize("name", OLD)
def test_every_value_lands_where_it_was(name):
    for node in nodes(OLD[name]["workflow"]):
        landed = dict(zip(widgets(node["type"]), node["widgets_values"], strict=False))
        meant = {RENAMED.get(key, key): value for key, value in OLD[name]["values"][node["type"]].items()}
        assert landed == meant, node["type"]


@pytest.mark.parametrize("name", OLD)
def test_every_wire_has_its_ends(name):
    for node in nodes(OLD[name]["workflow"]):
        schema = SCHEMAS[node["type"]]
        inputs = {each["id"]: each["type"] for each in schema["inputs"]}
        for socket in node["inputs"]:
            if socket.get("link") is not None:
                kind = RENAMED_TYPES.get(socket["type"], socket["type"])
                assert inputs[RENAMED.get(socket["name"], socket["name"])] == kind, (node["type"], socket["name"])
        given = [RENAMED_TYPES.get(each["type"], each["type"]) for each in node["outputs"]]
        assert given == [each["type"] for each in schema["outputs"]][: len(given)], node["type"]


def test_what_came_later_need_not_be_given():
    """Programs send graphs by names, and know none of these."""
    later = {"PasteBack": "edits", "AvatarPortrait": "size", "ReferenceNetApply": "reference_scale", "Load": "fast"}
    later |= {"TalkingPortrait": "fast"}
    for kind, name in later.items():
        (found,) = (each for each in SCHEMAS[f"PortraitTalk_{kind}"]["inputs"] if each["id"] == name)
        assert found.get("optional") and "default" in found, f"{kind}: {name}"


def test_a_choice_that_was_a_switch_is_still_taken(pack):
    node, guided = (getattr(pack("nodes.identity"), name) for name in ("IdentityNetConditioning", "GUIDED"))
    switched = {old["values"]["PortraitTalk_IdentityNetConditioning"]["guide_identity"] for old in OLD.values()
                if "PortraitTalk_IdentityNetConditioning" in old["values"]}  # fmt: skip
    assert switched >= {True, "default"} and all(node.validate_inputs(value) is True for value in (*switched, None))
    assert (guided[True], guided[False]) == (True, False)
    assert node.validate_inputs("perhaps").startswith("`guide_identity` must be default, yes or no, but got 'perhaps'")
