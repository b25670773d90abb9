"""No secret leaves: one run of everything, with a secret of ours in every place where one can stand."""

import base64
import copy
import http.client
import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ff_observe.cli import WITHOUT_FLOWFORGE_YML, build_parser, main, run
from ff_observe.cli.collector import COLLECTOR_DATABASE, COLLECTOR_DATABASE_FILE
from ff_observe.cli.grammar import grammar
from ff_observe.collector.settings import COLLECTOR, DATABASE, FLEET_ANALYTICS, FLEET_DATABASE
from ff_observe.transparency.notes import SIGNATURE, SigningKey
from tests.end_to_end.planted_errors import MARK
from tests.end_to_end.planted_secrets import ANY, SECRET_KEYS, Vault, forms_of
from tests.end_to_end.planted_world import ROLE, World, quoted
from tests.network_guard import guarded_environment
from tests.pace import in_full
from tests.real_parts import htpasswd
from tests.real_parts.bridge import Bridge
from tests.real_parts.collector import send
from tests.real_parts.postgresql import Cluster
from tests.real_parts.processes import answers, free_port, running, wait_until
from tests.real_parts.recorder import Request, recording
from tests.unit.collector.pings import body as ping_body
from tests.unit.collector.pings import instance

TURNS = max(len(list(forms_of(key))) for key in SECRET_KEYS)
KEEP_RUNNING = {("run",), ("demo",), ("collector", "run")}
REFUSED = "the old settings stay in use"
NOT_HERE = {"--resolve", "--network", "--rewrap"}
"""Options that look names up, or ask other machines; and one that needs wrapped keys, whose own tests search its output
for them."""


