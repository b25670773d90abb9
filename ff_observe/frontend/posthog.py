"""PostHog in the page: our own loader for its `array.js`, its options, and the hosts it contacts."""

import re
from collections.abc import Mapping
from typing import Final

from ff_observe.config.settings import PostHogSettings
from ff_observe.frontend.origins import origin
from ff_observe.frontend.scripts import call

# The addresses that posthog-js treats as its cloud (packages/browser/src/utils/request-router.ts); there assets and
# events have separate hosts. Any other address serves both.
_CLOUD: Final = re.compile(r"https://(?:(?P<us>app|us|us-assets)|eu|eu-assets)(?:\.i)?\.posthog\.com", re.IGNORECASE)

# Calls by the page are queued in `window.posthog`, where array.js finds them, and the arguments of init in `_i`. Until
# then calls that ask for a value return undefined, as with PostHog's own loader.
_METHODS: Final = (
    *("capture", "captureException", "identify", "alias", "group", "reset", "setPersonProperties", "debug"),
    *("register", "register_once", "register_for_session", "unregister", "unregister_for_session", "set_config"),
    *("opt_in_capturing", "opt_out_capturing", "has_opted_in_capturing", "has_opted_out_capturing"),
    *("clear_opt_in_out_capturing", "get_explicit_consent_status", "startSessionRecording", "stopSessionRecording"),
    *("onFeatureFlags", "onSessionId", "isFeatureEnabled", "getFeatureFlag", "getFeatureFlagPayload"),
    *("reloadFeatureFlags", "setPersonPropertiesForFlags", "setGroupPropertiesForFlags", "get_distinct_id"),
)

_LOADER: Final = """function (key, options, source, methods) {
  var present = window.posthog;
  if (present) { if (present.init) { present.init(key, options); } return; }
  function hold(list) {
    return function (name) {
      list[name] = function () { list.push([name].concat(Array.prototype.slice.call(arguments))); };
    };
  }
  var queue = window.posthog = [];
  queue._i = [[key, options]];
  queue.__SV = 1;
  queue.people = [];
  methods.forEach(hold(queue));
  ["set", "set_once"].forEach(hold(queue.people));
  var script = document.createElement("script");
  var own = document.querySelector("script[data-ff-observe=posthog]");
  if (own) { script.nonce = own.nonce; }
  script.async = true;
  script.src = source;
  document.head.appendChild(script);
}"""


def snippet(settings: PostHogSettings) -> str:
    cookieless = {} if settings.cookieless_mode is None else {"cookieless_mode": settings.cookieless_mode}
    options = {"api_host": settings.apiurl, **cookieless, "capture_pageview": settings.capture_pageview}
    return call(_LOADER, settings.apikey, options, f"{_assets(settings.apiurl)}/static/array.js", _METHODS)


def sources(settings: PostHogSettings) -> Mapping[str, tuple[str, ...]]:
    """Scripts come from the assets host; events, flags and the project's configuration use both. Session replay encodes
    canvases in a blob worker. It is switched on at PostHog, which the page cannot know."""
    key = "telemetry.frontend.posthog.apiurl"
    region = _region(settings.apiurl)
    assets = origin(_assets(settings.apiurl), key)
    events = f"https://{region}.i.posthog.com" if region else assets
    connections = tuple(dict.fromkeys((events, assets)))
    return {"script-src": (assets,), "connect-src": connections, "worker-src": ("blob:",)}


def _region(apiurl: str) -> str | None:
    cloud = _CLOUD.search(apiurl)  # anywhere in it, as posthog-js does
    return None if cloud is None else "us" if cloud["us"] else "eu"


def _assets(apiurl: str) -> str:
    region = _region(apiurl)
    return f"https://{region}-assets.i.posthog.com" if region else apiurl.strip().removesuffix("/")
