"""The kinds of value a key may have: each says in words what is allowed, and turns a node into a typed value.

Two families: inside `telemetry` a value must be of its kind; outside, where the file belongs to FlowFuse, a value is
taken as JavaScript takes it.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar
from urllib.parse import urlsplit

from ff_observe.config.nodes import Map, Node, Place, Scalar, Sequence, is_true
from ff_observe.config.secret import Secret

T = TypeVar("T")


class WrongValueError(Exception):
    """The value is not of its kind. `str()` says what to write; it never holds the value.

    `place` is set where the mistake is deeper than the key itself, with `below` naming the inner key.
    """

    def __init__(self, what_to_write: str, place: Place | None = None, below: str = "") -> None:
        super().__init__(what_to_write)
        self.place = place
        self.below = below


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """`name` is for the reference documentation; `read` raises `WrongValueError`, or gives None for "not set"."""

    name: str
    read: Callable[[Node], T | None]


def _text(node: Node) -> str | None:
    """A string; null and the empty string count as not set, as in FlowFuse."""
    if isinstance(node, Scalar):
        if node.value is None:
            return None
        if isinstance(node.value, str):
            return node.value or None
        raise WrongValueError("write a string: put it in quotes")
    raise WrongValueError("write a string")


_FALSE_WORDS = frozenset(("no", "n", "off", "false", "0", "disabled", "disable", "never", "none"))
_TRUE_WORDS = frozenset(("yes", "y", "on", "true", "1", "enabled", "enable", "always"))


def _boolean(node: Node) -> bool | None:
    if isinstance(node, Scalar):
        if node.value is None or isinstance(node.value, bool):
            return node.value
        word = node.text.strip().lower()
        if word in _FALSE_WORDS:
            raise WrongValueError("write false, without quotes (YAML 1.2 has only true and false)")
        if word in _TRUE_WORDS:
            raise WrongValueError("write true, without quotes (YAML 1.2 has only true and false)")
    raise WrongValueError("write true or false, without quotes")


def _url(node: Node) -> str | None:
    url = _text(node)
    if url is None:
        return None
    if not is_http_url(url):
        raise WrongValueError("write a URL that begins with http:// or https:// and names a host")
    return url


def is_http_url(text: str) -> bool:
    """Whether it begins with http:// or https:// and names a host, and a port that there may be, if any."""
    try:
        parts = urlsplit(text)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is not a number, a bracket that is not closed
        return False
    return valid and not re.search(r"[\s\x00-\x1f\x7f]", text)


def _dsn(node: Node) -> str | None:
    """Source: develop.sentry.dev/sdk/overview, "Parsing the DSN"."""
    allowed = "write the DSN that Sentry shows for the project: https://KEY@HOST/PROJECT-NUMBER"
    try:
        dsn = _url(node)
    except WrongValueError as error:
        raise error if "quotes" in str(error) else WrongValueError(allowed) from None
    if dsn is not None:
        parts = urlsplit(dsn)
        if not parts.username or not re.fullmatch("[0-9]+", parts.path.rpartition("/")[2], re.ASCII):
            raise WrongValueError(allowed)
    return dsn


def _integer(node: Node, lowest: int, highest: int) -> int | None:
    value = node.value if isinstance(node, Scalar) else ""
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
        raise WrongValueError(f"write a whole number from {lowest} to {highest}, without quotes")
    return value


def _seconds(node: Node) -> float | None:
    value = node.value if isinstance(node, Scalar) else ""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value) or not 0 < value <= 86400:
        raise WrongValueError("write a number of seconds: more than 0, at most 86400")
    return float(value)


def _host(node: Node) -> str | None:
    host = _text(node)
    if host is not None and not re.fullmatch(r"[A-Za-z0-9._:%-]{1,255}", host, re.ASCII):
        raise WrongValueError("write an address or a host name, without scheme or port: 127.0.0.1, ::1, 0.0.0.0")
    return host


_HOST_NAME = re.compile(
    r"[A-Za-z0-9_]([A-Za-z0-9._-]{0,252}[A-Za-z0-9_])?\.?|\[?[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*\]?", re.ASCII
)


def _host_names(node: Node) -> tuple[str, ...] | None:
    """A list, or a single one. Null and an empty list count as not set."""
    if isinstance(node, Scalar) and node.value is None:
        return None
    items = node.items if isinstance(node, Sequence) else (node,)
    wrong = "write a list of names or addresses without scheme and port: [metrics.example.com]"
    names = []
    for item in items:
        value = item.value if isinstance(item, Scalar) else None
        if not isinstance(value, str) or not _HOST_NAME.fullmatch(value):
            raise WrongValueError(wrong, item.place if isinstance(node, Sequence) else None)
        names.append(value)
    return tuple(names) or None


def _http_path(node: Node) -> str | None:
    path = _text(node)
    if path is not None and (not re.fullmatch(r"/[A-Za-z0-9._~/-]+", path) or path.startswith(("//", "/-/"))):
        raise WrongValueError('write a path such as "/metrics"; "/" and "/-/…" are taken')
    return path


def _without_nul(text: str) -> str:
    """No path, no host and no password that a library takes may hold one; a page may."""
    if "\0" in text:
        raise WrongValueError('remove the NUL character ("\\0")')
    return text


def _file_path(node: Node) -> str | None:
    path = _text(node)
    return _without_nul(path) if path is not None else None


OFF = "off"


