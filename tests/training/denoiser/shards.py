"""Shards of people whose frames grow brighter, and stand-ins for the networks that encode them."""

import json

import numpy as np
import torch

from portraittalk_core.checkpoints.native import load_structure
from portraittalk_core.nets.dense_motion import DenseMotion, identity_grid
from portraittalk_core.preparation.samples import encoded, sample_files
from portraittalk_core.preparation.shards import INDEX, ShardWriter, pack
from portraittalk_core.training.denoiser.clip_bank import FRAMES
from portraittalk_core.training.denoiser.stages import ASSETS

from ...rendered_people import pictures, points

SIDE = 64
COUNT = 2 * FRAMES + 3


class Still:
    """A dense motion that moves nothing and has seen three quarters of everything; the real one takes seconds."""

    def motion(self, picture, reference, landmarks):
        flow = identity_grid(torch.zeros(1, 2, 16, 16)).expand(len(landmarks), -1, -1, -1)
        return DenseMotion(
            flow, torch.tensor([0.25, 0.75, 0.0])[None, :, None, None].expand(len(landmarks), -1, 16, 16)
        )


def mean_colours(pixels):
    """A VAE that a test can read: the mean of every eight by eight pixels, with a fourth channel of zeros."""
    small = torch.nn.functional.avg_pool2d(pixels, 8)
    return torch.cat([small, torch.zeros_like(small[:, :1])], 1)


def write_shards(folder, counts=(COUNT, FRAMES, COUNT)):
    """Write one shard of samples of so many frames each; return the folder."""
    mesh = torch.from_numpy(points()[:2]) / 128 - 1
    fitter = load_structure(ASSETS / "structure.safetensors")[0]
    writer = ShardWriter(folder / "train-000000.tar")
    for number, count in enumerate(counts):
        track = mesh[number % 2].expand(count, -1, -1).clone()
        track[:, :, 0] += 0.001 * torch.arange(count)[:, None]
        shown = [
            np.clip(pictures()[number % 2][::4, ::4] * 0.8 + k % 40, 0, 255).astype(np.uint8) for k in range(count)
        ]
        with torch.no_grad():
            motion = torch.cat(fitter(track), 1)
        arrays = {"points": track.numpy(), "motion": motion.numpy(), "faces": np.eye(3, 512)[:2] + 1e-3}
        sound = 0.1 * torch.sin(torch.arange(count * 640) / (5 + number))
        files = sample_files(
            [encoded(p, "jpg", 95) for p in shown], "jpg", sound, {k: v.astype(np.float32) for k, v in arrays.items()},
            "a person talking, seen from the front", {"frames": count},
        )  # fmt: skip
        writer.add({"key": f"c_{number}", "clip": "c", "frames": count}, pack(f"c_{number}", files))
    (folder / INDEX).write_text(json.dumps({"shards": [writer.finish("train")]}))
    return folder


def damage_first_sample(shards, folder):
    """Copy shards to a folder with one byte of their first sample changed."""
    index = json.loads((shards / INDEX).read_text())
    file = index["shards"][0]["file"]
    content = bytearray((shards / file).read_bytes())
    content[index["shards"][0]["samples"][0]["offset"] + 2000] ^= 0xFF
    (folder / file).write_bytes(content)
    (folder / INDEX).write_text(json.dumps(index))
