"""Removes credentials, addresses and e-mail addresses from text that leaves the process. Pure: no settings, no output.

The bridge's own code keeps its secrets in `Secret`. This is for text from other code: the message of a database
driver, a log line, an exception of the host program.

Secrets are passwords, tokens, keys, licences and DSNs, but no user names; a user name that stands alone in an http(s)
URL is a key (that of a Sentry DSN). A secret is masked in each spelling that occurs: as it is, as Python, JSON, C, HTML
and URLs escape it, also inside each other (see `escapes`), and in base64 with its user or inside of anything, in one
line or several:
- of less than 6 characters, only where a credential stands (quoted, before the `@` of a URL, after `Basic` or `Bearer`,
  as the value of a telling name), and in base64 only with its user: as a part of other words it is innocent, and masks
  would reveal where it occurs;
- of words or numbers (`postgres`, `node-red`), only as a whole token: not in `postgresql`, `node-red-dashboard`;
- anything else wherever it stands.
"""

import base64
import dataclasses
import ipaddress
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from urllib.parse import parse_qsl, unquote, urlsplit

from ff_observe.config.secret import MASK, Secret
from ff_observe.telemetry.escapes import Level, levels, unbroken
from ff_observe.telemetry.platform_context import current_platform

_SHORT = 6  # characters; anything shorter may be part of an innocent text
_LONG = 16  # characters; no word is that long
_WORDS = re.compile(r"(?:[A-Z]?[a-z]+|[A-Z]+|\d+)(?:[-_. /:](?:[A-Z]?[a-z]+|[A-Z]+|\d+))*")

_Between = tuple[tuple[str, str], ...]
"""Patterns of what may stand before and after a form of a secret."""
_Forms = Mapping[_Between, Sequence[str]]
"""The forms of secrets to look for at each level of a text."""

_ANYWHERE = (("", ""),)
# Words joined by `-` or `.` are one token: a package, a module, a version.
_TOKEN = ((r"(?<!\w)(?<!\w[-.])", r"(?!\w|[-.]\w)"),)
_CREDENTIAL_PLACES = (
    ('(?<=")', '(?=")'),
    ("(?<=')", "(?=')"),
    ("(?<=[:/])", "(?=@)"),
    ("(?<=[Bb]asic )", r"(?!\w)"),
    ("(?<=[Bb]earer )", r"(?!\w)"),
)
_BASE64 = (("[A-Za-z0-9+/_-]?", "[A-Za-z0-9+/_-]?"),)  # a digit there may be of the secret in part
_URL_SAFE = str.maketrans("+/", "-_")

_SENSITIVE_KEY = re.compile(
    r"passw|passphrase|pwd|secret|token|api_?key|access_?key|private_?key|auth(?!or)|credential|cookie|session|csrf|xsrf"
    r"|dsn|licen[cs]e|e_?mail|ip_?addr|remote_addr|forwarded|real_ip|user_?name|(?:^|_)ip(?:_|$)"
)

_NAMES = (
    r"passw(?:or)?d|pwd|passphrase|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|authorization|credentials?"
    r"|sentry_key|dsn|licen[cs]e|cookies?"
)
# Without credentials these are no secrets; what begins in another way may be a password.
_ADDRESSES = ("http", "https", "postgres", "postgresql")
_ENDS_IN_A_PROJECT = re.compile(r"/\d+\Z", re.ASCII)  # a DSN: in its old form, the key has a secret beside it
_QUOTED = r"\\?\"(?:[^\"\\]|\\[^\"])*\\?\"|\\?'(?:[^'\\]|\\[^'])*\\?'"

_PATH_BEFORE = re.compile(r"/[\w.-]{0,255}\Z")
_LINE_AND_COLUMN = re.compile(r"\d+:\d+:", re.ASCII)


def _mask_value(found: re.Match[str]) -> str:
    """Line and column behind the path of a file (`/run/secrets/token:3:1: `) are no secret."""
    name, value = found.groups()
    before = found.string[max(0, found.start() - 256) : found.start()]
    if _LINE_AND_COLUMN.fullmatch(value) and _PATH_BEFORE.search(before):
        return found[0]
    return f"{name}{MASK}"


