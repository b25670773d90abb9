"""The release of the maps: it must be the one that the page will report, or Sentry would not find them."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ff_observe.errors import SourceMapsError
from ff_observe.frontend import reported_release

# https://docs.sentry.io/product/releases/naming-releases/
_ALLOWED: Final = re.compile(r"(?!\.{1,2}$)[^\s/\\](?:[^\n\r\t/\\]{0,198}[^\s/\\])?")


def agree_on_release(directory: Path, given: str | None, configured: str | None) -> str:
    """The one release that is `given` on the command line, `configured`, and in the rendered pages of `directory`.

    Raises `SourceMapsError` if they differ, or if there is none.
    """
    sources: dict[str, str | None] = {}
    if given is not None:
        sources["--release"] = given
    if configured is not None:
        sources["the configuration (FlowFuse's version)"] = configured
    sources.update(_releases_of_pages(directory))
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
            f"{release!r} is no release Sentry takes: up to 200 characters, no slash, line break or tab, not . or .."
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
