import dataclasses
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from portraittalk_core import builders, presets
from portraittalk_core.checkpoints import native as weights
from portraittalk_core.config_file import to_mapping
from portraittalk_core.errors import BadInput, UnsafeWeights, WeightsMismatch


@pytest.fixture(scope="module")
def config():
    tiny = presets.tiny()
    return dataclasses.replace(tiny, temporal_layers=("mid.0.0",), reference_layers=("mid.0.0",))


@pytest.fixture(scope="module")
def tensors(config):
    torch.manual_seed(0)
    nets = {
        "unet": builders.unet(config),
        "identity_net": builders.identity_net(config),
        "animate_net": builders.animate_net(config),
    }
    return {f"{name}.{key}": value for name, net in nets.items() for key, value in net.state_dict().items()}


def test_a_denoiser_comes_back_as_it_was_saved(tmp_path, config, tensors):
    file = tmp_path / "denoiser.safetensors"
    weights.save_denoiser(file, tensors, config)
    found, unet, adapters = weights.load_denoiser(file)
    assert found == config and list(tmp_path.iterdir()) == [file]
    assert [str(site) for site in adapters.reference_net.sites] == ["mid.0.0"] and not adapters.training
    stored = {"unet": unet, "identity_net": adapters.identity_net, "animate_net": adapters.animate_net}
    assert sum(len(net.state_dict()) for net in stored.values()) == len(tensors)
    for name, net in stored.items():
        assert not any(p.requires_grad for p in net.parameters())
        for key, value in net.state_dict().items():
            assert value.dtype == tensors[f"{name}.{key}"].dtype
            torch.testing.assert_close(value, tensors[f"{name}.{key}"].half().to(value.dtype), rtol=0, atol=0)


def test_what_stage_2_learned_lies_beside_and_counts(tmp_path, config, tensors):
    file = tmp_path / "denoiser.safetensors"
    weights.save_denoiser(file, tensors, config)
    learned = {name: torch.ones_like(value) for name, value in tensors.items() if name.startswith("animate_net.audio.")}
    sampling = dataclasses.replace(config.sampling, fusion="streaming")
    streamed = dataclasses.replace(config, sampling=sampling)
    weights.save_denoiser(weights.second_stage(file), learned, streamed)
    found, _, adapters = weights.load_denoiser(file)
    assert found == streamed and learned
    values = adapters.state_dict()
    assert all(torch.equal(values[name], value) for name, value in learned.items())
    kept = "animate_net.structure.conv_in.weight"
    assert kept not in tensors or torch.equal(values[kept], tensors[kept].half().float())
    weights.save_denoiser(weights.second_stage(file), {"animate_net.audio.foreign": torch.ones(1)}, config)
    with pytest.raises(
        WeightsMismatch, match=r"must go with denoiser\.safetensors, but animate_net\.audio\.foreign is"
    ):
        weights.load_denoiser(file)
    weights.save_denoiser(weights.second_stage(file), {next(iter(learned)): torch.ones(3)}, config)
    assert weights.second_stage(file).exists()
    with pytest.raises(WeightsMismatch, match=r"is \[3\] instead of"):
        weights.load_adapters(file)
    weights.save_denoiser(file, tensors, config)
    assert not weights.second_stage(file).exists(), "it belonged to the denoiser before"


def test_tensors_that_do_not_fit_are_named(tmp_path, config, tensors):
    file = tmp_path / "d.safetensors"
    broken = dict(tensors)
    broken["unet.foreign"] = torch.zeros(1)
    del broken["unet.conv_in.bias"]
    broken["unet.conv_out.bias"] = torch.zeros(3)
    weights.save_denoiser(file, broken, config)
    with pytest.raises(WeightsMismatch) as caught:
        weights.load_denoiser(file)
    text = str(caught.value)
    assert "\n" not in text
    for part in ("conv_in.bias is missing", "unet.foreign is foreign", r"conv_out.bias is [3] instead of [8]"):
        assert part in text
    weights.save_denoiser(file, {k: v for k, v in tensors.items() if "ip_adapter" not in k}, config)
    with pytest.raises(WeightsMismatch, match=r"and \d+ more"):
        weights.load_denoiser(file)


def test_adapters_are_read_without_the_unet_that_a_host_brings(tmp_path, config, tensors):
    file = tmp_path / "denoiser.safetensors"
    weights.save_denoiser(file, tensors, config)
    _, _, whole = weights.load_denoiser(file)
    found, adapters = weights.load_adapters(file)
    assert found == config and not any(p.requires_grad for p in adapters.parameters())
    values = adapters.state_dict()
    assert set(values) == {name for name in tensors if not name.startswith("unet.")}
    assert all(torch.equal(value, values[name]) for name, value in whole.state_dict().items())
    weights.save_denoiser(file, {k: v for k, v in tensors.items() if not k.startswith("animate_net.audio")}, config)
    with pytest.raises(WeightsMismatch, match=r"animate_net\.audio\S+ is missing"):
        weights.load_adapters(file)


