"""CLIP's text side: tokens as SD1.5 wants them, and tokenizers that are none."""

import logging
import os
from pathlib import Path

import pytest
import torch

from portraittalk_core.checkpoints.tokenizer import load_clip_tokenizer
from portraittalk_core.errors import WeightsMismatch
from portraittalk_core.perception.clip_text import ClipText

from ..checkpoints.stack_files import write_tokenizer

COMFYUI = Path(os.environ.get("COMFYUI_PATH", "~/comfy/ComfyUI")).expanduser() / "comfy" / "sd1_tokenizer"


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return load_clip_tokenizer(write_tokenizer(tmp_path_factory.mktemp("words") / "tokenizer.json"))


def test_a_prompt_is_77_tokens_and_a_long_one_is_cut_with_a_warning(tokenizer, caplog):
    from transformers import CLIPTextConfig, CLIPTextModel

    model = CLIPTextModel(CLIPTextConfig(hidden_size=32, intermediate_size=64, num_hidden_layers=1)).eval()
    text = ClipText(model, tokenizer)
    short = text.encode(["a man", ""])
    assert short.shape == (2, 77, 32) and not caplog.records
    with caplog.at_level(logging.WARNING):
        assert text.encode(["x" * 100]).shape == (1, 77, 32)
    assert "has 100 tokens, CLIP reads 75" in caplog.text
    ids = tokenizer(["a"], padding="max_length", max_length=77)["input_ids"][0]
    assert ids[0] == 49406 and set(ids[2:]) == {49407}
    expected = model(input_ids=torch.tensor([ids])).last_hidden_state
    torch.testing.assert_close(text.encode(["a"]), expected)


def test_what_is_no_clip_tokenizer_is_one_line(tmp_path):
    (tmp_path / "a.json").write_text("{}")
    for path in (tmp_path / "a.json", tmp_path / "none", tmp_path):
        with pytest.raises(WeightsMismatch, match="is no CLIP tokenizer|must have the 49408 words"):
            load_clip_tokenizer(path)


@pytest.mark.skipif(not COMFYUI.is_dir(), reason="no ComfyUI at COMFYUI_PATH")
def test_comfyuis_tokenizer_splits_words_as_clip_does():
    made = load_clip_tokenizer(COMFYUI)
    assert made("a man, smiling")["input_ids"] == [49406, 320, 786, 267, 9200, 49407]
