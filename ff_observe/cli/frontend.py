"""`ff-observe frontend render|csp`: a page with the snippets in it, and the CSP they need."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ff_observe.cli.files import STANDARD_STREAM, add_output, opened, write_exactly
from ff_observe.cli.options import settings_of
from ff_observe.cli.terminal import say
from ff_observe.errors import PageError

if TYPE_CHECKING:
    from ff_observe.config.settings import Settings
    from ff_observe.frontend.scripts import Script

LARGEST_PAGE: Final = 16 * 2**20  # bytes; FlowFuse's index.html has some kilobytes


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("frontend", help="frontend telemetry: render it into a page, print its CSP")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    render_parser = actions.add_parser(
        "render",
        help="a page with the snippets injected",
        description="Puts the snippets of telemetry.frontend into a page: in place of FlowFuse's placeholder, else "
        "before </head>. Rendering a page again gives the same page.",
    )
    render_parser.add_argument("page", metavar="INDEX.html", type=Path, help="the page to read (-: stdin)")
    add_output(render_parser)
    render_parser.set_defaults(run=render)

    csp_parser = actions.add_parser(
        "csp",
        help="the CSP sources the snippets need",
        description="Prints the directives that the configured services need, hashes of the inline snippets included.",
    )
    csp_parser.add_argument("--merge", metavar="POLICY", help="print this policy, extended by what they need")
    csp_parser.set_defaults(run=csp)


def render(options: argparse.Namespace) -> int:
    from ff_observe.frontend.page import render_page
    from ff_observe.frontend.services import csp_sources

    settings = settings_of(options)
    scripts = _scripts(settings)
    rendered = render_page(_read(options.page), scripts, csp_sources(settings.frontend, scripts))
    with opened(options.output) as file:
        file.write(rendered)
    return 0


def _read(page: Path) -> bytes:
    """Raises `OSError`, or `PageError` for what is no page."""
    if page != STANDARD_STREAM:
        with page.open("rb") as file:
            content = file.read(LARGEST_PAGE + 1)
    elif sys.stdin is None:  # as Python leaves a stream that was closed at the start (`<&-`)
        raise PageError("standard input is closed: name the file of the page instead of -")
    else:
        content = sys.stdin.buffer.read(LARGEST_PAGE + 1)
    if len(content) > LARGEST_PAGE:
        place = "standard input" if page == STANDARD_STREAM else page
        raise PageError(f"{place} has more than the {LARGEST_PAGE} bytes that a page may have; name an index.html")
    return content


def csp(options: argparse.Namespace) -> int:
    from ff_observe.frontend.csp import format_policy, merge_csp
    from ff_observe.frontend.services import csp_sources

    settings = settings_of(options)
    sources = csp_sources(settings.frontend, _scripts(settings))
    policy = format_policy(sources) if options.merge is None else merge_csp(options.merge, sources)
    if policy:
        write_exactly(f"{policy}\n")
    return 0


def _scripts(settings: "Settings") -> "tuple[Script, ...]":
    from ff_observe.config.sentry_names import environment_name, release_name
    from ff_observe.frontend.services import snippets
    from ff_observe.platform.sources.installation import installed_versions

    release = release_name(installed_versions(settings).flowfuse())
    scripts = snippets(settings.frontend, environment_name(settings.environment.name), release)
    for problem in (*settings.warnings, *settings.notes):
        say(f"warning: {problem}")
    if not scripts:
        say(f"note: telemetry.frontend in {settings.file} configures no service")
    if settings.frontend.sentry is not None and release is None:
        say("note: FlowFuse's version is not known, so errors have no release; set telemetry.platform.version")
    return scripts
