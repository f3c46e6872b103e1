"""PortraitTalk for ComfyUI. Nothing is imported before ComfyUI asks: tests and tools read this tree too."""

WEB_DIRECTORY = "./web"


async def comfy_entrypoint():
    """Return the pack's nodes; add its folders of models and its routes to the host's."""
    import os

    import folder_paths

    from .nodes.registry import PortraitTalkExtension
    from .nodes.routes import add_routes

    for folder in ("portraittalk", "syncnet", "ipadapter", "animatediff_models", "aniportrait", "mediapipe"):
        folder_paths.add_model_folder_path(folder, os.path.join(folder_paths.models_dir, folder))
    add_routes()
    return PortraitTalkExtension()
