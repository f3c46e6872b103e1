"""SyncNet v2: every tensor of the public table in its place, and the numbers of the published layers written out."""

import pytest
import torch
from torch.nn import functional as F

from portraittalk_core.checkpoints.syncnet import load_syncnet
from portraittalk_core.errors import BadInput, WeightsMismatch
from portraittalk_core.metrics.functional import sync_score
from portraittalk_core.metrics.functional.sync_input import sound_windows

from .public_files import layout, numbered, random_tensors, write_hollow, write_pickle

TABLE = layout("syncnet_v2")
COUNTERS = [name for name in TABLE if name.endswith("num_batches_tracked")]


def tensors(seed: int = 0) -> dict[str, torch.Tensor]:
    """Random values that every layer can work with: variances are positive, counters whole."""
    made = random_tensors({k: s for k, s in TABLE.items() if k not in COUNTERS}, seed)
    variances = {k: 0.5 + t.abs() for k, t in made.items() if k.endswith("running_var")}
    return made | variances | {k: torch.tensor(7) for k in COUNTERS}


def test_every_tensor_has_its_place(tmp_path):
    assert len(TABLE) == 102 and len(COUNTERS) == 14
    loaded = load_syncnet(write_pickle(tmp_path / "wrong_name.ckpt", numbered(TABLE)))
    found = {name: float(t.flatten()[0]) for name, t in loaded.net.state_dict().items() if name not in COUNTERS}
    assert found == {name: float(i) for i, name in enumerate(TABLE) if name not in COUNTERS}
    assert sorted(loaded.ignored) == sorted(COUNTERS) and "training" in loaded.ignored[COUNTERS[0]]
    assert not loaded.net.training and not any(p.requires_grad for p in loaded.net.parameters())


def test_old_files_lack_the_counters_and_other_containers_load_too(tmp_path):
    old = {k: t for k, t in tensors().items() if k not in COUNTERS}
    torch.save(old, tmp_path / "old.model", _use_new_zipfile_serialization=False)
    loaded = load_syncnet(tmp_path / "old.model")
    assert not loaded.ignored
    parallel = write_pickle(tmp_path / "b.pt", {f"module.{k}": t for k, t in tensors().items()}, 0, "state_dict")
    for name, value in load_syncnet(parallel).net.state_dict().items():
        assert name in COUNTERS or torch.equal(value, old[name]), name


def test_no_tensor_may_be_missing_foreign_or_misshapen(tmp_path):
    cases = (
        ({k: s for k, s in TABLE.items() if k != "netfclip.3.bias"}, r"netfclip.3.bias is missing \(expected \[1024\]"),
        (
            {**TABLE, "netcnnlip.0.weight": (96, 3, 7, 7)},
            r"netcnnlip.0.weight is \[96, 3, 7, 7\] instead of \[96, 3, 5",
        ),
        ({**TABLE, "netcnnaud.3.weight": (1,)}, "netcnnaud.3.weight is foreign"),
        ({k: s for k, s in TABLE.items() if ".1." not in k or k in COUNTERS}, "SyncNet v2.*and 6 more"),
    )
    for shapes, message in cases:
        with pytest.raises(WeightsMismatch, match=message):
            load_syncnet(write_hollow(tmp_path / "a.safetensors", shapes, "F32"))
    with pytest.raises(WeightsMismatch, match="must be SyncNet, but is wav2vec 2.0"):
        load_syncnet(write_hollow(tmp_path / "b.safetensors", layout("wav2vec2-base-960h")))


def _published(values, x, sound):
    """The published layers, one after the other, from the tensors of the file."""
    part, convolve, pool = ("aud", F.conv2d, F.max_pool2d) if sound else ("lip", F.conv3d, F.max_pool3d)
    if sound:
        layers = [(0, 1, 1, None), (4, 1, 1, ((3, 3), (1, 2), 0)), (8, 1, 1, None), (11, 1, 1, None)]
        layers += [(14, 1, 1, ((3, 3), (2, 2), 0)), (18, 1, 0, None)]
    else:
        big = ((1, 3, 3), (1, 2, 2))
        layers = [(0, (1, 2, 2), 0, (*big, 0)), (4, (1, 2, 2), (0, 1, 1), (*big, (0, 1, 1))), (8, 1, (0, 1, 1), None)]
        layers += [(11, 1, (0, 1, 1), None), (14, 1, (0, 1, 1), (*big, 0)), (18, 1, 0, None)]

    def norm(x, name):
        mean, var, scale, shift = (
            values[f"{name}.{k}"].reshape(-1, *[1] * (x.ndim - 2))
            for k in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (var + 1e-5).sqrt() * scale + shift

    for number, stride, padding, pooled in layers:
        name = f"netcnn{part}.{number}"
        x = convolve(x, values[f"{name}.weight"], values[f"{name}.bias"], stride=stride, padding=padding)
        x = norm(x, f"netcnn{part}.{number + 1}").relu()
        x = x if pooled is None else pool(x, *pooled)
    name = "netfcaud" if sound else "netfclip"
    x = x.flatten(1) @ values[f"{name}.0.weight"].T + values[f"{name}.0.bias"]
    return norm(x, f"{name}.1").relu() @ values[f"{name}.3.weight"].T + values[f"{name}.3.bias"]


@pytest.mark.parity
@torch.no_grad()
def test_the_embeddings_are_those_of_the_published_layers(tmp_path, noise, capsys):
    values = tensors(3)
    net = load_syncnet(write_pickle(tmp_path / "syncnet_v2.model", values)).net
    frames = torch.rand(7, 3, 224, 224, generator=noise) * 255
    found = net.lips(frames)
    windows = torch.stack([frames[i : i + 5].movedim(0, 1) for i in range(3)])
    expected = _published(values, windows, sound=False)
    cepstra = sound_windows(0.3 * torch.randn(16000, generator=noise).clamp(-3, 3), 3)
    heard, expected_sound = net.sound(cepstra), _published(values, cepstra[:, None], sound=True)
    lips, sound = float((found - expected).abs().max()), float((heard - expected_sound).abs().max())
    with capsys.disabled():
        print(f"\nSyncNet: max difference of lips {lips:.1e} at {float(expected.std()):.1f}, of sound {sound:.1e} "
              f"at {float(expected_sound.std()):.1f}")  # fmt: skip
    assert found.shape == heard.shape == (3, 1024)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.std()))
    torch.testing.assert_close(heard, expected_sound, rtol=1e-4, atol=1e-4 * float(expected_sound.std()))
    assert sync_score(found, heard, shortest_frames=8).curve.shape == (31,)


def test_pictures_and_cepstra_of_another_shape_are_refused(tmp_path):
    net = load_syncnet(write_pickle(tmp_path / "a.pt", numbered(TABLE))).net
    with pytest.raises(BadInput, match=r"must be \[5 or more, 3, 224, 224\], but got \[4, 3, 224, 224\]"):
        net.lips(torch.zeros(4, 3, 224, 224))
    with pytest.raises(BadInput, match=r"must be \[n, 13, 20\]"):
        net.sound(torch.zeros(2, 20, 13))
