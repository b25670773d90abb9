"""Records what the npm package `pg` accepts and refuses over TLS, as FlowFuse uses it: `python -m
tests.real_parts.record_pg_tls` writes `tests/data/pg_tls.json`. Needs Node.js, npm and PostgreSQL."""

import json
import os
import subprocess
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.real_parts.postgresql import PASSWORD
from tests.real_parts.postgresql_tls import SITUATIONS, Situation, TLSServers, tls_servers

RECORDING = Path(__file__).resolve().parent.parent / "data" / "pg_tls.json"
SCRIPTS = Path(__file__).resolve().parent
FLOWFUSE = "2.4.0"
PG = (
    "8.16.3",
    "8.23.1",
)
"""The first compares a certificate with the name `localhost` where the host is an address."""

SEQUELIZE = "6.37.7"
YAML = "2.8.1"

WRITTEN = (
    *("true", "false", "'true'", "'false'", "no", "''", "null", "~", "1", "0", "'0'", "require", "disable"),
    *("{}", "[]", "{rejectUnauthorized: false}", "{rejectUnauthorized: true, ca: /etc/db-ca.pem}"),
)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="ff-observe-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        packages = {version: _installed(directory, version) for version in PG}
        with tls_servers(directory) as servers:
            answers = [_recorded(situation, servers, packages) for situation in SITUATIONS]
        recording = {
            "node": _output(["node", "--version"]),
            "sequelize": SEQUELIZE,
            "flowfuse": FLOWFUSE,
            "db_ssl": _handed_on(packages[PG[-1]]),
            "situations": answers,
        }
    RECORDING.write_text(json.dumps(recording, indent=1) + "\n")


def _installed(directory: Path, version: str) -> Path:
    home = directory / f"pg-{version}"
    home.mkdir()
    (home / "package.json").write_text("{}")
    packages = (f"pg@{version}", f"sequelize@{SEQUELIZE}", f"yaml@{YAML}")
    subprocess.run(["npm", "install", "--no-audit", "--no-fund", *packages], cwd=home, check=True, capture_output=True)
    for script in SCRIPTS.glob("*.js"):
        (home / script.name).write_bytes(script.read_bytes())
    return home


def _recorded(situation: Situation, servers: TLSServers, packages: dict[str, Path]) -> dict[str, Any]:
    environment = {name: value for name, value in os.environ.items() if name != "NODE_EXTRA_CA_CERTS"}
    if situation.trusted is not None:
        environment["NODE_EXTRA_CA_CERTS"] = str(servers.certificates[situation.trusted])
    with servers.showing(situation.certificate) as cluster:
        answers = {
            version: json.loads(
                _output(["node", "pg_tls.js", situation.host, str(cluster.port), PASSWORD], home, environment)
            )
            for version, home in packages.items()
        }
    return {**asdict(situation), "pg": answers}


def _handed_on(home: Path) -> Any:
    """For each way to write `db.ssl`, the options that FlowFuse hands on to `pg`; null where it hands on none."""
    package = f"@flowfuse/flowfuse@{FLOWFUSE}"
    archive = _output(["npm", "pack", "--silent", package], home).splitlines()[-1]
    subprocess.run(["tar", "xzf", archive, "package/forge/db/index.js"], cwd=home, check=True)
    return json.loads(_output(["node", "flowfuse_db_ssl.js", "package", json.dumps(WRITTEN)], home))


def _output(command: list[str], directory: Path | None = None, environment: dict[str, str] | None = None) -> str:
    ended = subprocess.run(command, cwd=directory, env=environment, check=True, capture_output=True, text=True)
    return ended.stdout.strip()


if __name__ == "__main__":
    main()
