"""The tiny model as ComfyUI's own MODEL, CLIP and VAE: the host computes what the core computes."""

import logging

import numpy as np
import pytest
import torch

from portraittalk_core.builders import noise_schedule
from portraittalk_core.checkpoints import native as weights

from .comfy_env import as_the_host_runs_nodes  # noqa: F401 - the first is a fixture

pytestmark = pytest.mark.comfy


@pytest.fixture(scope="module")
def files():
    return weights.model_files("tiny")


@pytest.fixture(scope="module")
def tiny(pack):
    return pack("nodes.tiny_models")


@pytest.fixture(scope="module")
def model(tiny, files):
    return tiny.load_model(files["denoiser"])


@pytest.fixture(scope="module")
def clip(tiny, files):
    return tiny.load_clip(files["text"])


@pytest.fixture(scope="module")
def vae(tiny, files):
    return tiny.load_vae(files["vae"])


@pytest.fixture(scope="module")
def core(files):
    """Return the core's configuration and U-Net."""
    return weights.load_denoiser(files["denoiser"])[:2]


@pytest.fixture(scope="module")
def text(files):
    return weights.load_text_encoder(files["text"])


def test_the_models_sigmas_are_those_of_the_schedule(model, core):
    sampling, schedule = model.get_model_object("model_sampling"), noise_schedule(core[0])
    assert torch.equal(sampling.sigmas, schedule.sigmas())
    assert torch.equal(sampling.timestep(schedule.sigmas()), torch.arange(1000))
    assert sampling.timestep(schedule.sigmas()[[999, 3, 500]]).tolist() == [999, 3, 500]
    assert sampling.percent_to_sigma(0.5) == pytest.approx(
        float(schedule.sigmas()[499:501].log().mean().exp()), rel=1e-4
    )
    assert sampling.percent_to_sigma(1.0) == 0.0


def test_the_model_computes_what_the_cores_unet_computes(model, core, noise):
    import comfy.model_management

    config, unet = core
    schedule = noise_schedule(config)
    comfy.model_management.load_models_gpu([model])
    scaled, text = torch.randn(3, 8, 16, 16, generator=noise), torch.randn(3, 77, 128, generator=noise)
    for timestep in (0, 3, 400, 700, 998, 999):
        sigma = schedule.sigmas()[timestep].expand(3)
        velocity = unet(scaled, timestep, text).sample
        found = model.model.apply_model(scaled * (1 + sigma[0] ** 2).sqrt(), sigma, c_crossattn=text)
        # Where no signal is left the host counts with the smallest share that keeps sigma finite.
        slack = 2e-3 if timestep == 999 else 1e-4
        torch.testing.assert_close(found, schedule.to_x0(scaled, velocity, torch.tensor(timestep)), atol=slack, rtol=0)


def test_every_parameter_of_the_model_is_filled(model, core):
    assert sum(p.numel() for p in model.model.diffusion_model.parameters()) == core[1].num_parameters()
    assert all(p.isfinite().all() for p in model.model.diffusion_model.parameters())


def test_a_denoiser_that_lacks_tensors_is_refused(tiny, pack, files, tmp_path):
    config, tensors = weights.read_modules(files["denoiser"])
    del tensors["unet.conv_in.weight"]
    weights.save_modules(tmp_path / "short.safetensors", tensors, config)
    mismatch = pack("portraittalk_core.errors").WeightsMismatch
    with pytest.raises(mismatch, match=r"short\.safetensors: .* input_blocks\.0\.0\.weight is missing\. "):
        tiny.load_model(tmp_path / "short.safetensors")
    weights.save_modules(tmp_path / "bare.safetensors", {}, config)
    with pytest.raises(mismatch, match=r"(\.weight|\.bias) is missing; and \d+ more\."):
        tiny.load_model(tmp_path / "bare.safetensors")
    tensors["unet.conv_in.weight"] = torch.zeros(64, 4, 3, 3)
    weights.save_modules(tmp_path / "narrow.safetensors", tensors, config)
    with pytest.raises(mismatch, match=r"input_blocks\.0\.0\.weight is \[64, 4, 3, 3\] instead of \[64, 8, 3, 3\]"):
        tiny.load_model(tmp_path / "narrow.safetensors")
    with pytest.raises(mismatch, match="must be a text encoder, but its configuration is of something else"):
        tiny.load_clip(files["vae"])
    with pytest.raises(mismatch, match="must be a VAE of the tiny model, but its configuration is of something else"):
        tiny.load_vae(files["text"])


