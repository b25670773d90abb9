"""`ff-observe frontend render|csp`: a page with the snippets in it, and the CSP they need."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ff_observe.cli.options import settings_of

if TYPE_CHECKING:
    from ff_observe.config.settings import Settings
    from ff_observe.frontend.scripts import Script


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("frontend", help="frontend telemetry: render it into a page, tell its CSP")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    render_parser = actions.add_parser(
        "render",
        help="a page with the snippets injected",
        description="Puts the snippets of telemetry.frontend into a page: in place of FlowFuse's placeholder, else "
        "before </head>. Rendering a page again gives the same page.",
    )
    render_parser.add_argument("page", metavar="INDEX.html", type=Path, help="the page to read")
    render_parser.add_argument("-o", "--output", metavar="FILE", type=Path, help="where to write (default: stdout)")
    render_parser.set_defaults(run=render)

    csp_parser = actions.add_parser(
        "csp",
        help="the CSP sources the snippets need",
        description="Prints the directives that the configured services need, hashes of the inline snippets included.",
    )
    csp_parser.add_argument("--merge", metavar="POLICY", help="print this policy, widened by what they need")
    csp_parser.set_defaults(run=csp)


def render(options: argparse.Namespace) -> int:
    from ff_observe.frontend.page import render_page
    from ff_observe.frontend.snippets import csp_sources

    settings = settings_of(options)
    scripts = _scripts(settings)
    page = render_page(options.page.read_bytes(), scripts, csp_sources(settings.frontend, scripts))
    if options.output is None:
        sys.stdout.buffer.write(page)
    else:
        options.output.write_bytes(page)
    return 0


def csp(options: argparse.Namespace) -> int:
    from ff_observe.frontend.csp import format_policy, merge_csp
    from ff_observe.frontend.snippets import csp_sources

    settings = settings_of(options)
    sources = csp_sources(settings.frontend, _scripts(settings))
    print(format_policy(sources) if options.merge is None else merge_csp(options.merge, sources))
    return 0


def _scripts(settings: "Settings") -> "tuple[Script, ...]":
    from ff_observe.frontend.snippets import deprecations, release_name, snippets
    from ff_observe.wiring import installed_versions

    for deprecation in deprecations(settings.frontend):
        print(f"ff-observe: warning: {deprecation}", file=sys.stderr)
    release = release_name(installed_versions(settings).flowfuse())
    return snippets(settings.frontend, settings.environment.name, release)
