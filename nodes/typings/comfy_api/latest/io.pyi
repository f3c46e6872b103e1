from collections.abc import Mapping, Sequence
from enum import Enum

class Input:
    def __init__(
        self,
        id: str,
        display_name: str | None = None,
        optional: bool = False,
        tooltip: str | None = None,
        lazy: bool | None = None,
        extra_dict: Mapping[str, object] | None = None,
    ) -> None: ...

class Output:
    def __init__(
        self,
        id: str | None = None,
        display_name: str | None = None,
        tooltip: str | None = None,
        is_output_list: bool = False,
    ) -> None: ...

_Input = Input
_Output = Output

class ComfyTypeIO:
    class Input(_Input): ...
    class Output(_Output): ...

def Custom(io_type: str) -> type[ComfyTypeIO]: ...

class Audio(ComfyTypeIO): ...
class Clip(ComfyTypeIO): ...
class Conditioning(ComfyTypeIO): ...
class Image(ComfyTypeIO): ...
class Latent(ComfyTypeIO): ...
class Mask(ComfyTypeIO): ...
class Model(ComfyTypeIO): ...
class Vae(ComfyTypeIO): ...
class Video(ComfyTypeIO): ...

class Boolean(ComfyTypeIO):
    class Input(_Input):
        def __init__(
            self, id: str, *, tooltip: str | None = None, default: bool = False, optional: bool = False
        ) -> None: ...

class Int(ComfyTypeIO):
    class Input(_Input):
        def __init__(
            self,
            id: str,
            *,
            tooltip: str | None = None,
            default: int = 0,
            min: int | None = None,
            max: int | None = None,
            step: int | None = None,
            optional: bool = False,
            control_after_generate: bool = False,
        ) -> None: ...

class Float(ComfyTypeIO):
    class Input(_Input):
        def __init__(
            self,
            id: str,
            *,
            tooltip: str | None = None,
            default: float = 0.0,
            min: float | None = None,
            max: float | None = None,
            step: float | None = None,
            optional: bool = False,
        ) -> None: ...

class String(ComfyTypeIO):
    class Input(_Input):
        def __init__(
            self,
            id: str,
            *,
            tooltip: str | None = None,
            default: str = "",
            multiline: bool = False,
            placeholder: str | None = None,
        ) -> None: ...

class Combo(ComfyTypeIO):
    class Input(_Input):
        def __init__(
            self,
            id: str,
            options: Sequence[str],
            *,
            optional: bool = False,
            tooltip: str | None = None,
            default: str | None = None,
        ) -> None: ...

class Hidden(str, Enum):
    unique_id = "UNIQUE_ID"

class Schema:
    def __init__(
        self,
        node_id: str,
        display_name: str,
        category: str,
        *,
        description: str = "",
        inputs: Sequence[Input] = (),
        outputs: Sequence[Output] = (),
        hidden: Sequence[Hidden] = (),
        is_output_node: bool = False,
        is_input_list: bool = False,
        enable_expand: bool = False,
        search_aliases: list[str] = ...,
        is_dev_only: bool = ...,
        has_intermediate_output: bool = ...,
    ) -> None: ...

class ComfyNode:
    @classmethod
    def define_schema(cls) -> Schema: ...

class NodeOutput:
    def __init__(
        self,
        *args: object,
        ui: Mapping[str, object] | None = None,
        expand: Mapping[str, Mapping[str, object]] | None = None,
    ) -> None: ...
