"""What the workflows are called and what the note in each says.

A frontend shows a pack's workflow under the name of its file, hence the files are called by these titles.
"""

TITLES = {
    "quickstart": "Talking portrait",
    "one_node": "Talking portrait, one plain node",
    "full_graph": "Talking portrait, every step",
    "prompt_edit": "Prompts that change in time",
    "multi_reference": "Several photographs of one person",
    "dubbing": "Dubbing a video",
    "motion_file": "Motion from a file",
    "folder": "A folder of recordings",
    "long_video": "A long video",
    "any_sampler": "Any sampler, KSampler and FreeU",
    "adfd_score": "Score of mouth and voice",
    "sd15_public_weights": "SD1.5, public weights",
    "chain_with_lora_and_controlnet": "SD1.5, with LoRA and ControlNet",
}
"""Of the files, by graph."""

NOTES = {
    "quickstart": (
        "Choose a photograph and a recording, or drop them on **PortraitTalk**; press Run. That node opens into the "
        "full graph (the icon at its top right): prompts over time, dials of the motion, the sampler."
    ),
    "one_node": (
        "Drop a picture and a sound on **Talking Portrait**, or choose them at the left; press Run. Saved in "
        "the API format this is the shortest graph for a program."
    ),
    "full_graph": (
        "From left to right: what goes in, who it is and what is said, the prompt and the motion, the model "
        "with the person attached, the sampler, the finished video. Words for hair, glasses, clothes or "
        "background in the prompt change looks: **Prompt Look** draws that once, and the video moves it."
    ),
    "prompt_edit": (
        "The timeline of **Prompt Edit** shows the lines below it: click to add, drag to move, double click "
        "to reword, right click to remove."
    ),
    "multi_reference": (
        "Choose two photographs of the same person: the first speaks, both say who it is. More are joined by "
        "another **Batch Images**. With one photograph twice it is the same as without."
    ),
    "dubbing": (
        "Choose a video in **Load Video** and what shall be said instead in **Load Audio**. The first picture is the "
        "photograph that speaks; head, eyes and brows move as in the video, the mouth with the new sound."
    ),
    "motion_file": (
        "**Load Motion** reads how a head and a face move from a CSV file of a phone (Live Link Face) or of MediaPipe; "
        "the mouth moves with the sound. **Save Motion** writes all of it for Blender, Unreal or Maya."
    ),
    "folder": (
        "**Load Recordings** gives every recording of a folder: each becomes a video of its name. **Load Photographs** "
        "does the same with pictures."
    ),
    "long_video": ("*fusion* is streaming: one window after the other, so that memory does not grow with the length."),
    "any_sampler": ("**AnimateNet Apply** gives a MODEL and an empty LATENT; what comes behind it is ComfyUI's own."),
    "adfd_score": ("**ADFD Score** measures how well the face moves with the voice, from 0 to 1."),
    "sd15_public_weights": ("For a GPU. The files below are public; read their licences. Sampling takes 30 steps."),
    "chain_with_lora_and_controlnet": (
        "For a GPU. A LoRA before our nodes, a ControlNet beside them, LCM in 8 steps. The files below are "
        "public; read their licences."
    ),
}
"""In Markdown."""
