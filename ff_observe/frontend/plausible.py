"""Plausible (deprecated): its tracker for one domain, and the host it contacts."""

from collections.abc import Mapping
from typing import Final

from ff_observe.config.settings import PlausibleSettings
from ff_observe.frontend.scripts import call

_HOST: Final = "https://plausible.io"

# The tracker finds its domain on its own element (document.currentScript), which works for an inserted one too.
_LOADER: Final = """function (domain, source) {
  var script = document.createElement("script");
  var own = document.querySelector("script[data-ff-observe=plausible]");
  if (own) { script.nonce = own.nonce; }
  script.async = true;
  script.setAttribute("data-domain", domain);
  script.src = source;
  document.head.appendChild(script);
}"""


def snippet(settings: PlausibleSettings) -> str:
    return call(_LOADER, settings.domain, f"{_HOST}/js/plausible.js")


def sources() -> Mapping[str, tuple[str, ...]]:
    return {"script-src": (_HOST,), "connect-src": (_HOST,)}
