"""`ff-observe run`: the bridge, until SIGTERM or SIGINT; SIGHUP re-reads the file."""

import argparse
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from ff_observe.cli.options import settings_of
from ff_observe.cli.signals import Signals
from ff_observe.cli.systemd import next_signal, notify
from ff_observe.errors import FFObserveError

if TYPE_CHECKING:
    from ff_observe.bridge import Bridge
    from ff_observe.config.settings import Settings

log = logging.getLogger("ff_observe")

STOP_SECONDS = 4.5
"""What the parts have to stop in; with the end of the process it stays below the five seconds promised."""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "run",
        help="run the bridge",
        description="Serves the status page and /metrics, sends the core ping, reports to Sentry and OTLP, as "
        "flowforge.yml says. SIGTERM and Ctrl-C stop it; SIGHUP re-reads the file and keeps the old settings if the "
        "new file is wrong.",
    )
    parser.set_defaults(run=run, usual_log_level="info")


def run(options: argparse.Namespace) -> int:
    from ff_observe.bridge import build_bridge

    settings = settings_of(options)
    bridge = build_bridge(settings, serve=True, stop_seconds=STOP_SECONDS)
    _tell_of_problems(settings)
    signals = Signals()
    bridge.start()
    log.info("ff-observe reads %s and serves %s", settings.file, bridge.listens_on)
    notify("READY=1")
    while next_signal(signals, bridge.responds) == signal.SIGHUP:
        notify("RELOADING=1")
        _reload(bridge, options)
        notify("READY=1")
    notify("STOPPING=1")
    log.info("stopping")
    return leave(stop(bridge.stop))


def _reload(bridge: "Bridge", options: argparse.Namespace) -> None:
    """Use the file as it is now; whatever is wrong with it, go on with the old settings."""
    try:
        settings = settings_of(options)
        bridge.reload(settings)
    except FFObserveError as error:
        bridge.reload_failed()
        for line in (*str(error).splitlines(), "the old settings stay in use"):
            log.error("%s", line)  # noqa: TRY400 - a wrong file is no matter for a traceback
    except ExceptionGroup as group:
        for stopping_error in group.exceptions:
            log.warning("%s", stopping_error)
    else:
        _tell_of_problems(settings)
        log.info("ff-observe has read %s again and serves %s", settings.file, bridge.listens_on)


def _tell_of_problems(settings: "Settings") -> None:
    for problem in (*settings.warnings, *settings.notes):
        log.warning("%s", problem)


def stop(action: "Callable[[], None]") -> int:
    """Run `action`, which stops everything by its deadline; the exit status."""
    status = 0
    try:
        action()
    except* Exception as group:
        for error in group.exceptions:
            log.warning("%s", error)
        status = 1
    return status


def leave(status: int) -> int:
    """End with the process what did not end by itself; returns `status` if there is no such thing."""
    lingering = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    if lingering:
        # They hang in calls that nobody can interrupt. The interpreter would wait for some of them for ever, and take
        # others down in the middle of foreign code, which may hang as well.
        log.warning("left behind: %s", ", ".join(lingering))
        logging.shutdown()
        sys.stdout.flush()
        os._exit(status)
    return status
