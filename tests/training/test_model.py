"""The model that is trained is a value: read from a recipe, refused where it cannot be, trained at another size."""

import dataclasses

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from portraittalk_core import builders, presets
from portraittalk_core.checkpoints.native import load_denoiser, load_text_encoder, load_vae, save_denoiser, save_modules
from portraittalk_core.config import ScheduleConfig, TrainingConfig
from portraittalk_core.errors import BadConfig, BadInput
from portraittalk_core.hosts.diffusers_models import build_tiny_vae
from portraittalk_core.training.denoiser import bank as banks
from portraittalk_core.training.denoiser.bank import Bank, FrameEncoders, draw_album, make_bank
from portraittalk_core.training.denoiser.pairs import FrameStore, PairDraws
from portraittalk_core.training.denoiser.stages import ASSETS, build_objective, load_weights, train_stage
from portraittalk_core.training.model import check_model, read_model
from portraittalk_core.training.vae import CONFIG

DEVICE = torch.device("cpu")

SMALL = {
    "name": "small",
    "size": 64,
    "unet": {"latent_channels": 4, "channels": [32, 64], "attention": [True, True], "heads": 2},
    "schedule": {"prediction_type": "epsilon", "rescale_betas_zero_snr": False},
    "contour_size": 16,
    "structure_width": 16,
    "reference_layers": ["down.1.0"],
    "temporal_layers": ["mid.0.0", "up.1.1"],
}
"""Differs from tiny in everything that training was ever bound to."""


def test_a_model_is_a_preset_a_file_or_a_table(tmp_path):
    assert read_model() == presets.tiny() and read_model("sd15-magictalk") == presets.sd15_magictalk()
    table = read_model(SMALL)
    assert table.unet.channels == (32, 64) and table.unet.cross_dim == presets.tiny().unet.cross_dim
    assert table.audio_tokens == presets.tiny().audio_tokens and table.schedule.prediction_type == "epsilon"
    (tmp_path / "other.toml").write_text('base = "sd15-magictalk"\nidentity_tokens = 8\n[unet]\nheads = 4\n')
    other = read_model("other.toml", tmp_path)
    assert (other.name, other.identity_tokens, other.unet.heads) == ("other", 8, 4)
    assert other.unet.channels == presets.sd15_magictalk().unet.channels


@pytest.mark.parametrize(
    ("choice", "rule"),
    [
        ("huge", "`model` must be one of tiny"),
        ("none.toml", "cannot be read"),
        (3, "a preset's name, a TOML file or a table"),
        ({"base": "huge"}, "`base` must be one of"),
        ({"unet": {"colour": 1}}, "unknown key `unet.colour`"),
    ],
)
def test_what_is_no_model_is_named(choice, rule, tmp_path):
    with pytest.raises(BadConfig, match=rule):
        read_model(choice, tmp_path)


@pytest.mark.parametrize(
    ("table", "rule"),
    [
        ({"schedule": {"prediction_type": "epsilon"}}, "must not be epsilon with zero terminal signal"),
        ({"schedule": {"prediction_type": "flow"}}, "`prediction_type` must be one of"),
        ({"occlusion_fade": 0.5}, "`occlusion_fade` must be 1 or more"),
        ({"unet": {"channels": [64, 128]}}, "`unet.channels` and `unet.attention` must be as long"),
        ({"unet": {"channels": [64, 100, 128]}}, "must be multiples of 32"),
        ({"unet": {"heads": 0}}, "`unet.heads` must be 1 or more"),
        ({"temporal_layers": ["down.9.0"]}, "`temporal_layers` must be among"),
        ({"reference_layers": ["down.0.0"]}, "`reference_layers` must be among"),
        ({"vae_factor": 4}, "`vae_factor` must be 8"),
        ({"embedding_dim": 128}, "`embedding_dim` must be 512"),
        ({"size": 100}, "`size` must be a multiple of 64"),
        ({"contour_size": 48}, "`contour_size` must be a multiple of 32"),
    ],
)
def test_what_cannot_be_is_refused_when_it_is_configured(table, rule):
    with pytest.raises(BadConfig, match=rule):
        read_model(table)


def test_everything_that_cannot_be_is_named_at_once():
    schedule = ScheduleConfig(prediction_type="epsilon", rescale_betas_zero_snr=True)
    with pytest.raises(BadConfig, match=r"zero terminal signal.*occlusion_fade"):
        check_model(dataclasses.replace(presets.tiny(), schedule=schedule, occlusion_fade=0.0))


@pytest.fixture(scope="module")
def text():
    return load_text_encoder(ASSETS / "text.safetensors")


@pytest.fixture(scope="module")
def vae_file(tmp_path_factory):
    torch.manual_seed(0)
    config = {**CONFIG, "latent_channels": 4, "width": 8}
    file = tmp_path_factory.mktemp("vae") / "vae.safetensors"
    save_modules(file, build_tiny_vae(**config).state_dict(), config)
    return file


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    """A bank of the small model's size, its latents and embeddings those of nothing in particular."""
    generator = torch.Generator().manual_seed(0)

    def encode(pixels):
        side = pixels.shape[-1] // 8
        return torch.randn(len(pixels), 4, side, side, generator=generator)

    def embed(pixels, landmarks):
        return torch.nn.functional.normalize(torch.randn(len(pixels), 512, generator=generator), dim=1)

    def render(parameters, device, size):
        yield torch.randint(256, (len(parameters), 3, size, size), generator=generator).byte()

    folder = tmp_path_factory.mktemp("bank")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(banks, "render_frames", render)
        make_bank(folder, draw_album(range(2), appearances=1, frames=2), FrameEncoders(encode, embed, DEVICE), (32, 64))
    assert np.load(folder / "pictures.npy").shape == (4, 3, 64, 64)
    return folder


