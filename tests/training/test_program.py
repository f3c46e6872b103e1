"""The program that makes a model of shards: both stages, the folder that comes out, a LoRA of what is low-rank."""

import dataclasses
import json
import math
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from safetensors.torch import load_file

from portraittalk_core.checkpoints import hearing as hearings
from portraittalk_core.checkpoints.hearing import open_hearing
from portraittalk_core.checkpoints.native import ASSETS as SHIPPED
from portraittalk_core.checkpoints.native import load_denoiser, load_vae, model_files
from portraittalk_core.compositing.head_warp import HeadWarp
from portraittalk_core.config import TrainingConfig
from portraittalk_core.errors import BadInput, WeightsMismatch
from portraittalk_core.evaluation.benchmark.people import PersonCase, Take
from portraittalk_core.evaluation.benchmark.settings import fingerprint
from portraittalk_core.evaluation.benchmark.variants import FULL, make_frames
from portraittalk_core.looks import Span
from portraittalk_core.media.audio import speech_waveform
from portraittalk_core.media.image import read_image
from portraittalk_core.nets.adapters import Adapters
from portraittalk_core.pipeline import PortraitTalk
from portraittalk_core.stacks.conditions import AudioCondition
from portraittalk_core.stacks.tiny import TinyStack
from portraittalk_core.training import program as programs
from portraittalk_core.training.denoiser import stages
from portraittalk_core.training.denoiser.bank import FrameEncoders
from portraittalk_core.training.ground import make_ground
from portraittalk_core.training.model import read_model
from portraittalk_core.training.program import Program, export_lora, is_finished, pack_model, run_names, train_program
from portraittalk_core.types import Sound, SpeechFeatures

from ..small_wav2vec2 import WIDTH, small_public, write_public
from .denoiser.shards import SIDE, Still, mean_colours, write_shards

AT = torch.device("cpu")
FIRST = TrainingConfig(
    stream=True, size=SIDE, refs=1, targets=1, minutes=math.inf, max_steps=2, warmup=1, save_every_s=9e9, unet_rank=2
)
SECOND = dataclasses.replace(
    FIRST, precision="bf16", recompute=True, stage=2, clip=2, parts=("temporal", "audio"), unet_rank=0
)


@pytest.fixture(scope="module")
def program(tmp_path_factory, small, vae_file):
    root = tmp_path_factory.mktemp("program")
    (root / "shards").mkdir()
    write_shards(root / "shards", (12, 12))
    heard = str(write_public(root / "wav2vec2.safetensors"))
    return Program(small, (FIRST, SECOND), root / "shards", root / "out", parts={"vae": vae_file}, speech=heard)


@pytest.fixture(scope="module")
def made(program):
    with pytest.MonkeyPatch.context() as patch:
        encoders = FrameEncoders(mean_colours, cast(HeadWarp, Still()), None, "cpu")
        patch.setattr(stages, "frame_encoders", lambda *_: encoders)
        with small_public():
            assert train_program(program)
    return program.out


def test_both_stages_become_a_model(made, program):
    config, unet, _ = load_denoiser(made / "model" / "denoiser.safetensors")
    assert config == dataclasses.replace(program.model, audio_dim=WIDTH)
    assert set(model_files(str(made / "model"))) == {
        "denoiser", "vae", "text", "speech", "motion", "structure", "dense_motion",
        "face_parsing"
    }  # fmt: skip
    assert load_vae(made / "model" / "vae.safetensors") and (made / "model" / "faces").is_dir()
    first, second = (load_file(made / name / "model.safetensors") for name in ("stage1", "stage2"))
    assert not any(name.startswith("unet.") and ".lora_" not in name for name in first)
    assert {name.split(".")[1] for name in second} == {"temporal", "audio"}
    packed = load_file(made / "model" / "denoiser.safetensors")
    for name, value in second.items():
        assert torch.equal(packed[name], value.half())
    # what was learned beside the U-Net has become part of it
    assert not any(".lora_" in name for name in packed) and unet is not None
    record = json.loads((made / "model" / "record.json").read_text())
    assert [(run["name"], run["step"]) for run in record["runs"]] == [("stage1", 2), ("stage2", 2)]
    assert record["model"]["name"] == "small" and record["runs"][1]["settings"]["parts"] == ["temporal", "audio"]


