"""`collector.yml` and the command line's options → `CollectorSettings`, every problem with its place."""

from dataclasses import dataclass, replace
from pathlib import Path

from ff_observe.collector import settings as key
from ff_observe.collector.settings import CollectorSettings
from ff_observe.collector.settings_kinds import PostgreSQLServer, SQLiteFile, parse_database, parse_listen
from ff_observe.config.kind import WrongValueError
from ff_observe.config.known_keys import check_keys
from ff_observe.config.reader import LARGEST_SECRET_FILE, Reader, read_tree
from ff_observe.config.reading import UnreadableFileError, read_text
from ff_observe.config.secret import Secret
from ff_observe.errors import UsageError
from ff_observe.http.limits import Limits


@dataclass(frozen=True, slots=True)
class NamedDatabase:
    """A database that an option or a variable (`name`) names, by a URL or by a file that holds one. `seen` if others
    can see it, as they can a process's arguments."""

    name: str
    url: Secret | None = None
    file: Path | None = None
    seen: bool = False


def collector_settings(
    file: Path | None = None,
    *,
    listen: str | None = None,
    database: NamedDatabase | None = None,
    data_dir: Path | None = None,
) -> CollectorSettings:
    """Settings from a `collector.yml`, if given, and from what overrides it. Raises `ConfigurationError` with every
    problem of the file, or `UsageError` for options and variables."""
    settings = CollectorSettings() if file is None else read_collector_file(file)
    if listen is not None:
        try:
            host, port = parse_listen(listen)
        except WrongValueError as error:
            raise UsageError(f"--listen: {error}") from None
        settings = replace(settings, host=host, port=port)
    if database is not None:
        settings = replace(settings, database=_named_database(database), fleet_database=None, fleet_analytics=None)
    return settings if data_dir is None else replace(settings, data_dir=data_dir)


def _named_database(named: NamedDatabase) -> SQLiteFile | PostgreSQLServer:
    place = named.name if named.file is None else f"{named.name}: {named.file}"
    try:
        url = (named.url or Secret("")).reveal() if named.file is None else read_text(named.file, LARGEST_SECRET_FILE)
        database = parse_database(url)
    except UnreadableFileError as error:
        raise UsageError(f"{place}: {error}") from None
    except WrongValueError as error:
        raise UsageError(f"{place}: {'' if named.file is None else 'in that file, '}{error}") from None
    if named.seen and isinstance(database, PostgreSQLServer) and _has_password(database.url):
        raise UsageError(
            f"{named.name}: `ps` shows every user what is in a command, and this URL has a password: write it into a "
            "file for --database-file, or into FF_OBSERVE_COLLECTOR_DATABASE"
        )
    return database


def _has_password(url: Secret) -> bool:
    from psycopg.conninfo import conninfo_to_dict

    return any("password" in name for name in conninfo_to_dict(url.reveal()))


def read_collector_file(file: Path) -> CollectorSettings:
    """Paths in the file are relative to its directory. Raises `ConfigurationError` with every problem."""
    tree = read_tree(file)
    if tree is None:
        return CollectorSettings(named_in=str(file))
    reader = Reader(file, tree, key.COLLECTOR, file.parent)
    settings = read_settings(reader, str(file))
    reader.problems += check_keys(reader)
    reader.finish()
    return settings


def read_settings(reader: Reader, named_in: str) -> CollectorSettings:
    """The values of the reader's file. The reader collects problems, and which keys were read."""
    host, port = reader.value(key.LISTEN)
    database = reader.value(key.DATABASE)
    if isinstance(database, SQLiteFile) and database.path is not None:
        database = SQLiteFile(reader.directory / database.path)
    settings = reader.fill(
        CollectorSettings,
        host=host,
        port=port,
        database=database,
        limits=Limits(
            connections=reader.value(key.CONNECTIONS),
            request_seconds=reader.value(key.REQUEST_SECONDS),
            idle_seconds=reader.value(key.IDLE_SECONDS),
        ),
        named_in=named_in,
    )
    _check_wrapping(reader, settings)
    if settings.public_k < settings.k:
        message = f"write at least the {settings.k} of {key.K.path}: the public sees no more than you"
        reader.problem(key.PUBLIC_K.path, message)
    if settings.epsilon is not None and settings.public_k == 1:
        reader.problem(key.EPSILON.path, f"remove it, or set {key.PUBLIC_K.path} to 2 or more: with 1 all is shown")
    if settings.epsilon is not None and settings.epsilon > settings.epsilon_budget:
        reader.problem(key.EPSILON.path, f"write at most the {settings.epsilon_budget:g} of {key.EPSILON_BUDGET.path}")
    return settings


def _check_wrapping(reader: Reader, settings: CollectorSettings) -> None:
    """At most one wrapping, and one before it, which differs."""
    present = settings.wrapping_key_file, settings.wrapping_command
    previous = settings.previous_wrapping_key_file, settings.previous_wrapping_command
    if all(present):
        reader.problem(key.WRAPPING_COMMAND.path, f"write this or {key.WRAPPING_KEY_FILE.path}, not both")
    named = key.PREVIOUS_WRAPPING_COMMAND if previous[1] else key.PREVIOUS_WRAPPING_KEY_FILE
    if all(previous):
        reader.problem(named.path, f"write this or {key.PREVIOUS_WRAPPING_KEY_FILE.path}, not both")
    if any(previous) and not any(present):
        successors = f"{key.WRAPPING_KEY_FILE.path} or {key.WRAPPING_COMMAND.path}"
        reader.problem(named.path, f"name its successor too, in {successors}")
    elif any(previous) and previous == present:
        reader.problem(named.path, "it names the wrapping that is in use: name the one before, or remove this key")
