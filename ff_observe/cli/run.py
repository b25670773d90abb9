"""`ff-observe run`: the bridge, until SIGTERM or SIGINT; SIGHUP re-reads the file."""

import argparse
import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from ff_observe.cli.options import add_platforms, platforms_of, settings_of
from ff_observe.cli.signals import Signals
from ff_observe.cli.systemd import listening_socket, next_signal, notify
from ff_observe.config.public import open_to_all
from ff_observe.errors import FFObserveError
from ff_observe.telemetry.platform_context import working_for

if TYPE_CHECKING:
    import socket

    from ff_observe.config.platforms import Platforms
    from ff_observe.config.settings import PrometheusSettings, Settings
    from ff_observe.running.bridge import Bridge

log = logging.getLogger("ff_observe")

STOP_SECONDS = 4.5
"""Time for all components to stop; with the exit of the process it stays under the five seconds promised."""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "run",
        help="run the bridge",
        description="Serves the status page and /metrics, sends the core ping, reports to Sentry and OTLP, as "
        "flowforge.yml says. SIGTERM and Ctrl-C stop it; SIGHUP re-reads the file and keeps the old settings if the "
        "new file is wrong.",
    )
    add_platforms(parser, "observe")
    parser.set_defaults(run=run, usual_log_level="info")


def run(options: argparse.Namespace) -> int:
    from ff_observe.running.bridge import build_bridge

    given = listening_socket()
    settings = _read(options, given)
    if options.platforms is not None:
        _allow_many_files()
    listening = None if given is None else lambda: given
    bridge = build_bridge(settings, serve=True, listening=listening, stop_seconds=STOP_SECONDS)
    _log_problems(settings)
    signals = Signals()
    bridge.start()
    log.info("ff-observe reads %s and serves %s", _source(settings), bridge.listens_on)
    notify("READY=1")
    while next_signal(signals.wait, bridge.responds) == signal.SIGHUP:
        # With Type=notify-reload, systemd 253 and later wait for a message that says since when.
        notify(f"RELOADING=1\nMONOTONIC_USEC={bridge.clock.monotonic() * 1e6:.0f}")
        _reload(bridge, options, given)
        notify("READY=1")
    notify("STOPPING=1")
    log.info("stopping")
    return leave(stop(bridge.stop))


def _read(options: argparse.Namespace, given: "socket.socket | None") -> "Settings | Platforms":
    """The settings that the options name, with the address of an inherited socket. Raises `FFObserveError`."""
    if options.platforms is None:
        settings = settings_of(options)
        return settings if given is None else replace(settings, prometheus=_address_of(given, settings.prometheus))
    platforms = platforms_of(options)
    return platforms if given is None else replace(platforms, web=_address_of(given, platforms.web))


def _address_of(given: "socket.socket", web: "PrometheusSettings") -> "PrometheusSettings":
    host, port = given.getsockname()[:2]
    served = replace(web, host=host, port=port)
    if served.is_open_to_all:
        raise FFObserveError(f"the socket of the service manager: {open_to_all(host)}")
    return served


def _allow_many_files() -> None:
    """Raise the limit of open files to what the system allows: each platform holds a file or a connection, and services
    often start with a low limit."""
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _reload(bridge: "Bridge", options: argparse.Namespace, given: "socket.socket | None") -> None:
    """Apply the file as it is now; if anything is wrong with it, keep the old settings."""
    try:
        settings = _read(options, given)
        bridge.reload(settings)
    except FFObserveError as error:
        bridge.reload_failed()
        for line in (*str(error).splitlines(), "the old settings stay in use"):
            log.error("%s", line)  # noqa: TRY400 - a wrong file is no matter for a traceback
    except ExceptionGroup as group:
        for stopping_error in group.exceptions:
            log.warning("%s", stopping_error)
    else:
        _log_problems(settings)
        log.info("ff-observe has read %s again and serves %s", _source(settings), bridge.listens_on)


def _source(settings: "Settings | Platforms") -> str:
    from ff_observe.config.platforms import Platforms

    if not isinstance(settings, Platforms):
        return str(settings.file)
    return f"{len(settings.platforms)} platforms of {settings.source}"


def _log_problems(settings: "Settings | Platforms") -> None:
    from ff_observe.config.platforms import Platforms

    if not isinstance(settings, Platforms):
        for problem in (*settings.warnings, *settings.notes):
            log.warning("%s", problem)
        return
    for problem in settings.warnings:
        log.warning("%s", problem)
    for listed in settings.platforms:
        if listed.settings is not None:
            with working_for(listed.name):
                _log_problems(listed.settings)


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
    """Exit at once if threads are still running in uninterruptible calls; otherwise return `status`."""
    lingering = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    if lingering:
        # They hang in uninterruptible calls. The interpreter would wait for some of them for ever, and stop others in
        # the middle of foreign code, which may hang as well.
        log.warning("left behind: %s", ", ".join(lingering))
        logging.shutdown()
        sys.stdout.flush()
        os._exit(status)
    return status