_CREDENTIALS: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), MASK),
    # JSON Web Tokens: the header is always the base64 of `{"`; also a truncated one.
    (re.compile(r"eyJ[\w-]{8,}(?:\.[\w-]*){0,2}"), MASK),
    # Tokens of FlowFuse (ffpat_…, fft…_) and of Sentry (sntrys_…), by their prefixes.
    (re.compile(r"\b(?:ff[a-z]{1,6}|sntry[a-z])_[\w+/=.-]{16,}"), MASK),
    # User and password of a URL, first in standard form, then with `/`, `?` or `#` unescaped in the password.
    (re.compile(r"(?<=://)[^\s/?#\"'<>]{1,1024}@"), f"{MASK}@"),
    (re.compile(r"(?<=://)[^\s/?#:@\"'<>]{0,256}:(?!\d+(?:[/?#\s]|$))[^\s\"'<>]{1,1024}@"), f"{MASK}@"),
    # A header, also as a pair: before the rules for a name and its value, which would take the scheme for the value.
    (re.compile(r"(?i)(authorization[^\w\s]{0,4}\s?[^\w\s]{0,2}(?:basic|bearer|digest) )[\w.~+/=-]+"), rf"\1{MASK}"),
    (re.compile(rf"(?i)((?:{_NAMES})[\w-]{{0,40}}\\?[\"']?\s?[=:]\s?)(?:{_QUOTED})"), rf"\1{MASK}"),
    (
        re.compile(rf"(?i)((?:{_NAMES})[\w-]{{0,40}}\s?(?:=\s?|:))(?!\s|{re.escape(MASK)})([^\s,;&)\]}}]+)"),
        _mask_value,
    ),
    # `dsn: is wrong` is prose; `password: hunter2` at the end of a line is not.
    (re.compile(rf"(?im)((?:{_NAMES})[\w-]{{0,40}}: )[^\s,;&)\]}}]+(?=[,;)\]}}]?\s*$)"), rf"\1{MASK}"),
    (re.compile(r"(?i)(\b(?:set-)?cookie: ?)(?=[\w.-]+=)[^\r\n\"']+"), rf"\1{MASK}"),
    (re.compile(r"(?i)\b(bearer|basic|digest) (?=\S*[\d=])[\w.~+/=-]{6,}"), rf"\1 {MASK}"),
)

# RFC 5322's characters of a local part; those that end a value in a URL or a text (`/ = & ? '`) stay unless nothing
# else stands before the @. The domain ends in a label that starts with a letter, so that a release (`flowfuse@2.33.2`)
# is none; nor is a URL already masked.
_EMAIL = re.compile(
    r"(?:(?:[\w.!#$%*+^`{|}~-]|(?<=\w)'(?=\w)){1,64}|(?<=[/=&?']))(?<!\*{8})(?:@|%40)(?!\d+\.\d+\.\d+[-+])"
    r"(?:[\w-]{1,63}\.){1,20}[^\W\d_][\w-]{1,62}"
)
_OCTET = r"(?:25[0-5]|2[0-4]\d|[01]?\d?\d)"
_IPV4 = re.compile(rf"(?<![\d.])(?<!\bv)(?:{_OCTET}\.){{3}}{_OCTET}(?!\d)(?!\.\d)")
_IPV4_IN_A_NAME = re.compile(rf"\bip-(?:{_OCTET}-){{3}}{_OCTET}(?!\d)")  # ip-10-0-0-1.ec2.internal
_IPV6 = re.compile(
    r"(?<![0-9A-Za-z])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?:\.\d{1,3}){0,3}(?![0-9A-Za-z_])(?:%[\w.-]+)?"
)


def _mask_ipv6(found: re.Match[str]) -> str:
    """Times (`12:30:05`) and hardware addresses look alike, but only an address parses as one."""
    text = found[0]
    address = text.split("%")[0]
    for candidate in (address, address.removesuffix(":"), address.removesuffix(".")):
        if candidate == "::":
            return text
        try:
            ipaddress.IPv6Address(candidate)
        except ValueError:
            continue
        return MASK + address[len(candidate) :]
    return text


