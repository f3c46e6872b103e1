from collections.abc import Mapping
from pathlib import Path
from typing import Any

class Request:
    query: Mapping[str, str]
    match_info: Mapping[str, str]
    async def json(self) -> Any: ...

class StreamResponse: ...

class Response(StreamResponse):
    def __init__(self, *, status: int = 200, text: str | None = None) -> None: ...

class HTTPNotFound(Exception): ...

class FileResponse(StreamResponse):
    def __init__(self, path: Path) -> None: ...

def json_response(data: object) -> Response: ...
