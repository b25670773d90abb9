"""What each key of the file becomes."""

from pathlib import Path

import pytest

from ff_observe.config import load_settings
from ff_observe.config.environment import Environment
from ff_observe.config.secret import Secret
from ff_observe.config.settings import (
    BackendSentrySettings,
    FrontendSentrySettings,
    FrontendSettings,
    OtlpSettings,
    PingSettings,
    PlatformSettings,
    PlausibleSettings,
    PostgreSQLDatabase,
    PostHogSettings,
    PrometheusSettings,
    Settings,
    SQLiteDatabase,
)
from ff_observe.errors import ConfigurationError
from ff_observe.transparency.notes import VerifierKey
from tests.real_parts.certificates import make_certificate
from tests.unit.config.files import load

FOLDER = Path(__file__).resolve().parents[2] / "data" / "config"


def test_a_file_that_says_nothing_has_the_documented_defaults(tmp_path: Path) -> None:
    settings = load(tmp_path, "port: 3000\n")
    assert settings == Settings(
        home=tmp_path,
        file=tmp_path / "etc" / "flowforge.yml",
        database=SQLiteDatabase(tmp_path / "var" / "forge.db"),
        platform=PlatformSettings(
            driver="localfs", broker=False, file_store=False, email=False, billing=False, housekeeper=True
        ),
        ping=PingSettings(
            enabled=True,
            url=Secret("https://ping.flowforge.com/ping"),
            ledger=tmp_path / "var" / "ff-observe" / "pings.jsonl",
            state_directory=tmp_path / "var" / "ff-observe",
            sender="elected",
        ),
        prometheus=PrometheusSettings(enabled=False, host="127.0.0.1", port=10464, path="/metrics"),
        backend_sentry=BackendSentrySettings(dsn=None),
        otlp=OtlpSettings(enabled=None, traces=False, logs=False),
        frontend=FrontendSettings(consent_required=False),
        environment=Environment(otlp_variables={}),
    )


def test_every_key_reaches_its_setting(tmp_path: Path) -> None:
    file = FOLDER / "good-everything.yml"
    settings = load_settings(home=tmp_path, config=file, variables={})
    assert settings == Settings(
        home=tmp_path,
        file=file,
        database=PostgreSQLDatabase(
            "db.example.com", 5433, "forge", Secret("0123"), "fleet", ssl=True, accept_any_certificate=True
        ),
        platform=PlatformSettings(
            driver="kubernetes",
            node_path="/usr/bin/node",
            broker=True,
            file_store=True,
            email=True,
            billing=True,
            housekeeper=False,
            license=Secret("a.licence.token"),
            base_url="https://forge.example.com",
            flowfuse_version="2.33.2",
            nodejs_version="20.10.0",
        ),
        ping=PingSettings(
            enabled=False,
            url=Secret("https://user:secret@ping.example.com/ping?x=1"),
            ledger=tmp_path / "var" / "sent" / "pings.jsonl",
            ledger_required=True,
            receipts=VerifierKey.parse(
                "collector.example.com/receipts+dd011b87+BIMgpRl32MOMqKSSfGcN9YIeRJdhlF4V6e+yahUJ0jDq"
            ),
            state_directory=tmp_path / "var" / "sent",
            sender="never",
        ),
        prometheus=PrometheusSettings(
            enabled=True,
            bridge_enabled=True,
            flowfuse_enabled=True,
            probe_url="http://forge:3000/flowfuse",
            host="0.0.0.0",
            port=9999,
            path="/fleet/metrics",
            allow_public=True,
        ),
        backend_sentry=BackendSentrySettings(Secret("https://key@sentry.example.com/7")),
        otlp=OtlpSettings(
            enabled=True,
            endpoint=Secret("https://otlp.example.com:4318"),
            protocol="http/protobuf",
            headers=(("Authorization", Secret("Bearer token")), ("X-Scope-OrgID", Secret("7"))),
            compression="gzip",
            interval_seconds=30.0,
            timeout_seconds=2.5,
            traces=True,
            logs=True,
        ),
        frontend=FrontendSettings(
            posthog=PostHogSettings(
                "phc_key", "https://posthog.example.com", capture_pageview=False, cookieless_mode="on_reject"
            ),
            sentry=FrontendSentrySettings("https://public@sentry.example.com/8", production_mode=True),
            plausible=PlausibleSettings("forge.example.com"),
            consent_required=True,
        ),
        notes=settings.notes,
        environment=Environment(otlp_variables={}),
    )


