"""The text encoder: its tokens, the words it knows, what it says of those it does not, and the shipped weights."""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch

import portraittalk_core
from portraittalk_core.checkpoints.native import load_text_encoder
from portraittalk_core.errors import BadInput
from portraittalk_core.people.words import VALUES, vocabulary
from portraittalk_core.perception.text import EXPRESSION, TextEncoder, build_tokenizer
from portraittalk_core.training.text import (
    CLASSES,
    IGNORED,
    Readout,
    label,
    random_caption,
    save_text,
    similar_batches,
    text_loss,
)

SHIPPED = Path(portraittalk_core.__path__[0]) / "assets" / "tiny" / "text.safetensors"
WORDS = ("a", "person", "portrait", "of", "red", "blue", "shirt", "background", "glasses", "close", "up", "smiling")


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    torch.manual_seed(0)
    return TextEncoder(words=WORDS, dim=32, layers=1, heads=2, inner=64).eval()


@pytest.fixture(scope="module")
def shipped() -> TextEncoder:
    if not SHIPPED.exists():
        pytest.skip(f"{SHIPPED} is missing: run the text training of docs/tiny.md")
    return load_text_encoder(SHIPPED)


def test_prompts_become_start_words_and_ends():
    ids = build_tokenizer(WORDS)(["A red-shirt; blue"], padding="max_length", max_length=77)["input_ids"][0]
    words = ["a", "red", "shirt", ",", "blue"]
    assert ids[:7] == [0, *(4 + WORDS.index(w) if w != "," else 3 for w in words), 1]
    assert set(ids[6:]) == {1} and len(ids) == 77


def test_tokens_have_the_shape_of_clip(encoder: TextEncoder):
    tokens = encoder.encode(["a red shirt", ""])
    assert tokens.shape == (2, 77, 32)
    assert not tokens.requires_grad
    assert not torch.allclose(tokens[0], tokens[1])


def test_case_and_punctuation_do_not_matter(encoder: TextEncoder):
    assert torch.equal(
        encoder.encode(["A Red shirt, BLUE background"]), encoder.encode(["a red shirt. blue background"])
    )


def test_unknown_words_are_named_once_with_the_nearest(encoder: TextEncoder, caplog: pytest.LogCaptureFixture):
    assert encoder.unknown_words("a zebra, Red backgroud and zebra") == ["zebra", "backgroud", "and"]
    with caplog.at_level(logging.WARNING):
        encoder.encode(["a zebra", "red backgroud, zebra"])
    assert len(caplog.records) == 1
    assert 'does not know "zebra", "backgroud" (did you mean "background"?) and ignores' in caplog.text


def test_known_prompts_are_silent(encoder: TextEncoder, caplog: pytest.LogCaptureFixture):
    encoder.encode(["Portrait of a person, close-up", ""])
    assert not caplog.records


def test_long_prompts_warn_and_are_cut(encoder: TextEncoder, caplog: pytest.LogCaptureFixture):
    assert encoder.encode(["red " * 90]).shape == (1, 77, 32)
    encoder.expression_of("red " * 90)  # of the same prompt, which has been warned of
    assert caplog.text.count("has 90 words and commas, the model reads 75") == 1


def test_a_bare_string_is_refused(encoder: TextEncoder):
    with pytest.raises(BadInput, match=r"`prompts` must be a list of strings, but got 'red'"):
        encoder.encode("red")


def test_saved_and_loaded_encoders_agree(encoder: TextEncoder, tmp_path: Path):
    save_text(encoder, tmp_path)
    again = load_text_encoder(tmp_path / "text.safetensors")
    assert torch.allclose(again.encode(["a red shirt"]), encoder.encode(["a red shirt"]), atol=5e-3)
    from transformers import PreTrainedTokenizerFast

    alone = PreTrainedTokenizerFast(tokenizer_file=str(tmp_path / "tokenizer.json"))
    assert alone("a red shirt")["input_ids"] == encoder.tokenizer("a red shirt")["input_ids"]


