"""Which files a stack takes, where they are found, and which parts cannot be mixed, each with its reason."""

from dataclasses import replace

import pytest

from portraittalk_core.checkpoints import catalogue
from portraittalk_core.checkpoints.detect import Kind, detect
from portraittalk_core.checkpoints.few_steps import FEW_STEPS, OTHERS
from portraittalk_core.errors import BadInput, WeightsMismatch
from portraittalk_core.presets import ANIMATEDIFF, ANIPORTRAIT, STABLE_DIFFUSION
from portraittalk_core.stacks.loader import NetworkLoader
from portraittalk_core.stacks.public import PublicStack
from portraittalk_core.stacks.spec import StackSpec, check_spec, find_spec

from ..checkpoints import stack_files
from ..checkpoints.public_files import layout, write_hollow


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Every file as a header and a hole."""
    folder = tmp_path_factory.mktemp("files")
    made = stack_files.write_hollow_roles(folder)
    for name in ("tokenizer", "landmarks"):
        made[name] = folder / f"{name}.json"
        made[name].write_text("{}")
    for name, recogniser in (("faces", "w600k_r50.onnx"), ("antelope", "glintr100.onnx")):
        made[name] = folder / name
        made[name].mkdir()
        (made[name] / recogniser).write_bytes(b"x")
    return made


def specified(files, **roles):
    """Return a spec of roles to the names of our files, and what every stack needs."""
    chosen = {"base": "base", "tokenizer": "tokenizer", "landmarks": "landmarks", "mesh": "mesh", **roles}
    paths = {part: files[name] for part, name in chosen.items() if name}
    kinds = {part: detect(path) for part, path in paths.items() if part not in ("tokenizer", "landmarks", "faces")}
    return StackSpec(paths, kinds)


PORTRAITTALK = {"identity": "identity", "faces": "faces", "temporal": "temporal", "structure": "controlnet"}
MAGICTALK = {
    "denoiser": "denoiser", "reference": "reference", "image_encoder": "image_encoder", "temporal": "motion",
    "structure": "guider", "head": "head",
}  # fmt: skip


@pytest.mark.parametrize(
    "roles, schedule",
    [
        (PORTRAITTALK, ANIMATEDIFF),
        ({**PORTRAITTALK, "temporal": ""}, STABLE_DIFFUSION),
        ({**PORTRAITTALK, "temporal": "v1", "head": "head"}, ANIMATEDIFF),
        ({**PORTRAITTALK, "identity": "faceid"}, ANIMATEDIFF),
        ({**PORTRAITTALK, "identity": "plus", "image_encoder": "image_encoder_h"}, ANIMATEDIFF),
        (MAGICTALK, ANIPORTRAIT),
        ({**MAGICTALK, "identity": "identity", "faces": "faces"}, ANIPORTRAIT),
        ({**MAGICTALK, "head": ""}, ANIPORTRAIT),
    ],
)
def test_possible_stacks_run_on_the_schedule_of_their_parts(files, roles, schedule):
    spec = specified(files, **roles)
    check_spec(spec)
    assert spec.schedule == schedule


@pytest.mark.parametrize(
    "roles, reason",
    [
        ({**PORTRAITTALK, "structure": "guider"}, "pose_guider's maps were learned together with AniPortrait's U-Net"),
        ({**MAGICTALK, "structure": "controlnet"}, "a ControlNet looks at noise and text as SD1.5's own U-Net"),
        ({**MAGICTALK, "reference": ""}, "trained with the features of its reference_unet"),
        ({**PORTRAITTALK, "reference": "reference"}, "reference_unet's features were learned together"),
        ({**MAGICTALK, "image_encoder": ""}, "`image_encoder` is missing. Add image_encoder=aniportrait-clip"),
        ({**MAGICTALK, "image_encoder": "image_encoder_h"}, "`image_encoder` is ViT-H/14"),
        ({**MAGICTALK, "identity": "faceid", "faces": "faces"}, "the LoRA in this FaceID file"),
        (
            {**PORTRAITTALK, "identity": "plus", "image_encoder": "image_encoder"},
            "FaceID-Plus looks at the face with CLIP ViT-H/14",
        ),
        ({**PORTRAITTALK, "faces": ""}, "embedding of insightface's buffalo_l"),
        ({**PORTRAITTALK, "faces": "antelope"}, "those of antelopev2 .* mean something else"),
        ({**MAGICTALK, "temporal": ""}, "trained with its motion module"),
        ({**MAGICTALK, "temporal": "v1"}, "layout of AnimateDiff v2, this is v1"),
        ({**PORTRAITTALK, "temporal": "lcm"}, "needs a sampler for consistency models"),
        ({**MAGICTALK, "few_steps": "lcm_lora"}, "predicts noise; AniPortrait's has replaced it"),
        ({**PORTRAITTALK, "identity": "", "faces": ""}, "nothing would say who the person is"),
        ({**PORTRAITTALK, "structure": ""}, "lacks structure: where the face is"),
    ],
)
def test_impossible_stacks_are_refused_with_the_reason(files, roles, reason):
    with pytest.raises(BadInput, match=reason):
        check_spec(specified(files, **roles))


def test_a_file_in_the_wrong_place_is_named(files):
    spec = specified(files, **PORTRAITTALK)
    wrong = replace(spec, kinds={**spec.kinds, "temporal": detect(files["mesh"])})
    with pytest.raises(
        WeightsMismatch, match="`temporal` must be AnimateDiff motion module, but this is AniPortrait a"
    ):
        check_spec(wrong)


@pytest.fixture
def here(monkeypatch, tmp_path):
    """A models folder in which every file of the catalogue lies at its own place."""
    monkeypatch.setenv("PORTRAITTALK_MODELS", str(tmp_path / "models"))
    monkeypatch.delenv("COMFYUI_PATH", raising=False)
    monkeypatch.setattr(catalogue, "_in_hub_cache", lambda entry: None)
    monkeypatch.setattr(catalogue, "_plausible", lambda path, entry: path.exists())
    for place, table in stack_files.ROLES.values():
        path = tmp_path / "models" / place
        path.parent.mkdir(parents=True, exist_ok=True)
        write_hollow(path, table)  # what a file is called does not matter
    for place in (stack_files.TOKENIZER, stack_files.LANDMARKER):
        path = tmp_path / "models" / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    stack_files.write_faces(tmp_path / "models")
    return tmp_path / "models"


def test_stacks_are_found_by_name_and_parts_replaced(here, tmp_path):
    spec = find_spec("sd15-portraittalk", {"vae": "none"})
    assert spec.kind("base") is Kind.CHECKPOINT and spec.kind("identity") is Kind.FACEID_PORTRAIT
    assert spec.files["structure"] == here / stack_files.ROLES["controlnet"][0] and "vae" not in spec.files
    mine = write_hollow(tmp_path / "mine.safetensors", layout("sd15_single_file"))
    other = find_spec(
        "sd15-portraittalk",
        {"vae": "none", "base": str(mine), "identity": "faceid-plusv2", "image_encoder": "clip-vit-h14"},
    )
    assert other.files["base"] == mine and other.plus == "plusv2" and spec.plus is None
    magic = find_spec("sd15-magictalk", {"vae": "none"})
    assert magic.is_aniportrait and "faces" not in magic.files and "identity" not in magic.files
    NetworkLoader(magic, *_cpu()).check()


def _cpu():
    import torch

    return torch.device("cpu"), torch.float32


def test_fast_stacks_take_parts_for_few_steps_and_say_how_they_are_sampled(here):
    spec = find_spec("sd15-portraittalk", {**catalogue.fast_parts("sd15-portraittalk")})
    assert spec.few_steps == FEW_STEPS["animatelcm-lora"] and spec.kind("vae") is Kind.SMALL_VAE
    assert spec.kinds["temporal"].version == "AnimateLCM"
    assert spec.schedule == replace(ANIMATEDIFF, timestep_spacing="trailing")
    NetworkLoader(spec, *_cpu()).check()
    named = find_spec("sd15-portraittalk", {"vae": "none", "few_steps": str(spec.files["few_steps"])})
    assert named.few_steps == OTHERS, "a path does not say what a LoRA was distilled for"
    fast = PublicStack.load("sd15-portraittalk", fast=True)
    sampling = fast.config.sampling
    assert (sampling.sampler, sampling.steps, sampling.cfg, fast.limits.window) == ("lcm", 6, 1.0, 64)
    assert PublicStack.load("sd15-portraittalk", parts={"vae": "none"}).config.sampling.steps == 30
    magic = PublicStack.load("sd15-magictalk", fast=True).config.sampling
    assert (magic.sampler, magic.steps, magic.cfg, magic.reuse) == ("dpm++2m", 10, 3.5, 2)
    write_hollow(spec.files["few_steps"], {**stack_files.LOW_RANK, "lora_unet_x.lora_up.weight": (3, 3)})
    with pytest.raises(WeightsMismatch, match=r"lora_unet_x.lora_up.weight is foreign"):
        PublicStack.load("sd15-portraittalk", fast=True)


def test_a_bad_base_is_known_before_anything_is_read(here):
    spec = find_spec("sd15-portraittalk", {"vae": "none"})
    table = {k: s for k, s in layout("sd15_single_file").items() if "first_stage_model.decoder.conv_out.bias" not in k}
    write_hollow(spec.files["base"], table)
    with pytest.raises(WeightsMismatch, match=r"decoder.conv_out.bias is missing"):
        NetworkLoader(spec, *_cpu()).check()


def test_what_is_not_here_is_named_with_the_command_that_fetches_it(here):
    (here / stack_files.ROLES["mesh"][0]).unlink()
    with pytest.raises(
        WeightsMismatch, match=r"2 of its 9 files are not in .*: sd15-vae, audio2mesh. Run `portraittalk mo"
    ):
        find_spec("sd15-portraittalk")
    with pytest.raises(BadInput, match="`mouth` must be a part of a stack"):
        find_spec("sd15-portraittalk", {"mouth": "x"})
    with pytest.raises(BadInput, match="`base` must be a path or a file of the catalogue, but nowhere.safetensors"):
        find_spec("sd15-portraittalk", {"base": "nowhere.safetensors"})
    with pytest.raises(BadInput, match="must be one of the stacks"):
        find_spec("sd15")
    plus = str(here / stack_files.ROLES["plus"][0])
    with pytest.raises(BadInput, match="a path does not tell them apart"):
        find_spec(
            "sd15-portraittalk", {"vae": "none", "mesh": str(here / stack_files.ROLES["head"][0]), "identity": plus}
        )


def test_a_host_that_brings_the_base_needs_no_file_of_it(here):
    for place in (stack_files.ROLES["base"][0], stack_files.TOKENIZER):
        (here / place).unlink()
    with pytest.raises(WeightsMismatch, match=r"3 of its 9 files are not in .*: sd15-base, sd15-vae, clip-tokenizer"):
        find_spec("sd15-portraittalk")
    spec = find_spec("sd15-portraittalk", hosted=True)
    assert not {"base", "vae", "tokenizer"} & set(spec.files) and spec.schedule == ANIMATEDIFF
    NetworkLoader(spec, *_cpu()).check()
    with pytest.raises(WeightsMismatch, match=r"1 of its 11 files are not in .*: sd15-base\."):
        find_spec("sd15-magictalk", hosted=True)
    (here / stack_files.ROLES["identity"][0]).unlink()
    with pytest.raises(WeightsMismatch, match="faceid-portrait"):
        find_spec("sd15-portraittalk", hosted=True)


def test_comfyuis_own_tokenizer_serves(here, tmp_path, monkeypatch):
    (here / stack_files.TOKENIZER).unlink()
    words = tmp_path / "comfyui" / "comfy" / "sd1_tokenizer"
    words.mkdir(parents=True)
    (words / "vocab.json").write_text("{}")
    (tmp_path / "comfyui" / "models").mkdir()
    assert find_spec("sd15-portraittalk", {"vae": "none"}, tmp_path / "comfyui").files["tokenizer"] == words