def test_the_helm_charts_file_is_rendered_from_the_environment(tmp_path: Path) -> None:
    secrets = {"PGUSER": "forge", "PGPASSWORD": "0123", "PGPORT": "5433", "TELEMETRY": "false"}
    file = FOLDER / "good-helm-chart.yml"
    variables = secrets | {"SENTRY_KEY": "key", "SENTRY_PROJECT": "7"}
    settings = load_settings(home=tmp_path, config=file, variables=variables)
    assert settings.database == PostgreSQLDatabase(
        "flowforge-postgresql", 5433, "forge", Secret("0123"), "flowforge", ssl=False
    )
    assert settings.ping.enabled is False
    assert settings.backend_sentry.dsn == Secret("https://key@sentry.example.com/7")


def test_a_rendered_value_is_not_shown_where_it_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, "telemetry:\n  enabled: <%= ENV['X'] %>\n", X="hush")
    assert "hush" not in str(caught.value)
    assert "a string (not shown)" in str(caught.value)


@pytest.mark.parametrize("empty", ["''", "", "null", "~"])
def test_empty_values_count_as_not_set(tmp_path: Path, empty: str) -> None:
    settings = load(
        tmp_path,
        f"""
license: {empty}
telemetry:
  url: {empty}
  backend:
    sentry: {{dsn: {empty}}}
    otlp:
      endpoint: {empty}
  frontend:
    posthog: {{apikey: {empty}, apiurl: http://example.com}}
    sentry: {{dsn: {empty}}}
    plausible: {{domain: {empty}}}
""",
    )
    assert settings.ping.url == Secret("https://ping.flowforge.com/ping")
    assert settings.backend_sentry.dsn is None
    assert settings.otlp == OtlpSettings()
    assert settings.frontend == FrontendSettings()
    assert settings.platform.license is None


@pytest.mark.parametrize("section", ["telemetry:", "telemetry:\n  frontend:\n  backend:", "telemetry: {}"])
def test_sections_without_content_are_as_absent(tmp_path: Path, section: str) -> None:
    settings = load(tmp_path, f"port: 1\n{section}\n")
    state = tmp_path / "var" / "ff-observe"
    assert settings.ping == PingSettings(ledger=state / "pings.jsonl", state_directory=state)
    assert settings.warnings == ()


@pytest.mark.parametrize(("written", "enabled"), [("False", False), ("FALSE", False), ("True", True), ("null", True)])
def test_enabled_is_a_boolean_of_the_core_schema(tmp_path: Path, written: str, enabled: bool) -> None:
    assert load(tmp_path, f"telemetry:\n  enabled: {written}\n").ping.enabled is enabled


def test_posthog_is_asked_at_its_default_address_and_captures_pages(tmp_path: Path) -> None:
    settings = load(tmp_path, "telemetry: {frontend: {posthog: {apikey: k, apiurl: ''}}}")
    assert settings.frontend.posthog == PostHogSettings("k", "https://app.posthog.com", capture_pageview=True)


def test_plausible_is_also_read_from_its_old_place_with_a_note(tmp_path: Path) -> None:
    settings = load(tmp_path, "telemetry:\n  plausible:\n    domain: a.example.com\n")
    assert settings.frontend.plausible == PlausibleSettings("a.example.com")
    (note,) = settings.notes
    assert (note.line, note.key) == (3, "telemetry.plausible.domain")
    assert "the old place of telemetry.frontend.plausible.domain" in note.message
    assert "use PostHog instead: telemetry.frontend.posthog" in note.message
    assert settings.warnings == ()


def test_the_new_place_of_plausible_wins_over_the_old_one(tmp_path: Path) -> None:
    both = "telemetry: {plausible: {domain: old.example.com}, frontend: {plausible: {domain: new.example.com}}}"
    settings = load(tmp_path, both)
    assert settings.frontend.plausible == PlausibleSettings("new.example.com")
    assert [note.key for note in settings.notes] == [
        "telemetry.frontend.plausible.domain",
        "telemetry.plausible.domain",
    ]
    assert all("use PostHog instead: telemetry.frontend.posthog" in note.message for note in settings.notes)


