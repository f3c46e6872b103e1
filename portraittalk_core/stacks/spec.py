"""Which public files a stack is made of, where they are, and which combinations cannot work."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ..checkpoints.catalogue import comfyui_folder, entries, find, models_folder, search_folders, stacks
from ..checkpoints.detect import Detected, Kind, detect
from ..checkpoints.few_steps import FEW_STEPS, OTHERS, FewSteps
from ..checkpoints.identity import Plus
from ..config import ScheduleConfig
from ..errors import BadInput, WeightsMismatch
from ..presets import ANIMATEDIFF, ANIPORTRAIT, STABLE_DIFFUSION

PARTS: dict[str, str] = {
    "base": "SD1.5: U-Net, text encoder and, unless there is a `vae`, the VAE",
    "vae": "another VAE than the base's",
    "tokenizer": "CLIP's tokenizer",
    "denoiser": "AniPortrait's U-Net, which takes the place of the base's",
    "identity": "who the person is: an IP-Adapter FaceID file",
    "reference": "what the person looks like: AniPortrait's reference_unet",
    "image_encoder": "CLIP's image encoder: ViT-L/14 with `reference`, ViT-H/14 with FaceID-Plus",
    "temporal": "that frames follow one another: a motion module",
    "few_steps": "few denoising steps: a LoRA that distils the base's U-Net (LCM, AnimateLCM, Hyper-SD)",
    "structure": "where the face is: ControlNetMediaPipeFace or AniPortrait's pose_guider",
    "mesh": "how the face moves with the sound: AniPortrait's audio2mesh",
    "head": "how the head moves: AniPortrait's audio2pose, else our own prior",
    "faces": "insightface's pack that measures identity",
    "landmarks": "MediaPipe's face landmarker",
}
"""The parts of a stack and what each is for."""

_KINDS: dict[str, tuple[Kind, ...]] = {
    "base": (Kind.CHECKPOINT, Kind.FOLDER),
    "vae": (Kind.VAE, Kind.CHECKPOINT, Kind.SMALL_VAE),
    "denoiser": (Kind.UNET,),
    "identity": (Kind.FACEID, Kind.FACEID_PORTRAIT, Kind.FACEID_PLUS),
    "reference": (Kind.REFERENCE_UNET, Kind.UNET),
    "image_encoder": (Kind.CLIP_VISION,),
    "temporal": (Kind.MOTION_MODULE,),
    "few_steps": (Kind.LOW_RANK,),
    "structure": (Kind.CONTROLNET, Kind.POSE_GUIDER),
    "mesh": (Kind.AUDIO2MESH,),
    "head": (Kind.AUDIO2POSE,),
}

_NEEDED = ("base", "tokenizer", "structure", "mesh", "landmarks")

_HOSTED = ("base", "vae", "tokenizer")
"""Parts that stand in for a host's own MODEL, CLIP and VAE."""

_PLUS_NAMES: dict[str, Plus] = {"faceid-plus": "plus", "faceid-plusv2": "plusv2"}


@dataclass(frozen=True)
class StackSpec:
    """The files of a stack. Made by `find_spec`, which checks it."""

    files: dict[str, Path]
    """By part, see `PARTS`."""

    kinds: dict[str, Detected]
    """What each file was recognised as, by part."""

    plus: Plus | None = None
    """Which of the two a FaceID-Plus file is."""

    few_steps: FewSteps | None = None
    """How the U-Net is sampled with its `few_steps` part; None without."""

    def kind(self, part: str) -> Kind | None:
        """Return what the file of a part is; None where there is none."""
        return self.kinds[part].kind if part in self.kinds else None

    @property
    def is_aniportrait(self) -> bool:
        """Whether AniPortrait's U-Net denoises, which reads an image embedding where others read text."""
        return "denoiser" in self.files

    @property
    def schedule(self) -> ScheduleConfig:
        """The noise schedule that the parts were made for."""
        if self.is_aniportrait:
            return ANIPORTRAIT
        made = ANIMATEDIFF if "temporal" in self.files else STABLE_DIFFUSION
        # Steps are few only from pure noise on: `leading` would begin below it.
        return replace(made, timestep_spacing="trailing") if self.few_steps else made


