"""One frame: shadows, the picture, and the maps of where its pixels come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64, UInt8
from numpy import ndarray

from .actor import Actor, Part, card_uniforms
from .context import Graphics
from .hair import STYLES
from .lighting import environment, key_direction, light_uniforms, metered, vertex_light
from .motion import Pose
from .painting import brow_colour, detail_seed, hairline
from .palette import HAIR, IRIS
from .projection import parallel, perspective
from .scene import Camera, Scene

_BLEND, _DEPTH_TEST, _CULL_FACE = 1, 2, 4  # moderngl
_ONE, _ZERO, _SRC_ALPHA, _ONE_MINUS_SRC_ALPHA = 1, 0, 0x0302, 0x0303
_FILM_MM = 36.0
_IRIS_RADIUS = 0.435
"""Radius of the iris, as a share of the eyeball's."""


@dataclass(frozen=True)
class View:
    """A placed camera."""

    eye: Float64[ndarray, "3"]
    matrix: Float64[ndarray, "4 4"]


def place_camera(actor: Actor, camera: Camera) -> View:
    """Return the camera in front of a person's face at rest; the frame is scaled to the head."""
    eyes = [centre for centre, _ in actor.rig.eyes.values()]
    height = camera.frame_dm * actor.scale
    middle = (eyes[0] + eyes[1]) / 2 + np.array([0, -0.42 * actor.scale, 0.2])
    target = middle - np.array([camera.shift[0], camera.shift[1], 0]) * height
    fov = 2 * np.degrees(np.arctan(_FILM_MM / 2 / camera.focal_mm))
    distance = height / 2 / np.tan(np.radians(fov) / 2)
    lift = np.radians(camera.elevation)
    eye = target + distance * np.array([0, np.sin(lift), np.cos(lift)])
    return View(eye, perspective(eye, target, float(fov), max(0.5, distance - 3.2), distance + 6))


