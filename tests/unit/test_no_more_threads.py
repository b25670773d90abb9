"""Where the system refuses to start a thread, what asked for one does without it, and has one again afterwards."""

from types import SimpleNamespace
from typing import Any

import pytest

import ff_observe
from ff_observe.doctor.examination import EVERY_SECONDS, Examination
from ff_observe.doctor.model import note
from ff_observe.lifecycle.workers import Workers
from ff_observe.problems import Finding
from ff_observe.running.platform import stop_in_parallel
from tests.fakes import FakeClock, no_more_threads
from tests.unit.test_platforms_apart import get
from tests.unit.test_platforms_apart import settings as settings


def test_an_examination_has_its_last_findings() -> None:
    clock, made = FakeClock(), list[Finding]()

    def examine() -> list[Finding]:
        made.append(note(f"number-{len(made)}", "", "", ""))
        return made[-1:]

    workers = Workers(2)
    examination = Examination(examine, clock, workers)
    examination.start()
    with no_more_threads():
        assert examination.findings() == ()
    assert ended(examination, workers) == ["number-0"]
    clock.advance(EVERY_SECONDS)
    with no_more_threads():
        assert [each.id for each in examination.findings()] == ["number-0"]
    assert ended(examination, workers) == ["number-1"]
    examination.stop(clock.monotonic() + 5)
    assert workers.stop(60)


def ended(examination: Examination, workers: Workers) -> list[str]:
    """What an examination found that is over, after one was asked for."""
    examination.findings()
    assert workers.finish(60)
    return [each.id for each in examination.findings()]


def test_platforms_are_stopped_one_after_the_other() -> None:
    clock, stopped, workers = FakeClock(), list[str](), Workers(2)

    def platform(name: str) -> Any:
        def stop(_deadline: float) -> None:
            stopped.append(name)
            if name == "acme":
                raise TimeoutError("it hangs")

        return SimpleNamespace(name=name, stop=stop)

    process: Any = SimpleNamespace(workers=workers, clock=clock)
    with no_more_threads():
        [error] = stop_in_parallel([platform("acme"), platform("initech")], process, clock.monotonic() + 60)
    assert stopped == ["acme", "initech"]
    assert error.__notes__ == ["while stopping acme"]
    assert workers.stop(60)


def test_the_page_of_the_platforms_is_an_error(settings: dict[str, ff_observe.Settings]) -> None:
    with ff_observe.build_bridge(settings) as bridge:
        with no_more_threads(), pytest.raises(RuntimeError, match="no thread to make the page in"):
            get(bridge.app, "/")
        assert [answer.status_code for answer in get(bridge.app, "/")] == [200]
