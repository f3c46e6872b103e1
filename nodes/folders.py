"""Load Photographs, Load Recordings: a folder of files as a list, of which each becomes a video."""

from __future__ import annotations

from comfy_api.latest import io

from .folder_files import folders
from .sockets import CATEGORY, found_by


def _inputs() -> list[io.Input]:
    return [
        io.Combo.Input("folder", options=folders(), tooltip="In ComfyUI's input folder; press r for one that is new."),
        io.String.Input(
            "prefix",
            default="video/",
            tooltip="What the names begin with: a folder of the outputs, for example. Each ends with its file's name.",
        ),
    ]


def _names() -> io.Output:
    return io.String.Output(
        "names",
        display_name="names",
        is_output_list=True,
        tooltip="For the filename_prefix of Save Video: each video is called as the file that it was made of.",
    )


class LoadPhotographs(io.ComfyNode):
    """Reads every picture of a folder: the graph behind it runs once for each."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="PortraitTalk_LoadPhotographs",
            display_name="Load Photographs",
            category=CATEGORY,
            description="Reads every picture of a folder, as a list: what is connected runs once for each.",
            inputs=_inputs(),
            outputs=[io.Image.Output("image", display_name="image", is_output_list=True), _names()],
            **found_by("batch", "folder", "directory", "list of images"),
        )

    @classmethod
    def fingerprint_inputs(cls, folder: str, **_: object) -> str:
        """Return what changes when a file is added, taken away or written anew."""
        from . import folder_files

        return folder_files.fingerprint(folder, folder_files.PICTURES)

    @classmethod
    def execute(cls, folder: str, prefix: str = "video/") -> io.NodeOutput:
        """Return lists of IMAGE and of names."""
        from . import folder_files, notes

        files = folder_files.files(folder, folder_files.PICTURES)
        with notes.gathered() as said:
            pictures = [folder_files.picture(file) for file in files]
        return io.NodeOutput(pictures, folder_files.names(files, prefix), ui=notes.shown([], said))


class LoadRecordings(io.ComfyNode):
    """Reads every recording of a folder: the graph behind it runs once for each."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="PortraitTalk_LoadRecordings",
            display_name="Load Recordings",
            category=CATEGORY,
            description="Reads every recording of a folder, as a list: what is connected runs once for each.",
            inputs=_inputs(),
            outputs=[io.Audio.Output("audio", display_name="audio", is_output_list=True), _names()],
            **found_by("batch", "folder", "directory", "list of sounds"),
        )

    @classmethod
    def fingerprint_inputs(cls, folder: str, **_: object) -> str:
        """Return what changes when a file is added, taken away or written anew."""
        from . import folder_files

        return folder_files.fingerprint(folder, folder_files.SOUNDS)

    @classmethod
    def execute(cls, folder: str, prefix: str = "video/") -> io.NodeOutput:
        """Return lists of AUDIO and of names."""
        from . import folder_files

        files = folder_files.files(folder, folder_files.SOUNDS)
        return io.NodeOutput([folder_files.sound(file) for file in files], folder_files.names(files, prefix))
