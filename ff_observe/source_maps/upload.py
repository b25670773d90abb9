"""Uploads the source maps of a build with the official `sentry-cli`, after checking everything."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from ff_observe.config.secret import MASK
from ff_observe.errors import SourceMapsError
from ff_observe.frontend import reported_release
from ff_observe.source_maps.bundles import Bundles, find_bundles
from ff_observe.source_maps.credentials import Credentials, gather_variables, read_credentials

NO_TOKEN: Final = "SENTRY_AUTH_TOKEN is not set, in the environment or in .env: no source maps are uploaded"  # noqa: S105 - a message

# https://docs.sentry.io/product/releases/naming-releases/; "latest" is refused by the server (Release.is_valid_version)
# and vertical white space by sentry-cli too, which by then has changed the bundles.
_ALLOWED: Final = re.compile(r"(?!(?:\.{1,2}|(?i:latest))$)[^\s/\\](?:[^\n\r\t\f\v/\\]{0,198}[^\s/\\])?")

Show = Callable[[str], None]


def upload_source_maps(
    directory: Path,
    *,
    environment: Mapping[str, str],
    show: Show,
    release: str | None = None,
    page_release: Callable[[], str | None] = lambda: None,
    dry_run: bool = False,
    working_directory: Path | None = None,
) -> None:
    """Check the bundles in `directory`, give them debug ids (this changes the files) and upload their maps.

    `release` is the user's choice; `page_release` returns the release of the rendered page by the configuration, which
    is read only if needed. `.env` is read from `working_directory` (default: the current one). Each line of progress
    goes to `show`. Without a token nothing is done, and that is shown; with `dry_run` the plan is shown, and nothing is
    changed or sent. Raises `SourceMapsError`, which names every problem at once.
    """
    credentials = read_credentials(gather_variables(environment, working_directory or Path()))
    if credentials is None:
        show(NO_TOKEN)
        if not dry_run:
            return
    if not directory.is_dir():
        raise SourceMapsError(f"{directory} is not a directory")
    bundles = find_bundles(directory)
    for note in bundles.notes:
        show(f"note: {note}")
    if bundles.problems:
        raise SourceMapsError(
            "\n".join(("the build is not fit for upload; nothing was sent:", *(f"  {it}" for it in bundles.problems)))
        )
    agreed = agree_on_release(directory, release, page_release())
    for line in _plan(bundles, agreed, credentials, dry_run=dry_run):
        show(line)
    if dry_run or credentials is None:
        return
    _run(credentials, environment, show, "inject", str(directory.absolute()))
    upload = ("upload", f"--release={agreed}", "--validate", "--strict", str(directory.absolute()))
    _run(credentials, environment, show, *upload)
    show(f"uploaded: {len(bundles.pairs)} source maps for release {agreed}")


def agree_on_release(directory: Path, given: str | None, configured: str | None) -> str:
    """The one release that is `given` on the command line, `configured`, and in the rendered pages of `directory`.

    Raises `SourceMapsError` if they differ, or if there is none.
    """
    named = {"--release": given, "the configuration (FlowFuse's version)": configured}
    known = {where: release for where, release in named.items() if release is not None}
    sources = {**known, **_releases_of_pages(directory)}
    releases = set(sources.values())
    if not releases:
        raise SourceMapsError(
            "the release is not known: say --release flowfuse@<version>, as the page reports it, "
            "or set telemetry.platform.version in flowforge.yml"
        )
    release = next((release for release in sources.values() if release is not None), None)
    if len(releases) > 1 or release is None:
        said = "\n".join(f"  {where}: {release or 'none'}" for where, release in sources.items())
        raise SourceMapsError(f"the release of the maps must be the one the page reports, but these differ:\n{said}")
    if not _ALLOWED.fullmatch(release):
        raise SourceMapsError(
            f"{release!r} is no release Sentry takes: up to 200 characters, no slash, line break or tab, "
            "and not ., .. or latest"
        )
    return release


def _releases_of_pages(directory: Path) -> Mapping[str, str | None]:
    """What each of our rendered pages in the directory will report."""
    found = {}
    for path in sorted(directory.rglob("*.html")):
        if path.is_file():
            configured, release = reported_release(path.read_bytes())
            if configured:
                found[str(path.relative_to(directory))] = release
    return found


def _plan(bundles: Bundles, release: str, credentials: Credentials | None, *, dry_run: bool) -> Sequence[str]:
    to = "Sentry"
    if credentials is not None:
        to = f"{credentials.organisation}/{credentials.project} at {credentials.url}"
    verb = "would upload" if dry_run else "uploading"
    return (
        f"{verb} {len(bundles.pairs)} source maps for release {release} to {to}:",
        *(f"  {pair.bundle}: {pair.map or 'the map within it'}, {pair.sources} sources" for pair in bundles.pairs),
    )


def _run(credentials: Credentials, environment: Mapping[str, str], show: Show, *arguments: str) -> None:
    """Run one `sentry-cli sourcemaps` command, its output line by line to `show`."""
    process = subprocess.Popen(  # noqa: S603 - no shell, and the arguments are ours
        [_sentry_cli(), "sourcemaps", *arguments],
        env=_variables(credentials, environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
    )
    token = credentials.token.reveal()
    with process:
        assert process.stdout is not None
        for line in process.stdout:
            if line := line.rstrip().replace(token, MASK).replace(f"{token[:8]}***", MASK):  # its own way to mask one
                show(line)
    if process.returncode:
        raise SourceMapsError(
            f"sentry-cli sourcemaps {arguments[0]} ended with status {process.returncode}; what it said is above"
        )


def _variables(credentials: Credentials, environment: Mapping[str, str]) -> dict[str, str]:
    """The environment for sentry-cli: its destination, and none of the caller's settings that could change it."""
    kept = {name: value for name, value in environment.items() if not name.startswith("SENTRY_")}
    given = {
        "SENTRY_AUTH_TOKEN": credentials.token.reveal(),
        "SENTRY_ORG": credentials.organisation,
        "SENTRY_PROJECT": credentials.project,
        "SENTRY_URL": credentials.url,
        "SENTRY_LOAD_DOTENV": "0",  # already read, by the same rules for all variables
        "SENTRY_NO_PROGRESS_BAR": "1",  # it redraws lines; ours are permanent
        "SENTRY_DISABLE_UPDATE_CHECK": "true",
    }
    return {**kept, **given}


def _sentry_cli() -> str:
    """The program of the extra `build`, else one on the path."""
    beside = Path(sys.executable).parent / "sentry-cli"
    found = str(beside) if beside.exists() else shutil.which("sentry-cli")
    if found is None:
        raise SourceMapsError("sentry-cli is not installed: pip install 'ff-observe[build]'")
    return found
