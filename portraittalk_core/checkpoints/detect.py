"""Say what a weights file is by what is in it, never by its name."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from ..errors import BadConfig, WeightsMismatch
from .files import Shape, WeightsFile, open_weights

SD15_CROSS = 768
"""Width of SD1.5's text tokens; other generations of Stable Diffusion have others."""

_DISTILLED = "what it was distilled for is not in the file"

_LDM_CROSS = "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
_FIRST_CROSS = f"model.diffusion_model.{_LDM_CROSS}"
_FIRST_CROSS_HERE = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight"


class Kind(Enum):
    """What a file can be; the value is what a user reads."""

    CHECKPOINT = "SD1.5 checkpoint"
    FOLDER = "diffusers folder"
    UNET = "SD1.5 U-Net"
    VAE = "VAE of Stable Diffusion"
    TEXT = "CLIP text encoder"
    FACEID = "IP-Adapter FaceID"
    FACEID_PORTRAIT = "IP-Adapter FaceID-Portrait"
    FACEID_PLUS = "IP-Adapter FaceID-Plus"
    MOTION_MODULE = "AnimateDiff motion module"
    CONTROLNET = "SD1.5 ControlNet"
    REFERENCE_UNET = "AniPortrait reference_unet"
    POSE_GUIDER = "AniPortrait pose_guider"
    AUDIO2MESH = "AniPortrait audio2mesh"
    AUDIO2POSE = "AniPortrait audio2pose"
    CLIP_VISION = "CLIP image encoder"
    WAV2VEC2 = "wav2vec 2.0"
    SYNCNET = "SyncNet"
    LOW_RANK = "LoRA of SD1.5's U-Net"
    SMALL_VAE = "TAESD"


@dataclass(frozen=True)
class Detected:
    """What a file is."""

    path: Path
    """The file, or a diffusers folder."""
    kind: Kind
    """What it is."""
    version: str = ""
    """Which of several files of a kind, such as `v2`; "" where there is only one."""
    layout: str = ""
    """How its tensors are named, `ldm` or `diffusers`; "" where there is only one way."""
    note: str = ""
    """What the content cannot decide."""

    def __str__(self) -> str:
        parts = [part for part in (self.version, f"{self.layout} layout" if self.layout else "", self.note) if part]
        return f"{self.kind.value}{' (' + ', '.join(parts) + ')' if parts else ''}"


def detect(path: Path | str) -> Detected:
    """Say what a file or a diffusers folder is, from the names and shapes of its tensors.

    Args:
        path: The file or folder; its name says nothing.

    Raises:
        WeightsMismatch: When it is unreadable, unknown, or known and of no use here.
        UnsafeWeights: When it is a pickle that holds code.
        BadConfig: When a folder's `model_index.json` cannot be read.
    """
    if Path(path).is_dir():
        return _detect_folder(Path(path))
    return detect_opened(open_weights(path))


def detect_opened(file: WeightsFile) -> Detected:
    """Say what an opened file is; else as `detect`."""
    _refuse_useless(file)
    for recognise in _RECOGNISERS:
        found = recognise(file.path, file.shapes)
        if found is not None:
            return found
    names = ", ".join(sorted(file.shapes)[:3]) or "none"
    raise WeightsMismatch(
        f"{file.path}: is no weights file that is known here; it has {len(file.shapes)} tensors, first {names}. Run "
        "`portraittalk models list` for the files that can be used."
    )


def expect(path: Path | str, *kinds: Kind) -> Detected:
    """Say which of some kinds a file is.

    Args:
        path: As `detect` takes it.
        *kinds: What it may be.

    Raises:
        WeightsMismatch: When it is none of them, or as `detect` does.
    """
    found = detect(path)
    if found.kind not in kinds:
        wanted = " or ".join(kind.value for kind in kinds)
        raise WeightsMismatch(f"{path}: must be {wanted}, but is {found}. Name another file.")
    return found


def _detect_folder(folder: Path) -> Detected:
    index = folder / "model_index.json"
    if not index.is_file():
        raise WeightsMismatch(
            f"{folder}: a diffusers folder must hold model_index.json, but this one does not. Name the folder above "
            "unet, vae and text_encoder, or a file."
        )
    try:
        parts = json.loads(index.read_text(encoding="utf-8"))
        missing = [part for part in ("unet", "vae", "text_encoder") if part not in parts]
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise BadConfig(f"{index}: cannot be read ({error}). Fetch it again.") from error
    if missing:
        raise WeightsMismatch(f"{folder}: an SD1.5 folder must hold unet, vae and text_encoder; lacks {missing}.")
    return Detected(folder, Kind.FOLDER, layout="diffusers")


