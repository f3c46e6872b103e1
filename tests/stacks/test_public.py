"""The stacks of public files, from files of their full size with random values to frames."""

import shutil
import zipfile
from pathlib import Path

import pytest
import torch

from portraittalk_core.checkpoints import catalogue
from portraittalk_core.checkpoints import native as weights
from portraittalk_core.cli.main import main
from portraittalk_core.errors import BadInput
from portraittalk_core.media.image import read_image
from portraittalk_core.motion.arkit import blendshapes
from portraittalk_core.motion.audio_to_motion import MotionDials
from portraittalk_core.motion.geometry import eye_opening, mouth_opening
from portraittalk_core.motion.mesh_motion import MeshMaps, MeshMotion
from portraittalk_core.perception import face_mesh
from portraittalk_core.pipeline import PortraitTalk
from portraittalk_core.stacks.options import SamplingOptions
from portraittalk_core.stacks.prompts import PromptTrack
from portraittalk_core.stacks.public import SpokenFeatures
from portraittalk_core.types import FaceMotion, Sound

from ..checkpoints import stack_files
from ..checkpoints.public_files import write_hollow
from ..real_files import TASK, WITH_MEDIAPIPE


@pytest.fixture
def here(monkeypatch, tmp_path):
    """An empty models folder, and no other."""
    monkeypatch.setenv("PORTRAITTALK_MODELS", str(tmp_path / "models"))
    monkeypatch.delenv("COMFYUI_PATH", raising=False)
    monkeypatch.setattr(catalogue, "_in_hub_cache", lambda entry: None)
    yield tmp_path / "models"
    shutil.rmtree(tmp_path / "models", ignore_errors=True)  # gigabytes, which pytest would keep for three runs


def field(number: int, payload: bytes) -> bytes:
    length, head = len(payload), bytes([number << 3 | 2])
    while length > 127:
        head, length = head + bytes([length & 127 | 128]), length >> 7
    return head + bytes([length]) + payload


def write_landmarker(path: Path) -> None:
    """Write the real landmarker, or one that holds only a face in space, and let its points be that face's."""
    import struct

    path.parent.mkdir(parents=True, exist_ok=True)
    if TASK:
        path.write_bytes(Path(TASK).read_bytes())
        return
    generator = torch.Generator().manual_seed(3)
    vertices = torch.randn(468, 3, generator=generator) * torch.tensor([4.0, 6.0, 3.0])
    numbers = torch.cat([vertices, torch.zeros(468, 2)], 1).flatten().tolist()
    mesh = field(3, struct.pack(f"<{len(numbers)}f", *numbers))
    weighted = b"".join(
        field(2, bytes([1 << 3]) + _varint(k) + bytes([2 << 3 | 5]) + struct.pack("<f", 0.1)) for k in range(0, 465, 15)
    )
    with zipfile.ZipFile(path, "w") as task:
        task.writestr("geometry_pipeline_metadata_landmarks.binarypb", field(1, mesh) + weighted)
        task.writestr("padding", bytes(3_758_596))


def _varint(number: int) -> bytes:
    return bytes([number]) if number < 128 else bytes([number & 127 | 128, number >> 7])


@pytest.fixture
def landmarker(here, monkeypatch):
    """MediaPipe's landmarker where it can run, else a stand-in."""
    path = here / stack_files.LANDMARKER
    write_landmarker(path)
    monkeypatch.setattr(catalogue, "_plausible", _plausible_but_for_size)
    if TASK:
        return
    from portraittalk_core.checkpoints.face_landmarker import read_canonical_face
    from portraittalk_core.motion.mesh_motion import pose_matrix
    from portraittalk_core.perception.metric_mesh import project

    vertices = read_canonical_face(path).vertices.double()
    place = pose_matrix(torch.tensor([[3.0, -8.0, 2.0, 0.0, 0.0, -45.0]]).double())[0]
    points = vertices @ place[:3, :3].T + place[:3, 3]

    def find(_, pixels):
        height, width = pixels.shape[-2:]
        depth = (points[:, 2].mean() - points[:, 2]) * width / 55
        faces = torch.cat([project(points, width, height), depth[:, None]], 1).float()
        return [torch.cat([faces, faces[[33] * 5], faces[[362] * 5]])]

    monkeypatch.setattr(face_mesh.FaceMesher, "find", find)


