"""A listener is taught which sound it is and when lips are shut, beside the mouth."""

import torch

from portraittalk_core.motion.audio_to_motion import AudioToMotion
from portraittalk_core.perception.speech import TINY_SPEECH, SpeechEncoder, build_wav2vec2
from portraittalk_core.training.speech.corpus import Batch, make_batch, understood
from portraittalk_core.training.speech.losses import Pupil, mouth_loss
from portraittalk_core.training.speech.recorded import with_closures
from portraittalk_core.types import MOUTH
from portraittalk_core.voices.mouth_shapes import HELD_SHUT, Phoneme, shape_row
from portraittalk_core.voices.sounds import SOUNDS


def recording():
    said = [Phoneme(symbol, 0.25 * k, 0.25 * k + 0.25) for k, symbol in enumerate(["", *"abatamas" * 3, ""])]
    return understood(0.1 * torch.randn(int(6.5 * 16000), generator=torch.Generator().manual_seed(0)), said)


def test_a_batch_says_which_sound_it_is_as_often_as_it_is_heard():
    sound, mouth, sounds = make_batch([recording()], 3, torch.Generator().manual_seed(1), loud=0.0)
    seconds = mouth.shape[1] / 25
    assert sound.shape == (3, round(16000 * seconds)) and sounds.shape == (3, round(50 * seconds), len(SOUNDS))
    torch.testing.assert_close(sounds.sum(-1), torch.ones(sounds.shape[:2]))
    rolled = mouth[..., MOUTH.index("mouthRollUpper")]
    shut = sounds[..., [SOUNDS.index(s) for s in "mb"]].sum(-1)
    assert rolled.max() > 0.2 and shut.max() == 1
    assert (shut.unflatten(1, (-1, 2)).mean(-1)[rolled > 0.24] > 0.9).all()


def test_a_mouth_that_is_right_and_says_when_it_is_shut_loses_least():
    wanted = torch.stack([shape_row(HELD_SHUT), shape_row({"jawOpen": 0.5})]).repeat(10, 1)[None]
    losses = []
    for odds in (torch.tensor([6.0, -6.0]), torch.tensor([0.0, 0.0]), torch.tensor([-6.0, 6.0])):
        a2m = AudioToMotion(dim=4, closures=True)
        a2m.hear = lambda hidden, odds=odds: (wanted, odds.repeat(10)[None])
        losses.append(float(mouth_loss(a2m, torch.zeros(1, 20, 4), wanted, torch.ones(len(MOUTH)))))
    assert losses == sorted(losses) and losses[0] < 0.05
    a2m.hear = lambda hidden: (wanted, None)
    assert float(mouth_loss(a2m, torch.zeros(1, 20, 4), wanted, torch.ones(len(MOUTH)))) < 1e-6


def test_what_a_pupil_is_taught_reaches_all_of_it():
    torch.manual_seed(0)
    encoder = SpeechEncoder(build_wav2vec2(**TINY_SPEECH))
    pupil = Pupil(encoder, AudioToMotion(closures=True))
    batch = make_batch([recording()], 2, torch.Generator().manual_seed(2), loud=0.0)
    pupil.loss(batch, torch.ones(len(MOUTH))).backward()
    for part in (encoder.model.feature_extractor, pupil.a2m.close, pupil.naming):
        assert all(float(p.grad.abs().sum()) > 0 for p in part.parameters())
    right = pupil.loss(batch, torch.ones(len(MOUTH)))
    wrong = pupil.loss(Batch(batch.sound, batch.mouth, batch.sounds.roll(1, -1)), torch.ones(len(MOUTH)))
    assert torch.isfinite(right) and torch.isfinite(wrong)


def test_audio_to_motion_keeps_what_it_has_learned_when_it_grows():
    old = AudioToMotion(dim=4)
    hidden = torch.randn(1, 9, 4)
    grown = with_closures(old, 3)
    assert torch.equal(grown(hidden), old(hidden)) and grown.hear(hidden)[1].shape == (1, 9)
    assert torch.equal(with_closures(grown, 5).close.weight, grown.close.weight)
