"""The catalogue, the search for files, and fetching from a hub that runs here."""

import hashlib
import threading
import zipfile
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch

from portraittalk_core.checkpoints import catalogue
from portraittalk_core.checkpoints import fetch as fetch_module
from portraittalk_core.checkpoints.catalogue import Entry, entries, find, recipes, search_folders, select
from portraittalk_core.checkpoints.fetch import check_disk, check_licences, convert, fetch, verify
from portraittalk_core.cli import models
from portraittalk_core.cli.main import Parser
from portraittalk_core.errors import BadConfig, BadInput, BadMedia, UnsafeWeights, WeightsMismatch

from .public_files import layout, numbered, write_pickle

CONTENT = bytes(range(256)) * 40
SUM = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def nowhere(monkeypatch, tmp_path):
    """No folder of this machine is searched."""
    monkeypatch.setenv("PORTRAITTALK_MODELS", str(tmp_path / "ours"))
    monkeypatch.delenv("COMFYUI_PATH", raising=False)
    monkeypatch.setattr(catalogue, "_in_hub_cache", lambda entry: None)


class Hub:
    """Speaks the hub's API for one file; `broken_after` cuts an answer off, `ranges` holds what was asked for."""

    def __init__(self) -> None:
        self.content, self.broken_after = CONTENT, None
        self.ranges: list[str | None] = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self):
                self.reply(body=False)

            def do_GET(self):
                hub.ranges.append(self.headers.get("Range"))
                self.reply(body=True)

            def reply(self, body):
                if "missing" in self.path:
                    self.send_response(404)
                    self.send_header("X-Error-Code", "EntryNotFound")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                start = int((self.headers.get("Range") or "bytes=0-")[6:].split("-")[0])
                piece = hub.content[start:]
                self.send_response(206 if start else 200)
                self.send_header("Content-Length", str(len(piece)))
                self.send_header("Content-Range", f"bytes {start}-{len(hub.content) - 1}/{len(hub.content)}")
                self.send_header("ETag", f'"{hashlib.sha256(hub.content).hexdigest()}"')
                self.send_header("X-Repo-Commit", "0" * 40)
                self.send_header("Accept-Ranges", "bytes")
                self.end_headers()
                if body and hub.broken_after is not None:
                    self.wfile.write(piece[: hub.broken_after])
                    self.close_connection = True
                elif body:
                    self.wfile.write(piece)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def hub(monkeypatch):
    made = Hub()
    monkeypatch.setenv("HF_ENDPOINT", made.url)
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def entry():
    return Entry(
        name="thing", part="test", repo="some/repo", file="model.safetensors", save_as="things/thing.safetensors",
        size=len(CONTENT), exact=True, sha256=SUM[:16], licence="MIT", commercial="yes",
    )  # fmt: skip


@pytest.fixture
def elsewhere(entry, hub):
    return replace(entry, repo="", url=f"{hub.url}/thing.bin", file="thing.bin")


def run(*argv):
    parser = Parser()
    models.add_parser(parser.add_subparsers(parser_class=Parser))
    arguments = parser.parse_args(["models", *argv])
    return arguments.run(arguments)


def test_the_catalogue_is_complete_and_consistent():
    every = {entry.name: entry for entry in entries()}
    assert len(every) == len(entries()) and len({entry.save_as for entry in entries()}) == len(every)
    for entry in entries():
        assert entry.part and entry.licence and entry.size and entry.commercial in ("yes", "no", "unclear")
        assert bool(entry.repo) != bool(entry.url) and not entry.save_as.startswith("/")
        assert not entry.instead or every[entry.instead].commercial == "yes"
        assert len(entry.sha256) in (0, 16, 64)
    assert {"sd15", "sd15-portraittalk", "sd15-magictalk"} <= set(recipes())
    assert all(name in every for names in recipes().values() for name in names)
    assert [entry.commercial for entry in select(["sd15"])] == ["yes", "yes"]
    assert not [entry.name for entry in select(["sd15-magictalk"]) if entry.commercial == "no"]


def test_names_are_files_and_recipes_each_once():
    assert [e.name for e in select(["sd15-vae", "sd15"])] == ["sd15-vae", "sd15-base"]
    with pytest.raises(BadInput, match="`sdxl` must be a recipe \\(sd15, "):
        select(["sdxl"])


def test_what_may_not_be_sold_is_never_fetched_silently():
    wanted = select(["sd15-portraittalk"])
    with pytest.raises(BadInput, match=r"faceid-portrait \(.*instead: aniportrait-reference\); buffalo_l \(.*nothing"):
        check_licences(wanted, accepted=False)
    check_licences(wanted, accepted=True)
    check_licences(select(["sd15-magictalk"]), accepted=False)


