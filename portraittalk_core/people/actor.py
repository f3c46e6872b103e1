"""A person on the graphics side: everything that is made once and drawn in every frame."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from .anatomy import LASHES, TONGUE, load_anatomy
from .context import Attributes, Graphics
from .garment import dress_body
from .hair import STYLES, Cards, Head, comb_field, grow_cards, scalp, smoothstep, tangent
from .motion import Pose, Rig
from .painting import Painted, hairline, paint_skin
from .person import Person
from .projection import parallel, sphere
from .shape import shape_person
from .solids import Solid
from .surface import load_surface
from .teeth import build_jaws, vertex_normals
from .wear import dress_head

SKIN, HAIR, EYES, MOUTH, TEETH, CLOTHES, ACCESSORY = 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0
"""Segments of a picture; 0 is the background."""
_HEAD = np.array([[0, 0, 0, 1]], np.float32)


@dataclass
class Part:
    """Something that is drawn: its mesh for the picture, for the maps and for the shadows."""

    program: str
    mesh: Any
    map_program: str
    map_mesh: Any
    segment: float
    shadow: Any = None
    shadow_program: str = "depth"


@dataclass
class Moving:
    """Buffers that are written in every frame: now, and in the reference frame."""

    now: Any
    then: Any


class Actor:
    """A person, ready to be drawn.

    Args:
        graphics: The context that draws.
        person: Whom to build.
        picture: A picture of skin, or None.
        directions: How many directions of the surrounding light are told apart.
    """

    def __init__(self, graphics: Graphics, person: Person, picture: Path | None = None, directions: int = 20) -> None:
        self.person, self.graphics = person, graphics
        self.surface = load_surface()
        self.rest = shape_person(person)
        self.rig = Rig(self.surface, self.rest)
        self.scale = self.rig.frame.scale
        local = self.surface.local
        self.skin_rest = self.rest[self.surface.used]
        self.normals = self.surface.normals(self.skin_rest).astype(np.float32)
        self.head = Head(self.skin_rest[local], self.normals[local], self.rig.frame, hairline(person))
        self.painted: Painted = paint_skin(
            graphics, self.surface, person, picture, 512 if graphics.size <= 320 else 1024
        )
        self.garment = dress_body(person, self.surface, self.skin_rest, self.rig.weights, self._rng(11))
        eyes = {side: centre for side, (centre, _) in self.rig.eyes.items()}
        self.worn = dress_head(person, self.surface, self.head, eyes, self._rng(13))
        self.parts: dict[str, Part] = {}
        self._statics()
        self._skin()
        self._mouth_and_eyes()
        self._hair()
        self._clothes()
        self.directions = sphere(directions)
        self.sky = self._visibility()
        near = np.linalg.norm(self.skin_rest - self.rig.eyes["Left"][0], axis=1)
        self.eye_rim = np.nonzero(near < 0.24 * self.scale)[0]

    def _rng(self, part: int) -> np.random.Generator:
        return np.random.default_rng([self.person.seed, part])

    def _statics(self) -> None:
        g, s = self.graphics, self.surface
        count = len(s.local)
        weights = self.rig.weights[s.local][:, 1:]
        inside = np.stack([s.inside, 0 * s.inside], 1)
        self._static: Attributes = (
            g.buffer(np.concatenate([weights, s.uv, s.reference, inside], 1)),
            "4f 2f 3f 2f",
            ("wts", "uv", "ref", "inside"),
        )
        self._index = g.buffer(s.triangles)
        self.skin_buffers = Moving(g.gl.buffer(reserve=count * 48, dynamic=True), g.gl.buffer(reserve=count * 24))
        self._head_weights = g.buffer(np.tile(_HEAD, (4096, 1)))

    def _now(self) -> Attributes:
        return self.skin_buffers.now, "3f 3f 3f 3f", ("pos", "nrm", "nrm2", "light")

    def _then(self) -> Attributes:
        return self.skin_buffers.then, "3f 3f", ("rpos", "rnrm")

    def _skin(self) -> None:
        g = self.graphics
        front = self.surface.triangles[self.surface.reference[:, 1][self.surface.triangles].min(1) > 4.4]
        shown = g.buffer(front)
        columns = [self._now(), self._static]
        maps = g.mesh("surface_map", [*columns, self._then()], shown)
        shadow = g.mesh("depth", columns, shown)
        self.parts["skin"] = Part("skin", g.mesh("skin", columns, shown), "surface_map", maps, SKIN, shadow)

    def _mouth_and_eyes(self) -> None:
        g = self.graphics
        self.jaws = build_jaws()
        self.mouth: dict[str, Moving] = {}
        weights: Attributes = (self._head_weights, "4f", ("wts",))
        quads = np.array([[v for v, _ in q] for q in load_anatomy().mesh.faces["helper-tongue"]]) - TONGUE[0]
        self.tongue_triangles = np.concatenate([quads[:, :3], quads[:, [0, 2, 3]]]).astype(np.int32)
        pale = self._rng(17).uniform(0.85, 1.06)
        meshes = {name: (jaw.triangles, jaw.tint * pale) for name, jaw in self.jaws.items()}
        meshes["tongue"] = self.tongue_triangles, np.tile([0.40, 0.135, 0.125], (TONGUE[1] - TONGUE[0], 1))
        for name, (triangles, tint) in meshes.items():
            buffers = Moving(*(g.gl.buffer(reserve=len(tint) * 24, dynamic=True) for _ in range(2)))
            now: Attributes = (buffers.now, "3f 3f", ("pos", "nrm"))
            then: Attributes = (buffers.then, "3f 3f", ("rpos", "rnrm"))
            index = g.buffer(triangles)
            self.mouth[name] = buffers
            mesh = g.mesh("mouth", [now, (g.buffer(tint), "3f", ("tint",))], index)
            maps = g.mesh("surface_map", [now, then, weights], index)
            self.parts[name] = Part("mouth", mesh, "surface_map", maps, MOUTH if name == "tongue" else TEETH)
        ball, triangles = _ball()
        buffer, index = g.buffer(ball), g.buffer(triangles)
        mesh = g.mesh("eye", [(buffer, "3f", ("pos",))], index)
        same: list[Attributes] = [(buffer, "3f", (name,)) for name in ("pos", "nrm", "rpos", "rnrm")]
        self.parts["eye"] = Part("eye", mesh, "surface_map", g.mesh("surface_map", [*same, weights], index), EYES)
        self._lashes()

    def _lashes(self) -> None:
        g, anatomy = self.graphics, load_anatomy()
        groups = [q for name, quads in anatomy.mesh.faces.items() if "eyelashes" in name for q in quads]
        quads = np.array([[v for v, _ in q] for q in groups]) - LASHES[0]
        reference = anatomy.points[slice(*LASHES)]
        tip = np.zeros(len(reference), np.float32)
        for sign in (-1, 1):
            centre = np.array([sign * 0.308, 7.284, 1.245])
            distance = np.linalg.norm(reference - centre, axis=1)
            for upper in (True, False):
                row = (np.sign(reference[:, 0]) == sign) & ((reference[:, 1] > centre[1] - 0.02) == upper)
                tip[row] = np.clip((distance[row] - distance[row].min()) / (np.ptp(distance[row]) + 1e-6), 0, 1)
        self.lashes = g.gl.buffer(reserve=len(reference) * 12, dynamic=True)
        columns = [
            (self.lashes, "3f", ("pos",)),
            (g.buffer(reference), "3f", ("ref",)),
            (g.buffer(tip), "1f", ("tip",)),
        ]
        self.lash_mesh = g.mesh("lash", columns, g.buffer(np.concatenate([quads[:, :3], quads[:, [0, 2, 3]]])))

    def _hair(self) -> None:
        person, surface = self.person, self.surface
        style = STYLES[person.style]
        rng = self._rng(19)
        self.fur: list[tuple[Part, dict[str, Any], int]] = []
        if style.fur:
            above = scalp(surface.reference, self.head.hairline)
            d = surface.reference - [0, 7.5, 0.3]
            d /= np.linalg.norm(d, axis=1, keepdims=True)
            length = (
                style.fur
                * (0.30 + 0.70 * smoothstep(-0.3, 0.5, d[:, 1]))
                * (0.25 + 0.75 * smoothstep(0.0, 0.35, above))
            )
            if person.style in ("afro", "curly"):
                length = style.fur * (0.2 + 0.8 * smoothstep(-0.02, 0.35, above))
            comb = tangent(comb_field(d, person.style, 0.2), self.head.normals)
            self._add_fur(0, above > -0.2, length, surface.ears, comb, style.layers)
        low = (surface.reference[:, 1] < 7.35) & (surface.reference[:, 1] > 5.95) & (surface.reference[:, 2] > 0.2)
        if person.beard in ("mustache", "goatee", "beard"):
            kind = 3 if person.beard == "mustache" else 1
            comb = np.tile(np.array([[0.0, -1.0, 0.1]]), (len(d := surface.reference), 1))
            comb[:, 0] = np.sign(d[:, 0]) * 0.45 * (d[:, 1] > 6.6)
            length = np.full(len(d), 0.085 if person.beard != "beard" else rng.uniform(0.07, 0.22), np.float32)
            length *= 0.5 + 0.5 * smoothstep(7.0, 6.5, d[:, 1])
            self._add_fur(kind, low & (surface.inside < 0.3), length, surface.lips, tangent(comb, self.head.normals), 5)
        brow = (np.abs(surface.reference[:, 1] - 7.47) < 0.22) & (surface.reference[:, 2] > 0.75)
        comb = np.stack([np.sign(surface.reference[:, 0]), 0.25 * np.ones(len(brow)), np.zeros(len(brow))], 1)
        self._add_fur(
            2, brow, np.full(len(brow), 0.026, np.float32), 0 * surface.lips, tangent(comb, self.head.normals), 2
        )
        self._cards(rng)

    def _add_fur(self, kind: int, where: ndarray, length: ndarray, avoid: ndarray, comb: ndarray, layers: int) -> None:
        g, tris = self.graphics, self.surface.triangles
        index = g.buffer(tris[where[tris].any(1)])
        fur = np.concatenate([comb, np.stack([length * self.scale, avoid], 1)], 1)
        columns = [self._now(), self._static, (g.buffer(fur), "3f 2f", ("comb", "fur"))]
        mesh, maps = g.mesh("fur", columns, index), g.mesh("fur_map", [*columns, self._then()], index)
        part = Part("fur", mesh, "fur_map", maps, HAIR if kind == 0 else SKIN)
        self.fur.append((part, {"kind": kind}, layers))

    def _cards(self, rng: np.random.Generator) -> None:
        g, person = self.graphics, self.person
        cards = grow_cards(self.surface, self.head, person.style, person.fringe, rng)
        if cards is None:
            return
        if person.hat != "none":
            cards = _below_hat(cards, self.rig.frame.back(cards.points), person.hat)
        low, high = self.rig.joints["neck01"][1] - 0.45, self.rig.joints["head"][1] - 0.15
        weights = np.zeros((len(cards.points), 4), np.float32)
        weights[:, 3] = smoothstep(low, high, cards.points[:, 1])
        buffer = g.buffer(np.concatenate([cards.points, cards.normals, cards.tangents, weights, cards.card], 1))
        columns: list[Attributes] = [(buffer, "3f 3f 3f 4f 4f", ("pos", "nrm", "tan", "wts", "card"))]
        index = g.buffer(cards.indices)
        then: Attributes = (buffer, "3f 3f 3f 4f 4f", ("rpos", "rnrm", "", "", ""))
        self.parts["cards"] = Part(
            "cards", g.mesh("cards", columns, index), "card_map", g.mesh("card_map", [*columns, then], index), HAIR,
            g.mesh("card_depth", columns, index), "card_depth",
        )  # fmt: skip

    def _clothes(self) -> None:
        g, garment = self.graphics, self.garment
        count = len(garment.points)
        self.cloth_light = g.gl.buffer(reserve=count * 12, dynamic=True)
        buffer = g.buffer(np.concatenate([garment.points, garment.normals], 1))
        columns: list[Attributes] = [
            (buffer, "3f 3f", ("pos", "nrm")),
            self._static,
            (self.cloth_light, "3f", ("light",)),
        ]
        index = g.buffer(garment.triangles)
        then: Attributes = (buffer, "3f 3f", ("rpos", "rnrm"))
        maps = g.mesh("surface_map", [*columns, then], index)
        self.parts["cloth"] = Part("cloth", g.mesh("cloth", columns, index), "surface_map", maps, CLOTHES)
        for i, solid in enumerate((*garment.collars, *self.worn.solids)):
            self.parts[f"solid {i}"] = self._solid(solid, "solid")
        self.lenses = [self._solid(lens, "lens") for lens in self.worn.lenses]

    def _solid(self, solid: Solid, program: str) -> Part:
        g, n = self.graphics, len(solid.points)
        weights = np.tile(_HEAD, (n, 1)) if solid.weights is None else solid.weights
        tint, look = np.tile([solid.tint], (n, 1)), np.tile([[solid.gloss, solid.openness]], (n, 1))
        buffer = g.buffer(np.concatenate([solid.points, solid.normals, tint, weights, look], 1))
        columns: list[Attributes] = [(buffer, "3f 3f 3f 4f 2f", ("pos", "nrm", "tint", "wts", "look"))]
        then: Attributes = (buffer, "3f 3f 3f 4f 2f", ("rpos", "rnrm", "", "", ""))
        index = g.buffer(solid.triangles)
        maps = g.mesh("surface_map", [*columns, then], index)
        shadow = g.mesh("depth", columns, index)
        segment = CLOTHES if solid.cloth else ACCESSORY
        return Part(program, g.mesh(program, columns, index), "surface_map", maps, segment, shadow)

    def write(self, pose: Pose, light: Float32[ndarray, "u 3"]) -> None:
        """Write a frame's vertices and the light that reaches them into the buffers."""
        local, smoothing = self.surface.local, self.surface.smoothing
        smooth = smoothing @ (smoothing @ pose.normals)
        row = np.concatenate([pose.skin, pose.normals, smooth, light], 1, dtype=np.float32)
        self.skin_buffers.now.write(np.take(row, local, 0).tobytes())
        self.cloth_light.write(np.take(np.maximum(light, 0.35 * light.mean(0)), local, 0).astype(np.float32).tobytes())
        self.lashes.write(np.ascontiguousarray(pose.lashes, np.float32).tobytes())
        self._write_mouth(pose, "now")

    def keep_reference(self, pose: Pose) -> None:
        """Write the reference frame, to which the maps point."""
        row = np.concatenate([pose.skin, pose.normals], 1, dtype=np.float32)
        self.skin_buffers.then.write(np.take(row, self.surface.local, 0).tobytes())
        self._write_mouth(pose, "then")

    def _write_mouth(self, pose: Pose, when: str) -> None:
        for name, jaw in self.jaws.items():
            m = pose.teeth[name]
            normals = jaw.normals @ m[:3]
            normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
            row = np.concatenate([jaw.points @ m[:3] + m[3], normals], 1, dtype=np.float32)
            getattr(self.mouth[name], when).write(row.tobytes())
        normals = vertex_normals(pose.tongue, self.tongue_triangles)
        row = np.concatenate([pose.tongue, normals], 1, dtype=np.float32)
        getattr(self.mouth["tongue"], when).write(row.tobytes())

    def release(self) -> None:
        """Free the textures; buffers go with the object."""
        self.painted.release()

    def _lit_lids(self, sky: Float32[ndarray, "u d"]) -> Float32[ndarray, "u d"]:
        """Light the lids as if they covered the eyeball: what is folded away at rest comes out when the eye closes."""
        for centre, radius in self.rig.eyes.values():
            away = self.skin_rest - centre
            distance = np.linalg.norm(away, axis=1, keepdims=True)
            share = smoothstep(2.0 * radius, 1.35 * radius, distance) * (away[:, 2:] > 0.2 * radius)
            free = 0.62 * np.maximum(0, (away / distance) @ self.directions.T) * (4 / len(self.directions))
            sky = sky * (1 - share) + np.maximum(sky, free) * share
        return sky.astype(np.float32)

    def _visibility(self, size: int = 96) -> Float32[ndarray, "u d"]:
        """Return how far each vertex of the skin faces each direction and is not shaded from it.

        Found once, at rest, with one small depth map a direction; a frame then lights all vertices from any
        environment with one matrix product.
        """
        g, c = self.graphics, self.graphics.gl
        depth = c.depth_texture((size, size))
        depth.compare_func = ""
        target = c.framebuffer(depth_attachment=depth)
        local = self.surface.local
        rows = np.zeros((len(local), 12), np.float32)
        rows[:, :3] = self.skin_rest[local]
        self.skin_buffers.now.write(rows.tobytes())
        still = np.broadcast_to(np.eye(4), (5, 4, 4))
        cosine = np.maximum(0, self.normals @ self.directions.T)
        sky = np.zeros_like(cosine, np.float32)
        centre = self.rig.frame.place([0, 6.8, 0.3])
        for i, direction in enumerate(self.directions):
            matrix = parallel(direction, centre, 3.0)
            target.use()
            target.clear(depth=1.0)
            for part in self.parts.values():
                if part.shadow is not None:
                    g.set(part.shadow_program, bones=still, viewproj=matrix, **card_uniforms(self))
                    part.shadow.render()
            z = np.frombuffer(target.read(components=1, attachment=-1, dtype="f4"), np.float32).reshape(size, size)
            q = (self.skin_rest + self.normals * 0.02) @ matrix[:3, :3].T + matrix[:3, 3]
            x, y = (((q[:, k] * 0.5 + 0.5) * size).astype(int).clip(0, size - 1) for k in (0, 1))
            free = np.clip((z[y, x] - (q[:, 2] * 0.5 + 0.5) + 0.006) / 0.006, 0, 1)
            sky[:, i] = free * cosine[:, i] * (4 / len(self.directions))
        target.release()
        depth.release()
        sky = self._lit_lids(sky)
        # Smoothed once: lips that meet at rest would burn a black line into an open mouth.
        return (0.5 * sky + 0.5 * (self.surface.smoothing @ sky)).astype(np.float32)


