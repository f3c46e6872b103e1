"""Sound of every kind, made by FFmpeg: what is decoded, heard, drawn and written agree to a frame."""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pytest
import torch

from portraittalk_core.checkpoints.native import ASSETS, load_speech_encoder
from portraittalk_core.errors import BadMedia
from portraittalk_core.media.audio import read_sound, speech_waveform
from portraittalk_core.media.soundtrack import check_sound
from portraittalk_core.media.video import VideoWriter, probe, read_video
from portraittalk_core.types import SPEECH_RATE

pytestmark = pytest.mark.skipif(
    shutil.which("ffmpeg") is None,
    reason="ffmpeg makes the files of these tests and is not installed: apt install ffmpeg",
)

FPS = 25
FRAME_S = 1 / FPS
PICTURES = "-f lavfi -i color=gray:s=32x32:r=25:d=3"


def ffmpeg(*arguments: object, to_pipe: str = "") -> bytes:
    """Run FFmpeg; an encoder that this build lacks skips the test."""
    command = ["ffmpeg", "-v", "error", "-y", *(str(argument) for argument in arguments)]
    run = subprocess.run(command, capture_output=True, check=False)
    said = run.stderr.decode(errors="replace")
    if "Unknown encoder" in said or "Requested output format" in said:
        pytest.skip(f"this FFmpeg lacks an encoder: {said.splitlines()[0]}")
    assert run.returncode == 0, said
    return run.stdout


@pytest.fixture(scope="module")
def speech(tmp_path_factory):
    """Three seconds of speech at 48 kHz."""
    path = tmp_path_factory.mktemp("speech") / "s.wav"
    ffmpeg("-i", ASSETS / "speech.wav", "-t", 3, "-ar", 48000, path)
    return path


@pytest.fixture(scope="module")
def encoder():
    return load_speech_encoder(ASSETS / "tiny" / "speech.safetensors")


def write(path, sound) -> int:
    """Write a video as long as the sound; return how many frames that is."""
    check_sound(sound)
    count = sound.frame_count(FPS)
    with VideoWriter(path, FPS, (32, 32), sound) as writer:
        writer.append(torch.zeros(count, 3, 32, 32, dtype=torch.uint8))
    return count


def lag_s(a: torch.Tensor, b: torch.Tensor) -> float:
    """Return by how many seconds b is later than a, both at 16 kHz."""
    size = 1 << (len(a) + len(b)).bit_length()
    spectrum = np.conj(np.fft.rfft(a.numpy(), size)) * np.fft.rfft(b.numpy(), size)
    best = int(np.fft.irfft(spectrum, size).argmax())
    return (best - size if best > size // 2 else best) / SPEECH_RATE


def streamed(speech, path, *arguments) -> None:
    """Write into a pipe, which cannot be gone back in: headers stay without lengths."""
    path.write_bytes(ffmpeg("-i", speech, *arguments, "-"))


# What other programs do wrong, and what this one did.


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("a.mp3", "-ac 1 -ar 44100 -c:a libmp3lame -q:a 4 -f mp3"),
        ("a.flac", "-c:a flac -f flac"),
        ("a.wav", "-f wav"),
        ("a.au", "-f au"),
    ],
)
def test_a_stream_is_as_long_as_what_it_holds(speech, tmp_path, caplog, name, arguments):
    streamed(speech, tmp_path / name, *arguments.split())
    sound = read_sound(tmp_path / name)
    assert not caplog.text and sound.duration_s == pytest.approx(3, abs=FRAME_S)
    assert sound.samples.std() > 0.01
    assert probe(tmp_path / name).duration_s == pytest.approx(sound.duration_s, abs=FRAME_S)


@pytest.mark.parametrize("size", [0, 0x7FFFF000, 0xFFFFFFFF])
def test_a_wav_that_does_not_know_its_length_is_read_to_its_end(speech, tmp_path, caplog, size):
    data = bytearray(speech.read_bytes())
    at = data.find(b"data") + 4
    data[at : at + 4] = size.to_bytes(4, "little")
    (tmp_path / "a.wav").write_bytes(data)
    assert read_sound(tmp_path / "a.wav").samples.shape == (1, 144_000) and not caplog.text


