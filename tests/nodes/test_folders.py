"""Load Photographs, Load Recordings: which files, in which order, under which names, and what is refused."""

from __future__ import annotations

import os
import shutil
import sys

import pytest
from PIL import Image

from portraittalk_core.checkpoints.native import ASSETS


@pytest.fixture
def inputs(pack, tmp_path, monkeypatch):
    """The host's folder of inputs."""
    monkeypatch.setattr(sys.modules["folder_paths"], "get_input_directory", lambda: str(tmp_path))
    for name in ("people/b.png", "people/A.png", "people/.hidden.png", ".trash/c.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ASSETS / "portrait.png", tmp_path / name)
    shutil.copy(ASSETS / "speech.wav", tmp_path / "people" / "what%seed%.wav")
    return tmp_path


def test_every_file_becomes_one_of_a_list_under_its_name(pack, inputs):
    nodes = pack("nodes.folders")
    pictures, names = nodes.LoadPhotographs.execute("people").args
    assert names == ["video/A", "video/b"] and [tuple(each.shape) for each in pictures] == 2 * [(1, 512, 512, 3)]
    sounds, names = nodes.LoadRecordings.execute("people", prefix="take ").args
    assert names == ["take what_seed_"] and sounds[0]["waveform"].shape[:2] == (1, 1)
    for node in (nodes.LoadPhotographs, nodes.LoadRecordings):
        assert all(output.settings["is_output_list"] for output in node.define_schema().outputs)


def test_of_an_animation_the_node_notes_that_its_first_picture_is_taken(pack, inputs):
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "green")]
    read = pack("nodes.folders").LoadPhotographs.execute
    assert read("people").ui is None
    frames[0].save(inputs / "people" / "c.webp", save_all=True, append_images=frames[1:])
    (note,) = read("people").ui["portraittalk_notes"]
    assert "c.webp` holds several pictures" in note


def test_folders_are_those_of_the_inputs(pack, inputs):
    work = pack("nodes.folder_files")
    assert work.folders() == [".", "people"]
    errors = pack("portraittalk_core.errors")
    for folder in ("..", "/etc", "nowhere"):
        with pytest.raises(errors.BadInput, match="`folder` must be one of ComfyUI's input folder"):
            work.files(folder, work.PICTURES)
    with pytest.raises(errors.BadInput, match="must hold files that end in .png"):
        work.files(".", work.PICTURES)


def test_a_folder_that_changes_is_read_anew(pack, inputs):
    read = pack("nodes.folders").LoadPhotographs.fingerprint_inputs
    before = read("people")
    assert read("people", prefix="other") == before
    os.utime(inputs / "people" / "b.png", (1, 1))
    assert read("people") != before
    (inputs / "people" / "b.png").unlink()
    assert "b.png" not in read("people")
