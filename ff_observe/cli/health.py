"""`ff-observe health`: asks a running bridge whether it is healthy, for containers, whose image has no other client."""

import argparse
from typing import TYPE_CHECKING

from ff_observe.cli.options import server_address, settings_of, start_logging
from ff_observe.errors import FFObserveError

if TYPE_CHECKING:
    from ff_observe.config.settings import Settings

LIVE_SECONDS = 5.0
READY_SECONDS = 10.0  # the bridge itself waits five seconds for the database


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "health",
        help="ask a running bridge whether it is healthy",
        description="Asks the bridge that runs on this machine with the same settings; exit status 1 if it does not "
        "answer. For the health check of a container.",
    )
    parser.add_argument(
        "--ready", action="store_true", help="ask whether the platform's database answers too (default: the bridge)"
    )
    parser.add_argument(
        "--url",
        type=server_address,
        metavar="URL",
        help="ask another ff-observe server, such as a collector: http://127.0.0.1:10465",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from http.client import HTTPException

    from ff_observe.telemetry.log import escaped
    from ff_observe.web.local import HEALTHY_PATH, READY_PATH, ask

    if options.url is None:
        url = _url_of(settings_of(options))
    else:
        start_logging(options)
        url = options.url
    path, seconds = (READY_PATH, READY_SECONDS) if options.ready else (HEALTHY_PATH, LIVE_SECONDS)
    try:
        status, text = ask(url, path, seconds)
    except (OSError, HTTPException) as error:
        raise FFObserveError(f"{url} does not answer: {getattr(error, 'strerror', None) or error}") from error
    if status != 200:
        raise FFObserveError(f"{url} answers {status}: {escaped(text.strip())}")
    print(escaped(text.strip()))
    return 0


def _url_of(settings: "Settings") -> str:
    from ff_observe.web.local import bridge_url

    prometheus = settings.prometheus
    if prometheus.port == 0:
        raise FFObserveError(
            "the port is 0, so that only the bridge knows the real one; set telemetry.backend.prometheus.port, or "
            "name the address with --url"
        )
    return bridge_url(prometheus)