def _plausible_but_for_size(path: Path, entry: catalogue.Entry) -> bool:
    return path.is_dir() if entry.unpack else path.is_file()


@pytest.fixture
def hollow(here, monkeypatch):
    """Every file at its place, as a header and a hole."""
    monkeypatch.setattr(catalogue, "_plausible", _plausible_but_for_size)
    for place, table in stack_files.ROLES.values():
        (here / place).parent.mkdir(parents=True, exist_ok=True)
        write_hollow(here / place, table)
    for place in (stack_files.TOKENIZER, stack_files.LANDMARKER):
        (here / place).parent.mkdir(parents=True, exist_ok=True)
        (here / place).write_text("{}")
    stack_files.write_faces(here)
    return here


@pytest.mark.usefixtures("hollow")
def test_what_cannot_be_is_refused_before_any_weights_are_read():
    no_vae = {"vae": "none"}
    model = PortraitTalk.load("sd15-portraittalk", parts={**no_vae, "temporal": "animatediff-v1"}, size=128)
    stack, config = model.stack, model.stack.config
    assert config.temporal_frames == 24 and config.size == 128
    features = SpokenFeatures(torch.zeros(3, 768), torch.zeros(3), 25.0, waveform=torch.zeros(2000))
    maps = MeshMaps(torch.zeros(3, 478, 2), 25.0)
    track = PromptTrack("", [], 25, 3)
    for options, message in (
        ({"audio_scale": 0.5}, "`audio_scale` must stay 1: no public file conditions this denoiser on sound"),
        ({"reference_scale": 0.5}, "`reference_scale` must stay 1: this stack has no ReferenceNet. Use sd15-ma"),
        ({"window": 32}, "`window` must be at most 24 frames with this motion module, but got 32. Try 16."),
    ):
        with pytest.raises(BadInput, match=message):
            model.animate(None, maps, features, track, options=SamplingOptions(**options))
    for dial in ("blink", "expression"):
        with pytest.raises(BadInput, match=f"`{dial}` must stay 1: .* `lip` scales the whole face's motion"):
            stack.move(features, dials=MotionDials(**{dial: 0.5}))
    with pytest.raises(BadInput, match="must be a MeshMotion or a FaceMotion, but is Tensor"):
        stack.structure(torch.zeros(3, 52), None)
    with pytest.raises(BadInput, match="at least 0.025 s"):
        stack.listen(Sound(torch.zeros(1, 100), 16000))
    with pytest.raises(BadInput, match="multiple of 64 pixels, but got 100"):
        PortraitTalk.load("sd15-magictalk", parts=no_vae, size=100)
    with pytest.raises(BadInput, match="`size` must be left out for tiny"):
        PortraitTalk.load("tiny", size=128)
    magic = PortraitTalk.load("sd15-magictalk", parts=no_vae).stack
    assert magic.config.schedule.prediction_type == "v_prediction" and magic.config.size == 512


@pytest.mark.usefixtures("hollow")
def test_wrong_parts_are_one_line_of_the_command(tmp_path, capsys):
    command = (
        f"generate --model sd15-portraittalk --image {weights.ASSETS}/portrait.png --audio {weights.ASSETS}/speech.wav"
    )
    command += f" --prompt man -o {tmp_path}/a.mp4 --device cpu --part"
    for part, message in (
        ("vae", "`--part` must be PART=FILE, but got 'vae'"),
        ("structure=aniportrait-pose-guider", "cannot be mixed: pose_guider's maps"),
    ):
        assert main([*command.split(), part, "--part", "vae=none"]) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1


