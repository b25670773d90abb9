"""`python -m tests.attack.fleet_table [SIZE]`: the attacks on the figures, on SIZE invented platforms, as a table."""

import contextlib
import sys

from tests.attack.fleet_attacks import ATTACKS, HEADING, MakeWorld, row
from tests.attack.world import postgresql_worlds, sqlite_worlds
from tests.real_parts import postgresql
from tests.real_parts.processes import open_directory


def main(arguments: list[str]) -> int:
    """0 if everything held."""
    size = int(arguments[0]) if arguments else 5_000
    with open_directory() as directory, contextlib.ExitStack() as cleanup:
        stores: dict[str, MakeWorld] = {"SQLite": sqlite_worlds(directory)}
        if postgresql.BINARIES is not None:
            cluster = cleanup.enter_context(postgresql.cluster(directory / "postgresql"))
            stores["PostgreSQL"] = postgresql_worlds(cluster)
        return max(_attacked(name, make, size) for name, make in stores.items())


def _attacked(name: str, make: MakeWorld, size: int) -> int:
    print(f"{name}, {size} invented platforms\n{HEADING}")
    broken = 0
    for attack in ATTACKS:
        result = attack(make, size)
        print(row(attack, result), flush=True)
        broken += not result.held
    print()
    return int(broken > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
