"""A platform with planted secrets, and everything that is ever written or sent for it."""

import itertools
from pathlib import Path
from urllib.parse import quote

import psycopg
import yaml
from psycopg import sql

from ff_observe.platform.sources.schema import SETTING_KEYS
from tests.end_to_end.planted_secrets import ANY, SECRET_KEYS, Home, Vault, files_below
from tests.platforms import case_named
from tests.real_parts import htpasswd
from tests.real_parts.postgresql import Cluster
from tests.real_parts.recorder import Recorder

ROLE = "planted"
DATABASE_NAME = "planted_secrets"


class World:
    """A platform with planted secrets, its receivers, and everything that was ever written or sent."""

    def __init__(self, directory: Path, postgres: Cluster, recorder: Recorder, turn: int) -> None:
        self.directory, self.postgres, self.recorder = directory, postgres, recorder
        self.vault = Vault()
        self.outputs: dict[str, bytes] = {}
        self._count = itertools.count()
        direct = f"localhost:{recorder.port}"
        addresses = dict.fromkeys((key.path for key in SECRET_KEYS), direct)
        addresses["telemetry.url"] = f"127.0.0.1:{recorder.port}"  # through the proxy
        self.home = Home(directory / "home", self.vault, turn, addresses)
        self.home.write(
            {
                "driver.type": "stub",
                "db.type": "postgres",
                "db.host": "127.0.0.1",
                "db.port": postgres.port,
                "db.user": ROLE,
                "db.database": DATABASE_NAME,
                "telemetry.platform.version": "2.4.0",
                "telemetry.platform.nodejs_version": "v18.19.0",
                "telemetry.backend.prometheus.enabled": True,
                "telemetry.backend.prometheus.port": 0,
                "telemetry.backend.prometheus.probe_url": f"http://{direct}/flowfuse",
                "telemetry.backend.prometheus.web_config_file": "web.yml",
                "telemetry.backend.prometheus.bearer_token_file": "token",
                "telemetry.backend.otlp.traces": True,
                "telemetry.backend.otlp.logs": True,
                "telemetry.backend.otlp.interval": 1,
                "telemetry.frontend.posthog.apikey": "phc_public",
            }
        )
        self.token = self.vault.plant("bearer token")
        self.password = self.vault.plant("password of a web user")
        digest = htpasswd.bcrypt_hash(self.password)
        self.vault.planted["hash of a web user"] = digest
        self.etc = directory / "home" / "etc"
        (self.etc / "token").write_text(self.token)
        (self.etc / "web.yml").write_text(yaml.safe_dump({"basic_auth_users": {"operator": digest}}))
        proxy = self.vault.plant("proxy, password", ANY)
        otel = self.vault.plant("OTEL_EXPORTER_OTLP_HEADERS", "+/")
        self.home.effective += ["proxy, password", "OTEL_EXPORTER_OTLP_HEADERS"]
        self.variables = {
            **self.home.variables,
            "http_proxy": f"http://operator:{quoted(proxy)}@127.0.0.1:{recorder.port}",
            "no_proxy": "localhost",
            "OTEL_EXPORTER_OTLP_HEADERS": f"x-other={otel}",
            "SENTRY_AUTH_TOKEN": self.vault.plant("SENTRY_AUTH_TOKEN"),
            "SENTRY_ORG": "acme",
            "SENTRY_PROJECT": "flowfuse",
            "SENTRY_URL": f"http://{direct}",
        }

    def load(self) -> None:
        """Make the database, with secrets in its rows."""
        self.postgres.load(DATABASE_NAME, case_named("v2.4.0-postgres-ce").home / "dump.sql")
        self.set_password(self.database_password())
        with self.postgres.connect(DATABASE_NAME) as connection:
            self._plant_in_rows(connection)

    def database_password(self) -> str:
        (place,) = (place for place in self.home.effective if place.startswith("db.password"))
        return self.vault.planted[place]

    def set_password(self, password: str) -> None:
        """Of the role that the platform's file names; its sessions end."""
        with self.postgres.connect() as connection:
            if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [ROLE]).fetchone() is None:
                connection.execute(sql.SQL("CREATE ROLE {} LOGIN SUPERUSER").format(sql.Identifier(ROLE)))
            connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(ROLE), sql.Literal(password)))
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", [ROLE])

    def _plant_in_rows(self, connection: "psycopg.Connection[tuple[object, ...]]") -> None:
        """What FlowFuse's own database holds of secrets: settings that are not read, passwords, tokens."""
        planted = self.vault.plant("PlatformSettings")
        connection.execute(
            'UPDATE "PlatformSettings" SET value = %s, "valueType" = 0 WHERE key <> ALL(%s)', [planted, [*SETTING_KEYS]]
        )
        for table, column in (("Users", "password"), ("AccessTokens", "token"), ("ProjectSettings", "value")):
            changed = sql.SQL("UPDATE {} SET {} = %s || ctid::text").format(*map(sql.Identifier, (table, column)))
            connection.execute(changed, [self.vault.plant(f"{table}.{column}")])

    def keep(self, what: str, output: str | bytes) -> None:
        self.outputs[f"{next(self._count)} {what}"] = output.encode() if isinstance(output, str) else output

    def leaks(self) -> list[str]:
        """Every secret in what was kept, sent, or written; of a request, but for those of its receiver."""
        found = [f"{place} in {what}" for what, text in self.outputs.items() for place in self.vault.found(text)]
        for request in self.recorder.requests:
            found += [f"{place} in what was sent to {request.path[:30]}" for place in self.vault.found(request.body)]
            own = next((owners for path, owners in _OWNERS.items() if path in request.path), ())
            found += [f"{place} in the head to {request.path[:30]}" for place in self.vault.found(request.head, own)]
        for name, text in files_below(self.directory, [self.etc, self.directory / "collector" / "etc"]):
            found += [f"{place} in the file {name}" for place in self.vault.found(text)]
        return found


_OWNERS = {
    "/collector/": ("collector OTLP",),
    "/ping": ("telemetry.url", "proxy"),
    "/envelope": ("telemetry.backend.sentry",),
    "/v1/": ("telemetry.backend.otlp", "OTEL"),
    "/chunk-upload": ("SENTRY_AUTH_TOKEN",),
}
"""Whose credentials belong into the head of a request."""


def quoted(text: str) -> str:
    return quote(text, safe="")
