"""What people recorded becomes training data: joined, with its mouth, beside synthetic voices."""

import csv
import sys

import pytest
import torch

from portraittalk_core.checkpoints.native import ASSETS, load_motion, load_speech_encoder
from portraittalk_core.errors import BadInput, MissingExtra
from portraittalk_core.training.speech import recorded, transcripts
from portraittalk_core.training.speech.corpus import make_batch
from portraittalk_core.training.speech.recorded import join_utterances, stored_recordings, train_on_recordings
from portraittalk_core.training.speech.scores import TRACK_HZ
from portraittalk_core.types import MOUTH, SPEECH_RATE
from portraittalk_core.voices import hibari
from portraittalk_core.voices.mouth_shapes import Phoneme
from portraittalk_core.voices.recorded import Utterance, read_transcripts

A, B, SILENT = "a", "b", ""


def utterance(level: float, before_s: float = 1.0) -> Utterance:
    """Return "aba", 0.2 s a sound, between silences."""
    silence = torch.zeros(int(before_s * SPEECH_RATE))
    said = level * torch.randn(int(0.6 * SPEECH_RATE), generator=torch.Generator().manual_seed(0))
    marks = [(SILENT, 0.0), (A, before_s), (B, before_s + 0.2), (A, before_s + 0.4), (SILENT, before_s + 0.6)]
    ends = [*(start for _, start in marks[1:]), 2 * before_s + 0.6]
    phonemes = [Phoneme(s, start, end) for (s, start), end in zip(marks, ends, strict=True)]
    return Utterance(torch.cat([silence, said, silence]), phonemes)


