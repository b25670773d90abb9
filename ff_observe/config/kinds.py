"""The kinds of value. Inside `telemetry` and in ff-observe's own files a value must be of its kind; the rest of
`flowforge.yml` is FlowFuse's, and interpreted as JavaScript does."""

import re
from collections.abc import Callable, Collection
from datetime import timedelta
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from ff_observe.config.kind import Kind, WrongValueError, describe, read_each
from ff_observe.config.nodes import Entry, Map, Node, Scalar, Sequence, is_true
from ff_observe.config.pem import problem_with_authority
from ff_observe.config.reading import UnreadableFileError, read_text
from ff_observe.config.secret import Secret
from ff_observe.transparency.notes import COSIGNATURE, NoteError, VerifierKey

DSN_FORM: Final = "https://HOST/PROJECT-NUMBER, with KEY@ before HOST"  # no URL with a user, which is masked


def _text(node: Node, what_to_write: str = "") -> str | None:
    """A string; null and the empty string count as not set, as in FlowFuse."""
    if isinstance(node, Scalar) and (node.value is None or isinstance(node.value, str)):
        return node.value or None
    in_quotes = ": put it in quotes" if isinstance(node, Scalar) else ""
    raise WrongValueError(what_to_write or f"write a string{in_quotes}")


def _text_that(fits: Callable[[str], object], what_to_write: str, if_no_text: str = "") -> Callable[[Node], str | None]:
    """Reads a string that `fits`."""

    def read(node: Node) -> str | None:
        text = _text(node, if_no_text)
        if text is not None and not fits(text):
            raise WrongValueError(what_to_write)
        return text

    return read


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


def is_http_url(text: str) -> bool:
    """Whether it begins with http:// or https:// and names a host, with a valid port, if any.

    With a backslash it is none: urllib3 and browsers end the host there, urlsplit does not. What is listed would be
    another host than the one that is contacted.
    """
    try:
        parts = urlsplit(text)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # the port is not a number, or a bracket is not closed
        return False
    return valid and not re.search(r"[\s\x00-\x1f\x7f\\]", text)


_url = _text_that(is_http_url, "write a URL that begins with http:// or https:// and names a host")


def _is_dsn(text: str) -> bool:
    """Source: develop.sentry.dev/sdk/overview, "Parsing the DSN"."""
    parts = urlsplit(text if is_http_url(text) else "")
    project = parts.path.rpartition("/")[2]
    return bool(parts.username) and project.isascii() and project.isdecimal()


_monitor = _text_that(  # a slug as Sentry makes them
    re.compile("(?=.*[a-z_-])[a-z0-9_-]{1,50}", re.ASCII).fullmatch,
    "write a slug of lower-case letters, digits, '-' and '_', at most 50, not digits alone",
)


def _integer(node: Node, lowest: int, highest: int) -> int | None:
    value = node.value if isinstance(node, Scalar) else ""
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
        raise WrongValueError(f"write a whole number from {lowest} to {highest}, without quotes")
    return value


def _number(node: Node, fits: Callable[[float], bool], what_to_write: str) -> float | None:
    value = node.value if isinstance(node, Scalar) else ""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not fits(value):
        raise WrongValueError(what_to_write)
    return float(value)


def _seconds(node: Node) -> float | None:
    return _number(node, lambda value: 0 < value <= 86400, "write a number of seconds: more than 0, at most 86400")


_host = _text_that(
    re.compile(r"[A-Za-z0-9._:%-]{1,255}", re.ASCII).fullmatch,
    "write an address or a host name, without scheme or port: 127.0.0.1, ::1, 0.0.0.0",
)

_HOST_NAME = re.compile(
    r"[A-Za-z0-9_]([A-Za-z0-9._-]{0,252}[A-Za-z0-9_])?\.?|\[?[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*\]?", re.ASCII
)


def _host_names(node: Node) -> tuple[str, ...] | None:
    """A list, or a single item. Null and an empty list count as not set."""
    if isinstance(node, Scalar) and node.value is None:
        return None
    items = node.items if isinstance(node, Sequence) else (node,)
    wrong = "write a list of names or addresses without scheme and port: [metrics.example.com]"

    def read(item: Node) -> str:
        value = item.value if isinstance(item, Scalar) else None
        if isinstance(value, str) and _HOST_NAME.fullmatch(value):
            return value
        raise WrongValueError(wrong, item.place if isinstance(node, Sequence) else None)

    return tuple(read_each(read, items)) or None


