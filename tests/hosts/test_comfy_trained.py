"""A folder that training made of an SD1.5 base, in ComfyUI: its U-Net, its VAE and CLIP are what they are outside."""

import shutil

import pytest
import torch

from portraittalk_core import builders
from portraittalk_core.checkpoints import hearing
from portraittalk_core.checkpoints import native as weights
from portraittalk_core.hosts.kl_vae import KlVae
from portraittalk_core.hosts.sd15_models import empty_text_encoder
from portraittalk_core.perception.speech import SpeechEncoder, build_wav2vec2
from portraittalk_core.stacks.tiny import TinyStack
from portraittalk_core.training.model import read_model

from ..checkpoints.stack_files import write_tokenizer
from ..small_wav2vec2 import NUMBERS, WIDTH

pytestmark = [pytest.mark.comfy, pytest.mark.slow]

MODEL = {
    "base": "sd15",
    "name": "trained",
    "size": 128,
    "contour_size": 32,
    "structure_width": 16,
    "audio_dim": WIDTH,
    "unet": {"channels": [32, 64, 64], "attention": [True, True, False], "heads": 4, "layers": 1},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A narrow U-Net and its adapters, SD1.5's own VAE and CLIP, all of random weights."""
    folder = tmp_path_factory.mktemp("trained")
    shutil.copytree(weights.ASSETS / "tiny", folder, dirs_exist_ok=True)
    torch.manual_seed(0)
    config = read_model(MODEL)
    nets = {"unet": builders.unet(config), **dict(builders.adapters(config).named_children())}
    weights.save_denoiser(folder / "denoiser.safetensors", weights.named_tensors(nets), config)
    vae, text = KlVae.empty(), empty_text_encoder().to_empty(device="cpu")
    for net in (vae, text):
        for name, value in net.named_parameters():
            torch.nn.init.ones_(value) if "norm" in name and "weight" in name else torch.nn.init.normal_(
                value, std=0.02
            )
    weights.save_modules(folder / "vae.safetensors", vae.state_dict(), weights.SD15_LAYOUT)
    inner = getattr(text, "text_model", text).state_dict()
    tensors = {f"text_model.{name}": value for name, value in inner.items() if not name.endswith("position_ids")}
    weights.save_modules(folder / "text.safetensors", tensors, weights.SD15_LAYOUT)
    write_tokenizer(folder / "tokenizer" / "tokenizer.json")
    encoder = build_wav2vec2(**NUMBERS)
    own = tmp_path_factory.mktemp("heard") / "own.safetensors"
    weights.save_modules(own, encoder.state_dict(), SpeechEncoder(encoder).config)
    hearing.save_hearing(folder, hearing.open_hearing(own))
    return folder


def test_the_loader_takes_what_training_made(pack, folder, monkeypatch):
    loaders = pack("nodes.models")
    import folder_paths

    monkeypatch.setitem(folder_paths.folder_names_and_paths, "portraittalk", ([str(folder.parent)], set()))
    with torch.inference_mode():
        model, clip, _vae, hosted = loaders.load(folder.name)
        stack = TinyStack.load(str(folder))
        assert model.model.latent_format.latent_channels == 4 and len(model.model.model_sampling.sigmas) == 1000
        pixels = torch.rand(2, 3, 128, 128) * 2 - 1
        latents = stack.codec.encode(pixels)
        torch.testing.assert_close(hosted.stack.codec.encode(pixels), latents, atol=1e-3, rtol=1e-3)
        pictures, others = (torch.cat(list(s.codec.decode(latents))) for s in (stack, hosted.stack))
        torch.testing.assert_close(others.clamp(-1, 1), pictures, atol=1e-2, rtol=0)
        tokens = clip.encode_from_tokens(clip.tokenize(""))
        torch.testing.assert_close(tokens.float(), stack.text.encode([""]), atol=1e-3, rtol=1e-3)
        alone = loaders.load_adapters(folder.name)
        assert alone.vae is None and alone.stack.config.name == stack.config.name


def test_what_training_listened_with_listens_in_the_host(pack, folder, monkeypatch):
    import folder_paths

    monkeypatch.setitem(folder_paths.folder_names_and_paths, "portraittalk", ([str(folder.parent)], set()))
    types, listening = pack("portraittalk_core.types"), pack("nodes.listening")
    sound = types.Sound(0.1 * torch.sin(torch.arange(8 * 640) / 7)[None], 16000)
    with torch.inference_mode():
        hosted = pack("nodes.models").load_adapters(folder.name)
        expected = TinyStack.load(str(folder)).listen(sound)
        own = listening.encode(hosted, sound, 25.0, None, 0.0)
        torch.testing.assert_close(own.attended, expected.attended, atol=1e-4, rtol=1e-4)
        rows = {"encoded_audio": torch.ones(1, 16, WIDTH), "audio_samples": 8 * 640}
        theirs = listening.encode(hosted, sound, 25.0, rows, 0.0)
    assert theirs.attended.shape == (8, WIDTH) and bool((theirs.attended == 1).all())
    assert torch.equal(theirs.hidden, own.hidden)  # which moves the face, as before
    for width in (128, 64):
        with pytest.raises(pack("portraittalk_core.errors").BadInput, match=f"must have {WIDTH} features a row"):
            listening.encode(hosted, sound, 25.0, {**rows, "encoded_audio": torch.ones(1, 16, width)}, 0.0)
