"""Every video says that it is synthetic, and its pictures and its sound are the same as without."""

from __future__ import annotations

import struct

import av
import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

import portraittalk_core as pt
from portraittalk_core.cli.main import main
from portraittalk_core.media import content_credentials, video
from portraittalk_core.media.provenance import PNG_XMP, SYNTHETIC, TRAINED, Provenance, read_provenance
from portraittalk_core.media.sequence import open_writer
from portraittalk_core.media.video import VideoWriter, probe
from portraittalk_core.types import Frames, Sound

MADE = Provenance("tiny")
SIDE = 48
needs_c2pa = pytest.mark.skipif(not content_credentials.installed(), reason="pip install c2pa-python")


@pytest.fixture(autouse=True)
def plain(request, monkeypatch):
    """Most tests are about the plain tag."""
    if "credentials" not in request.node.name:
        monkeypatch.setattr(content_credentials, "installed", lambda: False)
        monkeypatch.setattr(video, "installed", lambda: False)
    monkeypatch.delenv(content_credentials.CERTIFICATE, raising=False)
    monkeypatch.delenv(content_credentials.KEY, raising=False)


def pixels(count: int) -> torch.Tensor:
    return torch.rand(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0)) * 2 - 1


def write(target, count=12, provenance: Provenance | None = MADE):
    sound = None
    if str(target).endswith(".mp4"):
        noise = torch.randn(1, 640 * count, generator=torch.Generator().manual_seed(1))
        sound = Sound((0.1 * noise).clamp(-1, 1), 16_000)
    with open_writer(target, 25, (SIDE, SIDE), sound, provenance) as writer:
        writer.append(pixels(count))
    return target


def decoded(path) -> tuple[np.ndarray, np.ndarray]:
    if path.suffix == ".webp":
        with Image.open(path) as animation:
            frames = [np.array(frame.convert("RGB")) for frame in ImageSequence.Iterator(animation)]
        return np.stack(frames), np.zeros(0)
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    with av.open(str(path)) as container:
        heard = [frame.to_ndarray() for frame in container.decode(audio=0)]
    return np.stack(frames), np.concatenate(heard, 1)


@pytest.mark.parametrize("name", ["a.mp4", "a.webp"])
@pytest.mark.parametrize("count", [4, 12])
def test_it_is_said_and_nothing_else_changes(tmp_path, name, count):
    tagged, silent = write(tmp_path / name, count), write(tmp_path / f"b{name}", count, None)
    assert read_provenance(tagged) == MADE and read_provenance(silent) is None
    (pictures, sound), (others, other_sound) = decoded(tagged), decoded(silent)
    # x264 codes one small video in a thousand otherwise, by some levels of some pixels, with the same settings.
    assert np.abs(pictures.astype(float) - others).mean() <= (1 if name.endswith("mp4") else 0)
    assert np.array_equal(sound, other_sound)
    assert sorted(file.name for file in tmp_path.iterdir()) == [name, f"b{name}"]


def test_an_animation_of_one_picture(tmp_path):
    tagged, silent = write(tmp_path / "a.webp", 1), write(tmp_path / "b.webp", 1, None)
    assert read_provenance(tagged) == MADE and read_provenance(silent) is None
    assert np.array_equal(decoded(tagged)[0], decoded(silent)[0])


def test_players_show_it_in_words(tmp_path):
    with av.open(str(write(tmp_path / "a.mp4"))) as container:
        comment = container.metadata["comment"]
    assert comment == MADE.comment
    assert "Synthetic" in comment and f"PortraitTalk {pt.__version__}, model tiny" in comment and TRAINED in comment


def test_ffmpeg_finds_the_packet_where_others_put_it(tmp_path):
    with av.open(str(write(tmp_path / "a.mp4")), options={"export_xmp": "1"}) as container:
        assert container.metadata["xmp"] == MADE.to_xmp()


def test_pillow_finds_the_packet(tmp_path):
    with Image.open(write(tmp_path / "a.webp")) as animation:
        assert animation.info["xmp"].decode() == MADE.to_xmp() and animation.n_frames == 12
    write(f"{tmp_path}/folder/", 2)
    with Image.open(tmp_path / "folder" / "00001.png") as picture:
        assert picture.text[PNG_XMP] == MADE.to_xmp() and picture.text["Comment"] == MADE.comment
    assert read_provenance(tmp_path / "folder") == MADE


def test_a_folder_keeps_its_pixels(tmp_path):
    for name, provenance in (("a", MADE), ("b", None)):
        write(f"{tmp_path}/{name}/", 1, provenance)
    a, b = (pt.read_image(tmp_path / name / "00000.png") for name in "ab")
    assert torch.equal(a, b) and read_provenance(tmp_path / "b" / "00000.png") is None


