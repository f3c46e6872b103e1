"""Let MediaPipe judge rendered people: is the face found, and does each action read as what was commanded?

    python -m benchmarks.people_judge detect  --task TASK --people 1000 --out runs/people
    python -m benchmarks.people_judge actions --task TASK --textures FOLDER
    python -m benchmarks.people_judge rest    --task TASK --people 40 --photographs PORTRAITS CLIPS

`detect` draws random people in random light with random expressions, turned up to 30 degrees; it goes on where it
stopped. `actions` commands one action at a time, both sides together, at 0, .25, .5, .75 and 1, frontal, and prints
Pearson's r over all people together and the mean of each person's own.
`rest` compares what is read in neutral faces with what is read in photographs; `cost` measures time alone.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator

from portraittalk_core.people.arkit import ARKIT, coefficients
from portraittalk_core.people.person import draw_person
from portraittalk_core.people.renderer import Renderer
from portraittalk_core.people.scene import draw_scene

from .parts.mediapipe_judge import Judge
from .parts.program import command_line, say

LEVELS = (0.0, 0.25, 0.5, 0.75, 1.0)
BOUNDS = {
    "jawOpen": 0.95, "eyeBlink": 0.95, "mouthSmile": 0.85, "mouthFunnel": 0.85, "mouthPucker": 0.85,
    "browInnerUp": 0.7, "browDown": 0.7, "mouthUpperUp": 0.7, "mouthStretch": 0.7,
}  # fmt: skip
_LIPS = (
    "61 146 91 181 84 17 314 405 321 375 291 185 40 39 37 0 267 269 270 409 "
    "78 95 88 178 87 14 317 402 318 324 308 191 80 81 82 13 312 311 310 415"
)
_EYES = (
    "33 7 163 144 145 153 154 155 133 173 157 158 159 160 161 246 "
    "263 249 390 373 374 380 381 382 362 398 384 385 386 387 388 466"
)
PARTS = {
    "lips": [int(i) for i in _LIPS.split()],
    "eyes": [int(i) for i in _EYES.split()],
    "brows": [70, 63, 105, 66, 107, 46, 53, 52, 65, 55, 300, 293, 334, 296, 336, 276, 283, 282, 295, 285],
    "nose": [1, 2, 4, 5, 6, 98, 327, 168, 195, 197],
    "oval": [10, 152, 234, 454, 127, 356, 172, 397, 58, 288, 150, 379],
    "irises": [468, 473],
}


def sides(name: str) -> list[str]:
    """Return the full names of an action."""
    return [name] if name in ARKIT else [f"{name}Left", f"{name}Right"]


def families() -> list[str]:
    """Return the actions without their sides, except those of which MediaPipe reads nothing."""
    return sorted(
        {
            n.removesuffix("Left").removesuffix("Right")
            if n not in ("mouthLeft", "mouthRight", "jawLeft", "jawRight")
            else n
            for n in ARKIT
        }
        - {"tongueOut"}
    )


def random_shapes(rng: Generator) -> dict[str, float]:
    """Draw an expression as people have them while they speak."""
    out: dict[str, float] = {}
    if rng.random() < 0.6:
        out["jawOpen"] = rng.uniform(0, 0.7)
    for name in rng.choice(
        ["mouthSmile", "mouthStretch", "mouthFrown", "mouthPress", "mouthUpperUp", "mouthLowerDown"],
        rng.integers(0, 2),
        replace=False,
    ):
        out[str(name)] = rng.uniform(0.1, 0.8)
    if rng.random() < 0.4:
        out[
            str(
                rng.choice(
                    ["mouthFunnel", "mouthPucker", "mouthRollLower", "mouthShrugLower", "mouthLeft", "mouthRight"]
                )
            )
        ] = rng.uniform(0.1, 0.8)
    if rng.random() < 0.3:
        out["eyeBlink"] = rng.uniform(0, 1)
    for name in rng.choice(
        ["browDown", "browOuterUp", "browInnerUp", "cheekSquint", "eyeWide"], rng.integers(0, 2), replace=False
    ):
        out[str(name)] = rng.uniform(0.1, 0.8)
    if rng.random() < 0.5:
        x = rng.uniform(-0.8, 0.8)
        out |= {
            "eyeLookOutLeft": max(x, 0),
            "eyeLookInRight": max(x, 0),
            "eyeLookInLeft": max(-x, 0),
            "eyeLookOutRight": max(-x, 0),
        }
    return out


def detect(judge: Judge, renderer: Renderer, people: int, first: int, out: Path) -> None:
    """Draw people until there are enough rows; report what is found, where the points are, and what it costs."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / "detect.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    with path.open("a") as file:
        for seed in range(first + len(rows), first + people):
            rows.append(_one(judge, renderer, seed, out))
            file.write(json.dumps(rows[-1]) + "\n")
            file.flush()
            if len(rows) % 20 == 0:
                say(len(rows), sum(r["found"] for r in rows))
    found = [r for r in rows if r["found"]]
    say(f"found in {len(found)} of {len(rows)} ({100 * len(found) / len(rows):.2f} %)")
    say("missed:", [(r["seed"], r["style"], r["beard"], r["glasses"], r["turn"]) for r in rows if not r["found"]])
    for part in ("all", *PARTS):
        say(f"points, {part}: {np.mean([r['error'][part] for r in found]):.1f} % of the distance of the eyes")
    turns = np.array([[r["turn"], r["read"]] for r in found])
    say("yaw, pitch, roll: r", [round(float(np.corrcoef(turns[:, 0, k], turns[:, 1, k])[0, 1]), 3) for k in range(3)])
    say(f"CPU s: person {np.median([r['built'] for r in rows]):.2f}, frame {np.median([r['cost'] for r in rows]):.3f}")


