"""PortraitTalk for ComfyUI. Nothing is imported before ComfyUI asks: tests and tools read this tree too."""

WEB_DIRECTORY = "./web"


async def comfy_entrypoint():
    """Return the pack's nodes; add its folders of models to the host's."""
    import os

    import folder_paths

    from .nodes.registry import PortraitTalkExtension

    for folder in ("portraittalk", "syncnet"):
        folder_paths.add_model_folder_path(folder, os.path.join(folder_paths.models_dir, folder))
    return PortraitTalkExtension()
