"""Embedding rendered frames in torch, against what the face analyser makes of them."""

from pathlib import Path

import pytest
import torch
from onnx import TensorProto, helper, save
from torch import Generator

from portraittalk_core.errors import WeightsMismatch
from portraittalk_core.perception import face
from portraittalk_core.perception.face import FaceAnalyser
from portraittalk_core.training.faces.embedding import EmbedFrames, load_onnx

from ...rendered_people import portraits as rendered_portraits

PACK = Path(face.__file__).parents[1] / "assets" / "tiny" / "faces"


@pytest.fixture(scope="module")
def portraits():
    pixels, points = rendered_portraits()
    return pixels[::2], points[::2]


def test_the_embedding_is_that_of_the_face_analyser(portraits):
    pytest.importorskip("insightface", reason="insightface is not installed: pip install insightface onnxruntime")
    vectors = EmbedFrames(PACK, "cpu")(*portraits)
    analyser = FaceAnalyser(PACK)
    found = torch.stack([analyser.find(picture)[0].embedding for picture in portraits[0]])
    assert vectors.shape == (4, 512) and torch.allclose(vectors.norm(dim=1), torch.ones(4), atol=1e-4)
    assert (vectors * found).sum(1).median() > 0.93  # landmarks are exact here, predicted there
    assert (vectors @ found.T).argmax(1).tolist() == [0, 1, 2, 3]


def test_faces_at_the_edge_of_a_picture_are_embedded_as_generation_embeds_them(portraits):
    pytest.importorskip("insightface", reason="insightface is not installed: pip install insightface onnxruntime")
    analyser, embed = FaceAnalyser(PACK), EmbedFrames(PACK, "cpu")
    for picture, points in zip(*portraits):
        at = (points + 1) * 128
        top = int(at[:, 1].min())
        left = top // 2
        cut, placed = picture[:, top:, left : left + 256 - top], at - torch.tensor([left, top])
        (vector,) = embed(cut[None], (placed / (128 - top / 2) - 1)[None])
        assert vector @ analyser.embed(cut, placed) > 0.98


def test_bytes_serve_as_well_as_floats(portraits):
    pixels, points = portraits
    as_bytes = ((pixels + 1) * 127.5).round().byte()
    embed = EmbedFrames(PACK, "cpu")
    assert (embed(as_bytes, points) * embed(pixels, points)).sum(1).min() > 0.999


def test_jitter_comes_from_the_generator(portraits):
    embed = EmbedFrames(PACK, "cpu", jitter_px=1.5)
    one, same, other = (embed(*portraits, Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)
    assert (one * EmbedFrames(PACK, "cpu")(*portraits)).sum(1).mean() > 0.8


def test_an_unknown_operator_is_named(tmp_path):
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Tanh", ["x"], ["y"])], "g", ends[:1], ends[1:])
    save(helper.make_model(graph), tmp_path / "net.onnx")
    with pytest.raises(WeightsMismatch, match="cannot run: Tanh"):
        load_onnx(tmp_path / "net.onnx", "cpu")