def _one(judge: Judge, renderer: Renderer, seed: int, out: Path) -> dict[str, object]:
    rng = np.random.default_rng([seed, 41])
    person = draw_person(seed)
    scene = draw_scene(seed, person.background)
    start = time.process_time()
    renderer.actor(person)
    built = time.process_time()
    turn = [float(v) for v in (rng.uniform(-30, 30), rng.uniform(-12, 12), rng.uniform(-10, 10))]
    clip = renderer.render(person, coefficients(random_shapes(rng))[None], np.array([turn], np.float32), scene)
    cost = time.process_time() - built
    reading = judge.read(clip.pixels[0])
    row: dict[str, object] = {
        "seed": seed, "found": reading is not None, "built": built - start, "cost": cost, "style": person.style,
        "beard": person.beard, "glasses": person.glasses, "hat": person.hat, "turn": [round(v, 1) for v in turn],
    }  # fmt: skip
    if reading is None:
        cv2.imwrite(str(out / f"missed_{seed}.png"), clip.pixels[0][..., ::-1])
        return row
    truth = clip.landmarks[0]
    eyes = float(np.linalg.norm(truth[468] - truth[473])) / max(0.5, float(np.cos(np.radians(turn[0]))))
    error = np.linalg.norm(reading.points - truth, axis=1) / eyes * 100
    parts = {"all": float(error.mean()), **{name: float(error[rows].mean()) for name, rows in PARTS.items()}}
    return row | {"error": parts, "read": [float(v) for v in reading.turn]}


def actions(judge: Judge, renderer: Renderer, people: int, first: int, names: list[str]) -> None:
    """Print for each action what is read at each level, and r over all people."""
    table: dict[str, list[tuple[int, float, float]]] = {name: [] for name in names}
    for seed, renderer_person in _neutral(people, first):
        for name in names:
            shapes = np.stack([coefficients({name: level}) for level in LEVELS])
            clip = renderer.render(renderer_person, shapes, scene=draw_scene(seed, renderer_person.background))
            for level, picture in zip(LEVELS, clip.pixels):
                reading = judge.read(picture)
                if reading is not None:
                    table[name].append((seed, level, float(np.mean([reading.scores[n] for n in sides(name)]))))
    for name, pairs in sorted(table.items(), key=lambda item: (item[0] not in BOUNDS, item[0])):
        seeds, level, score = np.array(pairs).T
        r = _r(level, score)
        own = float(np.mean([_r(level[seeds == s], score[seeds == s]) for s in np.unique(seeds)]))
        bound = BOUNDS.get(name)
        verdict = "" if bound is None else f"  bound {bound:.2f} {'holds' if r >= bound else 'MISSED'}"
        means = " ".join(f"{score[level == v].mean():.2f}" for v in LEVELS)
        say(f"{name:16s} r {r:5.2f}  each person's own {own:5.2f}  {means}{verdict}")


