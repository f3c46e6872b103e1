"""What a model is made of, how it generates, and how it is trained: frozen records that know nothing of files.

Size is data: the tiny model and the SD1.5 stack are two values of `ModelConfig`. Each field says its unit and range;
whoever uses a value checks it. `config_file` reads the records.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class UNetConfig:
    """The base denoiser, a U-Net of SD1.5's layout; the defaults are SD1.5's."""

    latent_channels: int = 4
    """Channels of a latent, in and out: diffusers' `in_channels` and `out_channels`."""

    channels: tuple[int, ...] = (320, 640, 1280, 1280)
    """Channels of each level, fine to coarse: diffusers' `block_out_channels`. Multiples of 32."""

    layers: int = 2
    """Layers of a down block, diffusers' `layers_per_block`; up blocks have one more."""

    attention: tuple[bool, ...] = (True, True, True, False)
    """For each down block, whether its layers have a transformer. Up blocks mirror it; the mid block always has one."""

    heads: int = 8
    """Attention heads at every site."""

    cross_dim: int = 768
    """Width of text, identity and audio tokens: diffusers' `cross_attention_dim`."""


@dataclass(frozen=True)
class ScheduleConfig:
    """The noise schedule, in the words of diffusers' schedulers; see `diffusion.schedule.NoiseSchedule`.

    The defaults are those of SD1.5.
    """

    beta_start: float = 0.00085
    """Share of noise that the first of 1000 training steps adds, in (0, 1)."""

    beta_end: float = 0.012
    """Share of noise that the last training step adds, in (0, 1)."""

    beta_schedule: str = "scaled_linear"
    """How the steps between go from one to the other: `linear`, `scaled_linear` (its square roots are linear) or
    `squaredcos_cap_v2`, which takes neither from them."""

    prediction_type: str = "epsilon"
    """What the denoiser predicts: `epsilon` (the noise), `v_prediction` (velocity) or `sample` (the clean latents)."""

    timestep_spacing: str = "leading"
    """Which training timesteps sampling visits: `leading`, `trailing` or `linspace`."""

    rescale_betas_zero_snr: bool = False
    """Whether the last timestep is pure noise (Lin et al., arXiv 2305.08891); not with `epsilon`."""

    steps_offset: int = 1
    """What `leading` adds to each timestep."""


@dataclass(frozen=True)
class SamplingConfig:
    """Defaults of generation: what a caller who says nothing else gets."""

    steps: int = 25
    """Denoising steps, 1 to 1000."""

    sampler: str = "ddim"
    """How a step is taken: one of `diffusion.sampler.SAMPLERS`."""

    reuse: int = 1
    """Every so many steps, from 1, the U-Net runs whole; in the steps between only its outer layers do, on what the
    inner ones gave last (DeepCache, Ma et al., arXiv 2312.00858). 1 is exact."""

    cfg: float = 7.0
    """Classifier-free guidance: how strongly the prompt is followed, at least 0. 1 follows as trained and costs no
    second pass, more exaggerates, 0 ignores the prompt."""

    edit_cfg: float | None = None
    """The same for prompts that ask for another look of a photograph, see `compositing.edits.regions`; None: `cfg`."""

    plain_size: int | None = None
    """Side in pixels at which frames are denoised where no prompt asks for another look: what is drawn then is little,
    and soft all the same. None: `ModelConfig.size`."""

    guide_identity: bool = False
    """Whether `cfg` guides identity along with the text, as where a stack's networks dropped both together in
    training. False: identity is seen in every pass."""

    identity_scale: float = 1.0
    """lambda_id: how strongly identity is added beside the text. 1 is as trained, 0 leaves it out."""

    audio_scale: float = 1.0
    """lambda_aud: how strongly speech is added beside the text. 1 is as trained, 0 leaves it out."""

    guidance_end: float = 1.0
    """Share of the steps, in [0, 1], after which guidance stops and one plain pass a step runs."""

    window: int = 16
    """Frames that are denoised together."""

    overlap: int = 4
    """Frames that neighbouring windows share, fewer than `window`."""

    fusion: str | None = None
    """How windows join, see `stacks.options.Fusion`; None: `joint` where a video is short."""

    shared_noise: float = 1.0
    """Share of the variance of the noise, in [0, 1], that all frames have in common; see `diffusion.noise`."""

    flicker: float = 0.0
    """Standard deviation, in units of the latents, of what the denoiser's answer varies over time where nothing moves;
    it is filtered out, see `diffusion.stillness`. 0 filters nothing."""


@dataclass(frozen=True)
class ModelConfig:
    """One complete model. Layers are named as `str(Site)` writes them, for example `down.1.0`."""

    name: str = "sd15"
    """What it is called: `tiny`, or one of `presets.PUBLIC`."""

    size: int = 512
    """Side of a frame in pixels."""

    unet: UNetConfig = field(default_factory=UNetConfig)
    """The base denoiser."""

    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    """The noise schedule."""

    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    """Defaults of generation."""

    identity_tokens: int = 4
    """Tokens that one reference picture becomes, in IdentityNet and in identity attention."""

    embedding_dim: int = 512
    """Width of a face embedding."""

    audio_dim: int = 768
    """Width of the speech encoder's features."""

    audio_tokens: int = 4
    """Tokens that the speech around one frame becomes."""

    contour_size: int = 64
    """Side of the pictures of the face's contours, a multiple of the latent's side (`size / vae_factor`)."""

    structure_width: int = 64
    """Channels inside the structure encoder."""

    reference_layers: tuple[str, ...] = ()
    """Layers whose self-attention sees the reference; empty: every one that has self-attention."""

    temporal_layers: tuple[str, ...] = ()
    """Layers that temporal attention follows; empty: all."""

    temporal_frames: int = 32
    """Frames of the longest window that temporal attention can see."""

    occlusion_fade: float = 2.0
    """How soon the reference's pixels yield to the denoiser's as the noise goes: the power of sigma in
    `nets.occlusion_net`, 1 or more. Weights that do not say so have 2."""

    vae_factor: int = 8
    """Side of a frame over the side of its latent."""


