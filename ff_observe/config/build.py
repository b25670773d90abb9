"""Builds `Settings` from the tree: the fields that are more than the value of one key, and rules across several
keys."""

from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from ff_observe.config import declaration as key
from ff_observe.config import settings
from ff_observe.config.environment import Environment
from ff_observe.config.flowfuse_file import read_flowfuse_file
from ff_observe.config.kind import describe
from ff_observe.config.kinds import OFF, is_http_url
from ff_observe.config.known_keys import check_keys
from ff_observe.config.layers import Layers
from ff_observe.config.nodes import Map, Scalar, find, is_true
from ff_observe.config.pem import problem_with_authority
from ff_observe.config.public import open_to_all
from ff_observe.config.reader import Reader


def build_settings(tree: Map, home: Path, file: Path, environment: Environment, layers: Layers) -> settings.Settings:
    """Settings from a parsed file and the layers over it. Raises `ConfigurationError` with every problem, in the order
    of the file."""
    reader = Reader(file, tree, key.FLOWFORGE, home / "etc")
    unknown = (*check_keys(reader), *layers.unknown)
    reader.problems += layers.problems
    reader.tree = layers.over(tree)
    built = read_settings(reader, home, file, environment)
    if reader.problems:  # so that the author of the file sees every problem at once
        reader.problems += unknown
    reader.finish()
    return replace(built, flowfuse_file=read_flowfuse_file(tree), warnings=unknown, effective=reader.effective())


def read_settings(reader: Reader, home: Path, file: Path, environment: Environment) -> settings.Settings:
    """The values of the reader's file. The reader collects problems, and which keys were read."""
    return reader.fill(
        settings.Settings,
        home=home,
        file=file,
        database=_database(reader, home, environment),
        platform=reader.fill(settings.PlatformSettings, driver=_driver(reader)),
        ping=reader.fill(
            settings.PingSettings,
            ledger=(ledger := _ledger(reader, home, environment)),
            state_directory=_state_directory(home, environment) if ledger is None else ledger.parent,
            ledger_named_in=reader.named_in(key.LEDGER.path),
        ),
        prometheus=_prometheus(reader),
        backend_sentry=reader.fill(settings.BackendSentrySettings),
        otlp=reader.fill(settings.OtlpSettings),
        frontend=_frontend(reader),
        environment=environment,
        notes=tuple(reader.notes),
    )


def _database(reader: Reader, home: Path, environment: Environment) -> settings.Database:
    """Source of the defaults: forge/db/index.js."""
    section = reader.node("db")
    if is_true(section) and not isinstance(section, Map):
        reader.problem("db", f"found {describe(section, secret=True)}; write a map: type, storage, …")
    if reader.value(key.DATABASE_TYPE) == "postgres":
        return _postgresql(reader, environment)
    storage = reader.value(key.DATABASE_STORAGE)
    if storage == ":memory:":
        reader.problem(key.DATABASE_STORAGE.path, "a database in memory cannot be read from outside FlowFuse")
    return settings.SQLiteDatabase(home / "var" / storage)


def _postgresql(reader: Reader, environment: Environment) -> settings.PostgreSQLDatabase:
    database = reader.fill(settings.PostgreSQLDatabase)
    if database.accept_any_certificate and database.ca_file is not None:
        message = "with this, ca_file beside it means nothing: keep one of them"
        reader.problem(key.DATABASE_ACCEPT_ANY_CERTIFICATE.path, message)
        return database
    if database.ca_file is None:
        database = _with_variables(database, environment)
    _note_what_surprises(database, reader)
    return database


def _with_variables(database: settings.PostgreSQLDatabase, environment: Environment) -> settings.PostgreSQLDatabase:
    root = environment.pg_ssl_root_cert
    if root is not None and root != "system":  # libpq's word for the system's authorities
        return replace(database, ca_file=Path(root), ca_file_from="PGSSLROOTCERT")
    extra = environment.node_extra_ca_certs
    return database if extra is None else replace(database, extra_ca_file=Path(extra))


def _note_what_surprises(database: settings.PostgreSQLDatabase, reader: Reader) -> None:
    any_certificate, ssl = key.DATABASE_ACCEPT_ANY_CERTIFICATE.path, key.DATABASE_SSL.path
    if not database.ssl:
        for path in (any_certificate, key.DATABASE_CA_FILE.path):
            if is_true(reader.node(path)):
                reader.note(path, f"without effect: {ssl} is not true, so no certificate is asked for")
        return
    written = reader.node(ssl)
    if not (isinstance(written, Scalar) and written.value is True):
        reader.note(ssl, "FlowFuse takes any such value for true: TLS with a verified certificate")
    if database.accept_any_certificate:
        message = "PostgreSQL's certificate is NOT verified: an attacker in its place can read along; name its"
        reader.note(any_certificate, f"{message} authority in {key.DATABASE_CA_FILE.path} instead")
    elif database.extra_ca_file is not None and (problem := problem_with_authority(database.extra_ca_file)):
        reader.note(ssl, f"NODE_EXTRA_CA_CERTS is ignored, as by Node.js: {problem}")


