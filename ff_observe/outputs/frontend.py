"""The services that FlowFuse's pages load in a visitor's browser. `ff_observe.frontend` renders their snippets."""

from typing import Final

from ff_observe.config import declaration as key_of
from ff_observe.config.settings import FrontendSettings, Settings
from ff_observe.outputs.model import Output, Status
from ff_observe.platform.snapshot import Snapshot

_PLAUSIBLE: Final = (key_of.PLAUSIBLE_DOMAIN.path, key_of.OLD_PLAUSIBLE_DOMAIN.path)


def _service(
    name: str,
    key: str,
    *,
    title: str,
    content: str,
    receiver: str,
    example: str,
) -> Output:
    """The output of one service: a field of `FrontendSettings`, which is None unless the service is configured."""

    def status(settings: Settings, _snapshot: Snapshot | None) -> Status:
        # Both keys of Plausible are noted as deprecated; the new one, which wins, comes first.
        used = next((note.key for note in settings.notes if note.key in _PLAUSIBLE), key) if key in _PLAUSIBLE else key
        if getattr(settings.frontend, name) is None:
            return Status(False, f"{used} is not set")
        consent = "; held until the visitor consents" if settings.frontend.consent_required else ""
        return Status(True, f"{used} is set{consent}")

    def origins(settings: Settings) -> tuple[str, ...]:
        """From the sources that the service's snippet needs in a Content Security Policy."""
        from ff_observe.frontend.services import csp_sources

        sources = csp_sources(FrontendSettings(**{name: getattr(settings.frontend, name)})).values()
        return tuple(dict.fromkeys(each for listed in sources for each in listed if "://" in each))

    return Output(
        name=f"frontend_{name}",
        title=title,
        content=content,
        receiver=receiver,
        key=key,
        example=example,
        stop=f"leave `{key}` out",
        fix="`ff-observe frontend csp` prints the policy the page needs; the browser's console names what it blocks.",
        document="frontend",
        status=status,
        origins=origins,
    )


OUTPUTS: Final = (
    _service(
        "posthog",
        key_of.POSTHOG_APIKEY.path,
        title="Frontend PostHog",
        content="what visitors of FlowFuse's pages do; with FlowFuse's frontend also their names and e-mail addresses",
        receiver="the PostHog of your apiurl",
        example="phc_key",
    ),
    _service(
        "sentry",
        key_of.FRONTEND_SENTRY_DSN.path,
        title="Frontend Sentry",
        content="errors in visitors' browsers; with FlowFuse's frontend also their names and e-mail addresses",
        receiver="the Sentry of your dsn",
        example="https://key@sentry.example.com/1",
    ),
    _service(
        "plausible",
        _PLAUSIBLE[0],
        title="Frontend Plausible",
        content="page views, without cookies",
        receiver="Plausible, for your domain",
        example="forge.example.com",
    ),
)
