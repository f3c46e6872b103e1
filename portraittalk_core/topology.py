"""MediaPipe's 478 points of a face: which of them make which part.

The numbering is MediaPipe's (face mesh with irises: 468 points of the surface, then five of each iris, its centre
first). "Right" is the person's own right, at the left of the picture.
"""

from __future__ import annotations

POINTS = 478
"""Points of a face."""

OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
"""The outline from the top of the forehead, to the right of the picture first; closed."""

JAW = OVAL[6:31]
"""The lower part of the outline, from the temple at the right of the picture along the chin to the other one."""

BROWS = ((70, 63, 105, 66, 107), (336, 296, 334, 293, 300))
"""The upper edge of each brow, from the left of the picture to the right."""

LOWER_BROWS = ((46, 53, 52, 65, 55), (285, 295, 282, 283, 276))
"""The lower edges likewise."""

NOSE = ((168, 6, 197, 195, 5, 4, 1), (98, 97, 2, 326, 327))
"""The ridge downwards, and the wings from the left of the picture."""

EYES = (
    (33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7),
    (362, 398, 384, 385, 386, 387, 388, 466, 263, 249, 390, 373, 374, 380, 381, 382),
)
"""The margin of each eye's lids, from its corner at the left of the picture along the upper lid; closed."""

OUTER_LIPS = (
    *(61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291),
    *(375, 321, 405, 314, 17, 84, 181, 91, 146),
)
"""The edge of the red of the lips, from the corner at the left of the picture along the upper lip; closed."""

INNER_LIPS = (
    *(78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308),
    *(324, 318, 402, 317, 14, 87, 178, 88, 95),
)
"""The edge at which the lips meet, likewise."""

MEETING_LIPS = tuple(zip(INNER_LIPS[1:10], INNER_LIPS[:10:-1]))
"""Upper and lower points that meet where the mouth is shut."""

MEETING_LIDS = tuple(tuple(zip(eye[1:8], eye[:8:-1])) for eye in EYES)
"""The same of the lids, eye by eye."""

IRISES = (468, 473)
"""The centre of each iris: at the left of the picture, at the right."""

EYE_CORNERS = (33, 133, 362, 263)
"""Outer and inner corner at the left of the picture, inner and outer at the right."""

STEADY = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 109, 67, 103, 54, 21, 162, 127, 234),
    *(33, 133, 362, 263, 168, 6, 197, 195, 5, 4, 1, 2, 98, 327),
)
"""Points that expression hardly moves: forehead, temples, corners of the eyes, nose."""

IBUG = (
    *(162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389),  # jaw
    *(71, 63, 105, 66, 107, 336, 296, 334, 293, 301),  # brows
    *(168, 197, 5, 4, 75, 97, 2, 326, 305),  # nose
    *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),  # eyes
    *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181),  # outer lips
    *(78, 82, 13, 312, 308, 317, 14, 87),  # inner lips
    *(468, 473),  # irises
)
"""The point for each of iBUG's 68, which file formats and scores speak of, and for the two irises."""
