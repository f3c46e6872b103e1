"""Views of results: Any."""

from typing import Any

def __getattr__(name: str) -> Any: ...