def test_the_disk_must_have_room(tmp_path):
    with pytest.raises(BadInput, match=r"must have 1050000.0 GB free, but has .*--to"):
        check_disk([Entry(size=10**15)], tmp_path / "not" / "yet")
    check_disk([Entry(size=10)], tmp_path)


def test_files_are_found_in_comfyuis_tree_and_its_extra_folders(tmp_path, monkeypatch):
    comfy, other = tmp_path / "comfy", tmp_path / "other"
    (comfy / "models" / "animatediff_models" / "deep").mkdir(parents=True)
    (other / "webui" / "Stable-diffusion").mkdir(parents=True)
    (entry,) = select(["animatediff-v2"])
    entry = replace(entry, size=100)
    place = comfy / "models" / "animatediff_models" / "deep" / "mm_sd_v15_v2.ckpt"
    place.write_bytes(b"pointer")
    assert find(entry, search_folders(comfy)) is None
    place.write_bytes(bytes(100))
    assert find(entry, search_folders(comfy)) == place
    assert find(entry, search_folders()) is None
    monkeypatch.setenv("COMFYUI_PATH", str(comfy))
    assert find(entry, search_folders()) == place
    place.unlink()
    monkeypatch.setenv("OTHER_UI", str(other))
    (comfy / "extra_model_paths.yaml").write_text(
        "a111:\n  base_path: $OTHER_UI\n  is_default: true\n"
        "  loras: |\n    nowhere\n    webui/Stable-diffusion\nempty:\n"
    )
    place = other / "webui" / "Stable-diffusion" / "mm_sd_v15_v2.ckpt"
    place.write_bytes(bytes(100))
    assert find(entry, search_folders()) == place
    (comfy / "extra_model_paths.yaml").write_bytes("a:\n  base_path: C:/Müller".encode("latin-1"))
    with pytest.raises(BadConfig, match="is no list of model folders"):
        search_folders(comfy)
    (comfy / "extra_model_paths.yaml").write_text("a: [1")
    with pytest.raises(BadConfig, match="is no list of model folders"):
        search_folders()
    with pytest.raises(BadInput, match="must be ComfyUI's folder"):
        search_folders(other)


def test_a_name_that_many_files_have_is_not_taken_for_ours(tmp_path):
    (entry,) = select(["wav2vec2"])
    (tmp_path / "model.safetensors").write_bytes(bytes(100))
    assert find(replace(entry, size=100), [tmp_path]) is None
    (tmp_path / "wav2vec2-base-960h.safetensors").write_bytes(bytes(100))
    assert find(replace(entry, size=100), [tmp_path]) is not None


def test_fetching_from_the_hub_and_not_twice(entry, hub, tmp_path, monkeypatch, capsys):
    path = fetch(entry, tmp_path)
    assert path == tmp_path / entry.save_as and path.read_bytes() == CONTENT
    assert not list((tmp_path / ".incoming").iterdir())
    monkeypatch.setattr(catalogue, "_values", lambda: {"files": [vars(entry)], "recipes": {}})
    before = len(hub.ranges)
    assert run("download", "thing", "--to", str(tmp_path)) == 0
    assert len(hub.ranges) == before
    out = capsys.readouterr().out
    assert "licence: MIT; commercial use: yes" in out and f"is here: {path}" in out
    assert run("download", "thing", "--to", str(tmp_path / "new")) == 0
    assert (tmp_path / "new" / entry.save_as).read_bytes() == CONTENT


@pytest.mark.parametrize("place", ["hub", "elsewhere"])
def test_what_is_not_the_file_of_the_catalogue_is_thrown_away(place, entry, elsewhere, hub, tmp_path):
    wanted = entry if place == "hub" else elsewhere
    hub.content = CONTENT[::-1]
    with pytest.raises(WeightsMismatch, match=f"must have the sha256 {SUM[:16]}… to be thing, but has"):
        fetch(wanted, tmp_path)
    hub.content = CONTENT[:-1]
    with pytest.raises(WeightsMismatch, match="must have 10240 bytes to be thing, but has 10239"):
        fetch(wanted, tmp_path)
    assert not (tmp_path / entry.save_as).exists() and not list((tmp_path / ".incoming").iterdir())


def test_a_broken_download_leaves_no_half_file_and_goes_on(elsewhere, hub, tmp_path):
    hub.broken_after = 4000
    with pytest.raises(BadInput, match="cannot be fetched from http.*Run it again to go on"):
        fetch(elsewhere, tmp_path)
    assert not (tmp_path / elsewhere.save_as).exists()
    hub.broken_after = None
    assert fetch(elsewhere, tmp_path).read_bytes() == CONTENT
    assert hub.ranges[-1] == "bytes=4000-"