def test_the_prompts_guidance_keeps_its_value_under_its_old_name(tmp_path, config, tensors):
    values = to_mapping(config)
    scale = values["sampling"].pop("cfg")
    values["sampling"]["text_scale"] = scale + 1.5
    weights.save_modules(tmp_path / "old.safetensors", tensors, values)
    assert weights.read_denoiser(tmp_path / "old.safetensors")[0].sampling.cfg == scale + 1.5


def test_files_that_are_no_weights_are_refused(tmp_path):
    with pytest.raises(WeightsMismatch, match="no such weights file"):
        weights.read_modules(tmp_path / "none.safetensors")
    (tmp_path / "b.safetensors").write_bytes(b"hello, this is not a tensor file")
    with pytest.raises(WeightsMismatch, match="cannot be read as safetensors"):
        weights.read_modules(tmp_path / "b.safetensors")
    save_file({"a": torch.zeros(1)}, tmp_path / "c.safetensors")
    with pytest.raises(WeightsMismatch, match="no configuration"):
        weights.read_modules(tmp_path / "c.safetensors")
    weights.save_modules(tmp_path / "e.safetensors", {"a": torch.zeros(1)}, {"dim": 3})
    with pytest.raises(WeightsMismatch, match="must be a VAE of the tiny model, but its configuration"):
        weights.load_vae(tmp_path / "e.safetensors")


def test_a_pickle_is_read_only_where_it_holds_nothing_but_tensors(tmp_path):
    values = {"w": torch.ones(2, dtype=torch.float16)}
    torch.save({"config": '{"dim": 3}', "state_dict": values}, tmp_path / "good.pt")
    config, tensors = weights.read_modules(tmp_path / "good.pt")
    assert config == {"dim": 3} and tensors["w"].tolist() == [1, 1] and tensors["w"].dtype == torch.float32
    torch.save(values, tmp_path / "bare.bin")
    with pytest.raises(WeightsMismatch, match="no configuration"):
        weights.read_modules(tmp_path / "bare.bin")
    marker = tmp_path / "ran"
    for name, old in (("evil.pt", False), ("evil.ckpt", True)):
        torch.save({"w": Evil(marker)}, tmp_path / name, _use_new_zipfile_serialization=not old)
        with pytest.raises(UnsafeWeights, match="is a pickle that holds more than tensors") as caught:
            weights.read_modules(tmp_path / name)
        assert "\n" not in str(caught.value) and not marker.exists()
    (tmp_path / "cut.pt").write_bytes((tmp_path / "good.pt").read_bytes()[:200])
    with pytest.raises(WeightsMismatch, match="cannot be read"):
        weights.read_modules(tmp_path / "cut.pt")


class Evil:
    """Touches a file when it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


def test_what_a_model_lacks_is_named_at_once(tmp_path):
    (tmp_path / "vae.safetensors").write_bytes(b"x")
    with pytest.raises(WeightsMismatch, match=r"lacks denoiser\.safetensors, text\.safetensors, .* complete model"):
        weights.model_files(str(tmp_path))
    for part in weights.PARTS:
        (tmp_path / f"{part}.safetensors").write_bytes(b"x")
    assert weights.model_files(str(tmp_path))["text"] == tmp_path / "text.safetensors"


def test_models_are_found_by_name_or_folder(tmp_path):
    assert weights.model_folder("tiny").name == "tiny" and weights.model_folder(str(tmp_path)) == tmp_path
    with pytest.raises(BadInput, match="sd15 is made of public files.*takes sd15-portraittalk"):
        weights.model_folder("sd15")
    with pytest.raises(BadInput, match="is no folder"):
        weights.model_folder(str(tmp_path / "none"))


def test_the_shipped_vae_loads_and_rebuilds_its_latents_range():
    vae = weights.load_vae(weights.ASSETS / "tiny" / "vae.safetensors")
    stored = load_file(weights.ASSETS / "tiny" / "vae.safetensors")
    assert all(v.dtype == torch.float16 for v in stored.values())
    with torch.no_grad():
        latents = vae.encode(torch.zeros(1, 3, 64, 64)).latents
    assert latents.shape == (1, 8, 8, 8)


@pytest.mark.skipif(os.name != "posix", reason="rights are those of POSIX")
def test_files_can_be_read_by_whom_any_new_file_can(tmp_path):
    (tmp_path / "any").touch()
    weights.save_modules(tmp_path / "some.safetensors", {"a": torch.zeros(2)}, {})
    assert (tmp_path / "some.safetensors").stat().st_mode == (tmp_path / "any").stat().st_mode
