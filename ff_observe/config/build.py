"""Tree → `Settings`: which key ends up in which field, and the rules that concern more than one key."""

from pathlib import Path
from urllib.parse import urlsplit

from ff_observe.config import declaration as key
from ff_observe.config.database import read_database
from ff_observe.config.environment import Environment
from ff_observe.config.kinds import OFF, is_http_url
from ff_observe.config.known_keys import check_keys
from ff_observe.config.nodes import Map, Scalar, find, is_true
from ff_observe.config.public import is_loopback, open_to_all
from ff_observe.config.reader import Reader, made, note
from ff_observe.config.settings import (
    PLAUSIBLE_DEPRECATION,
    BackendSentrySettings,
    FrontendSentrySettings,
    FrontendSettings,
    OtlpSettings,
    PingSettings,
    PlatformSettings,
    PlausibleSettings,
    PostHogSettings,
    PrometheusSettings,
    Settings,
)
from ff_observe.errors import ConfigurationError, Problem


def build_settings(tree: Map, home: Path, file: Path, environment: Environment) -> Settings:
    """Settings from a parsed file. Raises `ConfigurationError` with every problem, in the order of the file."""
    reader = Reader(file, tree, home / "etc")
    unknown = check_keys(reader)
    notes: list[Problem] = []
    settings = Settings(
        home=home,
        file=file,
        database=read_database(reader, home, environment, notes),
        platform=_platform(reader),
        ping=made(
            PingSettings,
            enabled=reader.value(key.ENABLED),
            url=reader.secret(key.URL),
            ledger=_ledger(reader, home, environment),
            ledger_is_named=find(reader.tree, key.LEDGER.path) is not None,
        ),
        prometheus=_prometheus(reader),
        backend_sentry=BackendSentrySettings(dsn=reader.secret(key.BACKEND_SENTRY_DSN)),
        otlp=_otlp(reader),
        frontend=_frontend(reader, notes),
        environment=environment,
        warnings=unknown,
        notes=tuple(notes),
    )
    if reader.problems:  # whoever mends the file is to see all there is to mend
        raise ConfigurationError(tuple(sorted((*reader.problems, *unknown))))
    return settings


def _ledger(reader: Reader, home: Path, environment: Environment) -> Path | None:
    """None where it is off. A service manager that gives the bridge a directory for its state means it to be used."""
    named = reader.value(key.LEDGER)
    if named == OFF:
        return None
    state = environment.state_directory
    default = (Path(state) if state else home / "var" / "ff-observe") / "pings.jsonl"
    return home / "var" / named if named else default


def _platform(reader: Reader) -> PlatformSettings:
    return made(
        PlatformSettings,
        driver=_driver(reader),
        node_path=reader.value(key.NODE_PATH),
        broker=reader.value(key.BROKER),
        file_store=reader.value(key.FILE_STORE),
        email=reader.value(key.EMAIL),
        billing=reader.value(key.BILLING),
        housekeeper=reader.value(key.HOUSEKEEPER),
        license=reader.secret(key.LICENSE),
        base_url=reader.value(key.BASE_URL),
        flowfuse_version=reader.value(key.PLATFORM_VERSION),
        nodejs_version=reader.value(key.PLATFORM_NODEJS_VERSION),
    )


def _driver(reader: Reader) -> str | None:
    """`driver.type`, None without a driver. A driver without type is wrong: FlowFuse does not start with it."""
    driver = reader.node("driver")
    if driver is None or not is_true(driver):
        return None
    written = find(reader.tree, key.DRIVER_TYPE.path)
    if not is_true(written) and not (isinstance(written, Scalar) and written.unset is not None):
        reader.problem(driver.place, key.DRIVER_TYPE.path, "a driver needs a type: localfs, docker, kubernetes or stub")
        return None
    return reader.value(key.DRIVER_TYPE)


