"""From settings to the scripts that a page needs, and the sources that a Content Security Policy must allow for
them."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from ff_observe.config.settings import PLAUSIBLE_DEPRECATION, FrontendSettings
from ff_observe.frontend import plausible, posthog, sentry
from ff_observe.frontend.scripts import Script, call

# With `telemetry.frontend.consent: required` every other script waits for `window.ffObserve.consent()`.
# A page that knows the answer before it is parsed (from a cookie on the server, say) may set `window.ffObserve =
# {consented: true}` above these scripts: then nothing is held back.
_CONSENT: Final = """function () {
  var known = window.ffObserve, waiting = [];
  function start(run) {
    try { run(); } catch (error) { setTimeout(function () { throw error; }); }
  }
  var hook = window.ffObserve = {
    consented: known ? known.consented === true : false,
    consent: function () {
      hook.consented = true;
      waiting.splice(0).forEach(start);
    },
    onConsent: function (run) { if (hook.consented) { start(run); } else { waiting.push(run); } }
  };
}"""


def snippets(
    settings: FrontendSettings, environment_name: str, release: str | None, nonce: str | None = None
) -> tuple[Script, ...]:
    """The scripts for the configured services, in the order they must run; empty if none is configured.

    `environment_name` and `release` (`flowfuse@<version>`, None if not known) are reported to Sentry.
    """
    bodies = tuple(_bodies(settings, environment_name, release))
    if bodies and settings.consent_required:
        held = ((name, f"window.ffObserve.onConsent(function () {{ {body} }});") for name, body in bodies)
        bodies = (("consent", call(_CONSENT)), *held)
    return tuple(Script(name, body, nonce) for name, body in bodies)


def _bodies(settings: FrontendSettings, environment_name: str, release: str | None) -> Iterator[tuple[str, str]]:
    # Sentry first: it only sets a variable, and should be in place for errors in what follows.
    if settings.sentry is not None:
        yield "sentry", sentry.snippet(settings.sentry, environment_name, release)
    if settings.posthog is not None:
        yield "posthog", posthog.snippet(settings.posthog)
    if settings.plausible is not None:
        yield "plausible", plausible.snippet(settings.plausible)


def csp_sources(settings: FrontendSettings, scripts: Iterable[Script] = ()) -> Mapping[str, tuple[str, ...]]:
    """Directive → exactly the sources that the configured services need there.

    With `scripts`, `script-src` also holds the nonce or the hash of each. Raises `ConfigurationError` for a service
    whose address is no URL that a browser could contact.
    """
    needs: dict[str, dict[str, None]] = {}
    for directive, sources in (*_needed(settings), ("script-src", tuple(script.csp_source for script in scripts))):
        needs.setdefault(directive, {}).update(dict.fromkeys(sources))
    order = ("script-src", "connect-src", "worker-src")
    return {directive: tuple(needs[directive]) for directive in order if needs.get(directive)}


def _needed(settings: FrontendSettings) -> Iterator[tuple[str, tuple[str, ...]]]:
    if settings.posthog is not None:
        yield from posthog.sources(settings.posthog).items()
    if settings.sentry is not None:
        yield from sentry.sources(settings.sentry).items()
    if settings.plausible is not None:
        yield from plausible.sources().items()


def deprecations(settings: FrontendSettings) -> tuple[str, ...]:
    """Configured options that will be removed, each with its replacement."""
    return () if settings.plausible is None else (PLAUSIBLE_DEPRECATION,)