def test_frames_bring_the_name_of_their_model(tmp_path):
    pt.write_video(tmp_path / "a.mp4", [Frames(pixels(2), 25.0, "tiny")])
    pt.write_video(tmp_path / "b.mp4", [Frames(pixels(2), 25.0)])
    assert read_provenance(tmp_path / "a.mp4") == MADE and read_provenance(tmp_path / "b.mp4") == SYNTHETIC


def test_names_are_escaped(tmp_path):
    said = Provenance('a "b" <c> & ö')
    assert read_provenance(write(tmp_path / "a.mp4", 2, said)) == said


def test_what_others_write_is_read(tmp_path):
    write(tmp_path / "a.mp4", 2, None)
    packet = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:e="http://iptc.org/std/Iptc4xmpExt/2008-02-29/">'
        f"<e:DigitalSourceType>{TRAINED}</e:DigitalSourceType></rdf:Description></rdf:RDF></x:xmpmeta>"
    ).encode()
    box = struct.pack(">I4s", 24 + len(packet), b"uuid") + bytes.fromhex("be7acfcb97a942e89c71999491e3afac") + packet
    with (tmp_path / "a.mp4").open("ab") as file:
        file.write(box)
    assert read_provenance(tmp_path / "a.mp4") == Provenance("", "", TRAINED)


@pytest.mark.parametrize(
    "content", [b"", b"RIFF", b"\0\0\0\x18ftypisom" + b"\0" * 40, b"\0\0\0\x08ftyp\0\0\0\x1cuuid" + b"x" * 20]
)
def test_damaged_files_say_nothing(tmp_path, content):
    (tmp_path / "a.mp4").write_bytes(content)
    assert read_provenance(tmp_path / "a.mp4") is None
    assert read_provenance(tmp_path / "none.mp4") is None and read_provenance(tmp_path) is None


def test_info_shows_it(tmp_path, capsys):
    for name in ("a.mp4", "a.webp"):
        assert main(["info", str(write(tmp_path / name, 5))]) == 0
        shown = capsys.readouterr().out
        assert "5 frames of 48 x 48" in shown and f"synthetic: {TRAINED}" in shown
        assert f"made by: PortraitTalk {pt.__version__}" in shown and "model: tiny" in shown
    assert main(["info", str(pt.ASSETS / "portrait.png")]) == 0
    assert "says nothing of where it comes from" in capsys.readouterr().out
    (tmp_path / "b.png").write_bytes(b"nonsense")
    assert main(["info", f"{tmp_path}/b.png"]) == 2
    assert "is of no known kind" in capsys.readouterr().err


@needs_c2pa
@pytest.mark.parametrize("name", ["a.mp4", "a.webp"])
def test_credentials_sign_what_is_said(tmp_path, name, capsys):
    import c2pa

    signed, silent = write(tmp_path / name), write(tmp_path / f"b{name}", provenance=None)
    assert read_provenance(signed) == MADE
    for a, b in zip(decoded(signed), decoded(silent), strict=True):
        assert np.array_equal(a, b)
    with c2pa.Reader(str(signed)) as reader:
        manifest = reader.get_active_manifest()
    (action,) = next(a for a in manifest["assertions"] if a["label"].startswith("c2pa.actions"))["data"]["actions"]
    assert action["action"] == "c2pa.created" and action["digitalSourceType"] == TRAINED
    assert main(["info", str(signed)]) == 0
    assert "(C2PA): valid, signed by PortraitTalk, unverified" in capsys.readouterr().out
    damaged = bytearray(signed.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    signed.write_bytes(damaged)
    assert str(content_credentials.read_credentials(signed)).startswith("invalid")
    assert sorted(file.name for file in tmp_path.iterdir()) == [name, f"b{name}"]


@needs_c2pa
def test_credentials_of_ones_own(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv(content_credentials.CERTIFICATE, f"{tmp_path}/chain.pem")
    with pytest.raises(pt.BadInput, match="must be set both or not at all"):
        write(tmp_path / "a.mp4")
    monkeypatch.setenv(content_credentials.KEY, f"{tmp_path}/key.pem")
    with pytest.raises(pt.BadMedia, match="The certificate cannot be read"):
        write(tmp_path / "a.mp4")
    (tmp_path / "chain.pem").write_text("nonsense")
    (tmp_path / "key.pem").write_text("nonsense")
    assert read_provenance(write(tmp_path / "a.mp4")) == MADE and "is not signed" in caplog.text
    chain, key = content_credentials._fresh_certificate()
    (tmp_path / "chain.pem").write_bytes(chain)
    (tmp_path / "key.pem").write_bytes(key)
    assert str(content_credentials.read_credentials(write(tmp_path / "a.mp4"))).startswith("valid")


def test_a_video_of_a_camera_can_be_left_alone(tmp_path):
    with VideoWriter(tmp_path / "a.mp4", 25, (SIDE, SIDE), provenance=None) as writer:
        writer.append(pixels(3))
    assert probe(tmp_path / "a.mp4").frames == 3 and read_provenance(tmp_path / "a.mp4") is None
