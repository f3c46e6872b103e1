"""The nodes of the pack, in the order in which a graph uses them."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from .animate import AnimateNetApply, AnimateNetSampler
from .examples import AvatarPortrait, ExampleSpeech
from .folders import LoadPhotographs, LoadRecordings
from .identity import IdentityNetConditioning, LoadIdentity, ReferenceNetApply
from .loaders import LoadAdapters, LoadPortraitTalk
from .motion_files import DrivingVideo, LoadMotion, SaveMotion
from .paste_back import PasteBack
from .prompt import PromptEdit
from .prompt_look import PromptLook
from .score import AdfdScore
from .speech import EncodeAudio, SpeechToMotion
from .talking_portrait import GatherVideos, TalkingPortrait
from .wording import speaking

NODES: list[type[io.ComfyNode]] = [
    TalkingPortrait,
    LoadPortraitTalk,
    LoadAdapters,
    LoadIdentity,
    EncodeAudio,
    SpeechToMotion,
    DrivingVideo,
    LoadMotion,
    SaveMotion,
    PromptEdit,
    PromptLook,
    IdentityNetConditioning,
    ReferenceNetApply,
    AnimateNetApply,
    AnimateNetSampler,
    PasteBack,
    LoadPhotographs,
    LoadRecordings,
    AvatarPortrait,
    ExampleSpeech,
    AdfdScore,
    GatherVideos,
]


class PortraitTalkExtension(ComfyExtension):
    """What ComfyUI asks of a pack."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """Return the nodes."""
        return [speaking(node) for node in NODES]
