"""Every public file is read whole as what it is, by the command that users have."""

import pytest

from portraittalk_core.checkpoints.detect import Kind
from portraittalk_core.checkpoints.reading import _READERS
from portraittalk_core.cli.main import main

from .public_files import layout, v3_layout, write_hollow
from .stack_files import ROLES

SMALL = {
    "wav2vec2": (layout("wav2vec2-base-960h"), "wav2vec 2.0: every tensor has its place; 2 left out: "),
    "syncnet": (layout("syncnet_v2"), "SyncNet: every tensor has its place; 14 left out: counts the batches"),
    "mesh": (ROLES["mesh"][1], "AniPortrait audio2mesh: every tensor has its place\n"),
    "identity": (ROLES["identity"][1], "IP-Adapter FaceID-Portrait: every tensor has its place\n"),
    "faceid": (ROLES["faceid"][1], "IP-Adapter FaceID: every tensor has its place\n"),
    "plus": (ROLES["plus"][1], "every tensor has its place\n"),
}
LARGE = {name: (ROLES[name][1], "every tensor has its place") for name in ROLES if name not in SMALL} | {
    "v3": (v3_layout(), "AnimateDiff motion module (v3): every tensor has its place"),
}
FILES = [*SMALL.items(), *(pytest.param(*item, marks=pytest.mark.slow) for item in LARGE.items())]


@pytest.mark.parametrize(("name", "file"), FILES, ids=[*SMALL, *LARGE])
def test_a_file_is_read_whole(tmp_path, capsys, name, file):
    shapes, said = file
    path = write_hollow(tmp_path / "file.safetensors", shapes)
    assert main(["models", "verify", str(path)]) == 0
    assert said in capsys.readouterr().out


def test_every_kind_has_a_reader():
    assert set(_READERS) == set(Kind)


def test_a_file_that_does_not_fit_is_one_line(tmp_path, capsys):
    shapes = {name: size for name, size in ROLES["identity"][1].items() if name != "image_proj.norm.bias"}
    path = write_hollow(tmp_path / "file.safetensors", shapes)
    assert main(["models", "verify", str(path)]) == 2
    error = capsys.readouterr().err
    assert "image_proj.norm.bias is missing" in error and error.count("\n") == 1
