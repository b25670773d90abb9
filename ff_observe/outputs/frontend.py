"""The services that FlowFuse's pages load in a visitor's browser. `ff_observe.frontend` renders their snippets."""

from collections.abc import Callable
from typing import Final

from ff_observe.config import declaration as key_of
from ff_observe.config.settings import FrontendSettings, Settings
from ff_observe.outputs.model import Output, Status
from ff_observe.platform.snapshot import Snapshot

_PLAUSIBLE: Final = (key_of.PLAUSIBLE_DOMAIN.path, key_of.OLD_PLAUSIBLE_DOMAIN.path)


_FIX: Final = "`ff-observe frontend csp` prints the policy the page needs; the browser's console names what it blocks."


def _by_key(is_set: Callable[[Settings], bool], key: Callable[[Settings], str]) -> Callable[..., Status]:
    def status(settings: Settings, _snapshot: Snapshot | None) -> Status:
        if not is_set(settings):
            return Status(False, f"{key(settings)} is not set")
        consent = "; held until the visitor consents" if settings.frontend.consent_required else ""
        return Status(True, f"{key(settings)} is set{consent}")

    return status


def _plausible_key(settings: Settings) -> str:
    """Both keys are noted as deprecated; the new one, which wins, comes first."""
    return next((note.key for note in settings.notes if note.key in _PLAUSIBLE), _PLAUSIBLE[0])


def _origins(service: str) -> Callable[[Settings], tuple[str, ...]]:
    """The origins of one service, from the sources that its snippet needs in a Content Security Policy."""

    def origins(settings: Settings) -> tuple[str, ...]:
        from ff_observe.frontend.services import csp_sources

        own = getattr(settings.frontend, service)
        sources = csp_sources(FrontendSettings(**{service: own})).values()
        return tuple(dict.fromkeys(each for listed in sources for each in listed if "://" in each))

    return origins


OUTPUTS: Final[tuple[Output, ...]] = (
    Output(
        name="frontend_posthog",
        title="Frontend PostHog",
        content="what visitors of FlowFuse's pages do; with FlowFuse's frontend also their names and e-mail addresses",
        receiver="the PostHog of your apiurl",
        key=key_of.POSTHOG_APIKEY.path,
        example="phc_key",
        stop=f"leave `{key_of.POSTHOG_APIKEY.path}` out",
        fix=_FIX,
        document="frontend",
        status=_by_key(lambda settings: settings.frontend.posthog is not None, lambda _: key_of.POSTHOG_APIKEY.path),
        origins=_origins("posthog"),
    ),
    Output(
        name="frontend_sentry",
        title="Frontend Sentry",
        content="errors in visitors' browsers; with FlowFuse's frontend also their names and e-mail addresses",
        receiver="the Sentry of your dsn",
        key=key_of.FRONTEND_SENTRY_DSN.path,
        example="https://key@sentry.example.com/1",
        stop=f"leave `{key_of.FRONTEND_SENTRY_DSN.path}` out",
        fix=_FIX,
        document="frontend",
        status=_by_key(
            lambda settings: settings.frontend.sentry is not None, lambda _: key_of.FRONTEND_SENTRY_DSN.path
        ),
        origins=_origins("sentry"),
    ),
    Output(
        name="frontend_plausible",
        title="Frontend Plausible",
        content="page views, without cookies",
        receiver="Plausible, for your domain",
        key=key_of.PLAUSIBLE_DOMAIN.path,
        example="forge.example.com",
        stop=f"leave `{key_of.PLAUSIBLE_DOMAIN.path}` out",
        fix=_FIX,
        document="frontend",
        status=_by_key(lambda settings: settings.frontend.plausible is not None, _plausible_key),
        origins=_origins("plausible"),
    ),
)
