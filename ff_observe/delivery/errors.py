"""Describes why a request got no answer, in our own words: those of libraries repeat URLs, and the secrets in them."""

import re
from collections.abc import Callable, Iterator
from http import HTTPStatus

from ff_observe.delivery.urls import host_and_port

TOO_LATE = "no answer in time"
_NO_TUNNEL = re.compile(r"Tunnel connection failed: (\d{3})")  # all that http.client reports when a proxy refuses


def unreached(
    error: BaseException,
    receiver: str = "it",
    *,
    proxy: str | None = None,
    explain_certificate: Callable[[str], str] | None = None,
) -> str:
    """A sentence about a request of urllib3 or requests that failed.

    `receiver` is its subject, `proxy` the URL of the proxy that the request was sent through. `explain_certificate`
    says what to do about a certificate that OpenSSL refuses; `trust.explain` by default.
    """
    causes = list(_causes(error))
    reasons = (_reason(cause, explain_certificate) for cause in causes)
    return in_a_sentence(next(filter(None, reasons), None) or _without_reason(causes), receiver, proxy)


def in_a_sentence(reason: str, receiver: str, proxy: str | None) -> str:
    """That `receiver` could not be reached, and why."""
    via = f" through the proxy {_shown(proxy)}" if proxy else ""
    if reason == TOO_LATE:
        return f"{receiver} did not answer in time{via}"
    return f"{receiver} could not be reached{via}: {reason}"


def refusal_of_proxy(status: int) -> str:
    """A proxy's own answer as a reason, such as 407."""
    return f"the proxy answered {status_in_words(status)}"


def status_in_words(status: int) -> str:
    """A status with its phrase, if it has one. The standard phrase: the one received is chosen by the other side."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _reason(cause: BaseException, explain_certificate: Callable[[str], str] | None) -> str | None:
    import ssl  # takes memory, like urllib3, that a bridge without deliveries does not need

    from urllib3.exceptions import LocationParseError, ProxySchemeUnknown

    from ff_observe.delivery.trust import explain

    if isinstance(cause, ssl.SSLCertVerificationError):
        return (explain_certificate or explain)(cause.verify_message)
    if isinstance(cause, ssl.SSLError) and cause.reason:
        return f"no TLS connection ({cause.reason.replace('_', ' ').lower()})"
    if isinstance(cause, ProxySchemeUnknown):
        return "only http:// and https:// proxies are supported"
    if isinstance(cause, TimeoutError):
        return TOO_LATE
    if isinstance(cause, LocationParseError | UnicodeError):
        return "its name is not one that a host can have"
    if refused := _NO_TUNNEL.search(str(cause)):
        return refusal_of_proxy(int(refused[1]))
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    if type(cause) is ValueError:  # from `proxy_for`: the receiver's own URL has been validated before
        return "the URL of the proxy is wrong"
    return None


def _without_reason(causes: list[BaseException]) -> str:
    from urllib3.exceptions import ProtocolError

    if any(isinstance(cause, ProtocolError) for cause in causes):
        return "the connection was closed, or what came back is not HTTP"
    return type(causes[0]).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and those it wraps, in whichever way a library wrapped them, the outermost first."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        current = waiting.pop(0)
        if id(current) not in seen:
            seen.add(id(current))
            yield current
            inner = (*current.args, getattr(current, "reason", None), current.__cause__, current.__context__)
            waiting += [each for each in inner if isinstance(each, BaseException)]


def _shown(proxy: str) -> str:
    try:
        return host_and_port(proxy)
    except ValueError:
        return "of the environment"