@dataclass(frozen=True)
class TrainingConfig:
    """How one stage is trained; see `training.denoiser.assembly` for what a stage updates.

    Chances lie in [0, 1]; classifier-free guidance later relies on those of leaving a condition out (`drop_*`).
    """

    stage: int = 1
    """1: identity and appearance on single frames; 2: structure, temporal attention and audio on clips."""

    size: int = 256
    """Side of the pictures in pixels; half the model's own learns the coarse things quickly."""

    seed: int = 0
    """Of everything that is drawn."""

    minutes: float = 60.0
    """Wall time of this run."""

    steps: int = 0
    """Step at which the learning rate has fallen from `rate` to `final_rate`; 0: it stays at `rate`."""

    max_steps: int = 0
    """Steps after which the run is over; 0: `minutes` alone say."""

    refs: int = 6
    """People a step, each with one reference picture (stage 2: clips)."""

    targets: int = 4
    """Frames that are denoised for each reference picture; in stage 2 the clip is the one target: 1."""

    clip: int = 1
    """Consecutive frames that a target stands for; 1 in stage 1."""

    parts: tuple[str, ...] = ()
    """Those of the stage's parts that this run updates, such as `audio`; empty: all."""

    rate: float = 6e-4
    """Learning rate, after the warm-up."""

    final_rate: float = 3e-5
    """Learning rate at `steps`, reached along a cosine."""

    warmup: int = 100
    """Steps over which the learning rate rises from zero."""

    weight_decay: float = 0.01
    """Of the optimiser, a step and unit of learning rate."""

    clip_gradient: float = 1.0
    """Largest norm of a gradient; longer ones are scaled down to it."""

    ema: float = 0.998
    """Share of the averaged weights, which are what is saved, that a step keeps; in [0, 1), less in the first steps."""

    high_noise: float = 0.7
    """Exponent of the time that is drawn uniformly in [0, 1]; below 1 it favours noise."""

    shared_noise: float = 0.5
    """Chance that all frames of a clip get the same noise."""

    edited: float = 0.45
    """Chance that a target has another appearance than its reference (stage 1)."""

    face_weight: float = 3.0
    """How much more eyes and mouth count than the rest, which counts 1."""

    mouth_weight: float = 0.0
    """What the mouth counts beyond `face_weight`."""

    mask_weight: float = 0.25
    """Weight of the mask reconstruction loss (PortraitTalk)."""

    mask_chance: float = 0.3
    """Chance that a sample has corrupted regions, which that loss is taken in."""

    drop_text: float = 0.1
    """Chance that a sample loses its prompt."""

    drop_identity: float = 0.1
    """Chance that a sample loses its identity embeddings."""

    drop_reference: float = 0.1
    """Chance that a sample loses its reference picture."""

    drop_audio: float = 0.1
    """Chance that a clip loses its speech."""

    drop_mouth: float = 0.15
    """Chance that structure shows a clip's mouth at rest, so that speech must say how it moves; speech stays then."""

    other_audio: float = 0.0
    """Chance that a clip whose mouth is shown hears what another clip of the batch says, so that what is shown is
    believed before what is heard: rendered mouths say a sound as one table has it, real ones do not. It needs `refs`
    of 2 or more and is refused for shards."""

    min_snr: float = 0.0
    """Gamma of min-SNR weighting (Hang et al., arXiv 2303.09556), a sample's own weight; 0: samples count alike."""

    noise_offset: float = 0.0
    """How strongly every channel of the noise is shifted as a whole, so that brightness is learned too; 0: not."""

    optimiser: str = "muon"
    """`muon` (Muon for matrices, AdamW for the rest), `adamw`, or `adamw8bit` (of bitsandbytes, in 8 bits)."""

    accumulate: int = 1
    """Batches whose gradients are averaged for one step."""

    recompute: bool = False
    """Gradient checkpointing: what the backward pass needs is computed again, which takes a second forward pass and a
    fraction of the memory."""

    compiled: bool = False
    """Whether residual and feed-forward layers of the U-Net are compiled (`torch.compile`) when they first run; see
    `training.denoiser.compiling`."""

    unet_rank: int = 0
    """Rank of matrices (LoRA, Hu et al., arXiv 2106.09685) that are learned beside the U-Net's attentions while the
    U-Net itself stays; 0: the U-Net is learned itself, where the stage and `parts` say so."""

    precision: str = "no"
    """Mixed precision, `no` or `bf16`, as Accelerate calls them. With `bf16` what is frozen is kept in it."""

    stream: bool = False
    """Whether shards are read and encoded anew in every step, however many there are; else once, before the first."""

    sample_frames: int = 0
    """Of each sample of shards only the first so many are learned: what a model must know by heart at once; 0: all."""

    workers: int = 0
    """Processes that draw batches ahead; 0: the training process draws them."""

    save_every_s: float = 300.0
    """Seconds between two saves of weights and state."""

    keep: int = 0
    """Older checkpoints that are kept beside the last, each in a folder of its own by its step."""

    stop_at_spike: float = 0.0
    """A loss this many times the mean of those before ends the run, as one that is not finite does; 0: it goes on."""

    validate_every: int = 0
    """Steps between two rounds of validation videos; 0: none."""
