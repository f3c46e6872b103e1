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

BROW_OUTLINES = tuple((*top, *low[::-1]) for top, low in zip(BROWS, LOWER_BROWS))
"""All around each brow."""

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

CHEEKS = (118, 347, 207, 427, 58, 288, 220, 440, 123, 352, 174, 399, 36, 266)
"""Points of cheeks, jaw and the sides of the nose, from which those between them follow."""

ANCHORS = (
    *OVAL[::2],
    *(k for brow in (*BROWS, *LOWER_BROWS) for k in brow),
    *(k for line in NOSE for k in line),
    *(k for eye in EYES for k in eye),
    *range(468, POINTS),
    *OUTER_LIPS,
    *INNER_LIPS,
    *CHEEKS,
)
"""Points of which all others are sums, to a third of a per cent of the distance of the eyes."""

MIRROR = (
    0, 1, 2, 248, 4, 5, 6, 249, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 250, 251, 252, 253, 254, 255, 256,
    257, 258, 259, 260, 261, 262, 263, 264, 265, 266, 267, 268, 269, 270, 271, 272, 273, 274, 275, 276, 277, 278,
    279, 280, 281, 282, 283, 284, 285, 286, 287, 288, 289, 290, 291, 292, 293, 294, 295, 296, 297, 298, 299, 300,
    301, 302, 303, 304, 305, 306, 307, 308, 309, 310, 311, 312, 313, 314, 315, 316, 317, 318, 319, 320, 321, 322,
    323, 94, 324, 325, 326, 327, 328, 329, 330, 331, 332, 333, 334, 335, 336, 337, 338, 339, 340, 341, 342, 343,
    344, 345, 346, 347, 348, 349, 350, 351, 352, 353, 354, 355, 356, 357, 358, 359, 360, 361, 362, 363, 364, 365,
    366, 367, 368, 369, 370, 371, 372, 373, 374, 375, 376, 377, 378, 379, 151, 152, 380, 381, 382, 383, 384, 385,
    386, 387, 388, 389, 390, 164, 391, 392, 393, 168, 394, 395, 396, 397, 398, 399, 175, 400, 401, 402, 403, 404,
    405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 418, 195, 419, 197, 420, 199, 200, 421, 422,
    423, 424, 425, 426, 427, 428, 429, 430, 431, 432, 433, 434, 435, 436, 437, 438, 439, 440, 441, 442, 443, 444,
    445, 446, 447, 448, 449, 450, 451, 452, 453, 454, 455, 456, 457, 458, 459, 460, 461, 462, 463, 464, 465, 466,
    467, 3, 7, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44,
    45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63, 64, 65, 66, 67, 68, 69, 70, 71, 72,
    73, 74, 75, 76, 77, 78, 79, 80, 81, 82, 83, 84, 85, 86, 87, 88, 89, 90, 91, 92, 93, 95, 96, 97, 98, 99, 100,
    101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111, 112, 113, 114, 115, 116, 117, 118, 119, 120, 121, 122,
    123, 124, 125, 126, 127, 128, 129, 130, 131, 132, 133, 134, 135, 136, 137, 138, 139, 140, 141, 142, 143, 144,
    145, 146, 147, 148, 149, 150, 153, 154, 155, 156, 157, 158, 159, 160, 161, 162, 163, 165, 166, 167, 169, 170,
    171, 172, 173, 174, 176, 177, 178, 179, 180, 181, 182, 183, 184, 185, 186, 187, 188, 189, 190, 191, 192, 193,
    194, 196, 198, 201, 202, 203, 204, 205, 206, 207, 208, 209, 210, 211, 212, 213, 214, 215, 216, 217, 218, 219,
    220, 221, 222, 223, 224, 225, 226, 227, 228, 229, 230, 231, 232, 233, 234, 235, 236, 237, 238, 239, 240, 241,
    242, 243, 244, 245, 246, 247, 473, 476, 475, 474, 477, 468, 471, 470, 469, 472,
)  # fmt: skip
"""The point that each of them becomes in a mirrored picture."""

SEGMENTS = ("background", "skin", "hair", "eyes", "mouth", "teeth", "clothes", "accessory")
"""What the pixels of a portrait belong to, in the order of every map; beards and brows are skin, glasses, hats
and earrings accessories."""
