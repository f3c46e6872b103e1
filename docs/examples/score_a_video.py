"""Score how well a face moves with the voice: ADFD, its parts, and by how many frames the sound is late.

Run it:

    python docs/examples/first_video.py && python docs/examples/score_a_video.py first_video.mp4
"""

from __future__ import annotations

import argparse

import portraittalk_core as pt


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("videos", nargs="+", help="video files, or folders of them")
    parser.add_argument("--faces", help="for people: an insightface pack, or MediaPipe's face_landmarker.task")
    arguments = parser.parse_args()

    result = pt.evaluate(arguments.videos, faces=arguments.faces)
    for record in result.videos:
        parts = ", ".join(f"{name} {record[name]}" for name in ("adfd", "spatial", "temporal", "audio", "stillness"))
        print(f"{record['file']}: {parts}, sound late by {record['offset_frames']} frames")
        for line in record["unscored"]:
            print(f"  {line}")
    if len(result.videos) > 1 and "adfd" in result.means:
        mean = result.means["adfd"]
        print(f"mean ADFD {mean.value:.3f} [{mean.low:.3f}, {mean.high:.3f}] over {mean.clips} videos")


if __name__ == "__main__":
    main()