PROMPTS = [
    "",
    "a smiling woman with long red hair, outdoors",
    "A young man's portrait; glasses. (unknownword)",
    "a woman, " * 60,
]


@pytest.mark.parametrize("prompt", PROMPTS)
def test_the_clip_gives_the_cores_tokens(comfy_host, clip, text, prompt):
    literal = prompt.replace("(", r"\(").replace(")", r"\)")
    ((found, extra),) = comfy_host.node("CLIPTextEncode")().encode(clip, literal)[0]
    torch.testing.assert_close(found, text.encode([prompt]), atol=1e-5, rtol=0)
    assert extra["pooled_output"].shape == (1, 128)


def test_prompt_weights_work_as_with_any_clip(clip, text):
    def encoded(prompt):
        return clip.encode_from_tokens(clip.tokenize(prompt))

    plain, empty = text.encode(["a smiling man"]), text.encode([""])
    expected = plain.clone()
    expected[:, 2] = empty[:, 2] + 1.3 * (plain[:, 2] - empty[:, 2])
    torch.testing.assert_close(encoded("a (smiling:1.3) man"), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(encoded("a (smiling:1.0) man"), plain, atol=1e-5, rtol=0)


def test_unknown_words_and_what_is_cut_off_are_named_once(clip, caplog):
    with caplog.at_level(logging.WARNING):
        clip.tokenize("a (smilling:1.2) man, smilling, zzzz")
    assert [r.getMessage() for r in caplog.records] == [
        'The text model does not know "smilling" (did you mean "smiling"?), "zzzz" and ignores it.'
    ]
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        (section,) = clip.tokenize("a man, " * 60)["l"]
    assert len(section) == 77 and section[-1][0] == 1 and section[-2][0] != 1
    assert [r.getMessage() for r in caplog.records if "reads 75" in r.getMessage()]


def test_the_vae_gives_the_cores_pixels_and_latents(comfy_host, vae, files, noise):
    core = weights.load_vae(files["vae"])
    latents = 1.5 * torch.randn(2, 8, 8, 8, generator=noise)
    pixels = comfy_host.node("VAEDecode")().decode(vae, {"samples": latents})[0]
    assert pixels.shape == (2, 64, 64, 3)
    expected = (core.decode(latents).sample / 2 + 0.5).clamp(0, 1).movedim(1, -1)
    torch.testing.assert_close(pixels, expected, atol=1e-4, rtol=0)
    found = comfy_host.node("VAEEncode")().encode(vae, pixels)[0]["samples"]
    torch.testing.assert_close(found, core.encode(expected.movedim(-1, 1) * 2 - 1).latents, atol=1e-4, rtol=0)


def test_stock_nodes_sample_the_base_model_and_decode(comfy_host, model, clip, vae):
    encode = comfy_host.node("CLIPTextEncode")()
    positive, negative = encode.encode(clip, "a smiling woman")[0], encode.encode(clip, "")[0]
    empty = comfy_host.node("EmptyLatentImage")().generate(128, 128, 1)[0]
    sampler = comfy_host.node("KSampler")()
    first, again = (
        sampler.sample(model, 7, 2, 2.0, "euler", "simple", positive, negative, empty)[0]["samples"] for _ in range(2)
    )
    assert first.shape == (1, 8, 16, 16) and first.isfinite().all() and torch.equal(first, again)
    picture = comfy_host.node("VAEDecode")().decode(vae, {"samples": first})[0]
    assert picture.shape == (1, 128, 128, 3) and picture.std() > 0.02


def test_previews_show_the_latents_colours(comfy_host, model, vae, portrait):
    from latent_preview import Latent2RGBPreviewer

    latent = vae.encode(portrait[0].movedim(0, -1)[None] / 2 + 0.5)
    shape = model.model.latent_format
    preview = Latent2RGBPreviewer(shape.latent_rgb_factors, shape.latent_rgb_factors_bias)
    picture = torch.from_numpy(np.array(preview.decode_latent_to_preview(latent))).flatten(0, 1).T / 127.5 - 1
    expected = torch.nn.functional.avg_pool2d(portrait[0], 8).flatten(1)
    assert (picture - expected).square().mean().sqrt() < 0.2
