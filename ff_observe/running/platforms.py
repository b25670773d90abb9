"""The platforms of a process, from a configuration for one or for several: started, stopped and reloaded together."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ff_observe.config.platforms import ListedPlatform, Platforms
from ff_observe.config.settings import PrometheusSettings, Settings
from ff_observe.errors import FFObserveError
from ff_observe.http.application import Application
from ff_observe.lifecycle.periodic import Schedule
from ff_observe.lifecycle.service import Component
from ff_observe.lifecycle.workers import Workers
from ff_observe.running.platform import RunningPlatform, stop_in_parallel
from ff_observe.running.wiring import Process
from ff_observe.system.clock import Clock
from ff_observe.telemetry.platform_context import working_for
from ff_observe.web.platforms_app import PlatformsApp
from ff_observe.web.platforms_page import ServedPlatform
from ff_observe.web.status.describe import Audience

log = logging.getLogger(__name__)

IDLE_WORKER_SECONDS: Final = 60.0

Given = Settings | Platforms | Mapping[str, Settings]
"""What a bridge is built from: one platform, a list of them, or a map of names to settings."""


def one_or_several(settings: Given) -> Settings | Platforms:
    """A map as a list of platforms."""
    if isinstance(settings, Settings | Platforms):
        return settings
    listed = tuple(ListedPlatform(name, each) for name, each in settings.items())
    return Platforms(Path(), PrometheusSettings(enabled=True), listed)


def web_of(given: Settings | Platforms) -> PrometheusSettings:
    """The settings of the server."""
    return given.prometheus if isinstance(given, Settings) else given.web


class RunningPlatforms:
    """A component: the platforms of a bridge. One without a name raises its errors; of several, each keeps its own."""

    name = "platforms"

    def __init__(
        self, settings: Given, clock: Clock, made_with: Mapping[str, Any], audience: Callable[[], Audience]
    ) -> None:
        given = one_or_several(settings)
        self._clock = clock
        self._made_with = made_with
        self.web = web_of(given)
        self.running: dict[str | None, RunningPlatform] = {}
        self._process = Process(clock, audience=audience)
        self._is_started = False
        if isinstance(given, Settings):
            self.running[None] = self._new(None, given)
            return
        workers = Workers(idle_seconds=IDLE_WORKER_SECONDS)
        self._process = Process(clock, workers, Schedule(clock, workers), audience)
        self._list = PlatformsApp(clock, workers)
        self._take(given)

    @property
    def several(self) -> bool:
        """Whether the bridge serves platforms by name."""
        return None not in self.running

    @property
    def only(self) -> RunningPlatform:
        """The one platform of the bridge."""
        if None not in self.running:
            raise FFObserveError("this bridge has several platforms: ask one of `platforms`")
        return self.running[None]

    @property
    def app(self) -> Application:
        """What answers requests, with the settings of now."""
        return self.running[None].settings_app if None in self.running else self._list

    def start(self) -> None:
        schedule = self._process.schedule
        if schedule is not None:
            schedule.start()
        self._is_started = True
        for name in list(self.running):
            self._start(name)
        self._publish()

    def stop(self, deadline: float) -> None:
        """Raises an `ExceptionGroup` of what did not stop in time."""
        workers, schedule = self._process.workers, self._process.schedule
        if workers is None or schedule is None:
            self.running[None].stop(deadline)
            return
        schedule.stop(deadline)
        errors = stop_in_parallel(list(self.running.values()), self._process, deadline)
        if not workers.stop(max(0.0, deadline - self._clock.monotonic())):
            errors.append(TimeoutError("some readings did not end in time"))
        if errors:
            raise ExceptionGroup("some platforms did not stop cleanly", errors)

    def reload(self, given: Settings | Platforms) -> list[Component]:
        """See `Bridge.reload`; the components that are of no use any more."""
        if isinstance(given, Settings):
            undo = self.only.reload(given)
            self.web = given.prometheus
            return [_Ending(undo)]
        return [_Endings(self._take(given), self._process)]

    def reload_failed(self) -> None:
        for platform in self.running.values():
            platform.reload_failed()

    def capture(self, error: BaseException, thread_name: str) -> None:
        """To the one platform. What is wrong with the process itself concerns none of several."""
        if None in self.running:
            self.running[None].capture(error, thread_name)

    def _take(self, given: Platforms) -> list[Component]:
        """Have the platforms of the list, and no other; what is of no use any more is returned."""
        self.web = given.web
        self._labels: dict[str, Mapping[str, str]] = {}
        self._problems: dict[str, tuple[str, ...]] = {}
        names = {listed.name for listed in given.platforms}
        ends: list[Component] = [self.running.pop(name) for name in list(self.running) if name not in names]
        for listed in given.platforms:
            self._labels[listed.name] = listed.labels
            try:
                ends += self._take_one(listed)
            except Exception as error:
                if not isinstance(error, FFObserveError):
                    with working_for(listed.name):
                        log.exception("its settings cannot be used")
                self._fails(listed.name, _in_words(error).splitlines())
        self._publish()
        return ends

    def _take_one(self, listed: ListedPlatform) -> list[Component]:
        name, settings = listed.name, listed.settings
        before = self.running.get(name)
        if settings is None:
            self._fails(name, [str(problem) for problem in listed.problems])
            return []
        if before is None:
            self.running[name] = self._new(name, settings)
            if self._is_started:
                self._start(name)
            return []
        if before.settings == settings:
            before.reload_worked()
            return []
        return [_Ending(before.reload(settings))]

    def _fails(self, name: str, problems: list[str]) -> None:
        """One of several has settings that cannot be used: it keeps the old ones, if it has any."""
        with working_for(name):
            for problem in problems:
                log.error("%s", problem)
        if name in self.running:
            self.running[name].reload_failed()
        else:
            self._problems[name] = tuple(problems)

    def _start(self, name: str | None) -> None:
        try:
            self.running[name].start()
        except Exception as error:
            if name is None:
                raise
            del self.running[name]
            known = isinstance(error, FFObserveError)
            with working_for(name):
                log.log(logging.ERROR, "it cannot be started: %s", error, exc_info=None if known else error)
            self._problems[name] = (_in_words(error),)

    def _publish(self) -> None:
        if None in self.running:
            return
        self._list.serve(
            ServedPlatform(name, labels, self._problems.get(name, ()), self.running.get(name))
            for name, labels in self._labels.items()
        )

    def _new(self, name: str | None, settings: Settings) -> RunningPlatform:
        return RunningPlatform(name, settings, self._process, **self._made_with)


def _in_words(error: Exception) -> str:
    return str(error) if isinstance(error, FFObserveError) else f"an unexpected {type(error).__name__}: see the log"


class _Ending:
    """What settings that are no longer in use needed. A component."""

    name = "old settings"

    def __init__(self, undo: Callable[[], None]) -> None:
        self._undo = undo

    def start(self) -> None:
        """It runs already."""

    def stop(self, deadline: float) -> None:
        del deadline  # it has one of its own
        self._undo()


class _Endings:
    """What several platforms needed, stopped side by side: a receiver that hangs would hold up the process, and its
    watchdog, for a second for each of them. A component."""

    name = "old settings of platforms"

    def __init__(self, endings: Sequence[Component], process: Process) -> None:
        self._endings = endings
        self._process = process

    def start(self) -> None:
        """They run already."""

    def stop(self, deadline: float) -> None:
        errors = stop_in_parallel(self._endings, self._process, deadline)
        if errors:
            raise ExceptionGroup("some old settings did not stop cleanly", errors)
