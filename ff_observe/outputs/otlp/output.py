"""OTLP as an output: whether it is on, and its components. OpenTelemetry is imported only where it is."""

import importlib
import os
from collections.abc import Mapping
from types import ModuleType

from ff_observe.config import declaration as key_of
from ff_observe.config.settings import Settings
from ff_observe.errors import FFObserveError
from ff_observe.lifecycle.service import Component
from ff_observe.outputs.model import Components, Context, Destination, Output, Status
from ff_observe.outputs.otlp.reports import NAME
from ff_observe.platform.snapshot import Snapshot


def status(settings: Settings, _snapshot: Snapshot | None = None) -> Status:
    """The file wins over the standard variables, except for `OTEL_SDK_DISABLED`."""
    otlp, environment = settings.otlp, settings.environment
    if environment.otel_sdk_disabled:
        return Status(False, "OTEL_SDK_DISABLED is true in the environment")
    if otlp.enabled is not None:
        return Status(otlp.enabled, f"{key_of.OTLP_ENABLED.path} is {str(otlp.enabled).lower()}")
    if otlp.endpoint is not None:
        return Status(True, f"{key_of.OTLP_ENDPOINT.path} is set")
    if environment.otlp_endpoint_named:
        if not (environment.otlp_signals or otlp.traces or otlp.logs):
            return Status(False, "OTEL_METRICS_EXPORTER names another exporter, and no other signal is on")
        return Status(True, "OTEL_EXPORTER_OTLP_ENDPOINT, or one of a signal, is set in the environment")
    return Status(False, "no endpoint is named, in the file or by OTEL_EXPORTER_OTLP_ENDPOINT")


def import_component() -> ModuleType:
    """Raises `FFObserveError` for a variable that OpenTelemetry reads while it is imported and cannot use."""
    try:
        return importlib.import_module("ff_observe.outputs.otlp.component")
    except ValueError as error:
        raise FFObserveError(f"OTLP: a variable of OpenTelemetry cannot be used: {error}") from None


def check(settings: Settings) -> None:
    """Raises `ConfigurationError` if OTLP is on and the variables that complete its settings cannot be used."""
    if status(settings).on:
        from ff_observe.outputs.otlp.choice import destinations

        destinations(settings.otlp, _variables(settings))


def _variables(settings: Settings) -> Mapping[str, str]:
    """Those of the platform; settings that were not read from a file have those of the process."""
    own = settings.environment.otlp_variables
    return os.environ if own is None else own


def _destinations(settings: Settings) -> tuple[Destination, ...]:
    if not status(settings).on:
        return ()
    from ff_observe.outputs.otlp.choice import GRPC, destinations

    chosen = destinations(settings.otlp, _variables(settings)).values()
    return tuple(dict.fromkeys(Destination(each.endpoint, each.protocol == GRPC) for each in chosen))


def _build(context: Context) -> Components:
    from ff_observe.outputs.otlp.choice import destinations

    settings, snapshots = context.settings, context.snapshots
    chosen = destinations(settings.otlp, _variables(settings))
    component = import_component()
    from ff_observe.outputs.otlp.resource import ServiceResource

    resource = ServiceResource("ff-observe", settings.environment.name, lambda: snapshots.instance_id)
    sinks: list[Component] = []
    if "traces" in chosen or "logs" in chosen:
        has_tracebacks = settings.backend_sentry.dsn is None
        sinks.append(
            component.OtlpSignals(
                *(chosen, resource, context.self_metrics, context.clock, context.redactor),
                with_tracebacks=has_tracebacks,
            )
        )
    producers = [component.OtlpMetrics(chosen["metrics"], resource, context)] if "metrics" in chosen else []
    return Components(sinks, producers)


OUTPUT = Output(
    name=NAME,
    title="OTLP",
    document="otlp",
    content="all that Prometheus gets; traces and logs of the bridge on request",
    receiver="the collector of your endpoint",
    key=key_of.OTLP_ENDPOINT.path,
    example="http://otlp.example.com:4318",
    stop=f"`{key_of.OTLP_ENABLED.path}: false`, or name no endpoint",
    fix="Check `telemetry.backend.otlp`, or the variables `OTEL_EXPORTER_OTLP_…`; this machine must reach it.",
    status=status,
    build=_build,
    destinations=_destinations,
)
