"""FlowFuse's PostgreSQL over TLS, where `db.ssl` asks for it."""

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ff_observe.config.settings import PostgreSQLDatabase
from ff_observe.errors import SourceError
from ff_observe.sources.postgresql import PostgreSQLSource
from tests.platforms import cluster_database
from tests.real_parts.certificates import make_certificate
from tests.real_parts.postgresql import Cluster, initialise, server
from tests.real_parts.processes import free_port

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.fixture
def over_tls_only(open_directory: Path) -> Iterator[PostgreSQLDatabase]:
    """An empty database on a server whose certificate nobody knows; it takes encrypted connections only."""
    cluster = Cluster(open_directory / "own", free_port())
    initialise(cluster.directory)
    data = cluster.directory / "data"
    for made in make_certificate(cluster.directory):
        made.chmod(0o600)
        shutil.chown(made, *(data.stat().st_uid, data.stat().st_gid))
    with (data / "postgresql.conf").open("a") as file:
        file.write("ssl = on\nssl_cert_file = '../certificate.pem'\nssl_key_file = '../key.pem'\n")
    rules = data / "pg_hba.conf"
    rules.write_text("hostnossl platform all all reject\n" + rules.read_text())
    with server(cluster.directory, cluster.port):
        with cluster.connect() as connection:
            connection.execute("CREATE DATABASE platform")
        yield cluster_database(cluster, "platform")


def test_with_ssl_the_session_is_encrypted_whoever_signed_the_certificate_as_in_flowfuse(
    over_tls_only: PostgreSQLDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGSSLMODE", "disable")
    for ssl, says in ((True, "none of FlowFuse's tables"), (False, "no encryption")):
        source = PostgreSQLSource(replace(over_tls_only, ssl=ssl))
        with contextlib.closing(source), pytest.raises(SourceError, match=says):
            source.read(AT)


def test_with_ssl_a_server_without_it_is_an_error(postgres: Cluster) -> None:
    database = replace(cluster_database(postgres, "postgres"), ssl=True)
    with contextlib.closing(PostgreSQLSource(database)) as source, pytest.raises(SourceError, match="SSL"):
        source.read(AT)
