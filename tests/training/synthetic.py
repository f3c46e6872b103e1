"""Small banks whose pictures are of nothing in particular, and a renderer that draws nothing: no OpenGL."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

from portraittalk_core.people.arkit import ARKIT, INDEX
from portraittalk_core.people.person import Person
from portraittalk_core.people.renderer import Maps, RenderedFrames
from portraittalk_core.people.scene import Scene
from portraittalk_core.topology import INNER_LIPS, OUTER_LIPS
from portraittalk_core.training.denoiser.bank import RESTING, EncodedBank
from portraittalk_core.training.denoiser.clip_bank import FRAMES, ClipBank
from portraittalk_core.training.people import bank as banks
from portraittalk_core.training.people.draw import Shot

from ..rendered_people import portraits

JAW = INDEX["jawOpen"]
LIPS = [*OUTER_LIPS, *INNER_LIPS]

TAGS = {
    "sex": "female",
    "age": "young",
    "hair": "brown",
    "style": "long",
    "beard": "none",
    "glasses": "none",
    "hat": "none",
    "earrings": "none",
    "garment": "shirt",
    "clothes": "red",
    "background": "blue",
    "expression": "neutral",
}
"""What a caption can say of a picture."""


def encoded_bank(people: int, pictures: int, channels: int = 8, side: int = 8) -> EncodedBank:
    """Return a bank of people of whom half of the pictures have other attributes; the latents are noise."""
    count = people * pictures
    generator = torch.Generator().manual_seed(0)
    rng = np.random.default_rng(0)
    other = {**TAGS, "hair": "black", "background": "park"}
    points = portraits()[1]
    latents = torch.randn(2, count, channels, side, side, generator=generator).half()
    return EncodedBank(
        person=np.repeat(np.arange(people), pictures),
        first=np.repeat(np.arange(people) * pictures, pictures),
        tags=[other if i % pictures >= pictures / 2 else TAGS for i in range(count)],
        landmarks=points[torch.arange(count) % len(points)],
        latents=latents[0],
        warped_latents=latents[1],
        embeddings=torch.nn.functional.normalize(torch.randn(count, 512, generator=generator), dim=1),
        unseen=torch.rand(count, side, side, generator=generator),
        warped=rng.integers(0, 256, (count, 3, 8 * side, 8 * side), np.uint8),
    )


def clip_bank(clips: int, channels: int = 8, side: int = 4, audio: int = 128) -> ClipBank:
    """Return clips whose latents and features say which frame they are; lips at rest are elsewhere."""
    bank = encoded_bank(clips, FRAMES + 1, channels, side)
    number = (torch.arange(len(bank.tags)) % (FRAMES + 1)).float()
    latents = number.view(-1, 1, 1, 1).expand(-1, channels, side, side)
    bank = dataclasses.replace(bank, latents=latents.half(), tags=[TAGS] * len(bank.tags))
    rest = bank.landmarks.clone()
    rest[:, LIPS] += 0.05
    warped = (bank.warped.astype(int) + 128).astype(np.uint8)
    resting = dataclasses.replace(bank, landmarks=rest, warped_latents=-bank.warped_latents, warped=warped)
    features = torch.arange(float(FRAMES)).view(1, -1, 1).expand(clips, -1, audio)
    return ClipBank(bank, resting, features)


def save_bank(folder: Path, bank: EncodedBank, resting: EncodedBank | None = None) -> None:
    """Write a bank as `encode_pictures` does, at the one size of its latents."""
    folder.mkdir(parents=True, exist_ok=True)
    size = 8 * bank.latents.shape[-1]
    arrays = {f"latents_{size}": bank.latents, "embeddings": bank.embeddings, "unseen": bank.unseen.half()}
    for name, source in (("", bank), (RESTING, resting)):
        if source is not None:
            arrays |= {f"{name}landmarks": source.landmarks, f"{name}warped_latents_{size}": source.warped_latents}
            np.save(folder / f"{name}warped.npy", source.warped)
    for name, value in arrays.items():
        np.save(folder / f"{name}.npy", value.numpy())
    index = {"person": bank.person.tolist(), "first": bank.first.tolist(), "tags": bank.tags}
    (folder / "index.json").write_text(json.dumps(index))


def shot(seed: int, frames: int, **options) -> Shot:
    """Return a clip of a person of whom only the seed is known, who opens the mouth."""
    rows = np.zeros((frames, len(ARKIT)), np.float32)
    rows[:, JAW] = np.linspace(0, 1, frames)
    turns = np.full((frames, 3), float(seed % 7), np.float32)
    return Shot(Person(seed), Scene(), rows, turns, ("neutral",) * frames, **options)


class FakeRenderer:
    """Draws pictures whose brightness is the person's seed and whose points are those of a rendered face."""

    size = banks.SIZE
    drawn: list[int]

    def __init__(self, size: int, textures: object = None) -> None:
        FakeRenderer.drawn = []

    def actor(self, person: Person) -> SimpleNamespace:
        return SimpleNamespace(person=person, rig=SimpleNamespace(pose=lambda row, turn: (row, turn)))

    def render(self, person, blendshapes, rotation, scene, maps) -> RenderedFrames:
        FakeRenderer.drawn.append(person.seed)
        count, size = len(blendshapes), self.size
        pixels = np.full((count, size, size, 3), 20 + 10 * person.seed % 200, np.uint8)
        pixels[:, : size // 2] += np.arange(size, dtype=np.uint8)[None, None, :, None] // 8
        points = np.stack([_vertices(row, size) for row in blendshapes])
        y, x = np.mgrid[0:size, 0:size].astype(np.float32) + 0.5
        source = np.repeat(np.stack([x, y], -1)[None], count, 0)
        visible = np.ones((count, size, size), bool)
        visible[1:, :, : size // 2] = False
        segments = np.ones((count, size, size), np.uint8)
        return RenderedFrames(pixels, points, Maps(source, visible, segments, segments[0]) if maps else None)


def fake_renderer(monkeypatch) -> None:
    """Let banks be drawn by the renderer that draws nothing."""
    monkeypatch.setattr(banks, "Renderer", FakeRenderer)
    monkeypatch.setattr(banks, "framed", lambda actor, shot, size: shot.scene)
    monkeypatch.setattr(banks, "place_camera", lambda actor, camera: SimpleNamespace(matrix=None))
    monkeypatch.setattr(banks, "load_anatomy", lambda: SimpleNamespace(local={"chin/a": 0}))

    monkeypatch.setattr(banks, "project_vertices", lambda actor, pose, matrix, size: _vertices(pose[0], size))


def _vertices(row: np.ndarray, size: int) -> np.ndarray:
    """Return the points of a rendered face whose lips sink by ten pixels where the jaw is open."""
    points = (portraits()[1][0].numpy() + 1) * size / 2
    points[LIPS] += 10 * row[JAW]
    return points