def test_another_size_with_noise_prediction_is_trained_and_packed(tmp_path, bank, vae_file):
    model, run = read_model(SMALL), TrainingConfig(size=64, refs=2, targets=1, warmup=1, mask_chance=1.0)
    state = train_stage(run, tmp_path, data=bank, people=2, model=model, vae=vae_file, max_steps=2)
    assert state.step == 2
    learned, last = load_file(tmp_path / "model.safetensors"), load_file(tmp_path / "last.safetensors")
    assert {name.partition(".")[0] for name in learned} == {"unet", "identity_net", "animate_net"}
    assert all(value.isfinite().all() for value in learned.values())
    assert any(not torch.equal(value, last[name]) for name, value in learned.items())
    # ... and can be written and read as any model
    nets = {"unet": builders.unet(model), **dict(builders.adapters(model).named_children())}
    tensors = {f"{net}.{name}": value for net, module in nets.items() for name, value in module.state_dict().items()}
    save_denoiser(tmp_path / "denoiser.safetensors", {**tensors, **learned}, model)
    assert load_denoiser(tmp_path / "denoiser.safetensors")[0] == model


def objective_of(kind, text, vae_file, **options):
    model = read_model({**SMALL, "schedule": {"prediction_type": kind, "rescale_betas_zero_snr": False}})
    return build_objective(model, TrainingConfig(size=64, **options), text, load_vae(vae_file))


def batch_of(bank, text):
    found = Bank.open(bank, 64)
    return FrameStore(found, DEVICE).gather(PairDraws(found.album, text.tokenize, seed=0, refs=2, targets=1)[0])


@pytest.mark.parametrize("kind", ["epsilon", "sample", "v_prediction"])
def test_a_perfect_prediction_of_its_kind_costs_nothing(kind, text, vae_file, bank, monkeypatch):
    objective = objective_of(kind, text, vae_file, mask_chance=0.0)
    batch, seen = batch_of(bank, text), []
    monkeypatch.setattr(objective.schedule, "add_noise", lambda *given: seen.append(given) or given[0])
    monkeypatch.setattr(objective, "predict", lambda *given: objective.schedule.target(*seen[0]))
    assert objective(batch, torch.Generator().manual_seed(0))["denoise"] == 0


def test_the_mask_loss_of_noise_prediction_stays_in_bounds_where_noise_hides_all(text, vae_file, bank):
    """Clean latents told by the noise are off by its error over sqrt(abar), 15 times at the last step."""
    objective = objective_of("epsilon", text, vae_file, mask_chance=1.0, high_noise=0.0)
    with torch.no_grad():
        losses = objective(batch_of(bank, text), torch.Generator().manual_seed(0))
    assert losses["mask"] < 10 * losses["denoise"].clamp(min=1)


def test_parts_that_do_not_fit_one_another_are_named(tmp_path, text, bank, vae_file):
    run, options = TrainingConfig(size=64), {"data": bank, "people": 2}
    small = read_model(SMALL)
    with pytest.raises(BadConfig, match="small: `unet.latent_channels` must be the channels of the VAE, 8, but got 4"):
        train_stage(run, tmp_path, model=small, **options)
    wide = dataclasses.replace(small, unet=dataclasses.replace(small.unet, cross_dim=64))
    with pytest.raises(BadConfig, match="`unet.cross_dim` must be the width of the text encoder, 128, but got 64"):
        train_stage(run, tmp_path, model=wide, vae=vae_file, **options)
    with pytest.raises(BadConfig, match="`size` must be 32 or 64 for small, but got 256"):
        train_stage(TrainingConfig(), tmp_path, model=small, vae=vae_file, **options)
    with pytest.raises(BadConfig, match="`clip` must be at most `temporal_frames`, 32, but got 48"):
        train_stage(TrainingConfig(clip=48), tmp_path, **options)
    with pytest.raises(BadInput, match="is of another model"):
        train_stage(run, tmp_path, model=small, vae=vae_file, start=ASSETS / "denoiser.safetensors", **options)
    with pytest.raises(BadInput, match="holds no latents of pictures of 128 pixels"):
        train_stage(TrainingConfig(size=128), tmp_path, **options)


def test_weights_of_another_width_are_refused_before_anything_is_copied(tmp_path, text, vae_file):
    objective = objective_of("epsilon", text, vae_file)
    before = {name: value.clone() for name, value in objective.state_dict().items()}
    name = "animate_net.identity.token_proj.norm.weight"
    save_file({name: torch.zeros(3), "unet.conv_in.bias": torch.full((32,), 9.0)}, tmp_path / "w.safetensors")
    with pytest.raises(BadInput, match=name):
        load_weights(objective, tmp_path / "w.safetensors")
    assert all(torch.equal(value, before[name]) for name, value in objective.state_dict().items())
