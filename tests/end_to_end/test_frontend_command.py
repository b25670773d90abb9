"""`ff-observe frontend render` and `csp` as people run them: what is read and written, and what they are told."""

import os
import resource
from pathlib import Path

import pytest

from ff_observe.cli import main
from tests.frontend_commands import Platform

PAGE = b"<!doctype html><head><title>t</title></head>"
SENTRY = {"sentry": {"dsn": "https://key@o1.ingest.de.sentry.io/4"}}


def test_a_page_may_come_and_go_by_the_standard_streams(tmp_path: Path) -> None:
    platform = Platform(tmp_path / "home", SENTRY)
    (tmp_path / "index.html").write_bytes(PAGE)
    to_file = platform.run("frontend", "render", tmp_path / "index.html", "-o", tmp_path / "out.html")
    assert (to_file.returncode, to_file.stdout, to_file.stderr) == (0, b"", b"")
    rendered = (tmp_path / "out.html").read_bytes()
    assert b"window.sentryConfig" in rendered
    assert platform.run("frontend", "render", "-", "-o", "-", input=PAGE).stdout == rendered
    assert platform.run("frontend", "render", "-", "-o", "/dev/stdout", input=rendered).stdout == rendered


def test_a_standard_input_that_is_closed_is_named(tmp_path: Path) -> None:
    done = Platform(tmp_path / "home", SENTRY).run("frontend", "render", "-", preexec_fn=lambda: os.close(0))
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr == b"ff-observe: standard input is closed: name the file of the page instead of -\n"


def test_an_input_without_end_is_no_page(tmp_path: Path) -> None:
    platform = Platform(tmp_path / "home", SENTRY)
    limit = 1024 * 2**20
    with Path("/dev/zero").open("rb") as endless:
        for page, place in (("-", "standard input"), ("/dev/zero", "/dev/zero")):
            done = platform.run(
                *("frontend", "render", page),
                stdin=endless,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
            )
            assert done.stderr.decode() == (
                f"ff-observe: {place} has more than the 16777216 bytes that a page may have; name an index.html\n"
            )
            assert (done.returncode, done.stdout) == (1, b"")


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_a_page_rendered_onto_itself_keeps_its_mode_its_owner_and_its_links(tmp_path: Path, mode: int) -> None:
    platform = Platform(tmp_path / "home", SENTRY)
    site = tmp_path / "site"
    site.mkdir()
    page, link = site / "page.html", site / "index.html"
    page.write_bytes(PAGE)
    page.chmod(mode)
    if os.geteuid() == 0:
        os.chown(page, 1000, 1001)
    before = page.stat()
    link.symlink_to(page)
    assert platform.run("frontend", "render", link, "-o", link).returncode == 0
    after = page.stat()
    assert b"window.sentryConfig" in page.read_bytes()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert link.is_symlink()
    assert sorted(site.iterdir()) == [link, page]


def test_a_page_that_cannot_be_written_whole_stays_as_it_was(tmp_path: Path) -> None:
    platform = Platform(tmp_path / "home", SENTRY)
    site = tmp_path / "site"
    site.mkdir()
    (site / "index.html").write_bytes(PAGE)
    done = platform.run(
        *("frontend", "render", site / "index.html", "-o", site / "index.html"),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (len(PAGE) + 1, len(PAGE) + 1)),
    )
    assert done.returncode == 1
    assert done.stderr.decode() == f"ff-observe: {site / 'index.html'}: File too large\n"
    assert {path: path.read_bytes() for path in site.iterdir()} == {site / "index.html": PAGE}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["render", "absent.html"], "absent.html: No such file or directory"),
        (["render", "."], ".: Is a directory"),
        (["render", "page.html", "-o", "absent/out.html"], "absent/out.html: No such file or directory"),
        (["render", "page.html", "-o", "."], ".: Is a directory"),
        (["render", "/dev/null"], "the page has no place for the snippets: neither </head> nor <body>; put <script>"),
    ],
)
def test_what_does_not_work_is_said_in_a_line(tmp_path: Path, arguments: list[str], message: str) -> None:
    platform = Platform(tmp_path / "home", SENTRY)
    (platform.home / "page.html").write_bytes(PAGE)
    done = platform.run("frontend", *arguments)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.decode().startswith(f"ff-observe: {message}")
    assert done.stderr.count(b"\n") == 1


def test_what_a_user_may_have_overlooked_is_noted(tmp_path: Path) -> None:
    nothing = Platform(tmp_path / "nothing", {"sentri": {"dsn": "x"}}).run("frontend", "render", "-", input=PAGE)
    assert nothing.stdout == PAGE
    assert "did you mean" in nothing.stderr.decode()
    assert "configures no service" in nothing.stderr.decode()
    platform = Platform(tmp_path / "unknown", SENTRY)
    file = platform.home / "etc" / "flowforge.yml"
    file.write_text(file.read_text().replace('"version"', '"nodejs_version"'))
    unknown = platform.run("frontend", "render", "-", input=PAGE)
    assert b"set telemetry.platform.version" in unknown.stderr
    assert b"sentryConfig" in unknown.stdout


@pytest.mark.parametrize("where", ["new", "old"])
def test_plausible_works_and_every_command_names_its_replacement(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], where: str
) -> None:
    platform = Platform(tmp_path / "home", {"plausible": {"domain": "d.example"}})
    if where == "old":
        file = platform.home / "etc" / "flowforge.yml"
        file.write_text('{"telemetry": {"plausible": {"domain": "d.example"}}}')
    done = platform.run("frontend", "render", "-", input=PAGE)
    assert b'"d.example"' in done.stdout
    assert (
        b"Plausible is deprecated and will be removed; use PostHog instead: telemetry.frontend.posthog" in done.stderr
    )
    assert main(["--home", str(platform.home), "check", "--offline"]) == 0
    told = capsys.readouterr().out
    assert "use PostHog instead: telemetry.frontend.posthog" in told
    key = "telemetry.frontend.plausible.domain" if where == "new" else "telemetry.plausible.domain"
    assert f"Frontend Plausible  on   {key} is set" in told
