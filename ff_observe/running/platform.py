"""One platform of a process: its outputs, started and stopped in order, and swapped when its settings change."""

import random
import threading
from collections.abc import Callable, Sequence
from functools import partial

from ff_observe.catalogue import bridge as names
from ff_observe.config.settings import Settings
from ff_observe.http.application import Application
from ff_observe.http.messages import Answer, Scope
from ff_observe.lifecycle.periodic import ErrorSink
from ff_observe.lifecycle.service import Component, Service
from ff_observe.outputs import statuses
from ff_observe.outputs.ping.schedule import FIRST_PING_SECONDS
from ff_observe.platform.snapshot import Snapshot
from ff_observe.platform.snapshots import Snapshots
from ff_observe.running.wiring import Parts, Process, lasting_components
from ff_observe.telemetry.platform_context import working_for
from ff_observe.telemetry.redaction import Redactor
from ff_observe.telemetry.self_metrics import SelfMetrics
from ff_observe.web.status.memory import Memory
from ff_observe.web.status.watch import Watch

Undo = Callable[[], None]


class RunningPlatform:
    """A component. `name` is None for the one platform of a process.

    `app` answers below the platform's own path. Its counters and the schedule of its ping outlive a `reload`.
    """

    def __init__(
        self,
        name: str | None,
        settings: Settings,
        process: Process,
        *,
        chance: random.Random | None = None,
        first_ping_seconds: float = FIRST_PING_SECONDS,
        stop_seconds: float,
    ) -> None:
        self.name = "platform" if name is None else f"platform {name}"
        self.self_metrics = SelfMetrics(clock=process.clock)
        self._memory = Memory()
        self._platform = name
        self._process = process
        self._stop_seconds = stop_seconds
        with working_for(name):
            self._parts = self._new_parts(settings, None)
            self.app = CurrentApp(self._parts.app, self.capture, name)
            self._lasting = lasting_components(
                self._parts.context(self.capture, chance, first_ping_seconds, self._ping_ended)
            )

    @property
    def settings(self) -> Settings:
        return self._parts.platform.settings

    @property
    def snapshots(self) -> Snapshots:
        """Whom to ask for the present moment of the platform."""
        return self._parts.platform.snapshots

    @property
    def watch(self) -> Watch:
        """What looks at the platform from time to time."""
        return self._parts.watch

    @property
    def settings_app(self) -> Application:
        """What answers requests with the settings in use, without reporting its faults."""
        return self._parts.app

    def start(self) -> None:
        """Start what is on. Raises an `FFObserveError` if a part cannot work at all; then nothing runs."""
        with working_for(self._platform):
            self._settings_in_use()
            self.self_metrics.process_started()
            self._service(*self._parts.components, *self._lasting).start()

    def stop(self, deadline: float) -> None:
        """Stop all by `deadline`. Raises an `ExceptionGroup` of what did not stop cleanly. Idempotent."""
        seconds = max(0.0, deadline - self._process.clock.monotonic())
        with working_for(self._platform):
            Service([*self._parts.components, *self._lasting], self._process.clock, seconds).stop()

    def reload(self, settings: Settings) -> Undo:
        """Use other settings from now on; the result stops what the old ones needed. Raises, with the old settings
        still in use, if the new ones cannot be."""
        with working_for(self._platform):
            parts = self._new_parts(settings, self._parts.redactor)
            if settings.database == self.settings.database:
                parts.platform.snapshots.instance_id = self.snapshots.instance_id
            old = self._service(*self._parts.components)
            self._service(*parts.components).start()
            self._parts = parts
            self.app.become(parts.app)
            for component in self._lasting:
                component.reconfigure(settings, parts.platform.snapshots)
            self._settings_in_use()

        def end() -> None:
            try:
                old.stop()
            finally:
                self._forget_deliveries()  # the last ones of what is off now came while it stopped

        return end

    def reload_worked(self) -> None:
        """Publish that the file is in use as it is."""
        self.self_metrics.set(names.CONFIG_RELOAD_SUCCESS, 1.0)

    def reload_failed(self) -> None:
        """Publish that the file changed and could not be used."""
        self.self_metrics.set(names.CONFIG_RELOAD_SUCCESS, 0.0)
        self._parts.watch.look_again()

    def capture(self, error: BaseException, thread_name: str) -> None:
        """Report an error to the outputs that take them, as the platform's own threads do."""
        self._parts.capture(error, thread_name)

    def _ping_ended(self, delivered: bool) -> None:
        self._parts.ping_ended(delivered)

    def _service(self, *parts: Component) -> Service:
        return Service(parts, self._process.clock, self._stop_seconds)

    def _new_parts(self, settings: Settings, before: Redactor | None) -> Parts:
        return Parts(settings, self._process, self.self_metrics, self._publish_outputs, self._memory, before)

    def _settings_in_use(self) -> None:
        self.self_metrics.set(names.CONFIG_RELOAD_SUCCESS, 1.0)
        self._publish_outputs(self.settings, None)
        self._forget_deliveries()
        self._parts.watch.begin()

    def _publish_outputs(self, settings: Settings, snapshot: Snapshot | None) -> None:
        """Publish which outputs are on, for the platform as in `snapshot`."""
        if settings is not self.settings:
            return  # a snapshot that was under way when the settings changed
        on = {output.name: status.on for output, status in statuses(settings, snapshot) if status.on is not None}
        self.self_metrics.replace(names.OUTPUT_ENABLED, {(name,): float(value) for name, value in on.items()})

    def _forget_deliveries(self) -> None:
        """Those of outputs that the settings switch off, or that went elsewhere: not those of the new settings, which
        arrive while the old ones stop."""
        on = {output.name: output for output, status in statuses(self.settings, None) if status.on is not False}
        for (name, _), last in self.self_metrics.deliveries().items():
            if name not in on or (
                last.to is not None and all(each.url != last.to for each in on[name].destinations(self.settings))
            ):
                self.self_metrics.forget_delivery(last)


class CurrentApp(Application):
    """An application that may become another between two requests. Its faults are reported."""

    def __init__(self, app: Application, on_error: ErrorSink, platform: str | None = None) -> None:
        self._app = app
        self._on_error = on_error
        self._platform = platform

    def become(self, app: Application) -> None:
        """Answer by `app` from the next request on."""
        self._app = app

    def stop_waiting(self) -> None:
        self._app.stop_waiting()

    def answer_now(self, scope: Scope) -> Answer | None:
        return self._app.answer_now(scope)

    async def answer(self, scope: Scope) -> Answer:
        try:
            with working_for(self._platform):
                return await self._app.answer(scope)
        except Exception as error:
            self._on_error(error, threading.current_thread().name)
            raise


def stop_in_parallel(platforms: Sequence[Component], process: Process, deadline: float) -> list[Exception]:
    """Stop platforms, or what they no longer need, side by side, so that one that hangs leaves the others their time.
    Returns what went wrong."""
    errors: list[Exception] = []
    open_ends = threading.Semaphore(0)

    def stop(platform: Component) -> None:
        try:
            platform.stop(deadline)
        except ExceptionGroup as group:
            errors.extend(group.exceptions)
        except Exception as error:
            error.add_note(f"while stopping {platform.name}")
            errors.append(error)
        finally:
            open_ends.release()

    assert process.workers is not None
    for platform in platforms:
        if not process.workers.submit(platform.name, partial(stop, platform)):
            stop(platform)
    for _ in platforms:
        if not open_ends.acquire(timeout=max(0.0, deadline - process.clock.monotonic())):
            errors.append(TimeoutError("some platforms did not stop in time"))
            break
    return errors