def _refuse_useless(file: WeightsFile) -> None:
    """Raise for files that are known but cannot be used: other generations, other kinds of conditions."""
    shapes = file.shapes
    image = shapes.get("image_proj.proj.weight") or shapes.get("image_proj.proj.3.weight")
    crosses = (_FIRST_CROSS, _FIRST_CROSS_HERE, f"control_model.{_LDM_CROSS}", _LDM_CROSS)
    cross = _first_shape(shapes, *crosses) or (0, SD15_CROSS)
    first = _first_shape(shapes, "model.diffusion_model.input_blocks.0.0.weight", "conv_in.weight") or (320, 4)
    what = ""
    if any(name.startswith("conditioner.embedders.") for name in shapes):
        what = "an SDXL checkpoint"
    elif "image_proj.latents" in shapes:
        what = "an IP-Adapter with a resampler (InstantID or IP-Adapter Plus), whose tokens do not come from FaceID"
    elif image is not None:
        what = "an IP-Adapter for whole pictures, which does not take face embeddings"
    elif shapes.get("ip_adapter.1.to_k_ip.weight", (0, SD15_CROSS))[-1] != SD15_CROSS:
        what = "an IP-Adapter for SDXL"
    elif any(".processor.to_q_lora" in name for name in shapes):
        what = "a LoRA alone; the file of the adapter has it inside"
    elif _low_rank_cross(shapes) not in (None, SD15_CROSS):
        what = "a LoRA for another generation of Stable Diffusion"
    elif cross[-1] != SD15_CROSS:
        what = f"of another generation of Stable Diffusion, with text tokens of width {cross[-1]} instead of 768"
    elif len(first) == 4 and first[1] != 4:
        what = f"an inpainting or depth model, with {first[1]} input channels instead of 4"
    if what:
        raise WeightsMismatch(f"{file.path}: cannot be used here: it is {what}. Use the SD1.5 files that "
                              "`portraittalk models list` names.")  # fmt: skip


def _first_shape(shapes: Mapping[str, Shape], *names: str) -> Shape | None:
    return next((shapes[name] for name in names if name in shapes), None)


def _checkpoint(path: Path, shapes: Mapping[str, Shape]) -> Detected | None:
    if _FIRST_CROSS not in shapes:
        return None
    parts = {"VAE": "first_stage_model.", "text encoder": "cond_stage_model."}
    missing = [part for part, prefix in parts.items() if not any(name.startswith(prefix) for name in shapes)]
    note = f"without {' and '.join(missing)}" if missing else ""
    return Detected(path, Kind.CHECKPOINT, layout="ldm", note=note)


def _identity(path: Path, shapes: Mapping[str, Shape]) -> Detected | None:
    if "image_proj.proj.2.weight" not in shapes:
        return None
    if any(name.startswith("image_proj.perceiver_resampler.") for name in shapes):
        return Detected(path, Kind.FACEID_PLUS, note="plus and plusv2 have the same tensors: say which it is")
    if "ip_adapter.0.to_q_lora.down.weight" in shapes:
        return Detected(path, Kind.FACEID)
    return Detected(path, Kind.FACEID_PORTRAIT)


def _motion_module(path: Path, shapes: Mapping[str, Shape]) -> Detected | None:
    inner = [name for name in shapes if ".motion_modules." in name]
    if not inner:
        return None
    layout = "" if any(".temporal_transformer." in name for name in inner) else "diffusers"
    positions = {shape[1] for name, shape in shapes.items() if name.endswith((".pos_encoder.pe", ".pos_embed.pe"))}
    if len(positions) > 1:
        raise WeightsMismatch(
            f"{path}: all positions of a motion module must be equally many, but there are {sorted(positions)}."
        )
    if not positions:
        return Detected(path, Kind.MOTION_MODULE, "AnimateLCM", layout)
    if any(name.startswith("mid_block.") for name in inner):
        return Detected(path, Kind.MOTION_MODULE, "v2", layout)
    return Detected(path, Kind.MOTION_MODULE, "v1" if positions == {24} else "v3", layout)


def _controlnet(path: Path, shapes: Mapping[str, Shape]) -> Detected | None:
    note = "which picture it was trained on is not in the file"
    if "controlnet_cond_embedding.conv_in.weight" in shapes:
        return Detected(path, Kind.CONTROLNET, layout="diffusers", note=note)
    if any(name.removeprefix("control_model.") == "input_hint_block.0.weight" for name in shapes):
        return Detected(path, Kind.CONTROLNET, layout="ldm", note=note)
    return None