def generate(folder: Path, model: str, *more: str) -> torch.Tensor:
    sound = folder / "speech.wav"
    import soundfile

    samples, rate = soundfile.read(weights.ASSETS / "speech.wav")
    soundfile.write(sound, samples[: round(rate * 4 / 25)], rate)  # four frames
    command = f"generate --model {model} --image {weights.ASSETS / 'portrait.png'} --audio {sound} --prompt man"
    command += f" --size 128 --steps 2 --device cpu --quiet --landmarks {folder}/lines.mp4 -o {folder}/out/"
    assert main([*command.split(), *more]) == 0
    pictures = sorted((folder / "out").glob("*.png"))
    return torch.stack([read_image(path) for path in pictures])


@pytest.mark.slow
@pytest.mark.parity
@pytest.mark.usefixtures("landmarker")
@pytest.mark.parametrize("model", ["sd15-portraittalk", "sd15-magictalk"])
def test_the_command_makes_frames_of_full_size_random_weights(model, here, tmp_path, capsys):
    """Nothing but the values is missing: two steps of four frames at 128 x 128 on the CPU."""
    for seed, role in enumerate(stack_files.ROLES_OF[model]):
        stack_files.write_role(here, role, seed)
    stack_files.write_tokenizer(here / stack_files.TOKENIZER)
    stack_files.write_faces(here)
    # The base brings its VAE; AniPortrait gets the identity branch on top of its own.
    more = ["--part", "vae=none"]
    more += ["--part", "identity=faceid-portrait", "--part", "faces=buffalo_l"] if "magic" in model else []
    frames = generate(tmp_path, model, *more)
    with capsys.disabled():
        print(f"\n{model}: {len(frames)} frames, mean {frames.mean():.3f}, spread {frames.std():.3f}")
    assert frames.shape == (4, 3, 128, 128) and bool(torch.isfinite(frames).all()) and frames.std() > 0.05
    assert not torch.equal(frames[0], frames[1])
    assert (tmp_path / "lines.mp4").stat().st_size > 0


@WITH_MEDIAPIPE
@pytest.mark.usefixtures("hollow", "landmarker")
def test_a_face_at_rest_is_drawn_where_mediapipe_saw_it():
    stack = PortraitTalk.load("sd15-portraittalk", parts={"vae": "none"}, size=128).stack
    who = stack.identify([read_image(weights.ASSETS / "portrait.png")])
    assert who.crops.shape == (1, 3, 128, 128) and who.embeddings.norm() == pytest.approx(1, abs=1e-4)
    still = MeshMotion(torch.zeros(2, 468, 3), torch.zeros(2, 6), 25.0)
    landmarks = stack.structure(still, who).landmarks
    torch.testing.assert_close(landmarks[1], who.landmarks[0, :, :2], atol=1e-5, rtol=0)
    assert (landmarks[0, 1, 1] > landmarks[0, 10, 1]) and (landmarks[0, 152, 1] > landmarks[0, 1, 1])  # chin lowest


@WITH_MEDIAPIPE
@pytest.mark.usefixtures("hollow", "landmarker")
def test_a_motion_of_blendshapes_moves_the_mesh():
    stack = PortraitTalk.load("sd15-portraittalk", parts={"vae": "none"}, size=128).stack
    who = stack.identify([read_image(weights.ASSETS / "portrait.png")])
    motion = FaceMotion(torch.zeros(3, 52), torch.tensor([[0.0, 0, 0, 0, 0, 1]]).repeat(3, 1), 25.0)
    motion.coefficients[1] = blendshapes(jawOpen=0.6)
    motion.coefficients[2] = blendshapes(eyeBlink=1.0)
    points = stack.structure(motion, who).landmarks * 2 - 1
    mouths, eyes = mouth_opening(points), eye_opening(points)
    assert mouths[1] > mouths[0] + 0.1 and eyes[2] < eyes[0] - 0.1