@pytest.mark.parametrize(("rate", "codec"), [(8000, "aac"), (11025, "aac"), (12000, "aac"), (16000, "mp3")])
def test_packets_that_an_mp4_does_not_take_are_encoded(speech, tmp_path, rate, codec):
    ffmpeg("-i", speech, "-ar", rate, "-c:a", "libmp3lame", "-b:a", "16k", tmp_path / "a.mp3")
    sound = read_sound(tmp_path / "a.mp3")
    assert sound.path is not None
    count = write(tmp_path / "a.mp4", sound)
    info = probe(tmp_path / "a.mp4")
    assert (count, info.frames, info.sample_rate) == (75, 75, rate) and info.audio_codec.startswith(codec)


def test_a_guess_of_the_length_is_no_promise(speech, tmp_path, caplog):
    ffmpeg("-i", speech, "-af", "adelay=6000", "-c:a", "aac", "-q:a", 2, tmp_path / "a.aac")
    sound = read_sound(tmp_path / "a.aac")
    assert sound.duration_s == pytest.approx(9, abs=FRAME_S) == probe(tmp_path / "a.aac").duration_s
    write(tmp_path / "a.mp4", sound)
    assert not caplog.text
    copied = [ffmpeg("-i", tmp_path / n, "-c", "copy", "-vn", "-f", "adts", "-") for n in ("a.aac", "a.mp4")]
    assert copied[0] == copied[1]


@pytest.mark.parametrize("codec", ["aac", "flac"])
def test_the_default_track_is_read_and_written(speech, tmp_path, caplog, codec):
    two = tmp_path / "two.mkv"
    ffmpeg(
        *("-f", "lavfi", "-i", "anullsrc=r=44100:d=3", "-i", speech, "-map", 0, "-map", 1),
        *("-disposition:a:0", 0, "-disposition:a:1", "default", "-c:a", codec, two),
    )
    sound = read_sound(two)
    assert "2 sound tracks: using number 2, which is marked default" in caplog.text
    assert sound.sample_rate == probe(two).sample_rate == 48000 and sound.samples.std() > 0.01
    write(tmp_path / "a.mp4", sound)
    written = speech_waveform(read_sound(tmp_path / "a.mp4"))
    assert written.std() > 0.01 and abs(lag_s(speech_waveform(sound), written)) < FRAME_S


def test_a_commentary_is_not_the_speech(speech, tmp_path, caplog):
    two = tmp_path / "two.mkv"
    ffmpeg(
        *("-f", "lavfi", "-i", "anullsrc=r=44100:d=3", "-i", speech, "-map", 0, "-map", 1),
        *("-disposition:a:0", "comment", "-disposition:a:1", 0, "-c:a", "flac", two),
    )
    assert read_sound(two).sample_rate == 48000 and "number 2, as none is marked default" in caplog.text


@pytest.mark.parametrize("name", ["a.mkv", "a.webm", "a.mka"])
def test_sound_that_begins_late_is_not_cut_short(speech, tmp_path, caplog, name):
    codec = ("-c:v", "libvpx", "-c:a", "libopus") if name == "a.webm" else ("-c:v", "libx264", "-c:a", "flac")
    pictures = () if name == "a.mka" else PICTURES.split()
    ffmpeg(*pictures, "-itsoffset", 0.7, "-i", speech, *codec, tmp_path / name)
    late_s = 0 if name == "a.mka" else 0.7
    assert read_sound(tmp_path / name).duration_s == pytest.approx(3 + late_s, abs=FRAME_S) and not caplog.text


@pytest.mark.parametrize(("name", "codec"), [("a.ogg", "libvorbis"), ("a.opus", "libopus"), ("a.ts", "mp2")])
def test_files_that_were_joined_are_heard_and_counted_to_the_end(speech, tmp_path, name, codec):
    for number, part in enumerate((("-t", 1.5), ("-ss", 1.5))):
        ffmpeg(*part, "-i", speech, "-c:a", codec, tmp_path / f"{number}{name}")
    (tmp_path / name).write_bytes(b"".join((tmp_path / f"{number}{name}").read_bytes() for number in range(2)))
    sound = read_sound(tmp_path / name)
    assert sound.duration_s == pytest.approx(3, abs=FRAME_S)
    assert probe(tmp_path / name).duration_s == pytest.approx(3, abs=FRAME_S)