def _r(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a, b)[0, 1]) if a.std() > 1e-6 and b.std() > 1e-6 else 0.0


def _neutral(people: int, first: int) -> Iterator[tuple[int, object]]:
    for seed in range(first, first + people):
        yield (
            seed,
            dataclasses.replace(draw_person(seed), beard="none", expression="neutral", glasses="none", hat="none"),
        )


def rest(judge: Judge, renderer: Renderer, people: int, first: int, photographs: list[Path]) -> None:
    """Print the medians of what is read in neutral people and in photographs."""
    ours: list[dict[str, float]] = []
    for seed, person in _neutral(people, first):
        clip = renderer.render(person, np.zeros((1, len(ARKIT)), np.float32), scene=draw_scene(seed, person.background))  # type: ignore[arg-type]
        reading = judge.read(clip.pixels[0])
        if reading is not None:
            ours.append(reading.scores)
    real = [r.scores for r in (judge.read(p) for p in _pictures(photographs)) if r is not None]
    say(f"medians of {len(ours)} people and {len(real)} photographs; of both the larger above .04")
    for name in ARKIT:
        if name in ours[0]:
            a, b = (float(np.median([s[name] for s in group])) if group else 0.0 for group in (ours, real))
            if max(a, b) > 0.04:
                say(f"{name:20s} people {a:.2f}  photographs {b:.2f}")


def _pictures(folders: list[Path]) -> Iterator[np.ndarray]:
    for path in sorted(p for folder in folders for p in folder.iterdir()):
        if path.suffix == ".mp4":
            _, picture = cv2.VideoCapture(str(path)).read()
        else:
            picture = cv2.imread(str(path))
        if picture is not None:
            scale = min(1.0, 900 / max(picture.shape[:2]))
            yield cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)[..., ::-1]


def cost(renderer: Renderer, people: int, first: int, frames: int = 8) -> None:
    """Print the CPU seconds of building a person and of a frame within a clip, all threads together."""
    built, drawn = [], []
    for seed in range(first, first + people):
        person = draw_person(seed)
        start = time.process_time()
        renderer.actor(person)
        ready = time.process_time()
        shapes = np.tile(coefficients({"jawOpen": 0.3}), (frames, 1))
        turns = np.linspace([-20, 0, 0], [20, 0, 0], frames).astype(np.float32)
        renderer.render(person, shapes, turns, draw_scene(seed, person.background))
        built.append(ready - start)
        drawn.append((time.process_time() - ready) / frames)
    say(
        f"CPU s: person {np.median(built):.2f}; frame of a clip of {frames}: median {np.median(drawn):.3f}, "
        f"mean {np.mean(drawn):.3f}, worst {np.max(drawn):.3f}"
    )


def main() -> None:
    """Run one of the judgements."""
    parser = command_line("people_judge", __doc__)
    parser.add_argument("what", choices=("detect", "actions", "rest", "cost"))
    parser.add_argument("--task", type=Path, required=True)
    parser.add_argument("--people", type=int, default=40)
    parser.add_argument("--first", type=int, default=70000)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--textures", type=Path)
    parser.add_argument("--names", nargs="*", default=[])
    parser.add_argument("--photographs", type=Path, nargs="*", default=[])
    parser.add_argument("--out", type=Path, default=Path("runs/people"))
    a = parser.parse_args()
    judge, renderer = Judge(a.task), Renderer(a.size, a.textures)
    if a.what == "detect":
        detect(judge, renderer, a.people, a.first, a.out)
    elif a.what == "actions":
        actions(judge, renderer, a.people, a.first, a.names or families())
    elif a.what == "cost":
        cost(renderer, a.people, a.first)
    else:
        rest(judge, renderer, a.people, a.first, a.photographs)


if __name__ == "__main__":
    main()
