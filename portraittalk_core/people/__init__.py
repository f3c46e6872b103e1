"""People who do not exist, drawn with the truth about every pixel: training data for talking portraits.

`draw_person(seed)` draws who, `draw_scene(seed)` the light and the camera, `Renderer` the pictures. See docs/people.md.
"""