def find_spec(
    name: str, parts: Mapping[str, str] | None = None, comfyui: Path | None = None, *, hosted: bool = False
) -> StackSpec:
    """Find the files of a ready stack on this machine, recognise and check them.

    Args:
        name: Of a stack of the catalogue.
        parts: Replaces parts (`{"base": "realistic.safetensors"}`), adds some, or leaves one out (`"none"`); a value
            is the name of a file of the catalogue, or a path.
        comfyui: ComfyUI's folder.
        hosted: A host brings MODEL, CLIP and VAE, so that their files need not be here, but for the base beside
            AniPortrait's U-Net, whose text attention stands in.

    Returns:
        The files.

    Raises:
        BadInput: For unknown names, and for parts that cannot work together.
        WeightsMismatch: For files that are not here or are something else.
    """
    chosen = {**_stack(name), **_checked_names(parts or {})}
    chosen = {part: given for part, given in chosen.items() if given != "none"}
    spared = set(_HOSTED if hosted else ()) - ({"base"} if "denoiser" in chosen else set())
    folders, known = search_folders(comfyui), {entry.name: entry for entry in entries()}
    files: dict[str, Path] = {}
    missing: list[str] = []
    for part, given in chosen.items():
        entry = known.get(given)
        if entry is None:
            if not Path(given).exists():
                raise BadInput(
                    f"`{part}` must be a path or a file of the catalogue, but {given} is neither. See "
                    "`portraittalk models list`."
                )
            files[part] = Path(given)
            continue
        found = find(entry, folders) or (_own_tokenizer(files, comfyui) if part == "tokenizer" else None)
        if found is not None:
            files[part] = found
        elif part not in spared:
            missing.append(given)
    if missing:
        closed = any(known[entry].commercial == "no" for entry in missing)
        fetched = f"portraittalk models download {' '.join(missing)}" + " --accept-non-commercial" * closed
        raise WeightsMismatch(
            f"{name}: {len(missing)} of its {len(chosen)} files are not in {models_folder(comfyui)}, ComfyUI's models "
            f"or the hub's cache: {', '.join(missing)}. Run `{fetched}`"
            + (", if you have no commercial use for them." if closed else ".")
        )
    kinds = {part: detect(path) for part, path in files.items() if part in _KINDS}
    plus = _plus(chosen.get("identity", ""), kinds.get("identity"), files.get("identity"))
    few_steps = FEW_STEPS.get(chosen["few_steps"], OTHERS) if "few_steps" in files else None
    spec = StackSpec(files, kinds, plus, few_steps)
    check_spec(spec, spared)
    return spec


def check_spec(spec: StackSpec, spared: Collection[str] = ()) -> None:
    """Check that files can work together.

    Args:
        spec: The files.
        spared: Parts that may be missing.

    Raises:
        BadInput: With the reason, where they cannot.
        WeightsMismatch: For a file of another kind than its part needs.
    """
    for part, found in spec.kinds.items():
        if found.kind not in _KINDS[part]:
            wanted = " or ".join(kind.value for kind in _KINDS[part])
            raise WeightsMismatch(f"{found.path}: `{part}` must be {wanted}, but this is {found}. Name another file.")
    missing = [part for part in _NEEDED if part not in spec.files and part not in spared]
    if missing:
        why = "; ".join(f"{part}: {PARTS[part]}" for part in missing)
        raise BadInput(f"A stack must have every part that it cannot do without, but lacks {why}. Add it.")
    reason = next((text for wrong, text in _impossible(spec) if wrong), None)
    if reason:
        raise BadInput(f"These parts cannot be mixed: {reason}")


