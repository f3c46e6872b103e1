"""wav2vec2-base-960h and audio2mesh: every tensor in both spellings, and the numbers of transformers."""

import json
import math

import pytest
import torch
from torch.nn import functional as F

from portraittalk_core.checkpoints.speech import load_audio_to_mesh, load_audio_to_pose, load_wav2vec2
from portraittalk_core.errors import BadInput, WeightsMismatch
from portraittalk_core.nets.audio_to_pose import AudioToPose, attention_bias, move_head, plan_pieces, smooth
from portraittalk_core.perception.speech import TINY_SPEECH, build_wav2vec2

from .public_files import layout, numbered, random_tensors, write_hollow, write_pickle

CTC, MESH, POSE = (layout(n) for n in ("wav2vec2-base-960h", "aniportrait_audio2mesh", "aniportrait_audio2pose"))
NEW = {"weight_g": "parametrizations.weight.original0", "weight_v": "parametrizations.weight.original1"}


def respelled(table):
    return {
        (k.rpartition(".")[0] + "." + NEW[e] if (e := k.rpartition(".")[2]) in NEW else k): v for k, v in table.items()
    }


def markers(net):
    return {name: float(t.flatten()[0]) for name, t in net.state_dict().items()}


def test_both_spellings_and_both_prefixes_give_the_same(tmp_path):
    tables = {
        "letters": numbered(CTC),
        "new": respelled(numbered(CTC)),
        "bare": {k.removeprefix("wav2vec2."): t for k, t in numbered(CTC).items() if not k.startswith("lm_head")},
    }
    assert "wav2vec2.encoder.pos_conv_embed.conv.weight_g" in CTC and tables["new"].keys() != tables["letters"].keys()
    loaded = {name: load_wav2vec2(write_pickle(tmp_path / f"{name}.bin", t)) for name, t in tables.items()}
    found = [markers(one.encoder.model) for one in loaded.values()]
    assert found[0] == found[1] == found[2] and len(found[0]) == 211
    numbers = {name: float(i) for i, name in enumerate(CTC)}
    norm = "encoder.pos_conv_embed.conv."
    for new, old in ((NEW["weight_g"], "weight_g"), (NEW["weight_v"], "weight_v")):
        actual = found[0].get(norm + new, found[0].get(norm + old))
        assert actual == numbers[f"wav2vec2.{norm}{old}"]
    assert loaded["letters"].ignored == dict.fromkeys(
        ("lm_head.weight", "lm_head.bias"), loaded["new"].ignored["lm_head.bias"]
    )
    assert not loaded["bare"].ignored


def test_no_tensor_may_be_missing_or_foreign(tmp_path):
    gone = "audio_encoder.encoder.pos_conv_embed.conv.weight_g"
    cases = (
        ({k: s for k, s in MESH.items() if k != gone}, f"{gone.rpartition('.')[0]}.* is missing"),
        ({**MESH, "out_fn.weight": (1434, 512)}, r"out_fn.weight is \[1434, 512\] instead of \[1404, 512\]"),
        ({**MESH, "lm_head.weight": (32, 768)}, "lm_head.weight is foreign"),
    )
    for table, message in cases:
        with pytest.raises(WeightsMismatch, match=message):
            load_audio_to_mesh(write_hollow(tmp_path / "a.safetensors", table))


@pytest.mark.slow
@pytest.mark.parity
@torch.no_grad()
def test_the_encoder_is_that_of_transformers(tmp_path, noise, capsys):
    from safetensors.torch import save_file
    from transformers import Wav2Vec2Config, Wav2Vec2ForCTC

    tensors = random_tensors(CTC, seed=7)
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    (tmp_path / "config.json").write_text(json.dumps(Wav2Vec2Config(architectures=["Wav2Vec2ForCTC"]).to_dict()))
    theirs = Wav2Vec2ForCTC.from_pretrained(tmp_path).eval()
    ours = load_wav2vec2(tmp_path / "model.safetensors").encoder.model
    for samples, rows in ((16000, 49), (80000, 249)):
        speech = torch.randn(1, samples, generator=noise)
        expected = theirs.wav2vec2(speech).last_hidden_state
        found = ours(speech).last_hidden_state
        difference = float((found - expected).abs().max())
        with capsys.disabled():
            print(f"\nwav2vec2, {samples} samples: max difference {difference:.1e} at std {float(expected.std()):.2f}")
        assert found.shape == (1, rows, 768) and difference < 1e-5


