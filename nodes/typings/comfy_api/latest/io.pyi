"""The base class of nodes and what they return; sockets and inputs are Any."""

from typing import Any

class ComfyNode:
    hidden: Any

class Schema:
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...

class NodeOutput:
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...

def Custom(io_type: str) -> Any: ...
def __getattr__(name: str) -> Any: ...
