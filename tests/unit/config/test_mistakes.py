"""One small file per mistake, named after it: `tests/data/config/bad-*.yml`."""

import json
from pathlib import Path

import pytest

from ff_observe.config import load_settings
from ff_observe.errors import ConfigurationError, Problem

FOLDER = Path(__file__).resolve().parents[2] / "data" / "config"
PLANTED = "planted-secret"
VARIABLES = {
    "PLANTED": PLANTED,
    "PLANTED_LINES": f"{PLANTED}\ntelemetry:\n  enabled: false",
    "PLANTED_COMMENT": f"abc #{PLANTED}",
    "PLANTED_QUOTE": f'{PLANTED}"',
}
WRITE_FALSE = "write false, without quotes"
WRITE_TRUE = "write true, without quotes"
WRITE_BOOLEAN = "write true or false, without quotes"
WRITE_URL = "write a URL that begins with http:// or https://"
WRITE_PROBE = "write FlowFuse's URL without user and password, or false"
WRITE_DSN = "write the DSN that Sentry shows"

# Name of the file -> line, column, dotted key, and what the message must say.
EXPECTED: dict[str, tuple[int, int, str, tuple[str, ...]]] = {
    "bad-enabled-no": (2, 12, "telemetry.enabled", ('found the string "no"', WRITE_FALSE)),
    "bad-enabled-yes": (2, 12, "telemetry.enabled", ('found the string "yes"', WRITE_TRUE)),
    "bad-enabled-off": (2, 12, "telemetry.enabled", ('found the string "off"', WRITE_FALSE)),
    "bad-enabled-quoted-false": (2, 12, "telemetry.enabled", ('found the string "false"', WRITE_FALSE)),
    "bad-enabled-zero": (2, 12, "telemetry.enabled", ("found the number 0", WRITE_FALSE)),
    "bad-enabled-word": (2, 12, "telemetry.enabled", ('found the string "sometimes"', WRITE_BOOLEAN)),
    "bad-enabled-list": (2, 12, "telemetry.enabled", ("found a list", WRITE_BOOLEAN)),
    "bad-telemetry-false": (2, 12, "telemetry", ("write 'enabled: false' below it",)),
    "bad-telemetry-list": (2, 3, "telemetry", ("found a list", "write a map")),
    "bad-telemetry-string": (1, 12, "telemetry", ("found a string", "write a map")),
    "bad-section-list": (3, 5, "telemetry.backend", ("found a list", "write a map")),
    "bad-section-string": (3, 14, "telemetry.frontend.posthog", ("found a string", "write a map")),
    "bad-prometheus-true": (3, 17, "telemetry.backend.prometheus", ("write a map",)),
    "bad-prometheus-false": (3, 17, "telemetry.backend.prometheus", ("write 'enabled: false' below it",)),
    "bad-url-ftp": (2, 8, "telemetry.url", ("not shown", WRITE_URL)),
    "bad-url-without-scheme": (2, 8, "telemetry.url", (WRITE_URL,)),
    "bad-url-without-host": (2, 8, "telemetry.url", (WRITE_URL, "names a host")),
    "bad-url-port": (2, 8, "telemetry.url", (WRITE_URL,)),
    "bad-url-bracket": (2, 8, "telemetry.url", (WRITE_URL,)),
    "bad-url-backslash": (2, 8, "telemetry.url", (WRITE_URL,)),
    "bad-url-space": (2, 8, "telemetry.url", (WRITE_URL,)),
    "bad-url-number": (2, 8, "telemetry.url", ("found a number (not shown)", "quotes")),
    "bad-ledger-false": (2, 11, "telemetry.ledger", ("found the boolean false", 'write the path of a file, or "off"')),
    "bad-ledger-no": (2, 11, "telemetry.ledger", ('found the string "no"', 'write the path of a file, or "off"')),
    "bad-ledger-required-but-off": (3, 20, "telemetry.ledger_required", ("write false, or name a ledger",)),
    "bad-receipts-cut": (3, 15, "telemetry.ping.receipts", ("ff-observe collector key",)),
    "bad-receipts-key-of-a-ledger": (3, 15, "telemetry.ping.receipts", ("ff-observe collector key",)),
    "bad-receipts-without-ledger": (4, 15, "telemetry.ping.receipts", ("remove it, or name a ledger",)),
    "bad-backend-dsn-without-key": (4, 12, "telemetry.backend.sentry.dsn", (WRITE_DSN,)),
    "bad-backend-dsn-without-project": (4, 12, "telemetry.backend.sentry.dsn", (WRITE_DSN,)),
    "bad-backend-dsn-map": (4, 12, "telemetry.backend.sentry.dsn", ("found a map",)),
    "bad-frontend-dsn": (4, 12, "telemetry.frontend.sentry.dsn", (WRITE_DSN,)),
    "bad-production-mode-string": (4, 24, "telemetry.frontend.sentry.production_mode", (WRITE_TRUE,)),
    "bad-capture-pageview-number": (4, 25, "telemetry.frontend.posthog.capture_pageview", (WRITE_TRUE,)),
    "bad-apikey-number": (4, 15, "telemetry.frontend.posthog.apikey", ("found the number 12345", "quotes")),
    "bad-apiurl": (4, 15, "telemetry.frontend.posthog.apiurl", ('found the string "eu.posthog.com"', WRITE_URL)),
    "bad-plausible-domain-list": (4, 15, "telemetry.frontend.plausible.domain", ("found a list", "write a string")),
    "bad-consent": (3, 14, "telemetry.frontend.consent", ('write "required" or "not-required"',)),
    "bad-prometheus-port-string": (4, 13, "telemetry.backend.prometheus.port", ("whole number", "without quotes")),
    "bad-prometheus-port-high": (4, 13, "telemetry.backend.prometheus.port", ("found the number 70000", "65535")),
    "bad-prometheus-host-url": (4, 13, "telemetry.backend.prometheus.host", ("without scheme",)),
    "bad-prometheus-public": (
        4,
        13,
        "telemetry.backend.prometheus.host",
        ("web_config_file", "bearer_token_file", "127.0.0.1 only", "allow_public: true"),
    ),
    "bad-web-config-file-nul": (4, 24, "telemetry.backend.prometheus.web_config_file", ("NUL", "remove")),
    "bad-prometheus-host-with-password": (4, 13, "telemetry.backend.prometheus.host", ("not shown", "without scheme")),
    "bad-prometheus-path-relative": (4, 13, "telemetry.backend.prometheus.path", ('"/metrics"',)),
    "bad-prometheus-path-root": (4, 13, "telemetry.backend.prometheus.path", ("taken",)),
    "bad-prometheus-path-probe": (4, 13, "telemetry.backend.prometheus.path", ("taken",)),
    "bad-probe-url-true": (4, 18, "telemetry.backend.prometheus.probe_url", ("found the boolean true", WRITE_PROBE)),
    "bad-probe-url-list": (4, 18, "telemetry.backend.prometheus.probe_url", ("found a list", WRITE_PROBE)),
    "bad-probe-url-password": (4, 18, "telemetry.backend.prometheus.probe_url", ("not shown", WRITE_PROBE)),
    "bad-probe-url-scheme": (4, 18, "telemetry.backend.prometheus.probe_url", ('"forge:3000"', WRITE_PROBE)),
    "bad-otlp-protocol": (4, 17, "telemetry.backend.otlp.protocol", ('"http/protobuf" or "grpc"',)),
    "bad-otlp-compression": (4, 20, "telemetry.backend.otlp.compression", ('"gzip" or "none"',)),
    "bad-otlp-interval-zero": (4, 17, "telemetry.backend.otlp.interval", ("number of seconds",)),
    "bad-otlp-timeout-unit": (4, 16, "telemetry.backend.otlp.timeout", ('found the string "10s"', "seconds")),
    "bad-otlp-timeout-infinite": (4, 16, "telemetry.backend.otlp.timeout", ("86400",)),
    "bad-otlp-headers-string": (4, 16, "telemetry.backend.otlp.headers", ("write a map",)),
    "bad-otlp-header-number": (5, 18, "telemetry.backend.otlp.headers.x-token", ("quotes",)),
    "bad-otlp-header-line-break": (5, 18, "telemetry.backend.otlp.headers.x-token", ("one line",)),
    "bad-otlp-header-name": (5, 9, "telemetry.backend.otlp.headers", ("name of a header",)),
    "bad-otlp-certificate-missing": (4, 20, "telemetry.backend.otlp.certificate", ("there is no such file",)),
    "bad-platform-version-number": (3, 14, "telemetry.platform.version", ("found the number 2.10", "quotes")),
    "bad-dsn-file-missing": (4, 17, "telemetry.backend.sentry.dsn_file", ("there is no such file",)),
    "bad-dsn-and-dsn-file": (5, 17, "telemetry.backend.sentry.dsn_file", ("keep one of them",)),
    "bad-license-file-list": (1, 15, "license_file", ("path of a file",)),
    "bad-license-map": (2, 3, "license", ("found a map", "write a string")),
    "bad-db-list": (2, 3, "db", ("found a list", "write a map")),
    "bad-db-type": (2, 9, "db.type", ('found the string "mariadb"', "sqlite or postgres")),
    "bad-db-port": (3, 9, "db.port", ('found the string "five"', "65535")),
    "bad-db-memory": (3, 12, "db.storage", ("memory",)),
    "bad-db-storage-nul": (3, 12, "db.storage", ("NUL", "remove")),
    "bad-db-password-map": (3, 13, "db.password", ("found a map", "write a string")),
    "bad-driver-without-type": (2, 3, "driver.type", ("a driver needs a type",)),
    "bad-driver-string": (1, 9, "driver.type", ("a driver needs a type",)),
    "bad-duplicate-key": (4, 3, "telemetry.enabled", ("twice", "first in line 2")),
    "bad-duplicate-section": (4, 1, "telemetry", ("twice", "first in line 1")),
    "bad-tab": (2, 1, "", ("tab", "spaces")),
    "bad-top-level-list": (1, 1, "", ("found a list", "write a map")),
    "bad-top-level-string": (1, 1, "", ("found a string", "write a map")),
    "bad-empty": (0, 0, "", ("empty",)),
    "bad-only-comments": (0, 0, "", ("empty",)),
    "bad-null": (0, 0, "", ("empty",)),
    "bad-two-documents": (2, 1, "", ("second document", "'---'")),
    "bad-yaml-1.1": (1, 1, "", ("YAML 1.1", "remove")),
    "bad-quote-never-closed": (2, 10, "", ("not YAML", "quoted")),
    "bad-bracket-never-closed": (1, 12, "", ("not YAML", "flow")),
    "bad-nested-on-one-line": (1, 19, "", ("not YAML",)),
    "bad-reserved-character": (1, 10, "", ("not YAML", "character")),
    "bad-alias-unknown": (1, 12, "", ("alias", "not set before")),
    "bad-alias-to-itself": (2, 13, "", ("alias", "itself")),
    "bad-alias-bomb": (5, 12, "", ("more than 20000 values", "aliases")),
    "bad-too-deep": (1, 67, "", ("more than 64 levels",)),
    "bad-tag": (1, 10, "", ("tag",)),
    "bad-key-list": (1, 1, "", ("cannot be a key",)),
    "bad-utf8": (2, 14, "", ("0xe9", "UTF-8")),
    "bad-utf16": (0, 0, "", ("UTF-16", "UTF-8")),
    "bad-nul": (2, 12, "", ("binary",)),
    "bad-control-character": (2, 12, "", ("U+0007",)),
    "bad-line-separator": (1, 12, "", ("U+2028",)),
    "bad-carriage-return": (1, 11, "", ("carriage return",)),
    "bad-erb-statement": (2, 1, "", ("<%= ENV['NAME'] %>",)),
    "bad-erb-expression": (1, 10, "", ("<%= ENV['NAME'] %>",)),
    "bad-erb-never-closed": (1, 10, "", ("<%= ENV['NAME'] %>",)),
    "bad-erb-unset": (3, 13, "db.password", ("NOT_SET_ANYWHERE is not set",)),
    "bad-erb-key": (1, 1, "", ("not a key",)),
    "bad-erb-value-adds-a-key": (1, 10, "", ("PLANTED_LINES", "quote")),
    "bad-erb-value-is-cut": (3, 13, "", ("PLANTED_COMMENT", "quote")),
    "bad-erb-value-in-quotes": (1, 11, "", ("PLANTED_QUOTE",)),
}