@pytest.mark.slow
@pytest.mark.parity
@torch.no_grad()
def test_audio2mesh_is_its_published_formula(tmp_path, noise, capsys):
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

    tensors = random_tensors(MESH, seed=8)
    net = load_audio_to_mesh(write_pickle(tmp_path / "a.pt", tensors)).net
    encoder = Wav2Vec2Model(Wav2Vec2Config()).eval()
    own = {k.removeprefix("audio_encoder."): t for k, t in respelled(tensors).items() if k.startswith("audio_encoder.")}
    encoder.load_state_dict(own, strict=True)
    speech = torch.randn(20000, generator=noise) * 0.1 + 0.05
    values = Wav2Vec2FeatureExtractor(do_normalize=True)(speech.numpy(), sampling_rate=16000, return_tensors="pt")
    features = encoder.feature_extractor(values.input_values)
    count = math.ceil(20000 / 16000 * 30)
    # Linear interpolation between the first and the last row, written out.
    place = torch.arange(count, dtype=torch.float64) * (features.shape[-1] - 1) / (count - 1)
    low = place.long().clamp(max=features.shape[-1] - 2)
    share = (place - low).float()
    resampled = features[..., low] * (1 - share) + features[..., low + 1] * share
    hidden = encoder.encoder(encoder.feature_projection(resampled.transpose(1, 2))[0]).last_hidden_state
    hidden = F.linear(hidden, tensors["in_fn.weight"], tensors["in_fn.bias"])
    expected = F.linear(hidden, tensors["out_fn.weight"], tensors["out_fn.bias"]).reshape(1, count, 468, 3)
    found = net(speech[None])
    difference = float((found - expected).abs().max())
    with capsys.disabled():
        print(f"\naudio2mesh: max difference {difference:.1e} at std {float(expected.std()):.2f}")
    assert found.shape == (1, 38, 468, 3) and difference < 1e-4
    torch.testing.assert_close(net(3 * speech[None]), found, atol=1e-3, rtol=1e-3)
    with pytest.raises(BadInput, match="at least 400 samples"):
        net(speech[None, :300])


def test_every_tensor_of_audio2pose(tmp_path):
    loaded = load_audio_to_pose(write_pickle(tmp_path / "a.pt", numbered(POSE)))
    found = {t for t in (float(v.flatten()[0]) for v in loaded.net.state_dict().values())}
    assert found == {float(i) for i in range(len(POSE))} and not loaded.ignored
    with pytest.raises(WeightsMismatch, match="id_embed.weight is missing"):
        load_audio_to_pose(write_hollow(tmp_path / "b", {k: s for k, s in POSE.items() if k != "id_embed.weight"}))


@pytest.fixture(scope="module")
def mover():
    """A small audio2pose with random weights."""
    with torch.random.fork_rng():
        torch.manual_seed(2)
        net = AudioToPose(build_wav2vec2(**TINY_SPEECH), width=64)
        net.PPE.pe.normal_()
        for parameter in net.parameters():  # the layers of a decoder start as copies of each other
            parameter.data += 0.02 * torch.randn_like(parameter)
    return net.eval().requires_grad_(False)


@torch.no_grad()
def test_a_movement_is_that_of_one_look_at_itself(mover, noise):
    """All masks are causal, so the movement drawn frame by frame is what one run over it gives, mask by formula."""
    from portraittalk_core.nets.audio_to_mesh import encode_at_rate

    speech = torch.randn(2, 4000, generator=noise)
    poses = mover(speech, style=7)
    assert poses.shape == (2, 8, 6)
    heard = mover.in_fn(encode_at_rate(mover.audio_encoder, speech, 8))
    start = torch.zeros(2, 1, 6)
    tokens = mover.pose_map(torch.cat([start, poses[:, :-1]], 1)) + mover.PPE.pe[:, :8] + mover.id_embed.weight[7]
    bias = torch.full((8, 8, 8), -torch.inf)
    for head in range(8):
        for i in range(8):
            for j in range(i + 1):
                bias[head, i, j] = -(i - j) * 2.0 ** -(head + 1)
    assert torch.equal(bias, attention_bias(8))
    # Its own frame alone: attention to one row is that row, which needs no softmax.
    for layer in mover.transformer_decoder.layers:
        tokens = layer.norm1(tokens + layer.self_attn(tokens, tokens, tokens, attn_mask=bias.repeat(2, 1, 1))[0])
        cross = layer.multihead_attn
        value = F.linear(heard, cross.in_proj_weight[-64:], cross.in_proj_bias[-64:])
        tokens = layer.norm2(tokens + cross.out_proj(value))
        tokens = layer.norm3(tokens + layer.linear2(F.relu(layer.linear1(tokens))))
    torch.testing.assert_close(poses, mover.pose_map_r(tokens), atol=1e-4, rtol=1e-3)
    assert not torch.allclose(poses, mover(speech, style=8), atol=1e-3)
    with pytest.raises(BadInput, match="between 0 and 99"):
        mover(speech, style=100)
    with pytest.raises(BadInput, match="at most 600 frames, but got 0 and 601"):
        mover(torch.zeros(1, 320_001))


def test_no_piece_is_lost():
    assert plan_pieces(30_000, 80_000) == [(0, 30_000)]
    assert plan_pieces(160_000, 80_000) == [(0, 80_000), (80_000, 160_000)]
    assert plan_pieces(200_000, 80_000) == [(0, 80_000), (80_000, 200_000)]


def test_long_movements_are_halved_and_smoothed(mover, noise):
    rows = torch.randn(9, 2, generator=noise)
    found = smooth(rows, 7)
    torch.testing.assert_close(found[0], rows[:4].mean(0))
    torch.testing.assert_close(found[4], rows[1:8].mean(0))
    speech = torch.randn(3000, generator=noise)
    raw = mover(speech[None])[0]
    raw[:, :3] *= 0.5
    torch.testing.assert_close(move_head(mover, speech), smooth(raw, 7))