def ask(port: int, target: str, **headers: str) -> str:
    """Head and body of an answer of the bridge."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", target, headers=headers)
        answer = connection.getresponse()
        return f"{answer.status} {answer.reason}\n{answer.headers}\n{answer.read().decode()}"
    finally:
        connection.close()


def invocations(world: World) -> Iterator[list[str]]:
    """Every command that ends by itself: as it is, and with each of its switches."""
    build = world.directory / "build"
    build.mkdir(exist_ok=True)
    (build / "main.js").write_text("a();\n//# sourceMappingURL=main.js.map\n")
    (build / "main.js.map").write_text(
        '{"version":3,"file":"main.js","sources":["main.ts"],"names":[],"mappings":"AAAA"}'
    )
    (build / "index.html").write_text("<html><head></head><body></body></html>")
    positional = {
        "INSTANCE_ID": "91b74280-fd02-4b9c-a824-4784364c2394",
        "INDEX.html": str(build / "index.html"),
        "DIR": str(build),
        "A": "driver",
        "B": "version",
        "COUNT": "users",
        "FILE": str(world.directory / "ping.json"),
        "bash|zsh|fish": "bash",
        "KIND": "rules",
    }
    for command in grammar(build_parser()).each():
        if command.commands or command.words in KEEP_RUNNING:
            continue
        needed = [positional[argument.value] for argument in command.arguments if not argument.flags]
        if command.words == ("sentry", "sourcemaps"):
            needed += ["--release", "2.4.0"]
        if command.words == ("collector", "key"):
            needed += ["--make"]
        if command.words == ("collector", "verify"):
            needed += ["--key", str(SigningKey.named_after_itself("releases", SIGNATURE, bytes(32)).verifier)]
        yield [*command.words, *needed]
        for argument in command.arguments:
            if argument.flags and not argument.value and argument.flags[-1] not in {"--help", *NOT_HERE}:
                flag = argument.flags[-1]
                only_with = ["--format", "parquet", "--to", str(build)] if flag == "--sender-hashes" else needed
                yield [*command.words, *only_with, flag]


def show_that_leaks_are_found(world: World) -> None:
    """Each secret, in each of the places that are searched."""
    assert world.leaks() == []
    file, requests = world.directory / "a file", world.recorder.requests
    for place, secret in world.vault.planted.items():
        text = quote(secret, safe="").encode()
        world.outputs["an answer"] = text
        requests += [Request("/elsewhere", text, b""), Request("/elsewhere", b"", text)]
        file.write_bytes(text)
        found = [leak.rpartition(": URL in ")[2] for leak in world.leaks() if leak.startswith(f"{place}: URL in ")]
        assert sorted(found) == [
            "an answer",
            "the file a file",
            "the head to /elsewhere",
            "what was sent to /elsewhere",
        ]
        world.outputs.clear()
        requests.clear()
        file.unlink()


def run_commands(world: World, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """Every command, in this process; the last time the ping is not refused."""
    with monkeypatch.context() as patch:
        for name, value in world.variables.items():
            patch.setenv(name, value)
        patch.chdir(world.directory)
        patch.setattr(run, "leave", lambda status: status)  # the receiver's threads are no command's
        for arguments in (*invocations(world), ["ping", "send"]):
            capfd.readouterr()
            named = [] if arguments[0] in WITHOUT_FLOWFORGE_YML else ["--home", str(world.home.directory)]
            status = main([*named, "--log-level", "debug", *arguments])
            written = capfd.readouterr()
            assert status in (0, 1), (arguments, written.err)
            world.keep(" ".join(arguments), written.out + written.err)
    assert status == 0, "the ping has to be delivered, for the ledger"


def run_bridge(world: World) -> None:
    """A bridge in which everything fails at some time: its tasks, receivers, database, clients, and its files."""
    known = world.directory / "home" / "etc" / "known.json"
    known.write_text(json.dumps([world.vault.planted[place] for place in world.home.effective]))
    command = [sys.executable, "-m", "tests.end_to_end.planted_errors", str(known)]
    command += ["--home", str(world.home.directory), "--log-level", "debug", "--log-format", "json", "run"]
    environment = guarded_environment(**world.variables, TMPDIR=str(world.directory))
    log_file = world.directory / "bridge.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(command, env=environment, cwd=world.directory, stdout=log, stderr=log)
    try:
        bridge = Bridge(process, log_file)
        wait_until(lambda: "serves http" in bridge.log or process.poll() is not None, "the bridge to serve")
        assert process.poll() is None, bridge.log
        port = int(re.findall(r"serves http://[\d.]+:(\d+)", bridge.log)[-1])
        ask_everything(world, port)
        for path in ("/envelope", "/v1/metrics", "/v1/logs", "/v1/traces"):
            wait_until(partial(world.recorder.is_asked, path, 2), f"{path} to be asked again")
        keep_processes(world)
        world.set_password("another")
        wait_until(lambda: "flowfuse_up 0" in re.sub(r"{.*?}", "", scrape(world, port)), "the database to be away")
        ask_everything(world, port)
        break_files(world, bridge, port)
        ask_everything(world, port)
        last = len(world.recorder.to("/v1/logs")) + 1
        wait_until(partial(world.recorder.is_asked, "/v1/logs", last), "the last log lines")
        bridge.signal(signal.SIGTERM)
        assert bridge.wait() == 0
    finally:
        process.kill()
        process.wait()
        world.set_password(world.database_password())
    reached = {
        "the log": log_file.read_bytes(),
        "Sentry": b"".join(request.body for request in world.recorder.to("/envelope")),
        "OTLP": b"".join(request.body for request in world.recorder.to("/v1/logs")),
    }
    for place, text in reached.items():
        assert MARK.encode() in text, f"the planted errors have to reach {place}"
        assert b"********" in text


def scrape(world: World, port: int) -> str:
    return ask(port, "/metrics", Authorization=f"Bearer {world.token}")


def ask_everything(world: World, port: int) -> None:
    """Whatever a bridge serves, to those who may see it and to others, who put secrets where they do not belong."""
    user = base64.b64encode(f"operator:{world.password}".encode()).decode()
    wrong = base64.b64encode(f"{world.password}:{world.token}".encode()).decode()
    for path in ("/", "/api/status", "/metrics", "/-/healthy", "/-/ready", "/nothing"):
        for kind in (f"Bearer {world.token}", f"Basic {user}", f"Basic {wrong}", f"Bearer x{world.token}"):
            world.keep(f"GET {path}", ask(port, path, Authorization=kind))
    for target in (f"/?token={world.token}", f"/{world.token}", f"http://x:{world.token}@127.0.0.1/"):
        world.keep("GET with a secret", ask(port, target, Host=f"{world.token}.example.org", Cookie=world.token))
    with socket.create_connection(("127.0.0.1", port), 60) as client:
        client.sendall(f"GET / HTTP/1.1\r\n{world.token}\r\nHost {world.password}\r\n\r\n".encode())
        world.keep("a malformed request", client.recv(65536))


def break_files(world: World, bridge: Bridge, port: int) -> None:
    """Each file is written anew with mistakes around its secrets, and read again."""
    (world.etc / "token").write_text(f"{world.token} and more\n")
    (world.etc / "web.yml").write_text(yaml.safe_dump({"basic_auth_users": {"operator": world.password}}))
    world.keep("GET / with broken files", ask(port, "/"))
    for name in ("flowforge.yml", "ff-observe.yml"):
        text = (world.etc / name).read_text()
        tree = yaml.safe_load(text)
        for broken in (f"{text}\n: [", yaml.safe_dump(_with_lists(tree))):
            times = bridge.log.count(REFUSED) + 1
            (world.etc / name).write_text(broken)
            bridge.signal(signal.SIGHUP)
            wait_until(partial(_refused, bridge, times), f"{name} to be refused")
        (world.etc / name).write_text(text)


def _refused(bridge: Bridge, times: int) -> bool:
    return bridge.log.count(REFUSED) >= times


def _with_lists(tree: dict[str, Any]) -> dict[str, Any]:
    """The tree with a list in the place of each secret, and a setting that is none."""
    changed = copy.deepcopy(tree)
    for key in SECRET_KEYS:
        *sections, last = key.path.split(".")
        below = changed
        for section in sections:
            below = below.get(section, {})
        if last in below:
            below[last] = [[below[last]]]
    changed.setdefault("telemetry", {})["enabled"] = "perhaps"
    return changed


def keep_processes(world: World) -> None:
    """What every user of this machine sees."""
    world.keep("ps", subprocess.run(["ps", "-ewwo", "args"], capture_output=True, check=True).stdout)


def run_collector(world: World, turn: int, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A collector whose database goes away, and that reports over OTLP."""
    assert [key for key in COLLECTOR.keys if key.secret] == [DATABASE, FLEET_DATABASE, FLEET_ANALYTICS], (
        "plant the other secret keys here"
    )
    directory = world.directory / "collector"
    (directory / "etc").mkdir(parents=True)
    world.postgres.create("secrets_pings")
    password = quoted(world.vault.plant("collector, database", ANY))
    url = f"postgresql://{ROLE}:{password}@127.0.0.1:{world.postgres.port}/secrets_pings"
    world.set_password(world.vault.planted["collector, database"])
    url_file, port = directory / "etc" / "url", free_port()
    url_file.write_text(url)
    ways: tuple[tuple[dict[str, str], dict[str, str]], ...] = (
        ({DATABASE.path: url}, {}),
        ({DATABASE.file_path: str(url_file)}, {}),
        ({}, {COLLECTOR_DATABASE: url}),
        ({}, {COLLECTOR_DATABASE_FILE: str(url_file)}),
    )
    in_file, variables = ways[turn % len(ways)]
    of_fleet = quoted(world.vault.plant("collector, replica", ANY))
    replica = f"postgresql://{ROLE}:{of_fleet}@127.0.0.1:{world.postgres.port}/secrets_pings"
    (directory / "etc" / "replica").write_text(replica)
    of_copy = quoted(world.vault.plant("collector, analytics", ANY))
    analytics = {"analytics": f"clickhouse://{ROLE}:{of_copy}@127.0.0.1:{free_port()}/pings"}
    fleet = analytics | ({"database": replica} if turn % 2 else {"database_file": "replica"})
    settings = directory / "etc" / "collector.yml"
    written_down: dict[str, Any] = {
        "listen": f"127.0.0.1:{port}",
        "data_dir": str(directory / "data"),
        "fleet": fleet,
        **in_file,
    }
    settings.write_text(yaml.safe_dump(written_down))
    header = world.vault.plant("collector OTLP, header")
    endpoint = f"http://operator:{quoted(world.vault.plant('collector OTLP, password', ANY))}@"
    variables |= {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"{endpoint}localhost:{world.recorder.port}/collector",
        "OTEL_EXPORTER_OTLP_HEADERS": f"x-planted={header}",
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_LOGS_EXPORTER": "otlp",
    }
    options = ["--log-level", "debug", "collector"]
    command: list[str | Path] = [sys.executable, "-m", "ff_observe", *options, "run", "--settings", settings]
    environment = guarded_environment(**variables, no_proxy="localhost", TMPDIR=str(directory))
    with running(command, directory, answers(f"http://127.0.0.1:{port}/-/ready"), environment=environment):
        world.keep("a ping", send(port, ping_body("kept")).body)
        keep_processes(world)
        with monkeypatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            capfd.readouterr()
            assert main([*options, "export", instance("kept"), "--settings", str(settings)]) == 0
            written = capfd.readouterr()
            assert '"ping"' in written.out
            world.keep("collector export", written.out + written.err)
            assert main(["--log-level", "debug", "fleet", "adoption", "--settings", str(settings)]) == 1
            written = capfd.readouterr()
            assert "ClickHouse" in written.err
            world.keep("fleet with analytics", written.out + written.err)
            del written_down["fleet"]["analytics"]
            settings.write_text(yaml.safe_dump(written_down))
            assert main(["--log-level", "debug", "fleet", "adoption", "--settings", str(settings)]) == 1
            written = capfd.readouterr()
            assert "does not let this user into this database" in written.err
            world.keep("fleet of a replica", written.out + written.err)
        world.set_password("another")
        wait_until(lambda: send(port, ping_body("lost")).status == 503, "pings to be refused")
        for path in ("/", "/metrics", "/-/ready", "/openapi.json", f"/?password={password}"):
            world.keep(f"collector {path}", ask(port, path))
        world.keep("a wrong ping", send(port, json.dumps({"instanceId": url}).encode()).body)
    key = (directory / "data" / "key" / "sender.key").read_bytes()
    world.vault.planted |= {
        "sender key, hex": key.hex(),
        "sender key, base64": base64.b64encode(key).decode().rstrip("="),
    }
    assert world.recorder.to("/collector/v1/")


