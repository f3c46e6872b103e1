"""People who do not exist, drawn with the truth about every pixel: training data for talking portraits.

`person.draw_person` draws who, `scene.draw_scene` the light and the camera, `renderer.Renderer` the pictures, their
landmarks and maps of where every pixel comes from; `caption.caption` describes them. docs/people.md is the guide.
"""