def test_labels_sit_at_the_last_word_of_a_phrase():
    encoder = TextEncoder(words=vocabulary(), dim=16, layers=1, heads=1, inner=16)
    rng = np.random.default_rng(0)
    captions = [random_caption(rng) for _ in range(40)]
    ids, whole, places, known = label(encoder, captions)
    names = list(CLASSES)
    for (row, position), classes in zip(places.tolist(), known, strict=True):
        if IGNORED not in classes:
            assert ids[row, position] == 1 and torch.equal(classes, whole[row])
            continue
        before = encoder.tokenizer.decode(ids[row, 1 : position + 1])
        fragment = next(
            f
            for f in captions[row].fragments
            if f.spoken and before.endswith(f.text.split(", ")[-1].replace("-", " ").strip())
        )
        assert {names[i]: CLASSES[names[i]][c] for i, c in enumerate(classes) if c != IGNORED} == fragment.spoken


def test_a_few_steps_of_training_lower_the_loss():
    torch.manual_seed(0)
    encoder, readout = TextEncoder(words=vocabulary(), dim=32, layers=1, heads=2, inner=64), Readout(dim=32)
    batch = next(similar_batches(np.random.default_rng(0), 16, 2))
    optimizer = torch.optim.AdamW([*encoder.parameters(), *readout.parameters()], lr=5e-3)
    losses = []
    for _ in range(8):
        loss, _ = text_loss(encoder, readout, batch, 4)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]


def test_shipped_words_are_those_of_the_grammar(shipped: TextEncoder):
    assert shipped.words == vocabulary()
    spoken = {word for values in VALUES.values() for value in values for word in value.replace("-", " ").split()}
    names = {"none", "buzz", "side", "studs", "male", "female"}
    assert spoken - names <= set(shipped.words)


@pytest.mark.parametrize(
    ("prompt", "name", "sign"),
    [
        ("portrait of a smiling person, red background", "smile", 1),
        ("surprised", "brow_raise", 1),
        ("a woman with raised eyebrows", "brow_raise", 1),
        ("an angry man in an office", "brow_frown", 1),
        ("frowning", "brow_frown", 1),
        ("a sad old man with glasses", "brow_frown", 1),
        ("a sad old man with glasses", "smile", -1),
    ],
)
def test_the_shipped_model_hears_expressions(shipped: TextEncoder, prompt: str, name: str, sign: int):
    assert shipped.expression_of(prompt)[name] * sign > 0.25


@pytest.mark.parametrize(
    "prompt", ["", "portrait of a young person with long red hair, blue background", "neutral expression"]
)
def test_the_shipped_model_adds_nothing_unasked(shipped: TextEncoder, prompt: str):
    assert set(shipped.expression_of(prompt)) == set(EXPRESSION)
    assert max(abs(v) for v in shipped.expression_of(prompt).values()) < 0.08


def test_the_shipped_model_binds_colours(shipped: TextEncoder):
    a, b = shipped.encode(["red shirt, blue background", "blue shirt, red background"])
    assert (a[5] - b[5]).norm() > 0.5 * a[5].norm()


def test_symbols_are_named_like_unknown_words(encoder: TextEncoder, caplog: pytest.LogCaptureFixture):
    encoder.encode([f"{encoder.words[0]}, \N{GRINNING FACE}"])
    assert 'does not know "\N{GRINNING FACE}"' in caplog.text


def test_an_unknown_place_is_answered_by_those_that_are_known(shipped: TextEncoder, caplog: pytest.LogCaptureFixture):
    shipped.warn_of_words(["a man in a blue spaceship"])
    assert 'does not know "spaceship"' in caplog.text and "Places that it knows: room" in caplog.text
    caplog.clear()
    shipped.warn_of_words(["a man at the beach", "a woman in a kitchen"])
    assert not caplog.records
    shipped.warn_of_words(["a zebra"])
    assert "Places" not in caplog.text