def _ledger(reader: Reader, home: Path, environment: Environment) -> Path | None:
    """None if it is off. If a service manager provides a directory for the bridge's state, it is used."""
    named = reader.value(key.LEDGER)
    if named == OFF:
        if reader.value(key.LEDGER_REQUIRED):
            reader.problem(key.LEDGER_REQUIRED.path, f"write false, or name a ledger: {key.LEDGER.path} is off")
        if reader.value(key.PING_RECEIPTS) is not None:
            reader.problem(key.PING_RECEIPTS.path, f"remove it, or name a ledger: {key.LEDGER.path} is off")
        return None
    return home / "var" / named if named else _state_directory(home, environment) / "pings.jsonl"


def _state_directory(home: Path, environment: Environment) -> Path:
    state = environment.state_directory
    return Path(state) if state else home / "var" / "ff-observe"


def _driver(reader: Reader) -> str:
    """`driver.type`. A driver without a type is an error: FlowFuse does not start with it."""
    driver = reader.node("driver")
    written = find(reader.tree, key.DRIVER_TYPE.path)
    is_unset = isinstance(written, Scalar) and written.unset is not None
    if is_true(driver) and not is_true(written) and not is_unset:
        message = "a driver needs a type: localfs, docker, kubernetes or stub"
        reader.problem(key.DRIVER_TYPE.path, message, driver.place)
    return str(reader.value(key.DRIVER_TYPE))


def _prometheus(reader: Reader) -> settings.PrometheusSettings:
    flowfuse_enabled, bridge_enabled = reader.value(key.PROMETHEUS_ENABLED), reader.value(key.PROMETHEUS_BRIDGE_ENABLED)
    prometheus = reader.fill(
        settings.PrometheusSettings,
        enabled=flowfuse_enabled if bridge_enabled is None else bridge_enabled,
        probe_url=_probe_url(reader),
    )
    refuse_if_open(reader, prometheus, key.PROMETHEUS_HOST.path.removesuffix("host"))
    return prometheus


def refuse_if_open(reader: Reader, web: settings.PrometheusSettings, section: str = "") -> None:
    """A problem where all are served. Where the file that should prevent it is wrong, that says enough."""
    host, *files = (f"{section}{name}" for name in ("host", "web_config_file", "bearer_token_file"))
    if web.is_open_to_all and not any(problem.key in files for problem in reader.problems):
        reader.problem(host, open_to_all(web.host))


def _probe_url(reader: Reader) -> str | None:
    """None if it is off. `base_url` belongs to FlowFuse, which accepts any string: one that is no URL is not probed."""
    named, base_url = reader.value(key.PROMETHEUS_PROBE_URL), reader.value(key.BASE_URL)
    if named is not None:
        return None if named == OFF else named
    return base_url if base_url is not None and is_http_url(base_url) else None


def _frontend(reader: Reader) -> settings.FrontendSettings:
    posthog, sentry = reader.fill(settings.PostHogSettings), reader.fill(settings.FrontendSentrySettings)
    if posthog.apikey and posthog.apikey.startswith("phx_"):
        message = "this is a personal key, and every visitor can read it: take the project's, which begins with phc_"
        reader.note(key.POSTHOG_APIKEY.path, message)
    if posthog.apikey and "@" in urlsplit(posthog.apiurl).netloc:
        message = "every visitor can read its user and password, and browsers load nothing from it: leave them out"
        reader.note(key.POSTHOG_APIURL.path, message)
    if sentry.dsn and urlsplit(sentry.dsn).password:
        message = "this DSN holds a secret after its key, and every visitor can read it: leave :SECRET out"
        reader.note(key.FRONTEND_SENTRY_DSN.path, message)
    return settings.FrontendSettings(
        posthog=posthog if posthog.apikey else None,
        sentry=sentry if sentry.dsn else None,
        plausible=_plausible(reader),
        consent_required=reader.value(key.CONSENT) == "required",
    )


def _plausible(reader: Reader) -> settings.PlausibleSettings | None:
    """The new key wins over the old one; both are noted as deprecated."""
    domain, old_domain = reader.value(key.PLAUSIBLE_DOMAIN), reader.value(key.OLD_PLAUSIBLE_DOMAIN)
    if domain:
        reader.note(key.PLAUSIBLE_DOMAIN.path, settings.PLAUSIBLE_DEPRECATION)
    if old_domain:
        message = f"this is the old place of {key.PLAUSIBLE_DOMAIN.path}. {settings.PLAUSIBLE_DEPRECATION}"
        reader.note(key.OLD_PLAUSIBLE_DOMAIN.path, message)
    chosen = domain or old_domain
    return settings.PlausibleSettings(chosen) if chosen else None
