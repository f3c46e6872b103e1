"""What a file is, from its content: every public layout, and the files that are none."""

import json

import pytest
import torch
from safetensors.torch import save_file

from portraittalk_core.checkpoints.detect import Kind, detect, expect
from portraittalk_core.checkpoints.files import is_pickle, open_weights
from portraittalk_core.checkpoints.layouts import account
from portraittalk_core.errors import UnsafeWeights, WeightsMismatch

from .public_files import layout, lcm_layout, numbered, reference_layout, v3_layout, write_hollow, write_pickle

SINGLE = layout("sd15_single_file")
PARTS = {
    part: {k.removeprefix(prefix): s for k, s in SINGLE.items() if k.startswith(prefix)}
    for part, prefix in (("vae", "first_stage_model."), ("text", "cond_stage_model.transformer."))
}
CONTROL = {f"control_model.{k.split('.', 2)[2]}": s for k, s in SINGLE.items() if k.startswith("model.diffusion_model")}
CONTROL["control_model.input_hint_block.0.weight"] = (16, 3, 3, 3)
MOTION = layout("mm_sd_v15_v2")
RENAMED = {k.replace(".temporal_transformer", ""): s for k, s in MOTION.items() if "pos_encoder" not in k}
VIT_L = layout("clip_vit_l14_image_encoder")

KNOWN = [
    ("sd15_single_file", SINGLE, Kind.CHECKPOINT, "", "ldm"),
    ("vae", PARTS["vae"], Kind.VAE, "", "ldm"),
    ("prefixed vae", {f"first_stage_model.{k}": s for k, s in PARTS["vae"].items()}, Kind.VAE, "", "ldm"),
    ("text", PARTS["text"], Kind.TEXT, "", ""),
    ("faceid", layout("ip-adapter-faceid_sd15"), Kind.FACEID, "", ""),
    ("portrait", layout("ip-adapter-faceid-portrait_sd15"), Kind.FACEID_PORTRAIT, "", ""),
    ("plus", layout("ip-adapter-faceid-plus_sd15"), Kind.FACEID_PLUS, "", ""),
    ("v1", layout("mm_sd_v15"), Kind.MOTION_MODULE, "v1", ""),
    ("v2", MOTION, Kind.MOTION_MODULE, "v2", ""),
    ("v3", v3_layout(), Kind.MOTION_MODULE, "v3", ""),
    ("lcm", lcm_layout(), Kind.MOTION_MODULE, "AnimateLCM", ""),
    ("motion adapter", RENAMED, Kind.MOTION_MODULE, "AnimateLCM", "diffusers"),
    ("controlnet", layout("controlnet_sd15_diffusers"), Kind.CONTROLNET, "", "diffusers"),
    ("controlnet ldm", CONTROL, Kind.CONTROLNET, "", "ldm"),
    ("unet", layout("aniportrait_denoising_unet"), Kind.UNET, "", "diffusers"),
    ("reference", reference_layout(), Kind.REFERENCE_UNET, "", "diffusers"),
    ("pose guider", layout("aniportrait_pose_guider"), Kind.POSE_GUIDER, "", ""),
    ("audio2mesh", layout("aniportrait_audio2mesh"), Kind.AUDIO2MESH, "", ""),
    ("audio2pose", layout("aniportrait_audio2pose"), Kind.AUDIO2POSE, "", ""),
    ("vit l", VIT_L, Kind.CLIP_VISION, "ViT-L/14", ""),
    ("vit h", layout("clip_vit_h14_image_encoder"), Kind.CLIP_VISION, "ViT-H/14", ""),
    ("wav2vec2", layout("wav2vec2-base-960h"), Kind.WAV2VEC2, "", ""),
    ("syncnet", layout("syncnet_v2"), Kind.SYNCNET, "", ""),
]

PICKLED = [row for row in KNOWN if row[0] in ("faceid", "portrait", "v1", "syncnet")]


