"""The bridge's application behind authentication, with the headers that the web configuration adds."""

from ff_observe.http.application import Application
from ff_observe.http.messages import Answer, Scope, text
from ff_observe.web.app import path_below_mount
from ff_observe.web.authentication import Verdict
from ff_observe.web.local import HEALTHY_PATH, READY_PATH
from ff_observe.web.security import Security, WebSecurity

OPEN_PATHS = frozenset((HEALTHY_PATH, READY_PATH))
"""Used by kubelets and load balancers, which have no credentials; they answer only yes or no, or
of several platforms a number."""

_BUSY = text(503, "Too many passwords are being checked. Try again.", (b"retry-after", b"1"))


class SecuredApp(Application):
    """Passes requests that `security` allows on to `app`. `security` is consulted for each request."""

    def __init__(self, app: Application, security: WebSecurity) -> None:
        self._app = app
        self._security = security

    def answer_now(self, scope: Scope) -> Answer | None:
        current = self._security.current()
        verdict = self._verdict_now(current, scope)
        if verdict is None:
            return None
        found = self._app.answer_now(scope) if verdict is Verdict.ALLOWED else current.unauthorized
        return None if found is None else found.overlaid(current.config.headers)

    async def answer(self, scope: Scope) -> Answer:
        current = self._security.current()
        verdict = self._verdict_now(current, scope)
        if verdict is None:
            client = scope.get("client")  # a pair, or a list in other servers
            verdict = await current.authenticator.check(_authorization(scope), tuple(client) if client else None)
        if verdict is Verdict.ALLOWED:
            found = await self._app.answer(scope)
        else:
            found = _BUSY if verdict is Verdict.BUSY else current.unauthorized
        return found.overlaid(current.config.headers)

    def stop_waiting(self) -> None:
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