def _file_path_or_off(node: Node) -> str | None:
    """`no` or `none` would be the name of a file, which nobody means."""
    what_to_write = 'write the path of a file, or "off"'
    try:
        path = _text(node)
    except WrongValueError:
        raise WrongValueError(what_to_write) from None
    if path is None or path == OFF:
        return path
    if path.strip().lower() in _FALSE_WORDS | _TRUE_WORDS or not path.isprintable() or path.endswith("/"):
        raise WrongValueError(what_to_write)
    return path


def _url_or_off(node: Node) -> str | None:
    """A URL without credentials; `false` and the empty string are `OFF`."""
    if isinstance(node, Scalar) and (node.value is False or node.value in ("", OFF)):
        return OFF
    try:
        url = _url(node)
    except WrongValueError:
        url = ""
    if url is not None and (not url or "@" in urlsplit(url).netloc):
        raise WrongValueError("write FlowFuse's URL without user and password, or false: nothing is asked then")
    return url


_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)  # RFC 9110, 5.6.2: token


def _headers(node: Node) -> tuple[tuple[str, Secret], ...] | None:
    if isinstance(node, Scalar) and node.value is None:
        return None
    if not isinstance(node, Map):
        raise WrongValueError("write a map: one line 'name: value' per header")
    headers: list[tuple[str, Secret]] = []
    for name, entry in node.entries.items():
        if not is_header_name(name):
            raise WrongValueError("the name of a header holds a character that it must not", entry.place)
        try:
            value = _text(entry.value) or ""
        except WrongValueError as error:
            raise WrongValueError(str(error), entry.value.place, name) from None
        if not is_header_value(value):
            raise WrongValueError("the value of a header is one line of ASCII", entry.value.place, name)
        headers.append((name, Secret(value)))
    return tuple(headers)


def is_header_name(name: str) -> bool:
    """Whether the text may be the name of an HTTP header."""
    return _HEADER_NAME.fullmatch(name) is not None


def is_header_value(value: str) -> bool:
    """Whether the text may be the value of an HTTP header (RFC 9110, 5.5, without obsolete octets)."""
    return all(character == "\t" or " " <= character <= "~" for character in value)


def parse_header_lines(text: str) -> tuple[tuple[str, Secret], ...]:
    """Headers from a file: one `Name: value` per line; empty lines and lines that begin with `#` are skipped."""
    headers: list[tuple[str, Secret]] = []
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        name, colon, value = line.partition(":")
        if not colon or not is_header_name(name) or not is_header_value(value):
            raise WrongValueError("the file must hold one 'Name: value' per line")
        headers.append((name, Secret(value.strip())))
    return tuple(headers)


def choice(*allowed: str) -> Kind[str]:
    """One of a few words."""

    def read(node: Node) -> str | None:
        words = " or ".join(f'"{word}"' for word in allowed)
        try:
            word = _text(node)
        except WrongValueError:
            raise WrongValueError(f"write {words}") from None
        if word is not None and word not in allowed:
            raise WrongValueError(f"write {words}")
        return word

    return Kind(" or ".join(f"`{word}`" for word in allowed), read)


def _written(node: Node) -> str | None:
    """Any single value as it was written: a password of digits is a number for YAML and still a password."""
    if not is_true(node):
        return None
    if isinstance(node, Scalar):
        return _without_nul(node.value) if isinstance(node.value, str) else node.text
    raise WrongValueError("write a string")


def _port_of_any_type(node: Node) -> int | None:
    if not is_true(node):
        return None
    text = node.text if isinstance(node, Scalar) else ""
    if not re.fullmatch("[0-9]{1,5}", text, re.ASCII) or not 1 <= int(text) <= 65535:
        raise WrongValueError("write a whole number from 1 to 65535")
    return int(text)


BOOLEAN = Kind("boolean", _boolean)
TEXT = Kind("string", _text)
URL = Kind("http(s) URL", _url)
URL_OR_OFF = Kind("http(s) URL, or `false`", _url_or_off)
DSN = Kind("Sentry DSN", _dsn)
PORT = Kind("port", lambda node: _integer(node, 0, 65535))
HOST = Kind("address or host name", _host)
HOST_NAMES = Kind("list of host names", _host_names)
HTTP_PATH = Kind("path", _http_path)
SECONDS = Kind("seconds", _seconds)
HEADERS = Kind("map of strings", _headers)
FILE_PATH = Kind("path of a file", _file_path)
FILE_PATH_OR_OFF = Kind("path of a file, or `off`", _file_path_or_off)
IGNORED: Kind[None] = Kind("anything", lambda _node: None)

TRUTH = Kind("anything that is true in JavaScript", is_true)
# forge/housekeeper/index.js asks `=== false`: a string or 0 does not count.
NOT_FALSE = Kind("boolean", lambda node: not (isinstance(node, Scalar) and node.value is False))
WRITTEN = Kind("string", _written)
LOOSE_PORT = Kind("port", _port_of_any_type)


def describe(node: Node, secret: bool) -> str:
    """What was found, for a message. The value itself only where it is short, and neither secret nor rendered."""
    match node:
        case Map():
            return "a map"
        case Sequence():
            return "a list"
        case Scalar(value=None):
            return "nothing"
    kind = {bool: "the boolean", str: "the string"}.get(type(node.value), "the number")
    secret = secret or node.rendered or "@" in node.text  # a URL in the wrong place may hold a password
    if secret or len(node.text) > 40 or not node.text.isprintable():
        return kind.replace("the", "a", 1) + (" (not shown)" if secret else "")
    return f'{kind} "{node.text}"' if isinstance(node.value, str) else f"{kind} {node.text}"
