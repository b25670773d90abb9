"""From a build to an error someone can read: our command, the official sentry-cli, real Chromium and a real Bugsink."""

import contextlib
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ff_observe.errors import SourceMapsError
from ff_observe.source_maps.upload import upload_source_maps
from tests.frontend_commands import RELEASE, Platform
from tests.network_guard import guarded_environment
from tests.real_parts import browser as real_browser
from tests.real_parts import bugsink as real_bugsink
from tests.real_parts.bridge import command
from tests.real_parts.internet import Answer, Internet, Request, internet

SOURCES = {
    "main.js": """import * as Sentry from "@sentry/browser";
import { divide } from "./arithmetic.js";
const { dsn, version, environment } = window.sentryConfig;
Sentry.init({ dsn, environment, release: version });
setTimeout(() => divide(1, 0));
""",
    "arithmetic.js": """// line 1: a comment, so that the error is not on the first line
export function divide(dividend, divisor) {
    if (divisor === 0) {
        throw new RangeError("planted: divided by zero");
    }
    return dividend / divisor;
}
""",
}
FAULTY_LINE = 4


@pytest.fixture
def build(tmp_path: Path) -> Path:
    """A directory with a page and a minified bundle, as a build leaves it."""
    libraries = real_browser.libraries()
    if libraries is None:
        pytest.skip("needs npm packages: python -m tests.real_parts.browser")
    sources, built = tmp_path / "src", tmp_path / "dist"
    sources.mkdir()
    for name, text in SOURCES.items():
        (sources / name).write_text(text)
    command: list[str | Path] = [libraries / ".bin" / "esbuild", sources / "main.js", "--bundle", "--minify"]
    subprocess.run(
        [*command, "--sourcemap", f"--outfile={built / 'app.min.js'}"],
        check=True,
        capture_output=True,
        env={**os.environ, "NODE_PATH": str(libraries)},
    )
    (built / "index.html").write_text(
        '<!doctype html><head><title>t</title></head><body><script src="/app.min.js"></script></body>'
    )
    return built


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Internet]:
    with internet(tmp_path) as running:
        yield running


def serve(directory: Path, host: str, web: Internet) -> None:
    def site(request: Request) -> Answer | None:
        file = directory / (request.path.lstrip("/") or "index.html")
        kind = "text/html" if file.suffix == ".html" else "text/javascript"
        # Maps stay at home: Bugsink must have them from the upload alone.
        return Answer(file.read_bytes(), kind) if file.is_file() and file.suffix != ".map" else None

    web.sites[host] = site


def credentials(server: real_bugsink.Server, project: real_bugsink.Project) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "SENTRY_URL": server.url,
        "SENTRY_AUTH_TOKEN": server.token,
        "SENTRY_ORG": real_bugsink.ORGANISATION,
        "SENTRY_PROJECT": project.slug,
    }


def test_an_error_of_a_minified_bundle_shows_the_original_file_and_line(
    bugsink: real_bugsink.Server, build: Path, web: Internet, tmp_path: Path
) -> None:
    project = bugsink.create_project("source maps")
    frontend = {"sentry": {"dsn": project.dsn}}
    platform = Platform(tmp_path / "home", frontend, SENTRY_ENV="staging", **credentials(bugsink, project))
    index = build / "index.html"
    assert platform.run("frontend", "render", index, "-o", index).returncode == 0
    uploaded = platform.run("sentry", "sourcemaps", build)
    said = uploaded.stdout.decode() + uploaded.stderr.decode()
    assert uploaded.returncode == 0, said
    assert f"uploading 1 source maps for release {RELEASE} to {real_bugsink.ORGANISATION}/{project.slug} at" in said
    assert said.endswith(f"uploaded: 1 source maps for release {RELEASE}\n")
    assert bugsink.token not in said

    serve(build, "page.example.test", web)
    with (
        real_browser.browser({"*:443": web.address}) as launched,
        real_browser.visitor(launched) as visitor,
    ):
        page = visitor.new_page()
        page.goto("https://page.example.test/")
        configured = page.evaluate("[sentryConfig.version, sentryConfig.environment]")
        [event] = bugsink.wait_for_events(project)
    assert [event["data"]["release"], event["data"]["environment"]] == configured == [RELEASE, "staging"]
    shown = event["stacktrace_md"]
    assert f"### ../src/arithmetic.js:{FAULTY_LINE} " in shown
    assert 'throw new RangeError("planted: divided by zero");' in shown