_http_path = _text_that(
    re.compile(r"/(?!/|-/)[A-Za-z0-9._~/-]+").fullmatch,
    'write a path such as "/metrics"; "/" and "/-/…" are taken',
)


def without_nul(text: str) -> str:
    """No library accepts a path, host or password with a NUL; a page's text may have one."""
    if "\0" in text:
        raise WrongValueError('remove the NUL character ("\\0")')
    return text


def _path(node: Node) -> Path | None:
    path = _text(node)
    return Path(without_nul(path)) if path is not None else None


def _problem_with_file(path: Path) -> str | None:
    try:
        read_text(path)
    except UnreadableFileError as error:
        return f"the file it names cannot be used: {error}"
    return None


def _problem_with_authority(path: Path) -> str | None:
    return _problem_with_file(path) or problem_with_authority(path)


OFF = "off"


def _is_file_path(text: str) -> bool:
    """`no` or `none` would be taken for the name of a file, which is never intended."""
    return text.strip().lower() not in _FALSE_WORDS | _TRUE_WORDS and text.isprintable() and not text.endswith("/")


def _file_path_or_off(node: Node) -> str | None:
    what_to_write = 'write the path of a file, or "off"'
    return _text_that(lambda text: text == OFF or _is_file_path(text), what_to_write, what_to_write)(node)


def _url_or_off(node: Node) -> str | None:
    """A URL without credentials; `false` and the empty string are `OFF`."""
    if isinstance(node, Scalar) and (node.value is False or node.value in ("", OFF)):
        return OFF
    what_to_write = "write FlowFuse's URL without user and password, or false: nothing is asked then"
    read = _text_that(lambda url: is_http_url(url) and "@" not in urlsplit(url).netloc, what_to_write, what_to_write)
    return read(node)


_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)  # RFC 9110, 5.6.2: token


def _headers(node: Node) -> tuple[tuple[str, Secret], ...] | None:
    if isinstance(node, Scalar) and node.value is None:
        return None
    if not isinstance(node, Map):
        raise WrongValueError("write a map: one line 'name: value' per header")
    return tuple(read_each(_header, node.entries.items()))


def _header(named: tuple[str, Entry]) -> tuple[str, Secret]:
    name, entry = named
    place = entry.value.place
    if not is_header_name(name):
        raise WrongValueError("the name of a header holds a character that it must not", entry.place)
    if isinstance(entry.value, Scalar) and entry.value.unset is not None:
        raise WrongValueError(unset_variable(entry.value), place, name)
    try:
        return name, Secret(_header_value(entry.value) or "")
    except WrongValueError as error:
        raise WrongValueError(str(error), place, name) from None


def unset_variable(node: Scalar) -> str:
    """The problem with a value whose environment variable is not set."""
    return f"the environment variable {node.unset} is not set"


def is_header_name(name: str) -> bool:
    return _HEADER_NAME.fullmatch(name) is not None


def is_header_value(value: str) -> bool:
    """Whether the text is a valid HTTP header value (RFC 9110, 5.5, without obsolete octets)."""
    return all(character == "\t" or " " <= character <= "~" for character in value)


_header_value = _text_that(is_header_value, "the value of a header is one line of ASCII")


def _header_lines(text: str) -> tuple[tuple[str, Secret], ...]:
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


def _verifier_key(node: Node) -> VerifierKey | None:
    text = _text(node)
    if text is None:
        return None
    try:
        key = VerifierKey.parse(text)
    except NoteError:
        key = None
    if key is None or key.kind != COSIGNATURE:
        raise WrongValueError("write the whole line that `ff-observe collector key` prints there")
    return key


def choice(*allowed: str) -> Kind[str]:

    what_to_write = "write " + " or ".join(f'"{word}"' for word in allowed)
    read = _text_that(allowed.__contains__, what_to_write, what_to_write)
    return Kind(" or ".join(f"`{word}`" for word in allowed), read, text=True)