def problems_of(file: Path, home: Path) -> tuple[Problem, ...]:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(home=home, config=file, variables=VARIABLES)
    assert PLANTED not in str(caught.value)
    assert PLANTED not in repr(caught.value.problems)
    assert caught.value.exit_status == 78
    return caught.value.problems


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_mistake_is_named_with_its_place_its_key_and_what_to_write(name: str, tmp_path: Path) -> None:
    line, column, key, says = EXPECTED[name]
    file = FOLDER / f"{name}.yml"
    first, *others = problems_of(file, tmp_path)
    assert (first.file, first.line, first.column, first.key) == (str(file), line, column, key)
    for words in says:
        assert words in first.message
    assert len(first.message) < 250
    if name != "bad-erb-statement":
        assert others == []


def test_both_statements_of_a_file_with_erb_blocks_are_named(tmp_path: Path) -> None:
    assert [problem.line for problem in problems_of(FOLDER / "bad-erb-statement.yml", tmp_path)] == [2, 4]


def test_every_mistake_of_a_file_is_reported_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    problems = problems_of(FOLDER / "bad-many-mistakes.yml", tmp_path)
    assert [(problem.line, problem.key) for problem in problems] == [
        (3, "db.type"),
        (5, "telemetry.enabled"),
        (6, "telemetry.url"),
        (9, "telemetry.backend.prometheus.enabled"),
        (10, "telemetry.backend.prometheus.port"),
        (12, "telemetry.backend.sentry.dsn"),
        (15, "telemetry.frontend.posthog.capture_pageview"),
        (16, "driver.type"),
    ]


def test_every_file_of_the_folder_is_expected() -> None:
    assert {path.stem for path in FOLDER.glob("bad-*.yml")} == {*EXPECTED, "bad-many-mistakes"}


@pytest.mark.parametrize("path", sorted(FOLDER.glob("good-*.yml")), ids=lambda path: path.stem)
def test_a_good_file_has_neither_problems_nor_unknown_keys(path: Path, tmp_path: Path) -> None:
    variables = {"PGUSER": "forge", "PGPASSWORD": "secret", "PGPORT": "5432", "TELEMETRY": "false"}
    sentry = {"SENTRY_KEY": "key", "SENTRY_PROJECT": "1"}
    assert load_settings(home=tmp_path, config=path, variables=variables | sentry).warnings == ()


def test_problems_read_as_file_line_column_key_message(tmp_path: Path) -> None:
    file = FOLDER / "bad-enabled-no.yml"
    (problem,) = problems_of(file, tmp_path)
    assert str(problem).startswith(f'{file}:2:12: telemetry.enabled: found the string "no"; write false')
    assert json.dumps(str(problem))