@pytest.mark.parametrize(
    ("secret", "public", "key"),
    [
        (
            "sentry: {dsn: 'https://key:planted@sentry.test/1'}",
            "sentry: {dsn: 'https://key@sentry.test/1'}",
            "sentry.dsn",
        ),
        ("posthog: {apikey: phx_planted}", "posthog: {apikey: phc_key}", "posthog.apikey"),
        (
            "posthog: {apikey: phc_key, apiurl: 'https://user:planted@posthog.test'}",
            "posthog: {apikey: phc_key, apiurl: 'https://posthog.test/@'}",
            "posthog.apiurl",
        ),
    ],
)
def test_a_secret_that_every_visitor_could_read_is_noted_and_not_shown(
    tmp_path: Path, secret: str, public: str, key: str
) -> None:
    (note,) = load(tmp_path, f"telemetry: {{frontend: {{{secret}}}}}").notes
    assert note.key == f"telemetry.frontend.{key}"
    assert "planted" not in str(note)
    assert load(tmp_path, f"telemetry: {{frontend: {{{public}}}}}").notes == ()


@pytest.mark.parametrize("key", ["broker", "fileStore", "billing"])
@pytest.mark.parametrize(
    ("written", "true"),
    [("{}", True), ("[]", True), ('"no"', True), ("no", True), ("{enabled: false}", True), ("1", True),
     ("false", False), ("0", False), ("''", False), ("", False), (".nan", False)],
)  # fmt: skip
def test_features_of_the_platform_follow_javascripts_truth(tmp_path: Path, key: str, written: str, true: bool) -> None:
    platform = load(tmp_path, f"{key}: {written}\n").platform
    assert {"broker": platform.broker, "fileStore": platform.file_store, "billing": platform.billing}[key] is true


@pytest.mark.parametrize(
    ("email", "on"),
    [("{enabled: true}", True), ('{enabled: "false"}', True), ("{enabled: no}", True), ("{enabled: false}", False),
     ("{smtp: {}}", False), ("true", False), ("", False)],
)  # fmt: skip
def test_email_is_on_by_its_enabled_key(tmp_path: Path, email: str, on: bool) -> None:
    assert load(tmp_path, f"email: {email}\n").platform.email is on


@pytest.mark.parametrize(("written", "on"), [("false", False), ("no", True), ("0", True), ("", True), ("{}", True)])
def test_only_false_itself_stops_the_housekeeper(tmp_path: Path, written: str, on: bool) -> None:
    assert load(tmp_path, f"housekeeper: {written}\n").platform.housekeeper is on


@pytest.mark.parametrize("driver", ["false", "", "0", "''"])
def test_a_driver_that_is_not_true_is_localfs(tmp_path: Path, driver: str) -> None:
    assert load(tmp_path, f"driver: {driver}\n").platform.driver == "localfs"


def test_sqlite_storage_is_relative_to_var_unless_absolute(tmp_path: Path) -> None:
    assert load(tmp_path, "db: {storage: x/y.db}").database == SQLiteDatabase(tmp_path / "var" / "x" / "y.db")
    assert load(tmp_path, "db: {storage: /data/y.db}").database == SQLiteDatabase(Path("/data/y.db"))
    assert load(tmp_path, "db: {type: '', storage: ''}").database == SQLiteDatabase(tmp_path / "var" / "forge.db")


def test_postgresql_has_flowfuses_defaults(tmp_path: Path) -> None:
    assert load(tmp_path, "db: {type: postgres, port: '', ssl: 0}").database == PostgreSQLDatabase(
        host="postgres", port=5432, user=None, password=None, database="flowforge", ssl=False
    )


@pytest.mark.parametrize("password", ["0123", "1e3", "true", "0x1F", "12345678901234567890"])
def test_a_password_that_yaml_takes_for_something_else_is_taken_as_written(tmp_path: Path, password: str) -> None:
    database = load(tmp_path, f"db: {{type: postgres, password: {password}}}").database
    assert isinstance(database, PostgreSQLDatabase)
    assert database.password == Secret(password)


def test_a_licence_keeps_its_white_space_as_flowfuse_does(tmp_path: Path) -> None:
    # A trailing line feed makes FlowFuse refuse to start: whoever verifies the licence has to see it.
    assert load(tmp_path, "license: |\n  a.b.c\n").platform.license == Secret("a.b.c\n")


def test_settings_never_show_a_secret(tmp_path: Path) -> None:
    shown = repr(load_settings(home=tmp_path, config=FOLDER / "good-everything.yml", variables={}))
    for secret in ("0123", "a.licence.token", "user:secret", "key@sentry", "Bearer token", "otlp.example.com"):
        assert secret not in shown