@pytest.mark.parametrize("name", ["list.m3u8", "list.mp4"])
def test_a_list_of_other_files_is_not_opened(speech, tmp_path, name):
    ffmpeg("-i", speech, "-c:a", "mp2", tmp_path / "a.ts")
    lists = {
        "list.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\na.ts\n#EXT-X-ENDLIST\n",
        "list.mp4": "ffconcat version 1.0\nfile a.ts\n",
    }
    (tmp_path / name).write_text(lists[name])
    for read in (read_sound, probe):
        with pytest.raises(BadMedia, match="is a list of other files, which are not opened"):
            read(tmp_path / name)


def test_pictures_that_repeat_are_no_damage(tmp_path):
    still = ("-f", "lavfi", "-i", "color=red:s=64x48:r=25:d=1")
    ffmpeg(
        *still, "-c:v", "libtheora", tmp_path / "a.ogv"
    )  # a packet without data for each that is like the one before
    chunks, fps, _ = read_video(tmp_path / "a.ogv")
    assert fps == 25 and sum(len(chunk.pixels) for chunk in chunks) == pytest.approx(25, abs=1)


def test_metadata_in_no_known_letters_are_no_error(speech, tmp_path):
    ffmpeg("-i", speech, "-metadata", "title=Zuerich", "-id3v2_version", 3, tmp_path / "a.mp3")
    data = (tmp_path / "a.mp3").read_bytes()
    (tmp_path / "a.mp3").write_bytes(data.replace(b"Zuerich", b"Z\xfc\xfe\xffich").replace(b"Z\0u\0", b"\0\xd8u\0"))
    assert read_sound(tmp_path / "a.mp3").duration_s == pytest.approx(3, abs=FRAME_S)


@pytest.mark.parametrize("name", ["a.wav", "a.w64", "a.mp3", "a.flac", "a.mka", "a.caf", "a.m4a"])
def test_a_file_that_is_cut_short_says_so_and_a_whole_one_does_not(speech, tmp_path, caplog, name):
    ffmpeg("-i", speech, *(["-movflags", "+faststart"] if name == "a.m4a" else []), tmp_path / name)
    assert read_sound(tmp_path / name).path is not None and not caplog.text
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: len(data) * 2 // 3])
    sound = read_sound(tmp_path / name)
    assert "cut short" in caplog.text or "damaged" in caplog.text
    assert 1.5 < sound.duration_s < 2.7 and sound.path is None


# The whole road.