def is_sensitive_key(key: str) -> bool:
    """Whether the value under `key` is hidden whatever it is."""
    return _SENSITIVE_KEY.search(re.sub(r"[^a-z0-9]+", "_", key.lower())) is not None


def known_secrets(settings: object) -> frozenset[str]:
    """The secret values of every `Secret` anywhere inside `settings` (dataclasses, tuples, mappings)."""
    if isinstance(settings, Secret):
        return _secret_parts(settings.reveal())
    if dataclasses.is_dataclass(settings):
        members = {field.name: getattr(settings, field.name) for field in dataclasses.fields(settings)}
        found, user, password = known_secrets(members), members.get("user"), members.get("password")
        if user and isinstance(password, Secret) and password.reveal():
            found |= {_sent(user, password.reveal())}
        return found
    if isinstance(settings, Mapping):
        return known_secrets(list(settings.values()))
    if isinstance(settings, (list, tuple, set, frozenset)):
        return frozenset[str]().union(*(known_secrets(item) for item in settings))
    return frozenset()


def _secret_parts(value: str) -> frozenset[str]:
    scheme, _, token = value.partition(" ")
    if token and scheme.lower() in ("basic", "bearer"):  # of a header: a quotation may leave the scheme out
        return frozenset({value, token})
    if "://" not in value:
        return frozenset({value})
    try:
        parts = urlsplit(value)
    except ValueError:
        return frozenset({value})
    parameters = parse_qsl(parts.query)
    if parts.scheme in ("http", "https"):
        found = {parts.query, *(text for name, text in parameters if is_sensitive_key(name))}
        key = parts.username or "" if not parts.password or _ENDS_IN_A_PROJECT.search(parts.path) else ""
    else:  # of a database: its user is a name, and so are most of its parameters
        found = {text for name, text in parameters if is_sensitive_key(name)}
        key = ""
    credentials = {part for part in (parts.password, key) if part}
    found |= credentials | {unquote(part) for part in credentials}
    if credentials:
        found.add(_sent(unquote(parts.username or ""), unquote(parts.password or "")))
    found.discard("")
    return frozenset({value, *found}) if found or parts.scheme not in _ADDRESSES else frozenset()


def _sent(user: str, password: str) -> str:
    """As HTTP sends them."""
    return base64.b64encode(f"{user}:{password}".encode("utf-8", "replace")).decode()


def _forms(secrets: Iterable[str]) -> _Forms:
    found: dict[_Between, set[str]] = {}
    for secret in secrets:
        for form in {level.text for written in _writings(secret) for level in levels(written)} - {""}:
            found.setdefault(_between(form), set()).add(form)
        if len(secret) >= _SHORT:
            found.setdefault(_BASE64, set()).update(_in_base64(secret))
    return {between: tuple(sorted(forms)) for between, forms in found.items()}


def _writings(secret: str) -> Iterator[str]:
    """A secret as it is, and with the spaces of a web form; each also as UTF-8 that was read as Latin-1, which is how
    headers are read, and in ASCII. The levels of these are what becomes of a secret that looks escaped itself when the
    text around it is undone."""
    for spaced in (secret, secret.replace(" ", "+")):
        yield spaced
        yield spaced.encode("utf-8", "replace").decode("latin-1")
        yield spaced.encode("unicode_escape").decode()


