"""Where source maps go and with which token: the `SENTRY_*` variables of the environment, else of a `.env` file."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ff_observe.config.secret import Secret
from ff_observe.errors import SourceMapsError

DEFAULT_URL: Final = "https://sentry.io"

# KEY=value, `export` allowed; the value in one kind of quotes, then over several lines too, or bare up to a `#`.
_ASSIGNMENT: Final = re.compile(
    r"""^[ \t]*(?:export[ \t]+)?(?P<name>[A-Za-z_][\w.-]*)[ \t]*=[ \t]*
        (?: "(?P<double>(?:\\.|[^"\\])*)" | '(?P<single>[^']*)' | `(?P<back>[^`]*)` | (?P<bare>[^\n\#]*?) )
        [ \t]*(?:\#[^\n]*)?$""",
    re.MULTILINE | re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What `sentry-cli` needs to know. `organisation` may be None with a token that names it (`sntrys_…`)."""

    token: Secret
    organisation: str | None
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
    """The environment, with what only `directory/.env` says; an empty variable counts as unset.

    Raises `SourceMapsError` for a file that is there and cannot be read.
    """
    dotenv = directory / ".env"
    try:
        text = dotenv.read_text(encoding="utf-8") if dotenv.is_file() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise SourceMapsError(f"{dotenv} cannot be read: {error}") from None
    return {**read_dotenv(text), **{name: value for name, value in environment.items() if value}}


def read_credentials(variables: Mapping[str, str]) -> Credentials | None:
    """None where no token is set (`SENTRY_AUTH_TOKEN`, or a file that `SENTRY_AUTH_TOKEN_FILE` names).

    Raises `SourceMapsError` where there is a token and something else is missing or wrong.
    """
    token = _token(variables)
    if token is None:
        return None
    organisation = variables.get("SENTRY_ORG") or None
    project = variables.get("SENTRY_PROJECT") or None
    missing = [] if organisation or token.reveal().startswith("sntrys_") else ["SENTRY_ORG"]
    if project is None:
        missing.append("SENTRY_PROJECT")
    if missing or project is None:
        raise SourceMapsError(
            f"SENTRY_AUTH_TOKEN is set but {' and '.join(missing)} is not: set it in the environment or in .env"
        )
    url = variables.get("SENTRY_URL") or DEFAULT_URL
    if not re.fullmatch(r"https?://[^\s/]+\S*", url):
        raise SourceMapsError("SENTRY_URL is not a URL that begins with https:// or http://")
    return Credentials(token, organisation, project, url)


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
