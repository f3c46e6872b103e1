"""Paints a person's skin once, into textures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .context import Graphics
from .palette import HAIR
from .person import Person
from .surface import Surface
from .textures import skin_detail


@dataclass(frozen=True)
class Painted:
    """Textures of a skin."""

    albedo: Any
    """Square root of the colour in linear light; height in alpha."""
    properties: Any
    """Roughness, strength of reflection, mouth interior, lips."""
    wrinkles: Any
    """Wrinkles of the forehead, between the brows, beside the eyes, beside the nose."""

    def release(self) -> None:
        """Free the textures."""
        for texture in (self.albedo, self.properties, self.wrinkles):
            texture.release()


def brow_colour(person: Person) -> tuple[float, float, float]:
    """Return the colour of a person's brows: darker than fair hair, never quite black."""
    colour = np.array(HAIR[person.hair])
    fair = person.hair in ("blonde", "white", "grey")
    r, g, b = colour * 0.42 if fair else np.maximum(colour * 0.9, [0.022, 0.016, 0.013])
    return float(r), float(g), float(b)


def paint_skin(graphics: Graphics, surface: Surface, person: Person, picture: Any | None, size: int) -> Painted:
    """Paint a skin.

    Args:
        graphics: The context.
        surface: The mesh to paint.
        person: Tone, blood, age, make-up and hair.
        picture: Path of a picture of skin (see `textures`), or None.
        size: Width and height of the textures in pixels.
    """
    c = graphics.gl
    layers = [[c.texture((size, size), 4) for _ in range(3)] for _ in range(2)]
    for texture in layers[0]:
        texture.filter = (0x2600, 0x2600)  # NEAREST
    first, last = (c.framebuffer(textures) for textures in layers)
    masks = c.texture(surface.masks.shape[1::-1], 4, surface.masks.tobytes())
    photo = c.texture((512, 512), 3, skin_detail(picture).tobytes()) if picture else c.texture((1, 1), 3, b"\x80" * 3)
    columns = [
        (graphics.buffer(surface.uv), "2f", ("uv",)),
        (graphics.buffer(surface.mask_uv), "2f", ("maskuv",)),
        (graphics.buffer(surface.texture_uv), "2f", ("texuv",)),
        (graphics.buffer(surface.reference), "3f", ("ref",)),
    ]
    mesh = graphics.mesh("paint", columns, graphics.buffer(surface.triangles))
    units = graphics.bind(masks=(0, masks), photo=(1, photo))
    graphics.set("paint", **units, phototone=0.85 if picture else 0.0, **_uniforms(person))
    c.disable(2)  # moderngl.DEPTH_TEST
    first.use()
    first.clear()
    mesh.render()
    last.use()
    units = graphics.bind(a=(0, layers[0][0]), b=(1, layers[0][1]), w=(2, layers[0][2]))
    graphics.set("dilate", px=1.0 / size, **units)
    bleed = graphics.mesh("dilate", [(graphics.square, "2f", ("pos",))])
    bleed.render(5)  # GL_TRIANGLE_STRIP
    c.enable(2)
    for texture in layers[1]:
        texture.build_mipmaps()
        texture.filter = (0x2703, 0x2601)  # LINEAR_MIPMAP_LINEAR, LINEAR
    for thing in (first, last, masks, photo, mesh, bleed, *layers[0]):
        thing.release()
    return Painted(*layers[1])


def _uniforms(person: Person) -> dict[str, Any]:
    rng = np.random.default_rng([person.seed, 3])
    lip = np.array([0.42, 0.10, 0.11]) * rng.uniform(0.6, 1.1) * [1, rng.uniform(0.7, 1.6), rng.uniform(0.7, 1.5)]
    cover = {"bald": 0.10 if person.male > 0.5 else 0.04, "buzz": 0.75}.get(person.style, 0.94)
    stubble = {"none": 0.12 if person.male > 0.5 and person.age > 16 else 0.0, "stubble": 0.85}.get(person.beard, 0.7)
    return {
        "melanin": person.melanin,
        "blood": person.blood,
        "freckles": person.freckles,
        "moles": person.moles,
        "age": person.age,
        "stubble": stubble,
        "beardkind": {"mustache": 3, "goatee": 1, "beard": 1}.get(person.beard, 0),
        "goateeonly": 1.0 if person.beard == "goatee" else 0.0,
        "brow": person.brow,
        "makeup": person.makeup,
        "liner": person.eyeliner,
        "seed": detail_seed(person),
        "scalpcover": cover,
        "browup": brow_height(person),
        "lipcol": lip,
        "haircol": np.array(HAIR[person.hair]),
        "browcol": brow_colour(person),
        "hairline": hairline(person),
    }


def detail_seed(person: Person) -> float:
    """Return the number that moves the noise of a person's skin."""
    return float(np.random.default_rng([person.seed, 5]).uniform(0, 50))


def brow_height(person: Person) -> float:
    """Return by how much the brows sit higher than the template's, in decimetres."""
    return float(np.random.default_rng([person.seed, 7]).normal() * 0.014)


def hairline(person: Person) -> tuple[float, float]:
    """Return the height of the hairline and how far the temples recede, in radians."""
    rng = np.random.default_rng([person.seed, 9])
    recede = (
        rng.uniform(0, 0.20) * np.clip((person.age - 25) / 35, 0.1, 1)
        if person.male > 0.5
        else rng.uniform(-0.02, 0.04)
    )
    return person.hairline, float(recede)