def words(known: Collection[str]) -> Kind[tuple[str, ...]]:
    """A list of words of a closed set."""

    def read(node: Node) -> tuple[str, ...] | None:
        if isinstance(node, Scalar) and node.value is None:
            return None
        if not isinstance(node, Sequence):
            raise WrongValueError("write a list: one line '- NAME' for each")
        return tuple(read_each(word, node.items))

    def word(item: Node) -> str:
        if isinstance(item, Scalar) and item.value in known:
            return str(item.value)
        raise WrongValueError(f"found {describe(item, secret=False)}; known are: {', '.join(known)}", item.place)

    return Kind("list of " + ", ".join(f"`{word}`" for word in known), read)


def whole(lowest: int, highest: int, name: str = "") -> Kind[int]:
    return Kind(name or f"{lowest} to {highest}", lambda node: _integer(node, lowest, highest))


def number(lowest: float, highest: float) -> Kind[float]:
    """A number within bounds, whole or not."""

    what_to_write = f"write a number from {lowest:g} to {highest:g}, without quotes"

    def read(node: Node) -> float | None:
        return _number(node, lambda value: lowest <= value <= highest, what_to_write)

    return Kind(f"{lowest:g} to {highest:g}", read, show=lambda value: f"{value:g}")


def lasting(unit: timedelta, lowest: int, highest: int) -> Kind[timedelta]:
    """A whole number of days, minutes or the like."""

    def read(node: Node) -> timedelta | None:
        number = _integer(node, lowest, highest)
        return None if number is None else number * unit

    return Kind(f"{lowest} to {highest}", read, show=lambda duration: str(duration // unit))


def _written(node: Node) -> str | None:
    """Any single value as written: a password of digits is a number in YAML and still a password."""
    if not is_true(node):
        return None
    if isinstance(node, Scalar):
        return without_nul(node.value) if isinstance(node.value, str) else node.text
    raise WrongValueError("write a string")


def _port_of_any_type(node: Node) -> int | None:
    if not is_true(node):
        return None
    text = node.text if isinstance(node, Scalar) else ""
    if not re.fullmatch("[0-9]{1,5}", text, re.ASCII) or not 1 <= int(text) <= 65535:
        raise WrongValueError("write a whole number from 1 to 65535")
    return int(text)


def one_of(*allowed: str) -> Kind[str]:
    """One of a few words; a value that is falsy in JavaScript is not set."""

    def read(node: Node) -> str | None:
        word = _written(node)
        if word is not None and word not in allowed:
            raise WrongValueError(f"write {' or '.join(allowed)}")
        return word

    return Kind(" or ".join(f"`{word}`" for word in allowed), read, text=True)


BOOLEAN = Kind("boolean", _boolean)
TEXT = Kind("string", _text, text=True)
URL = Kind("http(s) URL", _url, text=True)
URL_OR_OFF = Kind("http(s) URL, or `false`", _url_or_off)
DSN = Kind("Sentry DSN", _text_that(_is_dsn, f"write the DSN that Sentry shows for the project: {DSN_FORM}"), text=True)
MONITOR = Kind("slug of a Sentry monitor", _monitor, text=True)
PORT = whole(0, 65535, "port")
HOST = Kind("address or host name", _host, text=True)
HOST_NAMES = Kind("list of host names", _host_names, show=lambda names: f"[{', '.join(names)}]")
HTTP_PATH = Kind("path", _http_path, text=True)
SECONDS = Kind("seconds", _seconds)
HEADERS = Kind("map of strings", _headers, read_file=_header_lines)
HEADER_VALUE = Kind("string", _header_value, text=True)
PATH = Kind("path", _path, text=True)
FILE = Kind("path of a file", _path, problem_with=_problem_with_file, text=True)
AUTHORITY = Kind("path of a file", _path, problem_with=_problem_with_authority, text=True)
VERIFIER_KEY = Kind("public key", _verifier_key, text=True)
FILE_OR_OFF = Kind("path of a file, or `off`", _file_path_or_off, text=True)

TRUTH = Kind("anything that is true in JavaScript", is_true)
# forge/housekeeper/index.js asks `=== false`: a string or 0 does not count.
NOT_FALSE = Kind("boolean", lambda node: not (isinstance(node, Scalar) and node.value is False))
WRITTEN = Kind("string", _written, text=True)
LOOSE_PORT = Kind("port", _port_of_any_type)