def test_the_token_of_a_dotenv_file_is_in_no_argument_of_any_process_and_in_no_line_of_output(
    bugsink: real_bugsink.Server, build: Path, tmp_path: Path
) -> None:
    project = bugsink.create_project("argv")
    platform = Platform(tmp_path / "home", {}, HOME=str(tmp_path))
    variables = {name: value for name, value in credentials(bugsink, project).items() if name.startswith("SENTRY_")}
    (platform.home / ".env").write_text(
        "".join(f"export {name}='{value}' # x\r\n" for name, value in variables.items()), newline=""
    )
    (tmp_path / ".sentryclirc").write_text("[log]\nlevel=trace\n")  # sentry-cli then tells of each request
    arguments, output = set[bytes](), b""
    process = subprocess.Popen(
        command("--home", platform.home, "sentry", "sourcemaps", build),
        cwd=platform.home,
        env=guarded_environment(**platform.variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    with process:
        assert process.stdout is not None
        for line in process.stdout:
            output += line
            for one in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    arguments.add(one.read_bytes())
    assert process.returncode == 0, output.decode()
    assert any(b"sentry-cli\0sourcemaps\0upload\0--release=flowfuse@2.4.0\0" in one for one in arguments)
    assert b"Authorization: Bearer " in output
    # sentry-cli shows the first eight characters in its trace; ours are none.
    assert bugsink.token[:8].encode() not in b"\n".join((output, *arguments))


def test_a_dry_run_shows_the_plan_and_changes_and_sends_nothing(build: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in build.iterdir()}
    said: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        environment = {"SENTRY_URL": url, "SENTRY_AUTH_TOKEN": "t", "SENTRY_ORG": "o", "SENTRY_PROJECT": "p"}
        upload_source_maps(
            build, environment=environment, show=said.append, release=RELEASE, dry_run=True, working_directory=tmp_path
        )
        listening.setblocking(False)
        with pytest.raises(BlockingIOError):
            listening.accept()
    assert said[-2] == f"would upload 1 source maps for release {RELEASE} to o/p at {url}:"
    assert said[-1].startswith("  app.min.js: app.min.js.map, ")
    assert {path: path.read_bytes() for path in build.iterdir()} == before


@pytest.mark.parametrize("wrong", [{"SENTRY_AUTH_TOKEN": "f" * 40}, {"SENTRY_URL": "http://127.0.0.1:9"}])
def test_an_upload_the_server_does_not_take_is_an_error(
    bugsink: real_bugsink.Server, build: Path, tmp_path: Path, wrong: dict[str, str]
) -> None:
    project = bugsink.create_project("refused")
    said: list[str] = []
    # SENTRY_ALLOW_FAILURE makes sentry-cli end well whatever happens: a build must not take that from outside.
    environment = {**credentials(bugsink, project), "SENTRY_ALLOW_FAILURE": "1", **wrong}
    with pytest.raises(SourceMapsError, match="sentry-cli sourcemaps upload ended with status 1"):
        upload_source_maps(
            build, environment=environment, show=said.append, release=RELEASE, working_directory=tmp_path
        )
    assert "uploaded" not in said[-1]
    assert environment["SENTRY_AUTH_TOKEN"] not in "\n".join(said)


def test_uploading_the_same_build_twice_works(bugsink: real_bugsink.Server, build: Path, tmp_path: Path) -> None:
    project = bugsink.create_project("twice")
    said: list[str] = []
    for _ in range(2):
        upload_source_maps(
            build,
            environment=credentials(bugsink, project),
            show=said.append,
            release=RELEASE,
            working_directory=tmp_path,
        )
    assert said.count(f"uploaded: 1 source maps for release {RELEASE}") == 2
