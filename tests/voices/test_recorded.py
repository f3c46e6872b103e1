"""Tables of recordings are read, and what does not fit its text is left out."""

import numpy as np
import pytest
from scipy.io import wavfile

from portraittalk_core.errors import BadInput
from portraittalk_core.types import SPEECH_RATE
from portraittalk_core.voices import recorded
from portraittalk_core.voices.alignment import Aligned
from portraittalk_core.voices.mouth_shapes import Phoneme
from portraittalk_core.voices.recorded import Transcript, read_transcripts, understand, write_transcripts


def test_a_table_is_read_by_speaker_and_paths_begin_at_it(tmp_path):
    lines = [Transcript("a", "en", tmp_path / "x.wav", 'say "no"\tand go'), Transcript("b", "fr", "y.wav", "oui")]
    write_transcripts(tmp_path / "deep" / "t.tsv", [*lines, lines[0]])
    found = read_transcripts(tmp_path / "deep" / "t.tsv")
    assert list(found) == ["a", "b"] and len(found["a"]) == 2
    assert found["a"][0] == Transcript("a", "en", tmp_path / "x.wav", 'say "no" and go')
    assert found["b"][0].file == tmp_path / "deep" / "y.wav"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("speaker\tfile\ttext\n", "must have the columns speaker, voice, file, text, but has speaker, file, text"),
        ("speaker\tvoice\tfile\ttext\na\ten\tx.wav\t \n", "Line 2 .* must have a value in each column"),
        ("speaker\tvoice\tfile\ttext\na\ten\n", "Line 2 .* must have a value in each column"),
    ],
)
def test_a_table_that_lacks_something_says_what(tmp_path, text, says):
    path = tmp_path / "t.tsv"
    path.write_text(text)
    with pytest.raises(BadInput, match=says):
        read_transcripts(path)


def test_what_does_not_fit_its_text_is_left_out(tmp_path, monkeypatch):
    seconds = {"fits": 1.0, "short": 0.2, "crowded": 0.3, "slow": 3.0, **{f"one{k}": 1.0 for k in range(17)}}
    for name, length_s in seconds.items():
        noise = np.random.default_rng(0).integers(-999, 999, int(length_s * SPEECH_RATE)).astype(np.int16)
        wavfile.write(tmp_path / f"{name}.wav", SPEECH_RATE, noise)
    monkeypatch.setattr(recorded, "spell", lambda text, voice: [list(text)])

    def align(waveforms, said):
        """Give the whole recording to its phonemes; what says `bad` fits worse than the rest."""
        found = []
        for waveform, ((*letters,),) in zip(waveforms, said, strict=True):
            each = len(waveform) / SPEECH_RATE / len(letters)
            phonemes = [Phoneme(letter, k * each, (k + 1) * each) for k, letter in enumerate(letters)]
            found.append(Aligned(phonemes, -9.0 if letters == list("badbad") else 0.0))
        return found

    monkeypatch.setattr(recorded, "align", align)
    texts = {"fits": "seven", "short": "a", "crowded": "crowdedwords", "slow": "abc"}
    texts |= {f"one{k}": "badbad" if k < 3 else "seven" for k in range(17)}
    lines = [Transcript("a", "en", tmp_path / f"{name}.wav", text) for name, text in texts.items()]
    kept = understand(lines)
    assert len(kept) == 1 + 14 and all(len(one.phonemes) == 5 for one in kept)
    assert understand(lines[1:3]) == []
