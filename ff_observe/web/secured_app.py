"""The bridge's ASGI application behind a door: who may ask, and the headers that every answer carries."""

from ff_observe.web.app import path_below_mount
from ff_observe.web.credentials import Verdict
from ff_observe.web.messages import EMPTY_BODY, Application, Message, Receive, Scope, Send, text
from ff_observe.web.security import WebSecurity
from ff_observe.web.status_page import HEALTHY_PATH, READY_PATH

OPEN_PATHS = frozenset((HEALTHY_PATH, READY_PATH))
"""Asked by kubelets and load balancers, which have no secret to show; they tell nothing but yes or no."""

_BUSY = text(503, "Too many passwords are being checked. Try again.", (b"retry-after", b"1"))


class SecuredApp:
    """Lets through to `app` who may pass by `security`, which is asked anew for each request."""

    def __init__(self, app: Application, security: WebSecurity) -> None:
        self._app = app
        self._security = security

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        current = self._security.current()
        if current.headers:
            send = _with_headers(send, current.headers)
        if current.door.is_open or path_below_mount(scope) in OPEN_PATHS:
            verdict = Verdict.WELCOME
        else:
            verdict = await current.door.judge(_authorization(scope))
        if verdict is Verdict.WELCOME:
            await self._app(scope, receive, send)
            return
        if verdict is Verdict.BUSY:
            start, body = _BUSY
        else:
            start, body = text(401, "Show a user and password, or a token.", *current.door.challenges())
        await send(start)
        await send(EMPTY_BODY if scope["method"] == "HEAD" else body)

    def stop_waiting(self) -> None:
        """See `BridgeApp.stop_waiting`."""
        self._app.stop_waiting()


def _authorization(scope: Scope) -> bytes:
    """The one `Authorization` header; empty where there is none, or more than one."""
    found: list[bytes] = [value for name, value in scope["headers"] if name == b"authorization"]
    return found[0] if len(found) == 1 else b""


def _with_headers(send: Send, headers: tuple[tuple[bytes, bytes], ...]) -> Send:
    """Adds headers to the start of an answer; they win over those the answer has."""
    names = {name for name, _ in headers}

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            kept = [(name, value) for name, value in message["headers"] if name not in names]
            message = {**message, "headers": [*kept, *headers]}
        await send(message)

    return send_with_headers