def _vae(path: Path, shapes: Mapping[str, Shape]) -> Detected | None:
    bare = {name.removeprefix("first_stage_model."): shape for name, shape in shapes.items()}
    latent = bare.get("decoder.conv_in.weight", (0, 4))[1]
    if latent != 4:
        raise WeightsMismatch(f"{path}: must be a VAE with 4 latent channels, but has {latent}. Use one for SD1.5.")
    if "encoder.down.0.block.0.conv1.weight" in bare:
        return Detected(path, Kind.VAE, layout="ldm")
    return Detected(path, Kind.VAE, layout="diffusers") if "encoder.mid_block.resnets.0.conv1.weight" in bare else None


def _unet(path: Path, shapes: Mapping[str, Shape]) -> Detected | None:
    if _FIRST_CROSS_HERE not in shapes:
        return None
    if "conv_out.weight" not in shapes:
        return Detected(path, Kind.REFERENCE_UNET, layout="diffusers")
    note = "AniPortrait's denoising_unet has the tensors of the base"
    return Detected(path, Kind.UNET, layout="diffusers", note=note)


def _by_name(kind: Kind, *names: str) -> Callable[[Path, Mapping[str, Shape]], Detected | None]:
    """Return a recogniser of files that hold all the given tensors."""
    return lambda path, shapes: Detected(path, kind) if all(name in shapes for name in names) else None


def _low_rank_cross(shapes: Mapping[str, Shape]) -> int | None:
    """Return the width of the text that a LoRA of a U-Net was trained for; None where it changes no such layer."""
    downs = (s for n, s in shapes.items() if re.search(r"attn2[._]to_k\.(lora_down|lora_A|lora\.down)", n))
    return next((size[1] for size in downs if len(size) > 1), None)


def _low_rank(path: Path, shapes: Mapping[str, Shape]) -> Detected | None:
    if any(name.startswith("lora_unet_") for name in shapes):
        return Detected(path, Kind.LOW_RANK, layout="kohya", note=_DISTILLED)
    marks = (".lora_A.", ".lora.down.")
    ours = any(mark in name for name in shapes for mark in marks if name.startswith(("unet.", "base_model.model.")))
    return Detected(path, Kind.LOW_RANK, layout="diffusers", note=_DISTILLED) if ours else None


def _small_vae(path: Path, shapes: Mapping[str, Shape]) -> Detected | None:
    first, latent = shapes.get("encoder.layers.0.weight"), shapes.get("decoder.layers.0.weight", (0, 0))
    if first is None or "decoder.layers.3.conv.0.weight" not in shapes:
        return None
    return Detected(path, Kind.SMALL_VAE) if latent[1] == 4 else None


def _clip_vision(path: Path, shapes: Mapping[str, Shape]) -> Detected | None:
    width = shapes.get("vision_model.embeddings.class_embedding", (0,))[0]
    versions = {1024: "ViT-L/14", 1280: "ViT-H/14"}
    return Detected(path, Kind.CLIP_VISION, versions.get(width, f"width {width}")) if width else None


def _text(path: Path, shapes: Mapping[str, Shape]) -> Detected | None:
    names = (name for name in shapes if name.endswith("embeddings.token_embedding.weight"))
    return Detected(path, Kind.TEXT) if any(shapes[name][1] == SD15_CROSS for name in names) else None


_RECOGNISERS: tuple[Callable[[Path, Mapping[str, Shape]], Detected | None], ...] = (
    _checkpoint,
    _identity,
    _motion_module,
    _controlnet,
    _low_rank,
    _small_vae,
    _vae,
    _by_name(Kind.POSE_GUIDER, "scale", "conv_layers.0.weight", "final_proj.weight"),
    _by_name(Kind.AUDIO2MESH, "audio_encoder.masked_spec_embed", "in_fn.weight", "out_fn.weight"),
    _by_name(Kind.AUDIO2POSE, "audio_encoder.masked_spec_embed", "pose_map_r.weight"),
    _by_name(Kind.WAV2VEC2, "wav2vec2.masked_spec_embed"),
    _by_name(Kind.WAV2VEC2, "masked_spec_embed", "feature_projection.projection.weight"),
    _by_name(Kind.SYNCNET, "netcnnaud.0.weight", "netcnnlip.0.weight"),
    _clip_vision,
    _text,
    _unet,
)
