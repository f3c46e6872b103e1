from collections.abc import Awaitable, Callable

from aiohttp.web import Request, StreamResponse

Handler = Callable[[Request], Awaitable[StreamResponse]]

class _Routes:
    def get(self, path: str) -> Callable[[Handler], Handler]: ...
    def post(self, path: str) -> Callable[[Handler], Handler]: ...

class PromptServer:
    instance: PromptServer
    routes: _Routes
