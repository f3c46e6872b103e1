"""The contract of a model: what a stack does between pictures, sound and prompts on one side and latents on the other.

A stack is a value: networks and their configuration, and the one place where they are composed. The pipeline, ComfyUI's
nodes, the memory plan, evaluation and training ask it; none of them knows which networks there are. Tiny and the SD1.5
stacks are siblings behind it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ..config import ModelConfig
from ..diffusion.schedule import NoiseSchedule
from ..host import Branch, Host
from ..motion.audio_to_motion import MotionDials
from ..types import Frames, LatentVideo, Sound, SpeechFeatures, StructureMaps
from .codec import Codec
from .options import Limits, Scales
from .prompts import PromptEmbeds, PromptTrack

if TYPE_CHECKING:
    from typing_extensions import Self

    from ..nets.low_rank import LowRankPatch
    from ..perception.identity import Finder


class Condition:
    """Something that the denoiser is conditioned on in every frame of a video; it makes branches for any host."""

    networks: Sequence[nn.Module] = ()
    """What its branches run while the U-Net samples; a host that moves networks has to know of them."""

    patches: Sequence[LowRankPatch] = ()
    """Low-rank corrections (LoRA) of the U-Net itself, for as long as it is conditioned on this."""

    couples_frames: bool = True
    """Whether with it what the U-Net makes of a frame depends on the other frames of a window."""

    def branches(self, host: Host, frames: Int[Tensor, "n"], uncond: bool, device: torch.device) -> list[Branch]:
        """Return the branches for some frames of the video.

        Args:
            host: Runs the denoiser, in case something has to be recorded with it.
            frames: Indices into the video, one a row; the branches' rows count from the first of them.
            uncond: Whether some pass is to be without the identity, so that what those see has to be made as well.
            device: Where the denoiser runs.

        Returns:
            The branches, in the order in which they add up.
        """
        raise NotImplementedError

    def reset(self) -> None:
        """Drop what was computed with networks or a denoiser that may have changed since."""


class Stack(Protocol):
    """A complete model but for whoever runs its U-Net. Records between its stages are its own: only it looks into them.

    `identity`, `motion` and `maps` are what `identify`, `move` and `structure` return: `Identity`, `FaceMotion` and
    `StructureMaps`, or their counterparts of the face mesh.
    """

    @property
    def config(self) -> ModelConfig:
        """What the model is made of, and its defaults of sampling."""
        ...

    @property
    def device(self) -> torch.device:
        """Where its networks run."""
        ...

    @property
    def schedule(self) -> NoiseSchedule:
        """The noise schedule that the U-Net was trained on."""
        ...

    @property
    def limits(self) -> Limits:
        """What it can do."""
        ...

    def at(self, size: int) -> Self:
        """Return the same stack, denoising pictures of another side.

        Args:
            size: Pixels; a stack that knows one size only stays as it is.
        """
        ...

    def identify(
        self, images: Sequence[Float[Tensor, "3 h w"]], face: int | None = None, skip_missing: bool = False
    ) -> Any:
        """Find the person in the pictures.

        Args:
            images: Pictures of one person, RGB in [-1, 1], of any size.
            face: Which of several faces in a picture, 1 the largest; by default that.
            skip_missing: Leave out pictures without such a face, as long as one has it.

        Returns:
            An identity, with the `crops` [n, 3, s, s] that the model sees.

        Raises:
            NoFaceFound: Where a picture has no face, or not as many as asked for.
            OutOfDomain: Where the face is too small, or turned away too far.
        """
        ...

    def listen(self, speech: Sound, fps: float = 25.0) -> SpeechFeatures:
        """Encode a recording.

        Args:
            speech: Of any rate and number of channels.
            fps: Frames a second of the video.

        Returns:
            One row of features a frame.

        Raises:
            BadInput: For a recording that is empty or not finite.
        """
        ...

    def move(
        self,
        features: SpeechFeatures,
        *,
        dials: MotionDials | None = None,
        seed: int = 0,
        expression: Float[Tensor, "n 52"] | None = None,
    ) -> Any:
        """Return how the face moves with the speech.

        Args:
            features: Of `listen`.
            dials: Strengths of the movements; by default all 1.
            seed: Of what the voice leaves open: sway, blinks, glances.
            expression: Of `expression`: what prompts ask of the face, one row for all frames or one a frame.

        Returns:
            A motion, with its `fps`, `frame_count` and `mouth_opening`.

        Raises:
            BadInput: For dials that the model does not have.
        """
        ...

    def expression(self, prompts: PromptTrack | Float[Tensor, "n t d"]) -> Float[Tensor, "n 52"] | None:
        """Return what prompts ask of the face, for `move`.

        Args:
            prompts: Prompts over time, or tokens of the stack's own text encoder, one prompt a row.

        Returns:
            Offsets of `types.COEFFICIENTS`, one row a frame (a prompt); None where prompts do not move the face.
        """
        ...

    def structure(self, motion: Any, identity: Any) -> Any:
        """Put the motion on the person's face.

        Args:
            motion: Of `move`, or the caller's own.
            identity: Of `identify`.

        Returns:
            Structure maps, with `landmarks` and `fps`, one row a frame.

        Raises:
            BadInput: For a motion of another form.
        """
        ...

    def draw(self, maps: Any, size: int) -> Float[Tensor, "n 3 size size"]:
        """Draw structure maps as the denoiser is shown them.

        Args:
            maps: Of `structure`.
            size: Side in pixels.

        Returns:
            Bright lines on black, in [0, 1], a picture a frame.
        """
        ...

    def face_finder(self) -> Finder:
        """Return what finds faces in a finished video.

        Raises:
            BadInput: Where the stack has nothing of the kind.
        """
        ...

    def encode(self, pixels: Float[Tensor, "n 3 s s"]) -> Float[Tensor, "n c h w"]:
        """Return the latents of pictures in [-1, 1]."""
        ...

    def decode(self, video: LatentVideo) -> Iterator[Frames]:
        """Yield the pictures of a video, a few at a time, on the CPU."""
        ...

    def rest(self, identity: Any, fps: float) -> StructureMaps | None:
        """Return the maps of one frame, in which the person is as in the first photograph.

        Args:
            identity: Of `identify`.
            fps: Frames a second.

        Returns:
            None where videos are not made of the photograph: prompts are then followed in every frame.
        """
        ...

    def undrawn(
        self, identity: Any, maps: Any, which: slice, size: int | None = None, sure: bool = False
    ) -> Frames | None:
        """Return frames that do for `composite` in place of decoded ones, where nothing of those would be seen.

        Args:
            identity: Of `identify`.
            maps: Of `structure`.
            which: Of their frames, at least one.
            size: See `composite`.
            sure: Whether that has been asked before: it is not looked at again.

        Returns:
            As many frames; None where a part of them has to be drawn.
        """
        ...

    def composite(
        self,
        frames: Iterable[Frames],
        identity: Any,
        maps: Any,
        size: int | None = None,
        edits: Float[Tensor, "frames *regions"] | float = 0.0,
        fine: bool = False,
    ) -> Iterator[Frames]:
        """Take what the photograph shows from the photograph, moved or as it is, and only the rest from the decoder.

        Args:
            frames: Decoded, in order, from the first.
            identity: Of `identify`.
            maps: Of `structure`, of all frames.
            size: Side of the result in pixels; None: as large as the photograph's crop, and at most
                `head_warp.LARGEST`.
            edits: How far, in [0, 1], prompts ask for each of `edits.regions.ASKED`: one number for all, one
                a frame, or one a frame and change, as `prompts.appearance_edits` says it.
            fine: Whether frames of a larger photograph that go back into it are as large as it, up to
                `head_warp.FINEST`, with the detail that it has; counts where `size` is None.

        Yields:
            As many frames. A stack without such a path gives the frames as they are.
        """
        ...

    def look(
        self,
        drawn: Frames,
        plain: Float[Tensor, "1 3 d d"],
        identity: Any,
        rest: Any,
        asked: Float[Tensor, "1 asked"],
        size: int | None = None,
        whole: bool = False,
    ) -> Any:
        """Make of the photograph what a prompt wants: its own pixels where they can stay.

        Args:
            drawn: The frame at rest, decoded with the prompt.
            plain: The same without: what differs is what the prompt changes.
            identity: Of `identify`.
            rest: Of `rest`.
            asked: How far, in [0, 1], the prompt asks for each of `edits.regions.ASKED`.
            size: Side of the new portrait in pixels; None: the photograph's own, as `composite` has it.
            whole: Whether the photograph around the crop is to change likewise.

        Returns:
            The person, with another portrait, and with another photograph where that is asked for. A stack without such
            a path gives the person as they are.
        """
        ...

    def with_codec(self, codec: Codec) -> Self:
        """Return the same stack with another VAE, such as a host's."""
        ...

    def encode_prompts(self, prompts: PromptTrack, negative: str = "") -> PromptEmbeds:
        """Run the text encoder.

        Args:
            prompts: Prompts over time.
            negative: What shall not be seen; acts where `cfg` is above 1.

        Returns:
            The embeddings of the prompts.
        """
        ...

    def warn_of_prompts(self, prompts: PromptTrack, asked: bool) -> None:
        """Say in the log what of prompts nothing comes of, once a video.

        Args:
            prompts: Over time.
            asked: Whether one asks for another look: `encode_prompts` then names the words that it does not know.
        """
        ...

    def cross_attention(self, prompts: PromptEmbeds, identity: Any) -> PromptEmbeds:
        """Return what the U-Net's own cross-attention reads: the prompts, or an image embedding in their place.

        Args:
            prompts: Of `encode_prompts`, or a host's own.
            identity: Of `identify`.

        Returns:
            What becomes `encoder_hidden_states`.
        """
        ...

    def conditions(
        self,
        identity: Any,
        maps: Any = None,
        features: SpeechFeatures | None = None,
        prompts: PromptEmbeds | None = None,
        scales: Scales | None = None,
    ) -> list[Condition]:
        """Compose what the denoiser is conditioned on: the recipe of the stack, and its only place.

        What is left out is not composed, so that a host may attach one network after the other: no `maps`, no
        AnimateNet; no `prompts`, nothing beside cross-attention that reads them; a scale of 0, not that network.

        Args:
            identity: Of `identify`.
            maps: Of `structure`.
            features: Of `listen`; None with maps says that nothing is known of the sound.
            prompts: Of `encode_prompts`.
            scales: Strengths of the networks; by default all 1.

        Returns:
            Conditions in the order in which their branches add up.
        """
        ...

    def release(self) -> None:
        """Let go of networks that are only needed while the U-Net samples. They are read again when they are needed."""
        ...