class TestSecretFiles:
    """Every secret key has a sibling with `_file`."""

    def test_every_secret_may_stand_in_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "etc").mkdir()
        contents = {
            "password": "pass word \n",
            "licence": "a.b.c\r\n\n",
            "dsn": "https://key@example.com/1\n",
            "url": "https://user:pw@example.com/ping",
            "endpoint": "https://otlp.example.com\n",
            "headers": "# by the operator\nAuthorization: Bearer x:y\n\nX-Empty:\n",
        }
        for name, content in contents.items():
            (tmp_path / "etc" / name).write_bytes(content.encode())
        settings = load(
            tmp_path,
            """
db: {type: postgres, password_file: password}
license_file: licence
telemetry:
  url_file: url
  backend:
    sentry: {dsn_file: dsn}
    otlp: {endpoint_file: endpoint, headers_file: headers}
""",
        )
        assert settings.database == PostgreSQLDatabase(password=Secret("pass word "))
        assert settings.platform.license == Secret("a.b.c")
        assert settings.backend_sentry.dsn == Secret("https://key@example.com/1")
        assert settings.ping.url == Secret("https://user:pw@example.com/ping")
        assert settings.otlp.endpoint == Secret("https://otlp.example.com")
        assert settings.otlp.headers == (("Authorization", Secret("Bearer x:y")), ("X-Empty", Secret("")))
        assert settings.warnings == ()

    def test_an_absolute_path_and_an_empty_key_beside_it_are_fine(self, tmp_path: Path) -> None:
        (tmp_path / "licence").write_text("a.b.c")
        settings = load(tmp_path, f"license: ''\nlicense_file: {tmp_path / 'licence'}\n")
        assert settings.platform.license == Secret("a.b.c")

    @pytest.mark.parametrize(
        ("content", "says"),
        [(b"\n", "is empty"), (b"\xff\xfe", "UTF-8"), (b"x" * 70_000, "65536"), (b"planted", "with KEY@ before HOST")],
    )
    def test_a_file_without_a_usable_secret_is_an_error_that_does_not_show_it(
        self, tmp_path: Path, content: bytes, says: str
    ) -> None:
        (tmp_path / "etc").mkdir()
        (tmp_path / "etc" / "planted-name").write_bytes(content)
        with pytest.raises(ConfigurationError) as caught:
            load(tmp_path, "telemetry:\n  backend:\n    sentry:\n      dsn_file: planted-name\n")
        (problem,) = caught.value.problems
        assert (problem.line, problem.column, problem.key) == (4, 17, "telemetry.backend.sentry.dsn_file")
        assert says in problem.message
        assert "planted" not in problem.message

    def test_a_directory_is_no_secret(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="this is a directory"):
            load(tmp_path, "license_file: .\n")

    def test_a_file_of_headers_holds_one_name_and_value_per_line(self, tmp_path: Path) -> None:
        (tmp_path / "etc").mkdir()
        (tmp_path / "etc" / "headers").write_text("authorization=planted\n")
        with pytest.raises(ConfigurationError, match="'Name: value' per line") as caught:
            load(tmp_path, "telemetry: {backend: {otlp: {headers_file: headers}}}")
        assert "planted" not in str(caught.value)


def test_the_certificate_of_otlp_is_relative_to_etc(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    certificate, _ = make_certificate(tmp_path / "etc")
    settings = load(tmp_path, f"telemetry: {{backend: {{otlp: {{certificate: {certificate.name}}}}}}}")
    assert settings.otlp.certificate == certificate


def test_a_certificate_of_otlp_that_is_none_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    with pytest.raises(ConfigurationError, match=r"ca\.pem holds no certificate in PEM") as caught:
        load(tmp_path, "telemetry: {backend: {otlp: {certificate: ca.pem}}}")
    [problem] = caught.value.problems
    assert (problem.line, problem.key) == (1, "telemetry.backend.otlp.certificate")


def test_the_files_that_secure_the_metrics_are_relative_to_etc_and_have_to_be_there(tmp_path: Path) -> None:
    text = "telemetry: {backend: {prometheus: {web_config_file: web.yml, bearer_token_file: token}}}"
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, text)
    assert [problem.key.rpartition(".")[2] for problem in caught.value.problems] == [
        "web_config_file",
        "bearer_token_file",
    ]
    for name in ("web.yml", "token"):
        (tmp_path / "etc" / name).write_text("")
    settings = load(tmp_path, text).prometheus
    assert settings.web_config_file == tmp_path / "etc" / "web.yml"
    assert settings.bearer_token_file == tmp_path / "etc" / "token"
