"""The section `db` and `telemetry.database` as the settings of FlowFuse's database."""

from dataclasses import replace
from pathlib import Path

from ff_observe.config import declaration as key
from ff_observe.config.environment import Environment
from ff_observe.config.kind import describe
from ff_observe.config.nodes import Map, Scalar, is_true
from ff_observe.config.pem import problem_with_authority
from ff_observe.config.reader import Reader
from ff_observe.config.settings import Database, PostgreSQLDatabase, SQLiteDatabase


def read_database(reader: Reader, home: Path, environment: Environment) -> Database:
    """Source of the defaults: forge/db/index.js."""
    section = reader.node("db")
    if section is not None and is_true(section) and not isinstance(section, Map):
        reader.problem("db", f"found {describe(section, secret=True)}; write a map: type, storage, …")
    if reader.value(key.DATABASE_TYPE) == "postgres":
        return _postgresql(reader, environment)
    storage = reader.value(key.DATABASE_STORAGE)
    if storage == ":memory:":
        reader.problem(key.DATABASE_STORAGE.path, "a database in memory cannot be read from outside FlowFuse")
    return SQLiteDatabase(home / "var" / storage)


def _postgresql(reader: Reader, environment: Environment) -> PostgreSQLDatabase:
    database = reader.fill(PostgreSQLDatabase)
    if database.accept_any_certificate and database.ca_file is not None:
        message = "with this, ca_file beside it means nothing: keep one of them"
        reader.problem(key.DATABASE_ACCEPT_ANY_CERTIFICATE.path, message)
        return database
    if database.ca_file is None:
        database = _with_variables(database, environment)
    _note_what_surprises(database, reader)
    return database


def _with_variables(database: PostgreSQLDatabase, environment: Environment) -> PostgreSQLDatabase:
    root = environment.pg_ssl_root_cert
    if root is not None and root != "system":  # libpq's word for the system's authorities
        return replace(database, ca_file=Path(root), ca_file_from="PGSSLROOTCERT")
    extra = environment.node_extra_ca_certs
    return database if extra is None else replace(database, extra_ca_file=Path(extra))


def _note_what_surprises(database: PostgreSQLDatabase, reader: Reader) -> None:
    any_certificate, ssl = key.DATABASE_ACCEPT_ANY_CERTIFICATE.path, key.DATABASE_SSL.path
    if not database.ssl:
        for path in (any_certificate, key.DATABASE_CA_FILE.path):
            node = reader.node(path)
            if node is not None and is_true(node):
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
