"""The documents of single parts and the READMEs: each block is read by the program that it is written for."""

import contextlib
import functools
import http.server
import os
import re
import shlex
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import promql_parser
import pytest
import yaml

from ff_observe.cli import build_parser
from ff_observe.collector.settings_file import read_collector_file
from ff_observe.config import load_settings
from ff_observe.outputs.otlp.choice import destinations
from ff_observe.web.web_config import read_web_config
from tests.deployment.documents import Block, blocks
from tests.deployment.image_root import home_of_a_platform
from tests.deployment.test_documents import PAGES
from tests.plain_machine import TOP
from tests.real_parts import postgresql
from tests.real_parts.certificates import make_certificate
from tests.real_parts.prometheus import MISSING, PROMTOOL

FILES = sorted({*(TOP / "docs").glob("*.md"), TOP / "README.md", TOP / "grafana" / "README.md"} - {*PAGES})
BLOCKS = [(file, block) for file in FILES for block in blocks(file)]


@pytest.fixture
def tmp_path(open_directory: Path) -> Path:
    """PostgreSQL's user is shut out of pytest's own at any time."""
    return open_directory


@pytest.mark.parametrize(
    ("file", "block"), BLOCKS, ids=[f"{file.parent.name}-{file.stem}-{n}" for n, (file, _) in enumerate(BLOCKS)]
)
def test_a_block_is_understood(file: Path, block: Block, tmp_path: Path) -> None:
    READERS[block.language](block.text, tmp_path)


def shell(text: str, directory: Path) -> None:
    variables: dict[str, str] = {}
    for line in text.splitlines():
        words = shlex.split(line, comments=True)
        if words[:1] == ["export"]:
            variables |= dict(word.split("=", 1) for word in words[1:])
        elif words[:1] == ["(umask"]:
            subprocess.run(["/bin/sh", "-c", line], cwd=directory, check=True)
            (made,) = directory.iterdir()
            assert made.stat().st_mode & 0o777 == 0o600
        elif words:
            end = words.index(">") if ">" in words else None  # a redirection is the shell's
            COMMANDS[words[0]](words[1:end], directory)
    if variables:
        settings = load_settings(home_of_a_platform(directory / "home"), variables=variables).otlp
        chosen = destinations(settings, variables)
        assert "metrics" in chosen
        for name in variables.keys() - {"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"}:  # OpenTelemetry reads it
            assert destinations(settings, {**variables, name: ""}) != chosen, name


def ours(words: Sequence[str], _directory: Path) -> None:
    build_parser().parse_args(words)


def make(words: Sequence[str], _directory: Path) -> None:
    (target,) = words
    assert re.search(rf"^{target}:", (TOP / "Makefile").read_text(), re.MULTILINE)


def pip(words: Sequence[str], _directory: Path) -> None:
    assert words == ["install", re.findall(r'^name = "(.*)"', (TOP / "pyproject.toml").read_text(), re.MULTILINE)[0]]


def systemctl(words: Sequence[str], _directory: Path) -> None:
    unit, _, instance = words[-1].partition("@")
    name = unit if "." in unit else f"{unit}{'@' if instance else ''}.service"
    assert (TOP / "deploy" / "systemd" / name).is_file()


def kubectl(words: Sequence[str], _directory: Path) -> None:
    verb, kind, name, argument = words
    assert (kind, name) == ("configmap", "flowfuse-dashboards")
    if verb == "create":
        assert list((TOP / argument.removeprefix("--from-file=")).glob("*.json"))
    else:
        label, _, value = argument.partition("=")
        template = (TOP / "deploy" / "helm" / "ff-observe").rglob("*.yaml")
        assert any(label in file.read_text() for file in template)
        assert value == "1"


def sed(words: Sequence[str], _directory: Path) -> None:
    """The only one: tests/unit/test_dashboards_rules.py runs it."""
    assert any("runbook_url" in word for word in words)


def curl(words: Sequence[str], directory: Path) -> None:
    """From a server that has some of the days."""
    program = shutil.which("curl")
    if program is None:
        pytest.skip("needs curl: apt-get install curl")
    *options, url = words
    suffix = url.rpartition(".")[2]
    served = directory / "served"
    (served / "releases").mkdir(parents=True, exist_ok=True)
    names = {f"2026-03-{day:02}.{suffix}" for day in (1, 9, 31)}
    for name in names:
        (served / "releases" / name).write_text("{}")
    with http_server(served) as address:
        here = url.replace("https://pings.example.com", address)
        subprocess.run([program, "--silent", *options, here], cwd=directory, check=True)
    assert {file.name for file in directory.glob(f"*.{suffix}")} == names


@contextlib.contextmanager
def http_server(served: Path) -> Iterator[str]:
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=served)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


COMMANDS = {
    "ff-observe": ours,
    "curl": curl,
    "make": make,
    "pip": pip,
    "systemctl": systemctl,
    "kubectl": kubectl,
    "sed": sed,
}


