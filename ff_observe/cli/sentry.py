"""`ff-observe sentry test|sourcemaps`: one test event; the source maps of a build."""

import argparse
import os
from pathlib import Path

from ff_observe.cli.options import settings_of
from ff_observe.cli.terminal import progress
from ff_observe.system.presence import exists


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("sentry", help="send a test event; upload the source maps of a build")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    test_parser = actions.add_parser(
        "test",
        help="send one test event and print its id",
        description="Sends one event to the DSN of telemetry.backend.sentry and prints its id once the server has it.",
    )
    test_parser.set_defaults(run=test)

    maps_parser = actions.add_parser(
        "sourcemaps",
        help="upload the source maps of a build",
        description="Checks the bundles and source maps in DIR and uploads them with sentry-cli. Reads "
        "SENTRY_AUTH_TOKEN, SENTRY_ORG, SENTRY_PROJECT and SENTRY_URL from the environment and from .env; without a "
        "token it does nothing.",
    )
    maps_parser.add_argument("directory", metavar="DIR", type=Path, help="where the build put its bundles and maps")
    maps_parser.add_argument("--release", help="the release to upload for (default: the one the page reports)")
    maps_parser.add_argument("--dry-run", action="store_true", help="print the plan; change and send nothing")
    maps_parser.set_defaults(run=sourcemaps)


def test(options: argparse.Namespace) -> int:
    from ff_observe.outputs.sentry.component import send_test_event
    from ff_observe.platform.sources.installation import installed_versions

    settings = settings_of(options)
    with progress("sending the event"):
        event = send_test_event(settings, installed_versions(settings).flowfuse())
    print(event)
    return 0


def sourcemaps(options: argparse.Namespace) -> int:
    from ff_observe.source_maps.upload import upload_source_maps
    from ff_observe.telemetry.log import escaped

    upload_source_maps(
        options.directory,
        environment=os.environ,
        show=lambda line: print(escaped(line), flush=True),
        release=options.release,
        page_release=lambda: _page_release(options),
        dry_run=options.dry_run,
    )
    return 0


def _page_release(options: argparse.Namespace) -> str | None:
    """What a page rendered on this machine would report; None where a build has no FlowFuse home at hand."""
    from ff_observe.config import find_file, find_home
    from ff_observe.config.environment import read_environment
    from ff_observe.config.sentry_names import release_name
    from ff_observe.platform.sources.installation import installed_versions

    named = options.home is not None or options.config is not None
    if not named and not exists(find_file(find_home(None, read_environment(os.environ)), None)):
        return None
    return release_name(installed_versions(settings_of(options)).flowfuse())
