"""Every example runs on a fresh clone; with few frames and steps here, for what they write is tested elsewhere."""

from __future__ import annotations

import http.server
import json
import runpy
import sys
import threading
from pathlib import Path

import pytest

from portraittalk_core.media.video import probe

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "docs" / "examples"
FAST = ("--seconds", "0.4", "--steps", "1", "-o", "out.mp4")
OWN = {"score_a_video.py", "queue_a_folder.py"}
"""Examples with a test of their own."""

NAMES = sorted(file.name for file in EXAMPLES.glob("*.py") if file.name not in OWN)
"""They run in `make test-all`; `make demo` makes a video by default."""


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Return what runs an example in an empty folder, in this process so that libraries are read once."""
    monkeypatch.chdir(tmp_path)

    def call(name: str, *arguments: str) -> None:
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")

    return call


@pytest.mark.slow
@pytest.mark.weights
@pytest.mark.parametrize("name", NAMES)
def test_it_writes_a_video(run, name, tmp_path, capsys, request):
    if name == "several_pictures.py":
        request.getfixturevalue("drawing")
    run(name, *FAST)
    info = probe(tmp_path / "out.mp4")
    assert (info.frames, info.audio_codec) == (10, "aac")
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "out.mp4")


def test_a_folder_is_queued_over_http(run, tmp_path, capsys):
    asked = []

    class Host(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["prompt"])
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"prompt_id": f"number {len(asked)}"}).encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    for name in ("sounds/b.wav", "sounds/a.mp3", "sounds/notes.txt", "face.jpg", "input/other.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with http.server.HTTPServer(("127.0.0.1", 0), Host) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        run("queue_a_folder.py", "face.jpg", "sounds", "--input", "input", "--server", url)
        server.shutdown()
    assert [graph["3"]["inputs"]["audio"] for graph in asked] == ["a.mp3", "b.wav"]
    assert [graph["13"]["inputs"]["filename_prefix"] for graph in asked] == ["video/a", "video/b"]
    assert {path.name for path in (tmp_path / "input").iterdir()} == {"a.mp3", "b.wav", "face.jpg", "other.txt"}
    assert capsys.readouterr().out.splitlines() == ["a.mp3 number 1", "b.wav number 2"]


@pytest.mark.slow
@pytest.mark.weights
def test_score_a_video(run, capsys):
    run("first_video.py", *FAST)
    run("score_a_video.py", "out.mp4")
    assert "out.mp4: adfd 0." in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.weights
def test_the_notebook(tmp_path):
    nbclient = pytest.importorskip("nbclient", reason="NOT TESTED: the notebook. Run: pip install nbclient ipykernel")
    pytest.importorskip("ipykernel", reason="NOT TESTED: the notebook. Run: pip install nbclient ipykernel")
    import nbformat

    notebook = nbformat.read(EXAMPLES / "quickstart.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "the notebook is kept without outputs"
    parameters = next(cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ()))
    parameters.source = f"import sys; sys.path.insert(0, {str(ROOT)!r})\nseconds, steps = 0.4, 1"
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert probe(tmp_path / "quickstart.mp4").frames == probe(tmp_path / "edited.mp4").frames == 10