@pytest.mark.parametrize("name, shapes, kind, version, form", KNOWN, ids=[row[0] for row in KNOWN])
def test_every_public_layout_is_recognised_under_a_misleading_name(name, shapes, kind, version, form, tmp_path):
    path = write_hollow(tmp_path / "syncnet_plusv2_mm_sd_v14.safetensors", shapes)
    found = detect(path)
    assert (found.kind, found.version, found.layout) == (kind, version, form)
    assert kind.value in str(found) and "\n" not in str(found)
    assert len(open_weights(path).shapes) == len(shapes)


@pytest.mark.parametrize("name, shapes, kind, version, form", PICKLED, ids=[row[0] for row in PICKLED])
def test_pickles_are_recognised_flat_nested_wrapped_and_parallel(name, shapes, kind, version, form, tmp_path):
    levels = 1 if kind.name.startswith("FACEID") else 0
    plain = write_pickle(tmp_path / "a.bin", numbered(shapes), levels)
    wrapped = write_pickle(
        tmp_path / "b.ckpt", numbered({f"module.{k}": s for k, s in shapes.items()}), 0, "state_dict"
    )
    for path in (plain, wrapped):
        found = detect(path)
        assert (found.kind, found.version) == (kind, version)
        assert open_weights(path).shapes == shapes and open_weights(path).pickled


def test_what_the_content_cannot_decide_is_said(tmp_path):
    assert "say which it is" in detect(write_hollow(tmp_path / "a", layout("ip-adapter-faceid-plus_sd15"))).note
    assert "trained on" in detect(write_hollow(tmp_path / "b", layout("controlnet_sd15_diffusers"))).note
    bare = {k: s for k, s in SINGLE.items() if k.startswith("model.")}
    assert detect(write_hollow(tmp_path / "c", bare)).note == "without VAE and text encoder"


def test_a_folder_of_diffusers_is_told_by_its_index(tmp_path):
    with pytest.raises(WeightsMismatch, match="must hold model_index.json"):
        detect(tmp_path)
    (tmp_path / "model_index.json").write_text(json.dumps({"unet": [], "vae": []}))
    with pytest.raises(WeightsMismatch, match="lacks"):
        detect(tmp_path)
    (tmp_path / "model_index.json").write_text(json.dumps({"unet": [], "vae": [], "text_encoder": []}))
    assert detect(tmp_path).kind is Kind.FOLDER


def wider(shapes, width):
    return {k: (*s[:-1], width) if k.endswith("attn2.to_k.weight") else s for k, s in shapes.items()}


USELESS = [
    (wider(SINGLE, 1024), "width 1024 instead of 768"),
    (wider(layout("controlnet_sd15_diffusers"), 1024), "width 1024 instead of 768"),
    (wider(CONTROL, 1024), "width 1024 instead of 768"),
    ({**SINGLE, "model.diffusion_model.input_blocks.0.0.weight": (320, 9, 3, 3)}, "9 input channels"),
    ({**SINGLE, "conditioner.embedders.0.x": (1,)}, "SDXL checkpoint"),
    (layout("instantid_ip-adapter_sdxl"), "InstantID"),
    ({"image_proj.proj.weight": (3072, 1024), "image_proj.norm.weight": (768,)}, "whole pictures"),
    ({"down_blocks.0.attn1.processor.to_q_lora.down.weight": (128, 320)}, "a LoRA alone"),
    ({"lora_unet_down_blocks_1_attn2_to_k.lora_down.weight": (64, 2048)}, "a LoRA for another generation"),
    ({**PARTS["vae"], "decoder.conv_in.weight": (512, 16, 3, 3)}, "4 latent channels, but has 16"),
    ({"one": (1,), "two": (2,)}, "no weights file that is known here; it has 2 tensors, first one, two"),
    ({"x.motion_modules.0.pos_encoder.pe": (1, 24, 8), "y.pos_encoder.pe": (1, 32, 8)}, "equally many"),
]