def test_utterances_are_joined_as_loud_as_each_other_and_their_mouths_with_them():
    made = join_utterances([utterance(0.5), utterance(0.01)] * 12, torch.Generator().manual_seed(1))
    assert len(made) > 1 and all(len(one.samples) > 9 * SPEECH_RATE for one in made[:-1])
    sound, track = made[0].samples.float() / 32768, made[0].track.float()
    assert track.shape == (round(len(sound) / SPEECH_RATE * TRACK_HZ), len(MOUTH))
    level = sound[: len(sound) // 160 * 160].reshape(-1, 160)[: len(track)].square().mean(1).sqrt()
    track = track[: len(level)]
    jaw = track[:, MOUTH.index("jawOpen")]
    assert (level > 0.05).float().mean() > 0.4  # silences of a second were cut
    shut = track[:, MOUTH.index("mouthRollUpper")] > 0.2
    loud = level > 0.05
    assert shut.any() and loud[shut].all()  # each b lies inside its word
    assert loud[jaw > 0.4].float().mean() > 0.9 and loud[(jaw < 0.02) & ~shut].float().mean() < 0.05


def test_whatever_is_left_over_is_as_long_as_a_crop():
    assert join_utterances([utterance(0.5)] * 4, torch.Generator()) == []
    made = join_utterances([utterance(0.5)] * 6, torch.Generator().manual_seed(0))
    assert len(made) == 1
    for seed in range(12):
        make_batch(made, 1, torch.Generator().manual_seed(seed))


def test_a_table_without_anything_that_fits_is_an_error(tmp_path, monkeypatch):
    table = tmp_path / "t.tsv"
    table.write_text("speaker\tvoice\tfile\ttext\na\ten\tx.wav\tno\n")
    monkeypatch.setattr(recorded, "understand", lambda lines: [])
    with pytest.raises(BadInput, match=r"recordings of `.*t.tsv` must hold speech"):
        stored_recordings(tmp_path / "kept.pt", table, 0)
    monkeypatch.setattr(recorded, "understand", lambda lines: [utterance(0.1)] * 12)
    made = stored_recordings(tmp_path / "kept.pt", table, 0)
    monkeypatch.setattr(recorded, "understand", None)
    kept = stored_recordings(tmp_path / "kept.pt", table, 0)
    assert len(kept) == len(made) and torch.equal(kept[0].samples, made[0].samples)


def test_the_table_of_public_recordings(tmp_path):
    for name in ("prompts/vm-press.g722", "prompts/beep.g722", "prompts/digits/1.g722", "digits/7_lucas_0.wav"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    for name in ("digits/7_george_0.wav", "stamps/ox_desc_fr.ogg", "stamps/ox_desc_el.ogg", "stamps/cat_desc_be.ogg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "stamps" / "ox.txt").write_text("Ox.\nel.utf8=Βόδι.\nfr.utf8=Un bœuf.\n", encoding="utf-8")
    text = tmp_path / "text"
    text.write_text("; sounds\nvm-press: Press # now: go\nbeep: [a tone]\ndigits/1: one\nmissing: none\n")
    out = tmp_path / "t.tsv"
    places = {name: str(tmp_path / name) for name in ("prompts", "digits", "stamps")}
    transcripts.main(["--prompts", places["prompts"], str(text), "--digits", places["digits"], "--out", str(out)])
    assert [line.text for line in read_transcripts(out)["allison"]] == [
        "Press  pound  now: go".replace("  ", " "),
        "one",
    ]
    assert [line.text for line in read_transcripts(out)["lucas"]] == ["seven"] and len(read_transcripts(out)) == 2
    transcripts.main(["--stamps", places["stamps"], "--out", str(out)])
    lines = read_transcripts(out)
    assert list(lines) == ["stamps_fr"] and lines["stamps_fr"][0].text == "Un bœuf."
    transcripts.main(["--stamps", places["stamps"], "--out", str(out), "--languages", "el"])
    assert list(read_transcripts(out)) == ["stamps_el"]
    with pytest.raises(BadInput, match="must name folders with recordings"):
        transcripts.main(["--digits", places["stamps"], "--out", str(out)])


def test_prompts_have_the_language_of_their_text(tmp_path):
    (tmp_path / "ru").mkdir()
    (tmp_path / "ru" / "vm-press.g722").touch()
    text, out = tmp_path / "core-sounds-ru.txt", tmp_path / "t.tsv"
    text.write_text("vm-press: Нажмите #\n", encoding="utf-8")
    transcripts.main(["--prompts", str(tmp_path / "ru"), str(text), "--out", str(out)])
    line = read_transcripts(out)["ivrvoice"][0]
    assert (line.voice, line.text) == ("ru", "Нажмите решётка")


def test_a_neural_voice_is_recorded_once(tmp_path, monkeypatch):
    spoken = []

    def speak(said, speed, seed):
        spoken.append(said)
        return torch.zeros(2 * hibari.SAMPLE_RATE)

    monkeypatch.setattr(hibari, "speak", speak)
    monkeypatch.setattr(hibari, "text", lambda generator: f"word {int(torch.randint(99, (), generator=generator))}.")
    arguments = ["--hibari", str(tmp_path / "said"), "--minutes", "0.1", "--out", str(tmp_path / "t.tsv")]
    transcripts.main(arguments)
    lines = read_transcripts(tmp_path / "t.tsv")["hibari"]
    assert [line.text for line in lines] == spoken and len(lines) == 3 and len(set(spoken)) > 1
    transcripts.main(arguments)
    assert len(spoken) == 3 and read_transcripts(tmp_path / "t.tsv")["hibari"] == lines


def test_whoever_lacks_the_neural_voice_is_told_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "hibari", None)
    hibari._voice.cache_clear()
    with pytest.raises(MissingExtra, match="pip install hibari-tts"):
        hibari.speak("a", 1.0, 0)


@pytest.mark.slow
def test_a_listener_goes_on_with_recordings(tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    made = join_utterances([utterance(0.5)] * 24, torch.Generator().manual_seed(1))
    for name in ("corpus_0_0.1", "recorded_0_0.1", "held_out", "people_0"):
        torch.save([(one.samples, one.track, one.sounds) for one in made[:1]], work / f"{name}.pt")
    small = {"minutes": 0.1, "batch": 2, "steps": 2, "work_dir": work, "start": ASSETS / "tiny"}
    out = tmp_path / "out"
    scores = train_on_recordings(out, transcripts=tmp_path / "none.tsv", **small)
    assert {"r_jawOpen", "loud_rest"} <= set(scores)
    was, now = (load_speech_encoder(f / "speech.safetensors").state_dict() for f in (ASSETS / "tiny", out))
    assert 0 < max(float((now[name] - was[name]).abs().max()) for name in was) < 0.05
    (mouth, prior), (mouth_was, prior_was) = (load_motion(f / "motion.safetensors") for f in (out, ASSETS / "tiny"))
    assert max(float((a - b).abs().max()) for a, b in zip(mouth.parameters(), mouth_was.parameters(), strict=True)) > 0
    assert all(torch.equal(a, b) for a, b in zip(prior.parameters(), prior_was.parameters(), strict=True))
    assert train_on_recordings(out, transcripts=tmp_path / "none.tsv", **small) == scores  # nothing is left to do
    with (work / "recorded.csv").open() as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["2"]
