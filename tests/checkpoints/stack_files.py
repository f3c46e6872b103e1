"""Whole stacks of public files, written at their full size with random values."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch

from portraittalk_core.checkpoints import native as weights
from portraittalk_core.hosts.sd15_models import empty_small_vae

from .public_files import Shape, layout, random_tensors, reference_layout, write_hollow, write_pickle

LOW_RANK: dict[str, Shape] = {
    f"lora_unet_{layer}.{name}": shape
    for layer, outer, inner in (
        ("down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k", 320, 768),
        ("mid_block_attentions_0_proj_in", 1280, 1280),
        ("up_blocks_3_resnets_2_time_emb_proj", 320, 1280),
    )
    for name, shape in (("alpha", ()), ("lora_down.weight", (64, inner)), ("lora_up.weight", (outer, 64)))
}
"""A few layers of a LoRA of rank 64, as kohya's scripts name them."""

SMALL_VAE: dict[str, Shape] = {name: tuple(t.shape) for name, t in empty_small_vae().state_dict().items()}

ROLES: dict[str, tuple[str, dict[str, Shape]]] = {
    "base": ("checkpoints/v1-5-pruned-emaonly.safetensors", layout("sd15_single_file")),
    "identity": ("ipadapter/ip-adapter-faceid-portrait-v11_sd15.bin", layout("ip-adapter-faceid-portrait_sd15")),
    "faceid": ("ipadapter/ip-adapter-faceid_sd15.bin", layout("ip-adapter-faceid_sd15")),
    "temporal": ("animatediff_models/mm_sd_v15_v2.ckpt", layout("mm_sd_v15_v2")),
    "v1": ("animatediff_models/mm_sd_v15.ckpt", layout("mm_sd_v15")),
    "lcm": (
        "animatediff_models/AnimateLCM_sd15_t2v.ckpt",
        {k: s for k, s in layout("mm_sd_v15_v2").items() if not k.endswith(".pe")},
    ),
    "lcm_lora": ("loras/AnimateLCM_sd15_t2v_lora.safetensors", LOW_RANK),
    "taesd": ("vae_approx/taesd.safetensors", SMALL_VAE),
    "controlnet": ("controlnet/ControlNetMediaPipeFace_sd15_fp16.safetensors", layout("controlnet_sd15_diffusers")),
    "guider": ("aniportrait/pose_guider.pth", layout("aniportrait_pose_guider")),
    "denoiser": ("aniportrait/denoising_unet.pth", layout("aniportrait_denoising_unet")),
    "reference": ("aniportrait/reference_unet.pth", reference_layout()),
    "motion": ("aniportrait/motion_module.pth", layout("mm_sd_v15_v2")),
    "image_encoder": ("clip_vision/sd-image-variations-vit-l14.bin", layout("clip_vit_l14_image_encoder")),
    "image_encoder_h": (
        "clip_vision/CLIP-ViT-H-14-laion2B-s32B-b79K.safetensors",
        layout("clip_vit_h14_image_encoder"),
    ),
    "plus": ("ipadapter/ip-adapter-faceid-plusv2_sd15.bin", layout("ip-adapter-faceid-plus_sd15")),
    "mesh": ("aniportrait/audio2mesh.pt", layout("aniportrait_audio2mesh")),
    "head": ("aniportrait/audio2pose.pt", layout("aniportrait_audio2pose")),
}
"""Where each file of the catalogue belongs, and its table."""

TOKENIZER = "text_encoders/clip-vit-large-patch14-tokenizer.json"
PACK = "insightface/models/buffalo_l"
LANDMARKER = "mediapipe/face_landmarker_v2_with_blendshapes.task"

ROLES_OF = {
    "sd15-portraittalk": ("base", "identity", "temporal", "controlnet", "mesh"),
    "sd15-magictalk": (
        "base",
        "denoiser",
        "reference",
        "image_encoder",
        "motion",
        "guider",
        "mesh",
        "head",
        "identity",
    ),
}
"""The roles of a ready stack; the tokenizer, the landmarker and the faces are written apart."""


def write_role(folder: Path, role: str, seed: int = 0, dtype: torch.dtype = torch.float16) -> Path:
    """Write one file with random values; pickles where the public one is a pickle."""
    from safetensors.torch import save_file

    place, table = ROLES[role]
    tensors = random_tensors(table, seed, dtype)
    for name in tensors:
        if name.endswith("running_var"):
            tensors[name] = tensors[name].abs() + 0.5
        elif name.endswith("num_batches_tracked"):
            tensors[name] = torch.tensor(7)
        elif name == "out_fn.weight":
            tensors[name] *= 0.1  # a face moves by millimetres, not by itself
        elif name == "pose_map_r.weight":
            tensors[name] *= 0.5
    path = folder / place
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".safetensors":
        save_file(tensors, path)
        return path
    return write_pickle(path, tensors, levels=1 if "ipadapter" in place else 0)


def write_hollow_roles(folder: Path) -> dict[str, Path]:
    """Write every file as a header and a hole: enough for everything that reads names and shapes only."""
    made: dict[str, Path] = {}
    for role, (place, table) in ROLES.items():
        path = (folder / place).with_suffix(".safetensors")
        path.parent.mkdir(parents=True, exist_ok=True)
        made[role] = write_hollow(path, table)
    return made


def write_tokenizer(path: Path) -> Path:
    """Write a tokenizer of CLIP's kind and size: letters are its words, the rest of its 49408 are never met."""
    import tokenizers

    letters = [chr(c) for c in range(33, 127)]
    words = [*letters, *(f"{c}</w>" for c in letters)]
    vocab = {word: i for i, word in enumerate(words)}
    vocab |= {f"unused{i}": i for i in range(len(words), 49406)}
    vocab |= {"<|startoftext|>": 49406, "<|endoftext|>": 49407}
    model = tokenizers.Tokenizer(tokenizers.models.BPE(vocab, [], end_of_word_suffix="</w>", unk_token="<|endoftext|>"))
    model.normalizer = tokenizers.normalizers.Lowercase()
    model.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    model.post_processor = tokenizers.processors.TemplateProcessing(
        single="<|startoftext|> $A <|endoftext|>",
        special_tokens=[("<|startoftext|>", 49406), ("<|endoftext|>", 49407)],
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    model.save(str(path))
    assert len(json.loads(path.read_text())["model"]["vocab"]) == 49408
    return path


def write_faces(folder: Path) -> Path:
    """Put the tiny face pack where buffalo_l belongs: the same layout, and it sees avatars."""
    return Path(shutil.copytree(weights.ASSETS / "tiny" / "faces", folder / PACK))
