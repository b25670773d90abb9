"""Writes what is made from the chart and from the command line for those who use neither: `make generate`."""

from pathlib import Path
from typing import Final

from ff_observe.platform.sources.privileges import grants_of_every_version
from tests.deployment import chart
from tests.plain_machine import TOP

ROLE: Final = "ff_observe"
ROLE_SQL: Final = TOP / "deploy" / "compose" / "role.sql"

_PASSWORD: Final = f"""
-- The password, from the file that compose mounts; PostgreSQL's log does not get it, where a superuser can say so.
SELECT set_config(name, value, false) FROM (VALUES ('log_statement', 'none'), ('log_min_error_statement', 'panic'),
  ('log_min_duration_statement', '-1')) AS quiet (name, value)
  WHERE (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) \\g /dev/null
\\set password `cat /run/secrets/ff_observe_db_password`
ALTER ROLE {ROLE} PASSWORD :'password';
"""


def role_sql() -> str:
    """What the one-shot service of the compose overlay runs."""
    made = "-- Made by `make generate` from `ff-observe database grants --offline`. Edits are lost.\n"
    return made + grants_of_every_version(ROLE) + "\n" + _PASSWORD


def made() -> dict[Path, str]:
    """Every file, as it is to be."""
    return {ROLE_SQL: role_sql(), **chart.documents()}


if __name__ == "__main__":
    for file, text in made().items():
        file.write_text(text)
