"""PortraitTalk for ComfyUI. Nothing is imported before ComfyUI asks: tests and tools read this tree too."""

WEB_DIRECTORY = "./web"


async def comfy_entrypoint():
    """Return the pack's nodes; add its folder of models to the host's."""
    import os

    import folder_paths

    from .nodes.registry import PortraitTalkExtension

    folder_paths.add_model_folder_path("portraittalk", os.path.join(folder_paths.models_dir, "portraittalk"))
    return PortraitTalkExtension()
