"""`ff-observe database grants`: the SQL of a role that suffices."""

import argparse

from ff_observe.cli.options import settings_of
from ff_observe.cli.terminal import READING, progress
from ff_observe.errors import FFObserveError


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("database", help="the role that ff-observe needs in FlowFuse's database")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    grants_parser = actions.add_parser(
        "grants",
        help="print the SQL of a read-only role",
        description="Prints SQL that makes a role which may read what ff-observe reads of this FlowFuse version, and "
        "nothing besides. PostgreSQL only. It asks the database, as the configured user, which tables it has.",
    )
    grants_parser.add_argument("--role", metavar="NAME", default="ff_observe", help="its name (default: ff_observe)")
    grants_parser.add_argument(
        "--offline", action="store_true", help="contact no database: the SQL finds out itself which tables there are"
    )
    grants_parser.set_defaults(run=grants)


def grants(options: argparse.Namespace) -> int:
    from ff_observe.platform.sources import privileges

    if options.offline:
        print(privileges.grants_of_every_version(options.role))
        return 0
    from ff_observe.config.settings import PostgreSQLDatabase

    settings = settings_of(options)
    if not isinstance(settings.database, PostgreSQLDatabase):
        raise FFObserveError(
            f"SQLite has no roles: let the user of ff-observe read {settings.database.path} and its directory"
        )
    with progress(READING):
        columns = privileges.present_columns(settings.database)
    if not columns:
        raise FFObserveError("the database has none of FlowFuse's tables yet: start FlowFuse once, or use --offline")
    print(privileges.grants(options.role, columns))
    return 0
