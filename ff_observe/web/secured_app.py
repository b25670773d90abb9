"""The bridge's ASGI application behind authentication, with the headers that the web configuration adds."""

from ff_observe.http.messages import Answer, Application, Headers, Message, Receive, Scope, Send, text
from ff_observe.web.app import path_below_mount
from ff_observe.web.authentication import Verdict
from ff_observe.web.security import Security, WebSecurity
from ff_observe.web.status_page import HEALTHY_PATH, READY_PATH

OPEN_PATHS = frozenset((HEALTHY_PATH, READY_PATH))
"""Used by kubelets and load balancers, which have no credentials; they answer only yes or no."""

_BUSY = text(503, "Too many passwords are being checked. Try again.", (b"retry-after", b"1"))


class SecuredApp:
    """Passes requests that `security` allows on to `app`. `security` is consulted for each request."""

    def __init__(self, app: Application, security: WebSecurity) -> None:
        self._app = app
        self._security = security

    def answer_now(self, scope: Scope) -> Answer | None:
        """See `Application.answer_now`."""
        current = self._security.current()
        verdict = self._verdict_now(current, scope)
        if verdict is None:
            return None
        answer = self._app.answer_now(scope) if verdict is Verdict.ALLOWED else current.unauthorized
        return answer.overlaid(current.headers) if answer is not None and current.headers else answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        current = self._security.current()
        if current.headers:
            send = _with_headers(send, current.headers)
        verdict = self._verdict_now(current, scope)
        if verdict is None:
            client = scope.get("client")  # a pair, or a list in other servers
            verdict = await current.authenticator.check(_authorization(scope), tuple(client) if client else None)
        if verdict is Verdict.ALLOWED:
            await self._app(scope, receive, send)
        else:
            await (_BUSY if verdict is Verdict.BUSY else current.unauthorized).send(scope, send)

    def stop_waiting(self) -> None:
        """See `BridgeApp.stop_waiting`."""
        self._app.stop_waiting()

    @staticmethod
    def _verdict_now(current: Security, scope: Scope) -> Verdict | None:
        if current.authenticator.is_open or path_below_mount(scope) in OPEN_PATHS:
            return Verdict.ALLOWED
        return current.authenticator.check_now(_authorization(scope))


def _authorization(scope: Scope) -> bytes:
    """The only `Authorization` header; empty if there is none, or more than one."""
    found: list[bytes] = [value for name, value in scope["headers"] if name == b"authorization"]
    return found[0] if len(found) == 1 else b""


def _with_headers(send: Send, headers: Headers) -> Send:
    """Adds headers to the start of an answer; they replace its own of the same name."""
    names = {name for name, _ in headers}

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            kept = [(name, value) for name, value in message["headers"] if name not in names]
            message = {**message, "headers": [*kept, *headers]}
        await send(message)

    return send_with_headers
