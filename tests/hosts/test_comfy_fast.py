"""What `fast` takes in ComfyUI: TAESD, a LoRA for few steps; a plain word where files are missing; previews."""

import pytest
import torch
from safetensors.torch import save_file

from portraittalk_core.checkpoints.catalogue import fast_parts

from .comfy_env import as_the_host_runs_nodes  # noqa: F401 - the first is a fixture

pytestmark = pytest.mark.comfy


def test_taesd_in_diffusers_layout_is_the_hosts_vae(comfy_host, pack, tmp_path):
    diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed: pip install diffusers")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = diffusers.AutoencoderTiny().eval()
    save_file({name: value.contiguous() for name, value in net.state_dict().items()}, tmp_path / "taesd.safetensors")
    vae = pack("nodes.public_models").small_vae(tmp_path / "taesd.safetensors")
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    # A LATENT is not scaled, what TAESD sees is.
    expected = (net.decode(latents).sample / 2 + 0.5).clamp(0, 1).movedim(1, -1)
    found = vae.decode(latents / 0.18215)
    assert float(expected.std()) > 0.01
    torch.testing.assert_close(found.float(), expected, atol=2e-3, rtol=0)


def lora(model):
    """Return a LoRA of kohya's names for one attention of a MODEL."""
    weights = model.model.diffusion_model.state_dict()
    inner = next(key.removesuffix(".weight") for key in weights if key.endswith("attn1.to_v.weight"))
    width = weights[f"{inner}.weight"].shape[0]
    name = f"lora_unet_{inner.replace('.', '_')}"
    made = torch.Generator().manual_seed(0)
    down, up = torch.randn(4, width, generator=made), torch.randn(width, 4, generator=made)
    return {f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up}


def test_a_lora_for_few_steps_is_the_hosts_patch_at_its_strength(comfy_host, pack, tmp_path):
    model, *_ = pack("nodes.models").load("tiny")
    save_file(lora(model), tmp_path / "lora.safetensors")
    made = pack("nodes.public_models").with_few_steps(model, tmp_path / "lora.safetensors", 0.8)
    ((given,),) = made.patches.values()
    assert given[0] == 0.8 and not model.patches
    save_file({"lora_unet_nothing.lora_up.weight": torch.zeros(4, 4)}, tmp_path / "other.safetensors")
    wrong = pack("portraittalk_core.errors").WeightsMismatch
    with pytest.raises(wrong, match="ComfyUI finds nothing for this model in it"):
        pack("nodes.public_models").with_few_steps(model, tmp_path / "other.safetensors", 0.8)


def test_files_that_are_missing_are_named(comfy_host, pack, monkeypatch, tmp_path):
    monkeypatch.setenv("PORTRAITTALK_MODELS", str(tmp_path))
    wrong = pack("portraittalk_core.errors").WeightsMismatch
    with pytest.raises(wrong) as caught:
        pack("nodes.models").load("sd15-portraittalk", fast=True)
    assert all(name in str(caught.value) for name in fast_parts("sd15-portraittalk").values())
    assert "\n" not in str(caught.value)


def test_previews_are_the_hosts_choice_and_there_are_some_without_one(comfy_host, pack, monkeypatch):
    import latent_preview

    model, sampling = pack("nodes.models").load("tiny")[0], pack("nodes.sampling")
    assert isinstance(sampling.Progress(model, 1)._previewer, latent_preview.Latent2RGBPreviewer)
    chosen = object()
    monkeypatch.setattr(latent_preview, "get_previewer", lambda device, colours: chosen)
    assert sampling.Progress(model, 1)._previewer is chosen
