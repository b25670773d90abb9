"""The overlay in deploy/compose on FlowFuse's docker-compose.yml: valid, least privileged, and read by the bridge."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from ff_observe.config import load_settings
from ff_observe.config.secret import Secret
from ff_observe.config.settings import PostgreSQLDatabase
from ff_observe.version import VERSION
from tests import recordings
from tests.deployment import manifests
from tests.deployment.compose import FLOWFUSE, ON_LOOPBACK, OVERLAY, merged, validate
from tests.plain_machine import TOP
from tests.platforms import case_named
from tests.real_parts import postgresql, prometheus
from tests.real_parts.bridge import running_bridge

VARIABLES = {"DOMAIN": "example.com", "FF_OBSERVE_DB_PASSWORD": "planted-role-password"}
MONITORING = {"prometheus", "alertmanager", "grafana"}


@pytest.fixture
def project(tmp_path: Path) -> dict[str, Any]:
    return merged(tmp_path, FLOWFUSE, "monitoring", **VARIABLES)


def mounts(service: dict[str, Any]) -> dict[str, str]:
    """Target → source of its bind mounts and volumes."""
    found = {}
    for each in service.get("volumes", ()):
        if isinstance(each, str):
            source, target, *_ = each.split(":")
            found[target] = source
        else:
            found[each["target"]] = each["source"]
    return found


def test_the_overlay_and_the_merged_project_follow_the_compose_specification(
    project: dict[str, Any], tmp_path: Path
) -> None:
    written = tmp_path / "merged.yml"
    written.write_text(yaml.safe_dump(project))
    assert [validate(file) for file in (OVERLAY, FLOWFUSE, written)] == ["", "", ""]
    written.write_text(yaml.safe_dump({**project, "service": {}}))
    assert "service" in validate(written)


def test_the_bridge_is_given_flowfuses_file_and_one_password(project: dict[str, Any]) -> None:
    bridge, forge = project["services"]["ff-observe"], project["services"]["forge"]
    assert (
        bridge["configs"] == forge["configs"] == [{"source": "flowfuse", "target": "/usr/src/forge/etc/flowforge.yml"}]
    )
    assert bridge["secrets"] == ["ff_observe_db_password"]
    assert "planted-role-password" not in yaml.safe_dump(project)
    assert (bridge["user"], bridge["cap_drop"], bridge["security_opt"]) == (
        "1000:1000",
        ["ALL"],
        ["no-new-privileges:true"],
    )
    assert bridge["ports"] == ["127.0.0.1:10464:10464"]
    assert bridge["image"] == f"ff-observe:{VERSION}"
    assert set(bridge["networks"]) == {"flowforge", "ff-observe"}
    assert all(project["services"][name]["networks"] == ["ff-observe"] for name in MONITORING)


def test_flowfuse_is_as_before_but_for_its_own_ping(project: dict[str, Any]) -> None:
    before = yaml.safe_load(FLOWFUSE.read_text())["services"]
    for name, service in before.items():
        changed = {key for key in service if key not in ("environment", "depends_on", "configs")}
        assert {key: project["services"][name][key] for key in changed} == {key: service[key] for key in changed}
    assert project["services"]["forge"]["environment"] == {
        "VIRTUAL_HOST": "forge.example.com",
        "FF_TELEMETRY_DISABLED": "1",
    }


# What grafana-foundation-sdk 1769699379!11.6.0, Grafana's own for that version, gives a dashboard.
SCHEMAS = {"11.6.0": 41}


def test_the_role_is_made_by_flowfuses_postgresql_and_the_dashboards_are_for_this_grafana(
    project: dict[str, Any],
) -> None:
    services = project["services"]
    assert services["ff-observe-role"]["image"] == services["postgres"]["image"]
    image, _, tag = services["grafana"]["image"].partition(":")
    assert image == "grafana/grafana"
    dashboards = [json.loads(file.read_text()) for file in (TOP / "grafana" / "dashboards").glob("*.json")]
    assert {each["schemaVersion"] for each in dashboards} == {SCHEMAS[tag]}


def test_every_variable_of_the_overlay_is_documented_with_its_default() -> None:
    rows = [line for line in (TOP / "docs" / "compose.md").read_text().splitlines() if line.startswith("| `")]
    flowfuses = set(re.findall(r"\$\{(\w+)", FLOWFUSE.read_text()))
    for name, default in re.findall(r"\$\{(\w+)(?::-(.*?))?\}", OVERLAY.read_text()):
        row = "".join(row for row in rows if f"`{name}`" in row.split("|")[1])
        assert name in flowfuses or f"`{default}`" in row or (row and not default), name


def test_every_file_and_directory_that_is_mounted_is_there(project: dict[str, Any], tmp_path: Path) -> None:
    sources = [source for service in MONITORING for source in mounts(project["services"][service]).values()]
    files = [Path(source) for source in sources if "/" in source]
    assert len(files) == 6
    assert [file for file in files if not (tmp_path / file).exists()] == []
    assert (tmp_path / project["configs"]["ff_observe_role"]["file"]).exists()
    volumes = {source for service in project["services"].values() for source in mounts(service).values()}
    assert {source for source in volumes if "/" not in source} <= project["volumes"].keys()
    assert (Path(project["services"]["ff-observe"]["build"]["context"]) / "Dockerfile").exists()


@pytest.mark.parametrize("flowforge", [None, *sorted((recordings.ALL / "deploy").glob("compose.yml"))], ids=str)
def test_the_bridge_reads_flowfuses_inline_file_with_the_variables_it_is_given(
    project: dict[str, Any], tmp_path: Path, flowforge: Path | None
) -> None:
    variables, home = placed(project, tmp_path, flowforge)
    settings = load_settings(home=home, variables=variables)
    assert settings.warnings == ()
    assert isinstance(settings.database, PostgreSQLDatabase)
    assert (settings.database.host, settings.database.user) == ("postgres", "ff_observe")
    assert settings.database.password == Secret("planted-role-password")
    assert settings.prometheus.enabled
    assert (settings.prometheus.host, settings.prometheus.port) == ("0.0.0.0", 10464)
    assert settings.prometheus.probe_url == "http://forge:3000"


def placed(project: dict[str, Any], directory: Path, flowforge: Path | None = None) -> tuple[dict[str, str], Path]:
    """The variables of the bridge's service and FlowFuse's home, with what compose mounts below `directory`."""
    home = directory / "home"
    (home / "etc").mkdir(parents=True)
    text = project["configs"]["flowfuse"]["content"] if flowforge is None else flowforge.read_text()
    (home / "etc" / "flowforge.yml").write_text(text)
    password = directory / "ff_observe_db_password"
    password.write_text(VARIABLES["FF_OBSERVE_DB_PASSWORD"])
    variables = dict(project["services"]["ff-observe"]["environment"])
    assert variables["FF_OBSERVE_DB_PASSWORD_FILE"] == f"/run/secrets/{password.name}"
    return variables | {"FF_OBSERVE_DB_PASSWORD_FILE": str(password)}, home


def test_the_role_that_the_overlay_makes_suffices_and_only_reads(
    project: dict[str, Any], tmp_path: Path, postgres: postgresql.Cluster
) -> None:
    case = case_named("v2.4.0-postgres-ce")
    database = postgres.load("compose", case.home / "dump.sql")
    variables, home = placed(project, tmp_path)
    for _ in range(2):  # at each `up`
        make_role(project, tmp_path, postgres, database)
    flowforge = (
        (home / "etc" / "flowforge.yml")
        .read_text()
        .replace("host: postgres\n", f"host: 127.0.0.1\n  port: {postgres.port}\n  database: {database}\n")
    )
    (home / "etc" / "flowforge.yml").write_text(flowforge)
    with running_bridge(home, tmp_path, **variables | ON_LOOPBACK) as bridge:
        assert case.stats is not None
        assert bridge.value("flowfuse_users") == case.stats["userCount"]
    password = VARIABLES["FF_OBSERVE_DB_PASSWORD"]
    url = f"postgresql://ff_observe:{password}@127.0.0.1:{postgres.port}/{database}"
    with psycopg.connect(url, autocommit=True) as session:
        session.execute("SET default_transaction_read_only = off")
        for refused in ('DELETE FROM "Users"', 'SELECT password FROM "Users"', 'CREATE TABLE "Ours" (id int)'):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                session.execute(refused)
    assert password not in postgres.log.read_text()


def make_role(project: dict[str, Any], directory: Path, postgres: postgresql.Cluster, database: str) -> None:
    """Run the one-shot service's own command with PostgreSQL's psql."""
    service = project["services"]["ff-observe-role"]
    sql = manifests.ROLE_SQL.read_text()
    (directory / "role.sql").write_text(sql.replace("/run/secrets/", f"{directory}/"))
    command = [part.replace("/role.sql", str(directory / "role.sql")) for part in service["command"]]
    assert service["environment"].keys() == {"PGHOST", "PGDATABASE", "PGUSER", "PGPASSWORD"}
    assert postgresql.BINARIES is not None
    done = subprocess.run(
        [postgresql.BINARIES / command[0], *command[1:]],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "PGHOST": "127.0.0.1",
            "PGPORT": str(postgres.port),
            "PGDATABASE": database,
            "PGUSER": "postgres",
            "PGPASSWORD": postgresql.PASSWORD,
        },
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_sql_of_the_role_is_what_the_command_prints() -> None:
    assert manifests.ROLE_SQL.read_text() == manifests.role_sql(), "make generate"


def test_prometheus_and_alertmanager_take_their_files(tmp_path: Path) -> None:
    if prometheus.PROMETHEUS is None or shutil.which("amtool") is None:
        pytest.skip("needs Prometheus and Alertmanager: apt-get install prometheus prometheus-alertmanager")
    text = (OVERLAY.parent / "prometheus.yml").read_text()
    (tmp_path / "prometheus.yml").write_text(text.replace("/etc/prometheus/rules", str(TOP / "grafana" / "rules")))
    for command in (
        ["promtool", "check", "config", str(tmp_path / "prometheus.yml")],
        ["amtool", "check-config", str(OVERLAY.parent / "alertmanager.yml")],
    ):
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
