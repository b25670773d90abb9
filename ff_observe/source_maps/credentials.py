"""The destination and token for source maps: the `SENTRY_*` variables of the environment, else of a `.env` file."""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ff_observe.config.secret import Secret
from ff_observe.errors import SourceMapsError

DEFAULT_URL: Final = "https://sentry.io"
_TOKENS: Final = frozenset({"SENTRY_AUTH_TOKEN", "SENTRY_AUTH_TOKEN_FILE"})

# KEY=value, `export` allowed; the value in one kind of quotes, possibly over several lines, or bare up to a `#`.
_ASSIGNMENT: Final = re.compile(
    r"""^[ \t]*(?:export[ \t]+)?(?P<name>[A-Za-z_][\w.-]*)[ \t]*=[ \t]*
        (?: "(?P<double>(?:\\.|[^"\\])*)" | '(?P<single>[^']*)' | `(?P<back>[^`]*)` | (?P<bare>[^\n\#]*?) )
        [ \t]*(?:\#[^\n]*)?$""",
    re.MULTILINE | re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Credentials:
    """The settings of `sentry-cli`."""

    token: Secret
    organisation: str
    project: str
    url: str = DEFAULT_URL


def read_dotenv(text: str) -> dict[str, str]:
    """The assignments of a `.env` file, as the `dotenv` package of Node.js reads them; later ones win."""
    found = {}
    for match in _ASSIGNMENT.finditer(re.sub(r"\r\n?", "\n", text.removeprefix("\ufeff"))):
        if match["double"] is not None:
            value = match["double"].replace("\\n", "\n").replace("\\r", "\r")
        else:
            value = next(part for part in (match["single"], match["back"], match["bare"]) if part is not None)
        found[match["name"]] = value
    return found


def gather_variables(environment: Mapping[str, str], directory: Path) -> dict[str, str]:
    """The environment, completed by `directory/.env`; an empty variable counts as unset, and a token that the one
    names in either way replaces the other's. Raises `SourceMapsError` for a file that exists and cannot be read."""
    dotenv = directory / ".env"
    try:
        text = dotenv.read_text(encoding="utf-8") if dotenv.is_file() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise SourceMapsError(f"{dotenv} cannot be read: {error}") from None
    given = {name: value for name, value in environment.items() if value}
    named = _TOKENS if _TOKENS & given.keys() else frozenset[str]()
    return {**{name: value for name, value in read_dotenv(text).items() if name not in named}, **given}


def read_credentials(variables: Mapping[str, str]) -> Credentials | None:
    """None if no token is set (`SENTRY_AUTH_TOKEN`, or a file that `SENTRY_AUTH_TOKEN_FILE` names).

    Raises `SourceMapsError` if there is a token and something else is missing or wrong.
    """
    token = _token(variables)
    if token is None:
        return None
    of_token = _named_in(token)
    organisation = variables.get("SENTRY_ORG") or of_token.get("org")
    project = variables.get("SENTRY_PROJECT")
    url = (variables.get("SENTRY_URL") or of_token.get("url") or DEFAULT_URL).rstrip("/")
    missing = [name for name, value in (("SENTRY_ORG", organisation), ("SENTRY_PROJECT", project)) if not value]
    if not organisation or not project:
        raise SourceMapsError(
            f"SENTRY_AUTH_TOKEN is set but {' and '.join(missing)} is not: set it in the environment or in .env"
        )
    if not re.fullmatch(r"https?://[^\s/@]+(?:/\S*)?", url):
        raise SourceMapsError("SENTRY_URL is not a URL that begins with https:// or http:// and names no user")
    for name, said, meant in (("SENTRY_ORG", organisation, "org"), ("SENTRY_URL", url, "url")):
        if (bound := of_token.get(meant, said).rstrip("/")) != said:
            raise SourceMapsError(
                f"{name} is {said}, but the token is for {bound}, and sentry-cli would go there: unset {name}, "
                "or take a token that is for it"
            )
    return Credentials(token, organisation, project, url)


def _named_in(token: Secret) -> dict[str, str]:
    """`org` and `url` contained in an organisation's token (`sntrys_<base64 of JSON>_<secret>`); sentry-cli prefers
    them to the environment."""
    prefix, _, rest = token.reveal().partition("_")
    if prefix != "sntrys":
        return {}
    try:
        said = json.loads(base64.b64decode(rest.rpartition("_")[0], validate=True))
    except ValueError:
        return {}
    if not isinstance(said, dict):
        return {}
    return {key: said[key] for key in ("org", "url") if isinstance(said.get(key), str) and said[key]}


def _token(variables: Mapping[str, str]) -> Secret | None:
    if token := variables.get("SENTRY_AUTH_TOKEN", "").strip():
        return Secret(token)
    if not (name := variables.get("SENTRY_AUTH_TOKEN_FILE")):
        return None
    try:
        token = Path(name).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise SourceMapsError(f"SENTRY_AUTH_TOKEN_FILE names {name}, which cannot be read") from None
    if not token:
        raise SourceMapsError(f"SENTRY_AUTH_TOKEN_FILE names {name}, which is empty")
    return Secret(token)