def test_what_the_hub_does_not_have_is_one_line(entry, hub, tmp_path):
    with pytest.raises(
        BadInput, match=r"thing: cannot be fetched from huggingface.co/some/repo/missing.bin \("
    ) as error:
        fetch(replace(entry, file="missing.bin"), tmp_path)
    assert "\n" not in str(error.value) and not (tmp_path / entry.save_as).exists()


def test_a_zip_becomes_a_flat_folder(elsewhere, hub, tmp_path):
    with zipfile.ZipFile(tmp_path / "pack.zip", "w") as pack:
        pack.writestr("pack/det.onnx", b"1")
        pack.writestr("pack/rec.onnx", b"2")
        pack.writestr("../evil.txt", b"3")
    hub.content = (tmp_path / "pack.zip").read_bytes()
    wanted = replace(elsewhere, unpack=True, save_as="faces/pack", exact=False, sha256="")
    path = fetch(wanted, tmp_path)
    assert sorted(file.name for file in path.iterdir()) == ["det.onnx", "rec.onnx"]
    assert find(wanted, [tmp_path]) == path and "not compared" in verify(wanted, path)
    hub.content = b"no zip"
    with pytest.raises(WeightsMismatch, match="is no zip"):
        fetch(replace(wanted, save_as="faces/other"), tmp_path)


def test_verify_where_and_list(entry, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(catalogue, "_values", lambda: {"files": [vars(entry)], "recipes": {"all": ["thing"]}})
    with pytest.raises(WeightsMismatch, match="thing: is not here. Run `portraittalk models download thing`"):
        run("verify", "thing")
    run("where", "all")
    place = tmp_path / "ours" / entry.save_as
    assert f"thing: not here; belongs at {place}" in capsys.readouterr().out
    place.parent.mkdir(parents=True)
    place.write_bytes(CONTENT)
    run("verify", "thing")
    assert "the first 16 digits of the sha256 as in the catalogue" in capsys.readouterr().out
    run("where", "thing")
    assert capsys.readouterr().out.strip() == str(place)
    run("list")
    assert "all: thing" in (out := capsys.readouterr().out) and str(place) in out
    place.write_bytes(CONTENT[::-1])
    with pytest.raises(WeightsMismatch, match="must have the sha256"):
        run("verify", "thing")


def test_converting_a_pickle_loses_nothing(tmp_path, capsys, monkeypatch):
    table = layout("ip-adapter-faceid-portrait_sd15")
    tensors = {name: tensor.half() for name, tensor in numbered(table).items()}
    tensors["image_proj.norm.bias"] = tensors["image_proj.norm.weight"]  # shares its memory
    tensors["image_proj.proj.0.bias"] = torch.randn(1024, generator=torch.Generator().manual_seed(0))
    pickle, target = write_pickle(tmp_path / "a.bin", tensors, levels=1), tmp_path / "a.safetensors"
    run("convert", str(pickle), str(target))
    assert "38 tensors" in capsys.readouterr().out
    from safetensors.torch import load_file

    found = load_file(target)
    assert set(found) == set(tensors)
    assert all(torch.equal(found[name], t) and found[name].dtype == t.dtype for name, t in tensors.items())
    run("verify", str(target), str(pickle))
    assert capsys.readouterr().out.count("IP-Adapter FaceID-Portrait") == 2
    with pytest.raises(BadInput, match="must be a new file that ends with .safetensors"):
        convert(pickle, target)
    others = {"a": torch.eye(3).to_sparse(), "b": {"c": torch.zeros(2, dtype=torch.int64)}, "step": 7}
    torch.save(others, tmp_path / "b.ckpt")
    with pytest.raises(BadMedia, match="The output folder must exist"):
        convert(tmp_path / "b.ckpt", tmp_path / "none" / "b.safetensors")
    assert convert(tmp_path / "b.ckpt", tmp_path / "b.safetensors") == 2
    assert torch.equal(load_file(tmp_path / "b.safetensors")["a"], torch.eye(3))
    with monkeypatch.context() as patched:
        patched.setattr(fetch_module, "save_tensors", lambda *_, **__: {}["torch.qint8"])
        with pytest.raises(WeightsMismatch, match="cannot be written as safetensors .'torch.qint8'.. Use it as it is"):
            convert(tmp_path / "b.ckpt", tmp_path / "q.safetensors")
    assert not list(tmp_path.glob("q.saf*")) and not list(tmp_path.glob(".*"))
    torch.save({"a": torch.zeros(1), "code": Entry}, tmp_path / "evil.ckpt")
    with pytest.raises(UnsafeWeights, match="could run code"):
        convert(tmp_path / "evil.ckpt", tmp_path / "evil.safetensors")
    assert not list(tmp_path.glob("evil.saf*"))
