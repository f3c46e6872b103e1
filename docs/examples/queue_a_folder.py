"""Queue a folder of recordings in a running ComfyUI: one video each, named after its recording.

python docs/examples/queue_a_folder.py PHOTOGRAPH FOLDER --input ComfyUI/input [--server http://127.0.0.1:8188]
"""

import argparse
import json
import shutil
import urllib.request
from pathlib import Path

GRAPH = Path(__file__).resolve().parents[2] / "workflows" / "api" / "one_node.json"
SOUNDS = {".wav", ".mp3", ".flac", ".ogg", ".m4a"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photograph", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--server", default="http://127.0.0.1:8188")
    parser.add_argument("--input", type=Path, required=True, help="ComfyUI's folder of inputs")
    given = parser.parse_args()
    shutil.copy(given.photograph, given.input)
    for sound in sorted(file for file in given.folder.iterdir() if file.suffix.lower() in SOUNDS):
        shutil.copy(sound, given.input)
        graph = json.loads(GRAPH.read_text(encoding="utf-8"))
        graph["2"]["inputs"]["image"], graph["3"]["inputs"]["audio"] = given.photograph.name, sound.name
        graph["13"]["inputs"]["filename_prefix"] = f"video/{sound.stem}"
        body = json.dumps({"prompt": graph}).encode()
        request = urllib.request.Request(f"{given.server}/prompt", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as answer:
            print(sound.name, json.load(answer)["prompt_id"])


if __name__ == "__main__":
    main()