def _prometheus(reader: Reader) -> PrometheusSettings:
    flowfuse_enabled, bridge_enabled = reader.value(key.PROMETHEUS_ENABLED), reader.value(key.PROMETHEUS_BRIDGE_ENABLED)
    prometheus = made(
        PrometheusSettings,
        enabled=flowfuse_enabled if bridge_enabled is None else bridge_enabled,
        bridge_enabled=bridge_enabled,
        flowfuse_enabled=flowfuse_enabled,
        probe_url=_probe_url(reader),
        host=reader.value(key.PROMETHEUS_HOST),
        port=reader.value(key.PROMETHEUS_PORT),
        path=reader.value(key.PROMETHEUS_PATH),
        allowed_hosts=reader.value(key.PROMETHEUS_ALLOWED_HOSTS),
        web_config_file=reader.file(key.PROMETHEUS_WEB_CONFIG_FILE),
        bearer_token_file=reader.file(key.PROMETHEUS_BEARER_TOKEN_FILE),
        allow_public=reader.value(key.PROMETHEUS_ALLOW_PUBLIC),
    )
    files = (
        find(reader.tree, key.PROMETHEUS_WEB_CONFIG_FILE.path),
        find(reader.tree, key.PROMETHEUS_BEARER_TOKEN_FILE.path),
    )
    secured = any(file is not None and is_true(file) for file in files)
    if not (is_loopback(prometheus.host) or secured or prometheus.allow_public):
        path = key.PROMETHEUS_HOST.path
        reader.problem(reader.place(path), path, open_to_all(prometheus.host))
    return prometheus


def _probe_url(reader: Reader) -> str | None:
    """None where it is off. `base_url` belongs to FlowFuse, which takes any string: one that is no URL is not asked."""
    named, base_url = reader.value(key.PROMETHEUS_PROBE_URL), reader.value(key.BASE_URL)
    if named is not None:
        return None if named == OFF else named
    return base_url if base_url is not None and is_http_url(base_url) else None


def _otlp(reader: Reader) -> OtlpSettings:
    return made(
        OtlpSettings,
        enabled=reader.value(key.OTLP_ENABLED),
        endpoint=reader.secret(key.OTLP_ENDPOINT),
        protocol=reader.value(key.OTLP_PROTOCOL),
        headers=reader.headers(key.OTLP_HEADERS),
        compression=reader.value(key.OTLP_COMPRESSION),
        certificate=reader.authority(key.OTLP_CERTIFICATE),
        interval_seconds=reader.value(key.OTLP_INTERVAL),
        timeout_seconds=reader.value(key.OTLP_TIMEOUT),
        traces=reader.value(key.OTLP_TRACES),
        logs=reader.value(key.OTLP_LOGS),
    )


def _frontend(reader: Reader, notes: list[Problem]) -> FrontendSettings:
    apikey = reader.value(key.POSTHOG_APIKEY)
    apiurl, capture_pageview = reader.value(key.POSTHOG_APIURL), reader.value(key.POSTHOG_CAPTURE_PAGEVIEW)
    dsn, production_mode = reader.value(key.FRONTEND_SENTRY_DSN), reader.value(key.FRONTEND_SENTRY_PRODUCTION_MODE)
    if apikey and apikey.startswith("phx_"):
        message = "this is a personal key, and every visitor can read it: take the project's, which begins with phc_"
        note(reader, notes, key.POSTHOG_APIKEY.path, message)
    if dsn and urlsplit(dsn).password:
        message = "this DSN holds a secret after its key, and every visitor can read it: leave :SECRET out"
        note(reader, notes, key.FRONTEND_SENTRY_DSN.path, message)
    return FrontendSettings(
        posthog=made(
            PostHogSettings,
            apikey=apikey,
            apiurl=apiurl,
            capture_pageview=capture_pageview,
            cookieless_mode=reader.value(key.POSTHOG_COOKIELESS_MODE),
        )
        if apikey
        else None,
        sentry=made(FrontendSentrySettings, dsn=dsn, production_mode=production_mode) if dsn else None,
        plausible=_plausible(reader, notes),
        consent_required=reader.value(key.CONSENT) == "required",
    )


def _plausible(reader: Reader, notes: list[Problem]) -> PlausibleSettings | None:
    """The new place wins over the old one; both are noted as deprecated."""
    domain, old_domain = reader.value(key.PLAUSIBLE_DOMAIN), reader.value(key.OLD_PLAUSIBLE_DOMAIN)
    if domain:
        note(reader, notes, key.PLAUSIBLE_DOMAIN.path, PLAUSIBLE_DEPRECATION)
    if old_domain:
        message = f"this is the old place of {key.PLAUSIBLE_DOMAIN.path}. {PLAUSIBLE_DEPRECATION}"
        note(reader, notes, key.OLD_PLAUSIBLE_DOMAIN.path, message)
    chosen = domain or old_domain
    return PlausibleSettings(chosen) if chosen else None