def _impossible(spec: StackSpec) -> list[tuple[bool, str]]:
    """Return what must not be, each with the reason and the remedy."""
    has, ours = spec.files.__contains__, spec.is_aniportrait
    identity, structure, encoder = spec.kind("identity"), spec.kind("structure"), spec.kinds.get("image_encoder")
    version = spec.kinds["temporal"].version if has("temporal") else ""
    plus = identity is Kind.FACEID_PLUS
    return [
        (
            structure is Kind.POSE_GUIDER and not ours,
            "pose_guider's maps were learned together with AniPortrait's U-Net and mean nothing to another. Add "
            "denoiser=aniportrait-denoising, or use structure=controlnet-mediapipe-face.",
        ),
        (
            structure is Kind.CONTROLNET and ours,
            "a ControlNet looks at noise and text as SD1.5's own U-Net sees them, and AniPortrait's sees others. Use "
            "structure=aniportrait-pose-guider, or leave the denoiser out.",
        ),
        (
            ours and not has("reference"),
            "AniPortrait's U-Net was trained with the features of its reference_unet. Add "
            "reference=aniportrait-reference.",
        ),
        (
            has("reference") and not ours,
            "reference_unet's features were learned together with AniPortrait's U-Net, whose self-attention reads "
            "them. Add denoiser=aniportrait-denoising.",
        ),
        (
            ours and (encoder is None or encoder.version != "ViT-L/14"),
            "AniPortrait's U-Net reads CLIP ViT-L/14's embedding of the reference, 768 numbers, where SD1.5 "
            f"reads text; `image_encoder` is {encoder.version if encoder else 'missing'}. Add "
            "image_encoder=aniportrait-clip.",
        ),
        (
            ours and identity in (Kind.FACEID, Kind.FACEID_PLUS),
            "the LoRA in this FaceID file corrects the attention of SD1.5's own U-Net, which AniPortrait has replaced. "
            "Use identity=faceid-portrait, which has none.",
        ),
        (
            plus and (encoder is None or encoder.version != "ViT-H/14"),
            "FaceID-Plus looks at the face with CLIP ViT-H/14, 1280 numbers a patch; `image_encoder` is "
            f"{encoder.version if encoder else 'missing'}. Add image_encoder=clip-vit-h14.",
        ),
        (
            has("identity") and not has("faces"),
            "FaceID must be given the embedding of insightface's buffalo_l. Add faces=buffalo_l, which is not for "
            "commercial use, or leave the identity out.",
        ),
        (
            has("faces") and _other_recogniser(spec.files["faces"]),
            "FaceID knows the embeddings of buffalo_l (w600k_r50.onnx); those of antelopev2 (glintr100.onnx) are as "
            "long and mean something else. Use faces=buffalo_l.",
        ),
        (
            ours and not has("temporal"),
            "AniPortrait's U-Net was trained with its motion module. Add temporal=aniportrait-motion.",
        ),
        (
            ours and version not in ("", "v2"),
            f"AniPortrait's motion module has the layout of AnimateDiff v2, this is {version}. Use "
            "temporal=aniportrait-motion.",
        ),
        (
            version == "AnimateLCM" and not has("few_steps"),
            "AnimateLCM needs a sampler for consistency models and a LoRA of its own. Add few_steps=animatelcm-lora, "
            "or use temporal=animatediff-v2.",
        ),
        (
            ours and has("few_steps"),
            "a LoRA for few steps corrects SD1.5's own U-Net, which predicts noise; AniPortrait's has replaced it and "
            "predicts velocity. Leave few_steps out, or use sd15-portraittalk.",
        ),
        (
            not ours and not has("identity"),
            "nothing would say who the person is. Add identity=faceid-portrait, or use sd15-magictalk.",
        ),
    ]


def _stack(name: str) -> dict[str, str]:
    if name not in stacks():
        raise BadInput(f"`{name}` must be one of the stacks {', '.join(stacks())}. Try sd15-portraittalk.")
    return stacks()[name]


def _checked_names(parts: Mapping[str, str]) -> dict[str, str]:
    unknown = [part for part in parts if part not in PARTS]
    if unknown:
        raise BadInput(f"`{unknown[0]}` must be a part of a stack ({', '.join(PARTS)}). Check the name.")
    return dict(parts)


def _plus(given: str, found: Detected | None, path: Path | None) -> Plus | None:
    """Return which of the two a FaceID-Plus file is: told by its name in the catalogue, because nothing in it does."""
    if found is None or found.kind is not Kind.FACEID_PLUS:
        return None
    if given in _PLUS_NAMES:
        return _PLUS_NAMES[given]
    raise BadInput(
        f"{path}: plus and plusv2 have the same tensors, so a path does not tell them apart. Put the file into the "
        "models folder and name it faceid-plus or faceid-plusv2."
    )


def _other_recogniser(folder: Path) -> bool:
    """Say whether a pack holds antelopev2's recogniser and not buffalo_l's: only the names tell them apart."""
    names = {path.name for path in folder.glob("*.onnx")} if folder.is_dir() else set()
    return "glintr100.onnx" in names and "w600k_r50.onnx" not in names


def _own_tokenizer(files: Mapping[str, Path], comfyui: Path | None) -> Path | None:
    """Return the tokenizer that comes with a diffusers folder or with ComfyUI."""
    base, host = files.get("base"), comfyui_folder(comfyui)
    choices = [base / "tokenizer" if base else None, host / "comfy" / "sd1_tokenizer" if host else None]
    return next((p for p in choices if p is not None and os.path.isfile(p / "vocab.json")), None)