def yaml_file(text: str, directory: Path) -> None:
    """Of FlowFuse's file, Prometheus' configuration, its web configuration, or ours, as its keys say."""
    keys = set(yaml.safe_load(text) if text[0] != " " else ["relabel_configs"])
    if keys == {"telemetry"}:
        home = home_of_a_platform(directory / "home")
        (home / "etc" / "ff-observe.yml").write_text(text)
        (home / "etc" / "otlp-headers").write_text("a: b\n")
        (home / "etc" / "metrics.token").write_text("planted-token-of-metrics\n")
        web_configuration(next(block for _, block in BLOCKS if "tls_server_config" in block.text).text, home / "etc")
        assert load_settings(home, variables={}).warnings == ()
    elif keys & {"tls_server_config"}:
        read_web_config(web_configuration(text, directory))
    elif keys & {"scrape_configs", "relabel_configs"}:
        promtool(text, directory)
    elif keys & {"listen", "database_file", "fleet", "keys"}:
        for name in ("database-url", "fleet-url"):
            (directory / name).write_text("postgresql://u:p@127.0.0.1/pings\n")
        if keys == {"keys"}:
            text = f"database_file: database-url\n{text}"
        (directory / "collector.yml").write_text(text)
        read_collector_file(directory / "collector.yml")
    else:
        assert keys == {"host", "port", "platforms"}  # tests/unit/test_many_platforms_document.py


def web_configuration(text: str, directory: Path) -> Path:
    certificate, key = make_certificate(directory)
    for name, source in (("server.pem", certificate), ("server.key", key), ("clients.pem", certificate)):
        shutil.copy(source, directory / name)
    (directory / "web-config.yml").write_text(text)
    return directory / "web-config.yml"


def promtool(text: str, directory: Path) -> None:
    if PROMTOOL is None:
        pytest.skip(MISSING)
    if text[0] == " ":
        text = f"scrape_configs:\n  - job_name: flowfuse\n{text}"
    (directory / "prometheus.yml").write_text(text)
    command = [PROMTOOL, "check", "config", "--syntax-only", "prometheus.yml"]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def python(text: str, directory: Path) -> None:
    """Run, on a platform, with stand-ins for what the reader's own program has."""
    if "load_platforms" in text:  # tests/unit/test_many_platforms_document.py
        return
    home = home_of_a_platform(directory / "home")
    names: dict[str, Any] = {
        "settings": SimpleNamespace(frontend=load_settings(home, variables={}).frontend),
        "app": lambda scope, receive, send: None,
        "page": b"<html><head></head></html>",
        "serve": lambda app: None,
    }
    exec(text.replace("/opt/flowforge", str(home)), names)


def script(text: str, _directory: Path) -> None:
    """Parsed by Node.js; every name of `window.ffObserve` stands in what we serve."""
    known_to_the_page(text)
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs Node.js: apt-get install nodejs")
    with tempfile.NamedTemporaryFile("w", suffix=".mjs") as file:
        file.write(text.replace("…", ""))
        file.flush()
        subprocess.run([node, "--check", file.name], check=True, env={"PATH": os.environ["PATH"]})


def known_to_the_page(text: str, _directory: Path | None = None) -> None:
    sources = "".join(
        each.read_text() for each in (TOP / "ff_observe" / "frontend").rglob("*") if each.suffix in (".py", ".js")
    )
    for name in re.findall(r"ffObserve(?:\?\.| = \{)(\w+)|window\.(\w+Config)", text):
        assert re.search(rf"\b{name[0] or name[1]}\b", sources), name


def sql(text: str, directory: Path) -> None:
    """Run by the administrator of a PostgreSQL; in DuckDB what reads Parquet."""
    if "read_parquet" in text:
        duckdb(text, directory)
        return
    if postgresql.BINARIES is None:
        pytest.skip("needs PostgreSQL: apt-get install postgresql")
    with postgresql.cluster(directory / "cluster") as cluster, cluster.connect("postgres") as administrator:
        for statement in text.split(";")[:-1]:
            administrator.execute(statement.encode())


def duckdb(text: str, directory: Path) -> None:
    """It leaves out the one instance."""
    engine = pytest.importorskip("duckdb")
    with contextlib.chdir(directory), engine.connect() as session:
        session.execute("COPY (SELECT unnest(['INSTANCE_ID', 'another']) AS instance_id) TO 'pings.parquet'")
        session.execute(text)
        assert session.execute("SELECT * FROM 'without.parquet'").fetchall() == [("another",)]


def promql(text: str, _directory: Path) -> None:
    for expression in text.splitlines():
        promql_parser.parse(expression)


READERS = {
    "sh": shell,
    "yaml": yaml_file,
    "python": python,
    "js": script,
    "html": known_to_the_page,
    "promql": promql,
    "sql": sql,
}


def test_messages_name_documents_that_are_there() -> None:
    sources = "".join(file.read_text() for file in (TOP / "ff_observe").rglob("*.py"))
    named = set(re.findall(r"\bdocs/[\w.-]+\.md\b", sources)) - {"docs/web-configuration.md"}  # of Prometheus
    assert named
    assert [name for name in named if not (TOP / name).is_file()] == []