FORMATS = {
    "a.wav": "",
    "u8.wav": "-c:a pcm_u8",
    "s24.wav": "-c:a pcm_s24le",
    "f32.wav": "-c:a pcm_f32le",
    "f64.wav": "-c:a pcm_f64le -ar 96000",
    "alaw.wav": "-c:a pcm_alaw -ar 8000",
    "mulaw.wav": "-c:a pcm_mulaw -ar 8000",
    "ms.wav": "-c:a adpcm_ms",
    "ima.wav": "-c:a adpcm_ima_wav -ar 22050",
    "six.wav": "-ac 6",
    "eight.wav": "-ac 8",
    "r6000.wav": "-ar 6000",
    "r12345.wav": "-ar 12345",
    "r384000.wav": "-ar 384000 -c:a pcm_s24le",
    "mp3.wav": "-c:a libmp3lame",
    "s24.w64": "-c:a pcm_s24le",
    "alac.caf": "-c:a alac",
    "rf64.wav": "-rf64 always",
    "a.w64": "",
    "a.aiff": "",
    "a.caf": "",
    "a.au": "",
    "a.voc": "",
    "a.flac": "-ac 2",
    "a.wv": "",
    "a.tta": "",
    "a.ogg": "-c:a libvorbis",
    "a.opus": "-c:a libopus",
    "b.ogg": "-c:a flac",
    "a.mp3": "-c:a libmp3lame -b:a 128k",
    "b.mp3": "-c:a libmp3lame -write_xing 0 -q:a 4 -ar 44100",
    "c.mp3": "-c:a libmp3lame -ar 11025 -b:a 16k",
    "a.mp2": "-c:a mp2",
    "a.aac": "-c:a aac",
    "a.ac3": "-c:a ac3",
    "a.eac3": "-c:a eac3",
    "a.wma": "-c:a wmav2 -ar 44100",
    "a.m4a": "-c:a aac -ac 2 -ar 44100",
    "b.m4a": "-c:a alac",
    "c.m4a": "-c:a aac -movflags frag_keyframe+empty_moov",
    "a.mka": "-c:a libopus",
    "a.mp4": f"{PICTURES} -c:v libx264 -c:a libmp3lame",
    "a.mov": f"{PICTURES} -c:v libx264 -c:a pcm_s16le",
    "a.mkv": f"{PICTURES} -c:v libx264 -c:a ac3",
    "a.webm": f"{PICTURES} -c:v libvpx -c:a libvorbis",
    "a.ts": f"{PICTURES} -c:v libx264 -c:a aac",
    "a.avi": f"{PICTURES} -c:v mpeg4 -c:a libmp3lame",
    "a.flv": f"{PICTURES} -c:v flv1 -c:a aac",
    "a.3gp": f"{PICTURES} -c:v mpeg4 -c:a aac",
    "opus.mp4": "-c:a libopus",
    "flac.mp4": "-c:a flac -strict -2",
    "dash.mp4": "-c:a aac -movflags dash+frag_keyframe+empty_moov",
    "frag.mp4": f"{PICTURES} -c:v libx264 -g 5 -c:a aac -movflags frag_keyframe+empty_moov+delay_moov",
    "wrap.ts": f"{PICTURES} -c:v libx264 -c:a aac -output_ts_offset 95440",
    "a.mxf": f"{PICTURES} -c:v mpeg2video -c:a pcm_s16le",
    "a.nut": f"{PICTURES} -c:v mpeg4 -c:a mp2",
    "a.mpg": f"{PICTURES} -c:v mpeg1video -c:a mp2",
    "a.ogv": f"{PICTURES} -c:v libtheora -c:a libvorbis",
    "a.spx": "-ar 8000 -c:a libspeex",
    "a.gsm": "-ar 8000 -c:a libgsm",
    "a.g722": "-ar 16000",
    "a.dts": "-c:a dca -strict -2",
    "a.thd": "-c:a truehd -strict -2",
    "latm.aac": "-c:a aac -f latm",
    "o60.opus": "-c:a libopus -frame_duration 60",
}
QUICK = ("eight.wav", "b.mp3", "a.mp4")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in FORMATS]
)
def test_decoded_heard_drawn_and_written_agree_to_a_frame(speech, encoder, tmp_path, caplog, name):
    file = tmp_path / name
    arguments = FORMATS[name].split()
    ffmpeg("-i", speech, *arguments, file)

    sound = read_sound(file)
    by_time_stamps = ("-af", "aresample=async=1:first_pts=0", "-f", "s16le")
    truth = len(ffmpeg("-i", file, "-vn", "-ac", 1, *by_time_stamps, "-")) / 2 / sound.sample_rate
    assert sound.duration_s == pytest.approx(truth, abs=FRAME_S) and truth == pytest.approx(3, abs=0.1)
    wave = speech_waveform(sound)
    original = speech_waveform(read_sound(speech))
    assert len(wave) / SPEECH_RATE == pytest.approx(sound.duration_s, abs=0.001)
    assert abs(lag_s(original, wave)) < FRAME_S + 0.03, "some encoders begin with a delay that their file does not tell"

    count = write(tmp_path / "out.mp4", sound)
    assert len(encoder.encode(wave, FPS, count).hidden) == count
    parts, _, back = read_video(tmp_path / "out.mp4")
    assert sum(len(part.pixels) for part in parts) == count == probe(tmp_path / "out.mp4").frames
    assert back is not None and back.duration_s == pytest.approx(sound.duration_s, abs=FRAME_S)
    assert abs(lag_s(wave, speech_waveform(back))) < FRAME_S / 2
    assert not caplog.text, "nothing to warn of in a whole file"