@pytest.mark.parametrize("shapes, message", USELESS, ids=[row[1][:20] for row in USELESS])
def test_what_cannot_be_used_is_refused_in_one_line(shapes, message, tmp_path):
    with pytest.raises(WeightsMismatch, match=message) as caught:
        detect(write_hollow(tmp_path / "a.safetensors", shapes))
    assert "\n" not in str(caught.value)


def test_files_that_are_no_weights(tmp_path):
    path = tmp_path / "a.safetensors"
    with pytest.raises(WeightsMismatch, match="no such weights file"):
        detect(path)
    for content, message in (
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        (b"<!doctype html><html>", "web page"),
        (b"\x10\0\0\0\0\0\0\0{}", "cannot be read as safetensors"),
        (b"PK\x03\x04 and no more", "cannot be read"),
    ):
        path.write_bytes(content)
        with pytest.raises(WeightsMismatch, match=message):
            detect(path)


def test_both_formats_of_pickles_are_read(tmp_path):
    tensors = {"image_proj.norm.bias": torch.arange(3.0), "ids": torch.arange(4)}
    for old in (False, True):
        torch.save(tensors, tmp_path / "a.bin", _use_new_zipfile_serialization=not old)
        file = open_weights(tmp_path / "a.bin")
        found = file.tensors(torch.float16)
        assert file.pickled and found["ids"].dtype is torch.int64
        assert found["image_proj.norm.bias"].tolist() == [0, 1, 2]
        assert list(file.tensors(prefix="image_proj.")) == ["image_proj.norm.bias"]


class Bomb:
    def __reduce__(self):
        return print, ("this must never be printed",)


def test_a_pickle_with_code_is_refused_and_not_run(tmp_path, capsys):
    torch.save({"state_dict": {"a": torch.zeros(1)}, "callback": Bomb()}, tmp_path / "a.ckpt")
    with pytest.raises(UnsafeWeights, match="could run code"):
        detect(tmp_path / "a.ckpt")
    assert "never" not in capsys.readouterr().out


def test_the_wrong_kind_is_named(tmp_path):
    path = write_hollow(tmp_path / "a.safetensors", layout("syncnet_v2"))
    assert expect(path, Kind.SYNCNET).kind is Kind.SYNCNET
    with pytest.raises(WeightsMismatch, match="must be IP-Adapter FaceID or SD1.5 checkpoint, but is SyncNet"):
        expect(path, Kind.FACEID, Kind.CHECKPOINT)


def test_at_most_ten_tensors_are_listed():
    expected = {f"t{i:02}": (2, 3) for i in range(20)}
    with pytest.raises(
        WeightsMismatch, match=r"t00 is missing \(expected \[2, 3\]\).*t09 is missing.*and 11 more"
    ) as caught:
        account("x", "a table", expected, {"alien": (1,)})
    assert "t10" not in str(caught.value) and "20 tensors of a table" in str(caught.value)
    with pytest.raises(WeightsMismatch, match=r"t00 is \[3, 2\] instead of \[2, 3\]"):
        account("x", "a table", {"t00": (2, 3)}, {"t00": (3, 2)})
    with pytest.raises(WeightsMismatch, match="alien is foreign"):
        account("x", "a table", {}, {"alien": (1,)})


def test_a_directory_whose_length_looks_like_a_pickles_beginning_is_read(tmp_path):
    """Its length comes first: one of 640, 896, 1152 or 1408 bytes begins as pickles of protocols 2 to 5 do."""
    file, found = tmp_path / "a.safetensors", set()
    for filling in range(480, 1350, 8):
        save_file({"a": torch.ones(2)}, file, metadata={"note": "x" * filling})
        start = file.read_bytes()[:8]
        if start[:1] == b"\x80" and start[1] in (2, 3, 4, 5):
            found.add(start[1])
            assert open_weights(file).shapes == {"a": (2,)}
    assert len(found) >= 3
    assert is_pickle(b"\x80\x02\x8a\nl\xfc\x9cF\xf9") and is_pickle(b"PK\x03\x04" + bytes(5))
