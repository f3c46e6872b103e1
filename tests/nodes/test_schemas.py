"""The nodes without a host: ids and sockets never change by accident, and `execute` stays thin."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SNAPSHOT = Path(__file__).with_name("schemas.json")
MOST_STATEMENTS = 10


@pytest.fixture(scope="module")
def nodes(pack):
    return pack("nodes.registry").NODES


def described(node) -> dict:
    schema = node.define_schema()
    return {
        "display_name": schema.display_name,
        "inputs": [i.described() for i in schema.inputs],
        "outputs": [{"id": o.id, "type": o.kind} for o in schema.outputs],
    }


def test_schemas_are_the_committed_ones(nodes):
    """A change here breaks people's saved workflows: run with PORTRAITTALK_UPDATE=1 only if that is meant."""
    found = {node.define_schema().node_id: described(node) for node in nodes}
    if os.environ.get("PORTRAITTALK_UPDATE"):
        SNAPSHOT.write_text(json.dumps(found, indent=1) + "\n")
    assert found == json.loads(SNAPSHOT.read_text())


def test_every_schema_is_complete(nodes):
    for node in nodes:
        schema = node.define_schema()
        assert (
            schema.node_id.startswith("PortraitTalk_")
            and schema.category.split("/")[0] == "PortraitTalk"
            and schema.description
        )
        ids = [s.id for s in (*schema.inputs, *schema.outputs)]
        assert len(ids) == len(set(ids)), f"{schema.node_id}: ComfyUI 0.3.64 refuses equal ids of inputs and outputs"
        assert all(i.settings.get("tooltip") for i in schema.inputs), schema.node_id
        assert (ROOT / "web" / "docs" / f"{schema.node_id}.md").is_file(), f"{schema.node_id} has no help"


def test_execute_is_thin():
    for file in sorted((ROOT / "nodes").glob("*.py")):
        for found in ast.walk(ast.parse(file.read_text())):
            if isinstance(found, ast.FunctionDef) and found.name == "execute":
                count = sum(isinstance(n, ast.stmt) for n in ast.walk(found)) - 1
                assert count <= MOST_STATEMENTS, f"{file.name}: execute has {count} statements"


def test_only_one_file_patches():
    calls = ("set_model_attn", "set_injections", "patches_replace", "set_model_input_block", "set_model_output_block")
    guilty = {f.name for f in (ROOT / "nodes").glob("*.py") for call in calls if call in f.read_text()}
    assert guilty == {"comfy_host.py"}


def test_the_workflows_are_the_only_folder_of_examples():
    """ComfyUI serves the first of these that a pack has, and no other: it would hide the templates."""
    names = ("example_workflows", "example", "examples", "workflow", "workflows")
    assert [name for name in names if (ROOT / name).exists()] == ["workflows"]


def test_importing_the_root_imports_nothing():
    code = "import sys; before = set(sys.modules); import importlib.util as u; "
    code += f"s = u.spec_from_file_location('pack', {str(ROOT / '__init__.py')!r}); m = u.module_from_spec(s); "
    code += "s.loader.exec_module(m); print(sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "torch" not in done.stdout and "nodes" not in done.stdout
