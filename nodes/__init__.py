"""The ComfyUI node pack: thin over `portraittalk_core`. Imported only by `comfy_entrypoint` in the root."""