def test_the_model_listens_with_what_it_was_trained_with(made, program, tmp_path, monkeypatch):
    folder = made / "model"
    assert not (folder / "hearing.safetensors").exists()  # a public file stays where it is
    record = json.loads((folder / "record.json").read_text())
    assert record["model"]["audio_dim"] == WIDTH
    assert record["speech"] == {"name": "wav2vec2.safetensors", "width": WIDTH}
    with small_public():
        stack = TinyStack.load(str(folder))
        encoder = open_hearing(program.speech).encoder
    sound = Sound(0.1 * torch.sin(torch.arange(8 * 640) / 7)[None], 16000)
    features = stack.listen(sound)
    assert features.attended is not None and features.hidden.shape == (8, 128)
    torch.testing.assert_close(features.attended, encoder.encode(speech_waveform(sound), 25.0, 8).hidden)
    assert stack.move(features).frame_count == 8
    assert Span(0, 2, 5).of_features(features).attended.shape == (3, WIDTH)
    for name in model_files(str(folder)):
        (tmp_path / f"{name}.safetensors").symlink_to(folder / f"{name}.safetensors")
    named = (folder / "hearing.json").read_text()
    (tmp_path / "hearing.json").write_text(named.replace("wav2vec2.saf", "gone.saf"))
    monkeypatch.setattr(hearings, "public_file", lambda: None)
    with pytest.raises(
        WeightsMismatch, match=f"heard with gone.safetensors, {WIDTH} features wide, but it is not here"
    ):
        TinyStack.load(str(tmp_path))


@pytest.mark.slow
def test_the_benchmark_listens_with_it_as_well(made, monkeypatch):
    with small_public():
        model = PortraitTalk.load(str(made / "model"))
    heard = []
    encode = model.stack.hearing.encode
    monkeypatch.setattr(model.stack.hearing, "encode", lambda *given: heard.append(given) or encode(*given))
    take = Take(Sound(torch.randn(1, 2 * 640) / 9, 16000), torch.zeros(2, 52), torch.zeros(2, 3), "none")
    person: Any = SimpleNamespace(portrait=read_image(SHIPPED / "portrait.png"), prompt="a person talking")
    frames = torch.cat(list(make_frames(model, FULL, PersonCase(0, 0, 1.0), person, take, steps=1)))
    assert frames.shape == (2, *person.portrait.shape) and len(heard) == 2  # for the mouth, and to draw


def test_clips_of_another_encoder_are_made_anew(made, tmp_path):
    (tmp_path / "denoiser.safetensors").symlink_to(made / "model" / "denoiser.safetensors")
    record = json.loads((made / "model" / "hearing.json").read_text())
    named = []
    for change in ({}, {"path": "elsewhere"}, {"sign": [0.5]}):
        (tmp_path / "hearing.json").write_text(json.dumps(record | change))
        named.append(fingerprint.__wrapped__(str(tmp_path)))
    assert named[0] == named[1] != named[2]


def test_audio_attention_reads_what_its_encoder_makes():
    asked = []
    audio = SimpleNamespace(window=1, feature_dim=WIDTH)
    adapters = SimpleNamespace(
        animate_net=SimpleNamespace(audio=audio),
        hears=True,
        audio_branches=lambda rows, scale: asked.append(rows) or [],
    )
    features = SpeechFeatures(torch.zeros(5, 128), torch.zeros(5), 25.0, torch.ones(5, WIDTH))
    AudioCondition(cast(Adapters, adapters), features).branches(cast(Any, None), torch.arange(2, 4), False, AT)
    assert asked[0].shape == (4, WIDTH) and bool((asked[0] == 1).all())


def test_a_finished_program_is_not_done_again(made, program, monkeypatch):
    monkeypatch.setattr(programs, "train_stage", None)
    before = (made / "stage1" / "state.pt").stat().st_mtime_ns
    with small_public():
        assert train_program(program)
    assert (made / "stage1" / "state.pt").stat().st_mtime_ns == before
    assert is_finished(made / "stage1", FIRST)
    assert not is_finished(made / "stage1", dataclasses.replace(FIRST, max_steps=3))
    assert not is_finished(made / "none", FIRST)


def test_what_is_low_rank_is_exported(made, tmp_path):
    assert export_lora(made, tmp_path / "lora.safetensors") == 56  # four projections of two attentions at seven sites
    found = load_file(tmp_path / "lora.safetensors")
    key = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_out_0"
    assert {name.removeprefix(key) for name in found if name.startswith(key)} == {
        ".lora_down.weight", ".lora_up.weight", ".alpha"
    }  # fmt: skip
    assert float(found[f"{key}.alpha"]) == 2 and found[f"{key}.lora_down.weight"].shape == (2, 64)
    with pytest.raises(BadInput, match="no run with `unet_rank`"):
        export_lora(tmp_path, tmp_path / "none.safetensors")


def test_runs_have_folders_by_their_stage():
    assert run_names((FIRST, SECOND)) == ["stage1", "stage2"]
    assert run_names((FIRST, SECOND, SECOND)) == ["stage1", "run1", "run2"]


def test_weights_of_another_model_are_not_packed(made, tmp_path):
    with pytest.raises(BadInput, match="is of another model"):
        pack_model(tmp_path, read_model("tiny"), [made / "stage1" / "model.safetensors"], {}, {})


def test_a_model_of_another_shape_wants_a_base(tmp_path):
    with pytest.raises(BadInput, match="--base FILE"):
        make_ground(tmp_path, read_model("sd15"), {"identity": "x"})
    with pytest.raises(BadInput, match="`--base` must be a file, a folder or a name of"):
        make_ground(tmp_path, read_model("sd15"), {"base": str(tmp_path / "none")})
