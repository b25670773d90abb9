"""Which outputs the settings switch on, and which key or variable decided: for `check` and the landing page."""

from dataclasses import dataclass
from typing import Final

from ff_observe.config import declaration as key_of
from ff_observe.config.settings import Settings

_PROPER_NAMES: Final = {name.lower(): name for name in ("Prometheus", "Sentry", "OTLP", "PostHog", "Plausible")}
_PLAUSIBLE: Final = (key_of.PLAUSIBLE_DOMAIN.path, key_of.OLD_PLAUSIBLE_DOMAIN.path)
_LICENCE_BEATS: Final = "(without effect while a licence is loaded)"


@dataclass(frozen=True, slots=True)
class OutputStatus:
    """One output. `name` is for programs, `reason` is one line for people; it holds no secret."""

    name: str
    on: bool
    reason: str

    @property
    def title(self) -> str:
        """The name as people write it."""
        words = (_PROPER_NAMES.get(word, word) for word in self.name.split())
        title = " ".join(words)
        return title[0].upper() + title[1:]


def explain_outputs(settings: Settings) -> tuple[OutputStatus, ...]:
    """Every output, in a fixed order.

    For the ping this is what file and environment say; the platform's database decides the rest (`ping why`).
    """
    return (
        _ping(settings),
        _prometheus(settings),
        _backend_sentry(settings),
        otlp_status(settings),
        *_frontend(settings),
    )


def _ping(settings: Settings) -> OutputStatus:
    name = "ping"
    if settings.environment.ff_telemetry_disabled:
        return OutputStatus(name, False, "FF_TELEMETRY_DISABLED is set in the environment")
    if not settings.platform.housekeeper:
        return OutputStatus(name, False, "housekeeper is false, which stops FlowFuse's ping too")
    if settings.ping.enabled is False:
        return OutputStatus(name, False, f"telemetry.enabled is false {_LICENCE_BEATS}")
    if settings.environment.do_not_track:
        return OutputStatus(name, False, f"DO_NOT_TRACK is set in the environment {_LICENCE_BEATS}")
    if settings.ping.enabled is None:
        return OutputStatus(name, True, "telemetry.enabled is not set, and true by default")
    return OutputStatus(name, True, "telemetry.enabled is true")


def _prometheus(settings: Settings) -> OutputStatus:
    prometheus = settings.prometheus
    key = key_of.PROMETHEUS_ENABLED if prometheus.bridge_enabled is None else key_of.PROMETHEUS_BRIDGE_ENABLED
    on = prometheus.enabled
    return OutputStatus("prometheus", on, f"{key.path} is {'true' if on else 'not true'}")


def _backend_sentry(settings: Settings) -> OutputStatus:
    on = settings.backend_sentry.dsn is not None
    return OutputStatus("backend sentry", on, f"telemetry.backend.sentry.dsn is {'set' if on else 'not set'}")


def otlp_status(settings: Settings) -> OutputStatus:
    """Whether OTLP is on. The file wins over the standard variables, but for `OTEL_SDK_DISABLED`."""
    name, otlp = "otlp", settings.otlp
    if settings.environment.otel_sdk_disabled:
        return OutputStatus(name, False, "OTEL_SDK_DISABLED is true in the environment")
    if otlp.enabled is not None:
        return OutputStatus(name, otlp.enabled, f"telemetry.backend.otlp.enabled is {str(otlp.enabled).lower()}")
    if otlp.endpoint is not None:
        return OutputStatus(name, True, "telemetry.backend.otlp.endpoint is set")
    if settings.environment.otlp_endpoint_named:
        if not (settings.environment.otlp_signals or otlp.traces or otlp.logs):
            return OutputStatus(name, False, "OTEL_METRICS_EXPORTER names another exporter, and no other signal is on")
        return OutputStatus(name, True, "OTEL_EXPORTER_OTLP_ENDPOINT, or one of a signal, is set in the environment")
    return OutputStatus(name, False, "no endpoint is named, in the file or by OTEL_EXPORTER_OTLP_ENDPOINT")


def _frontend(settings: Settings) -> tuple[OutputStatus, ...]:
    frontend = settings.frontend
    consent = "; held until the visitor consents" if frontend.consent_required else ""
    # Both places are noted as deprecated, the new one first, which wins.
    plausible = next((note.key for note in settings.notes if note.key in _PLAUSIBLE), _PLAUSIBLE[0])
    return tuple(
        OutputStatus(name, on, f"{key} is set{consent}" if on else f"{key} is not set")
        for name, on, key in (
            ("frontend posthog", frontend.posthog is not None, "telemetry.frontend.posthog.apikey"),
            ("frontend sentry", frontend.sentry is not None, "telemetry.frontend.sentry.dsn"),
            ("frontend plausible", frontend.plausible is not None, plausible),
        )
    )