def card_uniforms(actor: Actor) -> dict[str, float]:
    """Return what the strands painted on a person's cards depend on."""
    style = STYLES[actor.person.style]
    curl = min(1.0, style.curl * 8)
    return {
        "seed": float(actor.person.seed % 97),
        "strandcount": style.strands,
        "curl": curl,
        "softtip": 0.38,
        "cardwidth": style.width,
    }


def _below_hat(cards: Cards, template: Float32[ndarray, "v 3"], hat: str) -> Cards:
    """Drop the triangles of cards that would come out of a hat."""
    d = template - [0, 7.5, 0.3]
    elevation = np.arcsin(d[:, 1] / np.linalg.norm(d, axis=1))
    above = elevation > (0.22 if hat == "beanie" else 0.36)
    above |= (template[:, 2] > 0.7) & (template[:, 1] > 7.35)
    triangles = cards.indices.reshape(-1, 3)
    keep = ~above[triangles].any(1)
    return Cards(cards.points, cards.normals, cards.tangents, cards.card, triangles[keep].reshape(-1))


def _ball(rings: int = 20, around: int = 28) -> tuple[ndarray, ndarray]:
    u, v = np.meshgrid(np.linspace(0, 2 * np.pi, around + 1), np.linspace(0, np.pi, rings + 1))
    ball = np.stack([np.sin(v) * np.cos(u), np.sin(v) * np.sin(u), np.cos(v)], -1).reshape(-1, 3).astype(np.float32)
    i = (np.arange(rings)[:, None] * (around + 1) + np.arange(around)[None]).ravel()
    n = around + 1
    return ball, np.concatenate([np.stack([i, i + n, i + 1], 1), np.stack([i + 1, i + n, i + n + 1], 1)]).astype(
        np.int32
    )