@given(
    place=st.sampled_from(["an answer", "a file", "a body", "a head"]),
    characters=st.sampled_from(["", ANY]),
    before=st.binary(max_size=4),
    after=st.binary(max_size=4),
    data=st.data(),
)
def test_the_search_finds_a_secret_wherever_and_however_it_stands(
    place: str, characters: str, before: bytes, after: bytes, data: st.DataObject
) -> None:
    vault = Vault()
    secret = vault.plant("here", characters)
    raw = before + secret.encode() + after
    ways = (
        raw,
        base64.b64encode(raw),
        base64.urlsafe_b64encode(raw),
        before + quote(secret, safe="").encode() + after,
        before + quote_plus(secret).encode() + after,
        json.dumps(f"{place} {secret}").encode(),
        json.dumps({place: json.dumps([secret])}).encode(),
        json.dumps(secret, ensure_ascii=False).encode(),
        repr([secret]).encode(),
    )
    written = data.draw(st.sampled_from(ways))
    assert vault.found(written)
    assert vault.found(written, ("here",)) == []
    assert vault.found(written.replace(b"Q", b"").replace(b"Z", b"")[: len(secret) // 2]) == []


@pytest.mark.skipif(htpasswd.HTPASSWD is None, reason=htpasswd.MISSING)
@pytest.mark.parametrize("turn", range(in_full(TURNS, 1)))
def test_no_secret_leaves(
    turn: int, tmp_path: Path, postgres: Cluster, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with recording() as recorder:
        world = World(tmp_path, postgres, recorder, turn)
        show_that_leaks_are_found(world)
        world.load()
        run_commands(world, monkeypatch, capfd)
        run_bridge(world)
        run_collector(world, turn, capfd, monkeypatch)
        assert world.leaks() == []


@pytest.mark.parametrize("turn", range(TURNS))
def test_no_command_shows_a_secret_in_whatever_form_it_is_configured(
    turn: int, tmp_path: Path, postgres: Cluster, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with recording() as recorder:
        world = World(tmp_path, postgres, recorder, turn)
        for name, value in world.variables.items():
            monkeypatch.setenv(name, value)
        for options in (["--effective"], ["--json", "--effective"]):
            capfd.readouterr()
            assert (
                main(["--home", str(world.home.directory), "--log-level", "debug", "check", "--offline", *options]) == 0
            )
            written = capfd.readouterr()
            shown = written.out + written.err
            assert all(key.path in shown for key in SECRET_KEYS)
            world.keep("check", shown)
        assert world.leaks() == []
