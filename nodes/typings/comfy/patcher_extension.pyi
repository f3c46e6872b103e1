from collections.abc import Callable

from .model_patcher import ModelPatcher

class CallbacksMP:
    ON_LOAD: str
    ON_PRE_RUN: str
    ON_CLEANUP: str

class WrappersMP:
    SAMPLER_SAMPLE: str
    CALC_COND_BATCH: str
    DIFFUSION_MODEL: str

class PatcherInjection:
    def __init__(self, inject: Callable[[ModelPatcher], object], eject: Callable[[ModelPatcher], object]) -> None: ...
