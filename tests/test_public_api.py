"""`import portraittalk_core as pt`: light, complete, and what editors are told is what is there."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import portraittalk_core as pt
from portraittalk_core.media.video import probe, read_video
from portraittalk_core.types import Frames, Sound

ROOT = Path(__file__).resolve().parents[1]
HEAVY = (
    *("torch", "numpy", "diffusers", "transformers", "insightface", "onnxruntime", "cv2", "av", "PIL", "jaxtyping"),
    *("librosa", "scipy", "numba"),
)


def python(code: str) -> str:
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return run.stdout.strip()


def test_importing_loads_nothing_heavy_and_takes_no_time():
    code = f"""
import sys, time
start = time.perf_counter()
import portraittalk_core as pt
seconds = time.perf_counter() - start
print(seconds, [m for m in {HEAVY} if m in sys.modules], len(dir(pt)) >= len(pt.__all__))
"""
    found = [python(code).split(" ", 1) for _ in range(3)]
    assert {rest for _, rest in found} == {"[] True"}
    assert min(float(seconds) for seconds, _ in found) < 0.1


def test_the_errors_need_no_torch():
    assert python("import sys, portraittalk_core as pt; pt.BadInput; print('torch' in sys.modules)") == "False"


@pytest.mark.parametrize("name", pt.__all__)
def test_every_public_name_is_there_and_documented(name):
    value = getattr(pt, name)
    assert name in dir(pt)
    if callable(value):
        assert (value.__doc__ or "").strip()


def test_editors_are_told_what_is_there():
    """The imports under TYPE_CHECKING, the table of homes and `__all__` name the same things."""
    tree = ast.parse(Path(pt.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    told = {n.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for n in node.names}
    assert told == pt._MODULE_OF
    assert {*told, "ASSETS", "__version__", "load"} == {*pt.__all__}


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'portraittalk_core' has no attribute 'genrate'"):
        pt.genrate  # noqa: B018


def test_the_version_is_that_of_pyproject():
    assert f'\nversion = "{pt.__version__}"\n' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_types_are_announced():
    assert (Path(pt.__file__).parent / "py.typed").is_file()


def frames(count: int, fps: float = 25.0, side: int = 32) -> Frames:
    return Frames(torch.zeros(count, 3, side, side), fps)


def test_write_video_takes_frames_as_they_come(tmp_path):
    sound = Sound(torch.zeros(1, 3200), 16_000)
    path = pt.write_video(tmp_path / "v.mp4", (frames(n) for n in (2, 3)), sound)
    assert path == tmp_path / "v.mp4"
    info = probe(path)
    assert (info.frames, info.fps, info.audio_codec) == (5, 25.0, "aac")


def test_write_video_keeps_its_own_rate_and_folders(tmp_path):
    pt.write_video(tmp_path / "v.mp4", [frames(3)], fps=50)
    assert read_video(tmp_path / "v.mp4")[1] == 50
    folder = pt.write_video(f"{tmp_path}/pictures/", [frames(2)])
    assert sorted(file.name for file in folder.iterdir()) == ["00000.png", "00001.png"]


def test_write_video_without_frames_or_place(tmp_path):
    with pytest.raises(pt.BadInput, match="`frames` must hold at least one frame"):
        pt.write_video(tmp_path / "v.mp4", [])
    asked = iter([frames(1)])
    with pytest.raises(pt.BadMedia):
        pt.write_video(tmp_path / "nowhere" / "v.mp4", asked)
    assert next(asked) is not None, "nothing was computed for a place that is not there"


@pytest.mark.slow
def test_evaluate_scores_one_video_or_many(tmp_path):
    picture = pt.read_image(pt.ASSETS / "portrait.png")
    sound = pt.read_sound(pt.ASSETS / "speech.wav")
    still = Frames(picture[None].expand(25, -1, -1, -1), 25.0)
    for name in ("a.mp4", "b.mp4"):
        pt.write_video(tmp_path / name, [still], Sound(sound.samples[:, : sound.sample_rate], sound.sample_rate))
    one = pt.evaluate(tmp_path / "a.mp4")
    assert [record["file"] for record in one.videos] == ["a.mp4"]
    assert one.means["adfd"].value == one.videos[0]["adfd"] < 0.2, "a face that does not move"
    assert [record["file"] for record in pt.evaluate([tmp_path]).videos] == ["a.mp4", "b.mp4"]
    with pytest.raises(pt.BadMedia, match="there is no"):
        pt.evaluate(tmp_path / "c.mp4")


def test_load_is_the_models(monkeypatch):
    asked = []
    monkeypatch.setattr(pt.PortraitTalk, "load", lambda *given, **options: asked.append((given, options)))
    pt.load("tiny", device="cpu", size=64)
    assert asked == [(("tiny", "cpu"), {"size": 64})]