class FrameDrawer:
    """Draws the frames of one person in one scene.

    Args:
        actor: The person.
        scene: Light, camera and background.
    """

    def __init__(self, actor: Actor, scene: Scene) -> None:
        self.actor, self.scene = actor, scene
        self.graphics: Graphics = actor.graphics
        self.view = place_camera(actor, scene.camera)
        size = self.graphics.size
        back = np.ascontiguousarray(scene.backdrop(size)[::-1], np.float16)
        self.background = self.graphics.gl.texture(back.shape[1::-1], 3, back.tobytes(), dtype="f2")
        self.background.repeat_x = self.background.repeat_y = False
        self.shadow_matrix = parallel(
            key_direction(scene.light), actor.rig.frame.place([0, 6.9, 0.4]), 2.5 * actor.scale
        )
        self._post = self.graphics.mesh("post", [(self.graphics.square, "2f", ("pos",))])
        self._fixed = self._fixed_uniforms()
        self._reference: Pose | None = None

    def _fixed_uniforms(self) -> dict[str, dict[str, Any]]:
        """Return what does not change from frame to frame, by program, and set it once."""
        actor, person = self.actor, self.actor.person
        colour = np.array(HAIR[person.hair])
        rng = np.random.default_rng([person.seed, 29])
        strand = {
            "hair1": colour * 0.62,
            "hair2": colour * 1.45,
            "grey": person.grey,
            "gloss": float(rng.uniform(0.5, 1.1)),
        }
        cut = {"neckline": actor.garment.neckline, "vneck": actor.garment.vneck}
        growth = {"seed": detail_seed(person), "hairline": hairline(person), "props": 1}
        base = {
            **light_uniforms(self.scene.light, self.graphics.shadow_map.size[0]),
            "eye": self.view.eye,
            "shadowmap": 3,
        }
        base["pixel"] = self.scene.camera.frame_dm / self.graphics.size
        base |= {"viewproj": self.view.matrix, "shadowproj": self.shadow_matrix}
        second = actor.garment.second
        cloth = {
            "cloth1": person.clothes_rgb, "cloth2": second, "seed": detail_seed(person), "pattern": person.pattern,
            "suit": float(actor.garment.suit), "rib": float(actor.garment.ribbed), **cut,
        }  # fmt: skip
        around = environment(self.scene.light, actor.directions).mean()
        skin = {
            "openlight": float(1 / max(1.2 * around, 0.01)),
            "albedo": 0,
            "props": 1,
            "wrinkles": 2,
            "bump": 0.020,
            "oil": person.oil,
            **cut,
        }
        cards = {**strand, **card_uniforms(actor)}
        table: dict[str, dict[str, Any]] = {
            "skin": skin,
            "fur": {**strand, **growth},
            "cards": cards,
            "cloth": cloth,
            "eye": {},
            "mouth": {},
            "solid": {},
            "lens": {"dark": actor.worn.dark},
            "lash": {},
            "card_depth": card_uniforms(actor),
            "surface_map": cut,
            "fur_map": growth,
            "card_map": card_uniforms(actor),
        }
        return {name: {**base, **values} for name, values in table.items()}

    def prepare(self) -> None:
        """Set the uniforms that stay; needed before frames of this scene when another scene was drawn meanwhile."""
        for name, values in self._fixed.items():
            self.graphics.set(name, **values)

    def light(self, pose: Pose) -> Float32[ndarray, "u 3"]:
        """Light a pose, write it to the graphics side and return the surrounding light of each vertex."""
        reached = vertex_light(self.actor, pose, self.scene.light)
        self.actor.write(pose, reached)
        return reached

    def draw(self, pose: Pose, seed: float) -> UInt8[ndarray, "h w 3"]:
        """Draw the picture of a pose.

        Args:
            pose: The frame.
            seed: Moves the grain.
        """
        reached = self.light(pose)
        self._shadows(pose)
        graphics, c = self.graphics, self.graphics.gl
        graphics.shadow_map.use(3)
        graphics.many.use()
        graphics.many.clear(0, 0, 0, 0)
        for name in ("skin", "fur", "cards", "cloth", "solid", "lens"):
            graphics.set(name, bones=pose.bones)
        painted = self.actor.painted
        graphics.bind(albedo=(0, painted.albedo), props=(1, painted.properties), wrinkles=(2, painted.wrinkles))
        cards = self.actor.parts.get("cards")
        if cards is not None:  # first, for it hides much of the skin
            graphics.set("cards", core=1)
            cards.mesh.render()
        self._solid_parts(pose, reached)
        self._soft_hair(cards)
        self._transparent(pose)
        c.copy_framebuffer(graphics.resolved, graphics.many)
        return self._develop(reached, seed)

    def _shadows(self, pose: Pose) -> None:
        graphics = self.graphics
        graphics.shadow_target.use()
        graphics.shadow_target.clear(depth=1.0)
        for name in ("depth", "card_depth"):
            graphics.set(name, bones=pose.bones, viewproj=self.shadow_matrix)
        for part in self.actor.parts.values():
            if part.shadow is not None:
                part.shadow.render()

    def _solid_parts(self, pose: Pose, reached: Float32[ndarray, "u 3"]) -> None:
        graphics, actor = self.graphics, self.actor
        lips = pose.head[:3, :3] @ pose.lips + pose.head[:3, 3]
        graphics.set("skin", furrow=pose.furrow, mouthpos=lips)
        graphics.gl.enable(_CULL_FACE)
        actor.parts["skin"].mesh.render()
        graphics.gl.disable(_CULL_FACE)
        near = reached[actor.eye_rim].mean(0)
        first, second = IRIS[actor.person.iris]
        pupil = float(np.random.default_rng([actor.person.seed, 37]).uniform(0.28, 0.42))
        for side, local in pose.eyes.items():
            graphics.set(
                "eye", local=local, bone=pose.head, iris1=first, iris2=second, amb=near * 1.1, lidup=pose.head[:3, 1],
                pupil=pupil, seed=detail_seed(actor.person) + len(side), irisr=_IRIS_RADIUS, redness=0.8,
                lidtop=self._lid_top(pose, side),
            )  # fmt: skip
            actor.parts["eye"].mesh.render()
        graphics.set("mouth", bone=pose.head, lips=lips, amb=near * 0.95, open=min(1.0, pose.opening / 0.25), wet=1.0)
        for name in ("upper", "lower", "tongue"):
            actor.parts[name].mesh.render()
        actor.parts["cloth"].mesh.render()
        for name, part in actor.parts.items():
            if name.startswith("solid"):
                part.mesh.render()

    def _lid_top(self, pose: Pose, side: str) -> float:
        """Return the height of the upper lid's margin over the eyeball's middle, as a share of its radius."""
        centre, radius = self.actor.rig.eyes[side]
        lid = pose.lashes[:, 1][np.sign(pose.lashes[:, 0]) == np.sign(centre[0])]
        return float(np.clip((np.quantile(lid, 0.75) - centre[1]) / radius, 0.0, 0.75))

    def _soft_hair(self, cards: Part | None) -> None:
        actor, graphics, c = self.actor, self.graphics, self.graphics.gl
        # What is half transparent is blended without writing depth: cards in any order, fur from the skin outwards.
        c.enable(_BLEND)
        c.blend_func = _SRC_ALPHA, _ONE_MINUS_SRC_ALPHA, _ONE, _ONE_MINUS_SRC_ALPHA
        graphics.many.depth_mask = False
        if cards is not None:
            graphics.set("cards", core=0)
            cards.mesh.render()
        c.enable(_CULL_FACE)
        for part, uniforms, layers in actor.fur:
            for values in self._fur_layers(uniforms["kind"], layers):
                graphics.set("fur", **values)
                part.mesh.render()
        graphics.many.depth_mask = True
        c.disable(_BLEND | _CULL_FACE)

    def _fur_layers(self, kind: int, layers: int) -> list[dict[str, Any]]:
        person = self.actor.person
        colour = np.array(brow_colour(person)) if kind == 2 else np.array(HAIR[person.hair])
        if kind in (1, 3):
            colour = np.maximum(colour * 0.85, [0.014, 0.011, 0.009])
        style = STYLES[person.style]
        density = style.density if kind == 0 else 0.95 if kind != 2 else 0.72
        curl = 1.0 if person.style in ("curly", "afro") and kind == 0 else 0.0
        shade = {"hair1": colour * 0.6, "hair2": colour * 1.4, "density": density, "curl": curl, "thickness": 1.0}
        shade |= {"grey": person.grey if kind != 2 else 0.0, "fade": 1.0, "kind": kind}
        return [{**shade, "layer": (i + 1) / layers} for i in range(layers)]

    def _transparent(self, pose: Pose) -> None:
        graphics, c = self.graphics, self.graphics.gl
        c.enable(_BLEND)
        c.blend_func = _SRC_ALPHA, _ONE_MINUS_SRC_ALPHA, _ZERO, _ONE
        female = self.actor.person.male < 0.5
        graphics.set("lash", bone=pose.head, density=0.55 + 0.35 * female, tint=(0.008, 0.006, 0.006))
        self.actor.lash_mesh.render()
        c.blend_func = _ONE, _ONE_MINUS_SRC_ALPHA, _ZERO, _ONE
        for lens in self.actor.lenses:
            lens.mesh.render()
        c.disable(_BLEND)

    def _develop(self, reached: Float32[ndarray, "u 3"], seed: float) -> UInt8[ndarray, "h w 3"]:
        graphics, c, camera = self.graphics, self.graphics.gl, self.scene.camera
        size = graphics.size
        graphics.final.use()
        units = graphics.bind(frame=(0, graphics.resolved_texture), back=(1, self.background))
        exposure = camera.exposure * 0.39 / metered(self.actor, self.scene.light, reached)
        graded = {"contrast": camera.contrast, "saturation": camera.saturation, "gain": camera.balance}
        lens = {"vignette": camera.vignette, "soft": camera.blur, "grain": camera.noise, "seed": float(seed)}
        light = {"exposure": exposure, "backexposure": camera.exposure * 0.85}
        graphics.set("post", **units, px=(1 / size, 1 / size), **graded, **lens, **light)
        c.disable(_DEPTH_TEST)
        self._post.render(5)  # TRIANGLE_STRIP
        c.enable(_DEPTH_TEST)
        return np.frombuffer(graphics.final.read(components=3), np.uint8).reshape(size, size, 3)[::-1].copy()

    def set_reference(self, pose: Pose) -> None:
        """Take a pose as the frame to which maps point, and draw its depth."""
        self.actor.keep_reference(pose)
        self._reference = pose
        self.light(pose)
        self._maps(pose, "reference", first=True)

    def draw_maps(self, pose: Pose) -> tuple[Float32[ndarray, "h w 4"], Float32[ndarray, "h w 4"]]:
        """Draw the maps of the pose that was drawn last.

        Returns:
            The maps of the pose and of the reference: place in the reference frame (x right, y down, in pixels),
            whether it is seen there, and the segment.
        """
        self._maps(pose, "frame", first=False)
        return self._read("frame"), self._read("reference")

    def _read(self, name: str) -> Float32[ndarray, "h w 4"]:
        size = self.graphics.size
        target, _, _ = self.graphics.map_target(name)
        raw = np.frombuffer(target.read(components=4, dtype="f4"), np.float32).reshape(size, size, 4)[::-1].copy()
        raw[..., :2] = raw[..., :2] * size
        raw[..., 1] = size - raw[..., 1]
        return raw

    def _maps(self, pose: Pose, name: str, first: bool) -> None:
        graphics, actor = self.graphics, self.actor
        then = self._reference or pose
        target, _, _ = graphics.map_target(name)
        if not first:
            _, _, depth = graphics.map_target("reference")
            depth.use(4)
        actor.painted.properties.use(1)
        target.use()
        target.clear(0, 0, 0, 0)
        common = {
            "bones": pose.bones,
            "rbones": then.bones,
            "rviewproj": self.view.matrix,
            "rdepth": 4,
            "first": int(first),
        }
        still = {"local": np.eye(4), "rlocal": np.eye(4), "offset": 0.0}
        for program in ("surface_map", "fur_map", "card_map"):
            graphics.set(program, **common, **still)
        for key, part in actor.parts.items():
            if key == "eye":
                for side in pose.eyes:
                    graphics.set(
                        "surface_map", local=pose.eyes[side], rlocal=then.eyes[side], cut=0, segment=part.segment
                    )
                    part.map_mesh.render()
                graphics.set("surface_map", **still)
                continue
            cut = {"skin": 1, "cloth": 2}.get(key, 0)
            graphics.set(part.map_program, segment=part.segment, cut=cut)
            part.map_mesh.render()
        for part, uniforms, layers in actor.fur:
            self._fur_maps(part, uniforms["kind"], layers)

    def _fur_maps(self, part: Part, kind: int, layers: int) -> None:
        for values in self._fur_layers(kind, layers)[:: max(1, layers // 4)]:
            self.graphics.set("fur_map", segment=part.segment, **values)
            part.map_mesh.render()

    def release(self) -> None:
        """Free the background."""
        self.background.release()
