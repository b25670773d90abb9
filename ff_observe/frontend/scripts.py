"""An inline script that no value can break out of: data in, `<script>` element out.

A script is a fixed JavaScript function called with JSON. No configured value ever becomes part of the program text, of
an HTML attribute or of a URL in the markup.
"""

import base64
import hashlib
import json
import re
from dataclasses import dataclass
from typing import Final

from ff_observe.errors import UsageError

MARKER: Final = "data-ff-observe"

# json.dumps writes ASCII only, so U+2028/9 and lone surrogates are already escaped; these three end or open markup.
_MARKUP: Final = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})
# nonce-source of Content Security Policy Level 3, https://www.w3.org/TR/CSP3/#grammardef-base64-value
_NONCE: Final = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")


def javascript(value: object) -> str:
    """`value` (what JSON can hold) as a JavaScript expression that is safe inside a `<script>` element."""
    return json.dumps(value, separators=(",", ":")).translate(_MARKUP)


def call(function: str, *arguments: object) -> str:
    """The statement that calls a JavaScript function expression with `arguments`."""
    return f"({function})({','.join(javascript(argument) for argument in arguments)});"


@dataclass(frozen=True, slots=True)
class Script:
    """One inline script. `name` is the service it belongs to: `consent`, `posthog`, `sentry`, `plausible`.

    `body` is ASCII and contains no `<` and no `&`: it means the same in HTML, in XHTML and in every encoding that a
    browser reads. Raises `UsageError` for a nonce that the Content Security Policy grammar does not allow.
    """

    name: str
    body: str
    nonce: str | None = None

    def __post_init__(self) -> None:
        if self.nonce is not None and not _NONCE.fullmatch(self.nonce):
            raise UsageError("a CSP nonce may only hold letters, digits and + / - _ =, and must not be empty")

    @property
    def element(self) -> str:
        nonce = "" if self.nonce is None else f' nonce="{self.nonce}"'
        return f'<script {MARKER}="{self.name}"{nonce}>{self.body}</script>'

    @property
    def csp_source(self) -> str:
        """The source that `script-src` must list for this script to run: its nonce, else its hash."""
        if self.nonce is not None:
            return f"'nonce-{self.nonce}'"
        return f"'sha256-{base64.b64encode(hashlib.sha256(self.body.encode()).digest()).decode()}'"
