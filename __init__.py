"""PortraitTalk for ComfyUI. Nothing is imported before ComfyUI asks: tests and tools read this tree too."""

WEB_DIRECTORY = "./web"


async def comfy_entrypoint():
    """Return the pack's nodes; add its folders of models and its routes to the host's."""
    import os

    import folder_paths

    try:
        from .nodes.registry import PortraitTalkExtension
        from .nodes.routes import add_routes
    except ModuleNotFoundError as error:
        raise ImportError(_remedy(error)) from error

    for folder in ("portraittalk", "syncnet", "ipadapter", "animatediff_models", "aniportrait", "mediapipe"):
        folder_paths.add_model_folder_path(folder, os.path.join(folder_paths.models_dir, folder))
    add_routes()
    return PortraitTalkExtension()


def _remedy(error):
    """Return what to do where a package is missing: the pack was cloned, and its requirements were forgotten."""
    import os
    import sys

    if (error.name or "").startswith("comfy"):
        return f"PortraitTalk needs ComfyUI 0.3.64 or newer ({error}). Update ComfyUI."
    wanted = os.path.join(os.path.dirname(os.path.abspath(__file__)), "requirements.txt")
    return f'PortraitTalk needs {error.name}. Run: "{sys.executable}" -m pip install -r "{wanted}"'