def _in_base64(secret: str) -> Iterator[str]:
    """The digits that are of the secret alone, where its first byte is the first, second or third of a group: inside
    of anything, such as a header with any user."""
    content = secret.encode("utf-8", "replace")
    for offset in range(3):
        digits = base64.b64encode(bytes(offset) + content).decode()[
            -(-offset * 4 // 3) : (offset + len(content)) * 4 // 3
        ]
        yield digits
        yield digits.translate(_URL_SAFE)


def _between(form: str) -> _Between:
    if len(form) < _SHORT:
        return _CREDENTIAL_PLACES
    return _TOKEN if len(form) < _LONG and _WORDS.fullmatch(form) else _ANYWHERE


@lru_cache(1024)
def _pattern(form: str, between: _Between) -> re.Pattern[str]:
    return re.compile("|".join(f"{before}{re.escape(form)}{after}" for before, after in between))


def _masked(text: str, known: Collection[_Forms]) -> str:
    """`text` with the mask in place of the secrets in it, however they are written."""
    if not any(known):
        return text
    found: list[tuple[int, int]] = []
    for level in levels(text):
        found += _places(level, known, (_ANYWHERE, _TOKEN, _CREDENTIAL_PLACES, _BASE64))
        if (joined := unbroken(level)) is not None:
            found += _places(joined, known, (_ANYWHERE, _BASE64))
    pieces, end = list[str](), 0
    for place in sorted(found):
        if place[0] >= end:
            pieces += (text[end : place[0]], MASK)
        end = max(end, place[1])
    return "".join([*pieces, text[end:]])


def _places(level: Level, known: Collection[_Forms], kinds: Collection[_Between]) -> Iterator[tuple[int, int]]:
    """Where forms of these kinds are, in the text as it was given."""
    for forms in known:
        for between in kinds:
            for form in forms.get(between, ()):
                if form in level.text:  # ten times as fast as any pattern, and nearly always false
                    for place in _pattern(form, between).finditer(level.text):
                        yield level.place(*place.span())


class Redactor:
    """Masks the secrets it was given, and anything that looks like one.

    `personal` also masks IP addresses and e-mail addresses: for data that leaves the machine. The bridge's own log may
    say where it listens.
    """

    def __init__(self, secrets: Iterable[str] = (), *, personal: bool = True) -> None:
        self._personal = personal
        self._secrets = frozenset(filter(None, secrets))
        self._forms = _forms(self._secrets)

    def with_secrets(self, secrets: Iterable[str]) -> "Redactor":
        """A redactor that masks these in addition."""
        return Redactor(self._secrets.union(secrets), personal=self._personal)

    def with_addresses(self) -> "Redactor":
        """A redactor of the same secrets that leaves IP and e-mail addresses as they are: for the bridge's own log."""
        return Redactor(self._secrets, personal=False)

    def known(self, text: str) -> str:
        """`text` with the known secrets replaced by the mask, and nothing else."""
        return _masked(text, [self._forms])

    def text(self, text: str) -> str:
        """`text` with everything that must not leave replaced by the mask."""
        text = self.known(text)
        for pattern, replacement in _CREDENTIALS:
            text = pattern.sub(replacement, text)
        if self._personal:
            if "@" in text or "%40" in text:
                text = _EMAIL.sub(MASK, text)
            text = _IPV6.sub(_mask_ipv6, text)
            text = _IPV4.sub(MASK, text)
            text = _IPV4_IN_A_NAME.sub(MASK, text)
        return text

    def value(self, value: object) -> object:
        """A copy of a JSON-like value with every string, and every key, redacted; values under sensitive keys are
        replaced.

        Numbers stay unless they are a known secret. Other types than JSON's become redacted text.
        """
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return MASK if value in self._secrets else self.text(value)
        if isinstance(value, (int, float)):
            return MASK if str(value) in self._secrets else value
        if isinstance(value, Mapping):
            return {self.text(str(key)): self._under(str(key), item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.value(item) for item in value]
        return self.text(str(value))

    def _under(self, key: str, value: object) -> object:
        if value is None or isinstance(value, bool) or not is_sensitive_key(key):
            return self.value(value)
        return MASK


class RedactorOfPlatforms(Redactor):
    """For the log of a process with several platforms: work for one is searched for its secrets, other work for all."""

    def __init__(self, of_each: Mapping[str, Redactor]) -> None:
        super().__init__(personal=False)
        self._of_each = dict(of_each)

    def with_platforms(self, secrets: Mapping[str, Iterable[str]]) -> "RedactorOfPlatforms":
        """One that masks these, too."""
        known = {name: self._of_each.get(name, Redactor(personal=False)) for name in {**self._of_each, **secrets}}
        return RedactorOfPlatforms({name: each.with_secrets(secrets.get(name, ())) for name, each in known.items()})

    def text(self, text: str) -> str:
        own = self._of_each.get(current_platform() or "")
        searched = (own,) if own is not None else self._of_each.values()
        return super().text(_masked(text, [redactor._forms for redactor in searched]))
