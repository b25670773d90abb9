"""The thread `core ping` under a clock of its own, delivering to a real receiver: weeks of it in a second."""

import logging
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from ff_observe.outputs.ping.schedule import LOOK_SECONDS, MAX_ATTEMPTS, NOT_READY_SECONDS, REVIEW_SECONDS
from ff_observe.outputs.ping.sending import preview
from tests.unit.ping.bridge import DAY, NEXT_DAY, SIX_IN_THE_EVENING, START, Bridge
from tests.unit.ping.receivers import answer, receiver
from tests.unit.ping.samples import LICENCE, OPERATING_SYSTEM, settings, snapshot


def test_the_first_ping_is_sent_30_seconds_after_the_start(bridge: Bridge) -> None:
    bridge.start()
    bridge.clock.advance(29.999)
    assert bridge.arrived == []
    bridge.clock.advance(0.001)
    assert bridge.seconds() == [30]


def test_then_one_a_day_at_the_platforms_time_for_thirty_days_across_daylight_saving(
    bridge: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From 10 October to 9 November, in a zone that leaves daylight saving on 25 October 2026 at 01:00 UTC."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        bridge.clock.adjust((datetime(2026, 10, 10, 12, tzinfo=UTC) - START).total_seconds())
        start = bridge.clock.now()
        bridge.start()
        bridge.clock.advance(30 * DAY)
    finally:
        monkeypatch.undo()
        time.tzset()
    first, *daily = bridge.arrived
    assert first == start + timedelta(seconds=30)
    expected = [datetime(2026, 10, 11, 18, tzinfo=UTC) + timedelta(days=day) for day in range(29)]
    assert len(daily) == 29
    assert all(
        timedelta() <= ours - due <= timedelta(milliseconds=1) for ours, due in zip(daily, expected, strict=True)
    )
    berlin = {moment.astimezone(ZoneInfo("Europe/Berlin")).hour for moment in daily}
    assert berlin == {20, 19}  # the zone did change under it


def test_no_ping_before_the_platform_is_initialised_and_one_soon_after(bridge: Bridge) -> None:
    bridge.platform.says = snapshot(initialised=False)
    bridge.start()
    bridge.clock.advance(10 * DAY)
    assert bridge.arrived == []
    assert bridge.sample("ff_observe_ping_enabled") == {("not_initialised",): 0.0}
    assert bridge.sample("ff_observe_ping_next_timestamp_seconds") is None
    bridge.platform.says = snapshot()
    bridge.clock.advance(NOT_READY_SECONDS)
    assert len(bridge.arrived) == 1
    bridge.clock.advance(2 * DAY)
    assert len(bridge.arrived) == 2


def test_a_dead_database_is_waited_for(bridge: Bridge) -> None:
    bridge.platform.says = snapshot(up=False)
    bridge.start()
    bridge.clock.advance(600)
    assert bridge.arrived == []
    bridge.platform.says = snapshot()
    bridge.clock.advance(NOT_READY_SECONDS)
    assert len(bridge.arrived) == 1


def test_an_administrator_who_allows_telemetry_is_noticed_without_asking_often(bridge: Bridge) -> None:
    bridge.platform.says = snapshot(telemetry_allowed=False)
    bridge.start()
    bridge.clock.advance(5 * 3600 + 60)
    assert bridge.arrived == []
    assert bridge.platform.asked == 6
    bridge.platform.says = snapshot()
    bridge.clock.advance(REVIEW_SECONDS)
    assert len(bridge.arrived) == 1


def test_an_opt_out_is_obeyed_at_once_and_shown_within_the_hour(bridge: Bridge) -> None:
    bridge.start()
    bridge.clock.advance(60)
    assert bridge.sample("ff_observe_ping_enabled") == {("no_objection",): 1.0}
    bridge.platform.says = snapshot(telemetry_allowed=False)
    bridge.clock.advance(REVIEW_SECONDS)
    assert bridge.sample("ff_observe_ping_enabled") == {("admin_setting",): 0.0}
    bridge.clock.advance(10 * DAY)
    assert len(bridge.arrived) == 1


def test_consent_withdrawn_between_two_attempts_stops_the_second(bridge: Bridge) -> None:
    bridge.status = lambda number: (500, {})
    bridge.start()
    bridge.clock.advance(30)
    bridge.platform.says = snapshot(telemetry_allowed=False)
    bridge.clock.advance(DAY)
    assert len(bridge.arrived) == 1


def test_retries_back_off_until_one_arrives(bridge: Bridge) -> None:
    bridge.status = lambda number: (500 if number < 4 else 204, {})
    bridge.start(1.0)  # the longest delays: 60, 120, 240 s
    bridge.clock.advance(3600)
    assert bridge.seconds() == [30, 90, 210, 450]
    assert bridge.sample("ff_observe_pings_total") == {("delivered",): 1.0, ("failed",): 3.0, ("rejected",): 0.0}


def test_retries_are_bounded_and_the_next_day_is_another(bridge: Bridge) -> None:
    bridge.status = lambda number: (503, {})
    bridge.start(0.25)  # delays of 15, 30, 60, … s
    bridge.clock.advance(5 * 3600)
    assert len(bridge.arrived) == MAX_ATTEMPTS
    bridge.clock.advance(2 * DAY - 5 * 3600)
    assert len(bridge.arrived) == 2 * MAX_ATTEMPTS
    assert bridge.seconds()[MAX_ATTEMPTS] == NEXT_DAY


def test_retries_end_when_the_next_ping_is_due(bridge: Bridge) -> None:
    bridge.status = lambda number: (200 if number == 1 else 503, {"Retry_After": "86400"})
    bridge.start()
    bridge.clock.advance(3 * DAY)
    assert bridge.seconds() == [30, NEXT_DAY, NEXT_DAY + DAY]


def test_retry_after_is_honoured(bridge: Bridge) -> None:
    bridge.status = lambda number: (429 if number == 1 else 200, {"Retry_After": "1800"})
    bridge.start(0.5)
    bridge.clock.advance(4 * 3600)
    assert bridge.seconds() == [30, 30 + 1800 + 30]  # and 30 s of jitter


@pytest.mark.parametrize("status", [302, 400, 404])
def test_what_was_rejected_is_not_sent_again_that_day(bridge: Bridge, status: int) -> None:
    bridge.status = lambda number: (status, {})
    bridge.start()
    bridge.clock.advance(5 * 3600)
    assert len(bridge.arrived) == 1
    assert bridge.sample("ff_observe_pings_total") == {("delivered",): 0.0, ("failed",): 0.0, ("rejected",): 1.0}
    bridge.clock.advance(2 * DAY)
    assert len(bridge.arrived) == 2


def test_after_days_of_sleep_one_ping_is_sent_and_not_several(bridge: Bridge) -> None:
    bridge.start()
    bridge.clock.advance(3600)
    bridge.clock.suspend(5 * DAY + 8 * 3600)
    bridge.clock.advance(LOOK_SECONDS)
    assert len(bridge.arrived) == 2
    bridge.clock.advance(DAY)
    assert len(bridge.arrived) == 3
    assert bridge.arrived[2].hour == 18


def test_a_clock_put_back_brings_no_second_ping_on_the_same_day(bridge: Bridge) -> None:
    bridge.start()
    bridge.clock.advance(NEXT_DAY + 3600)  # the ping of 18:00 has been sent
    assert len(bridge.arrived) == 2
    bridge.clock.adjust(-5 * 3600)  # it is 14:00 again
    bridge.clock.advance(9 * 3600)
    assert len(bridge.arrived) == 2
    bridge.clock.advance(DAY)
    assert len(bridge.arrived) == 3


def test_a_clock_that_was_years_ahead_does_not_silence_the_ping(bridge: Bridge) -> None:
    bridge.clock.adjust(3650 * DAY)
    bridge.start()
    bridge.clock.advance(60)
    bridge.clock.adjust(-3650 * DAY)
    bridge.clock.advance(3 * DAY)
    assert len(bridge.arrived) == 3


def test_a_hundred_restarts_in_ten_minutes_send_one_ping(bridge: Bridge) -> None:
    for _ in range(100):
        bridge.start()
        bridge.clock.advance(31)
        bridge.stop()
    assert bridge.seconds() == [30]


def test_a_hundred_restarts_around_the_time_of_day_send_one_ping_without_a_disk(bridge: Bridge) -> None:
    bridge.disk = None
    bridge.clock.advance(SIX_IN_THE_EVENING - 12 * 3600 - 1000)
    for _ in range(100):
        bridge.start()
        bridge.clock.advance(31)
        bridge.stop()
    assert len(bridge.arrived) == 1


def test_a_restart_every_day_keeps_the_time_of_day(bridge: Bridge) -> None:
    for _ in range(30):
        bridge.start()
        bridge.clock.advance(DAY)
        bridge.stop()
    assert bridge.seconds() == [30, *(NEXT_DAY + day * DAY for day in range(29))]


def test_without_a_disk_the_first_ping_is_sent_at_the_platforms_time(bridge: Bridge) -> None:
    bridge.disk = None
    bridge.start()
    bridge.clock.advance(DAY)
    assert bridge.seconds() == [NEXT_DAY - DAY]


@pytest.mark.parametrize("jumps", [(1, -1, 1, -1), (-1, 1, -1, 1), (1, 1, -1, -1)])
def test_a_clock_that_jumps_by_days_neither_doubles_nor_loses_a_ping(bridge: Bridge, jumps: tuple[int, ...]) -> None:
    bridge.start()
    for number in range(30):
        bridge.clock.advance(DAY / 2)
        if number % 8 == 7:
            bridge.clock.adjust(jumps[number // 8] * DAY)
        bridge.clock.advance(DAY / 2)
        bridge.stop()
        bridge.start()
    assert len(bridge.arrived) == 30
    true = [moment - START for moment in bridge.true]
    assert true[1:] == [timedelta(seconds=NEXT_DAY + day * DAY) for day in range(29)]


def test_a_clock_that_is_set_right_by_a_restart_of_the_machine_loses_one_ping_at_most(bridge: Bridge) -> None:
    bridge.clock.adjust(3650 * DAY)
    bridge.start()
    bridge.clock.advance(60)
    bridge.stop()
    bridge.clock.adjust(-3650 * DAY)
    bridge.clock.boot = "another"
    bridge.start()
    bridge.clock.advance(3 * DAY)
    assert len(bridge.arrived) == 3


def test_the_ping_that_arrives_is_the_one_that_is_shown(bridge: Bridge) -> None:
    bridge.start()
    bridge.clock.advance(30)
    shown = preview(snapshot(), settings(), OPERATING_SYSTEM)
    assert [request.body for request in bridge.server.requests] == [shown]
    assert bridge.sample("ff_observe_ping_sent_bytes_total") == {(): len(shown)}
    assert bridge.sample("ff_observe_ping_last_success_timestamp_seconds") == {
        (): (START + timedelta(seconds=30)).timestamp()
    }


def test_the_next_ping_is_told(bridge: Bridge) -> None:
    bridge.status = lambda number: (500 if number == 1 else 200, {})
    told = "ff_observe_ping_next_timestamp_seconds"
    bridge.start(1.0)
    assert bridge.sample(told) == {(): START.timestamp() + 30}
    bridge.clock.advance(30)
    assert bridge.sample(told) == {(): START.timestamp() + 90}
    bridge.clock.advance(60)
    assert bridge.sample(told) == {(): START.timestamp() + NEXT_DAY}


def test_a_licensed_platform_that_wants_out_is_told_so_once(bridge: Bridge, caplog: pytest.LogCaptureFixture) -> None:
    bridge.platform.says = snapshot(licence=LICENCE, telemetry_allowed=False)
    bridge.start()
    bridge.clock.advance(3 * DAY)
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "the administrators' setting is ignored" in warnings[0]
    assert bridge.sample("ff_observe_ping_opt_out_ignored") == {(): 1.0}
    assert len(bridge.arrived) == 3


def test_a_failure_is_logged_once_and_the_recovery_too(bridge: Bridge, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="ff_observe")
    bridge.status = lambda number: (500 if 2 <= number <= 5 else 200, {})
    bridge.start(0.5)
    bridge.clock.advance(3 * DAY)
    told = [(record.levelname, record.getMessage().split(":")[0]) for record in caplog.records]
    assert told == [
        ("INFO", "the core ping is on"),
        ("INFO", "core ping delivered"),
        ("WARNING", "core ping failed"),
        ("INFO", "core ping delivered"),
    ]
    assert len(bridge.arrived) == 7


def test_an_error_in_the_thread_reaches_the_sink_and_the_thread_goes_on(bridge: Bridge) -> None:
    bridge.platform.says = RuntimeError("a fault of our own")
    bridge.start()
    bridge.clock.advance(600)
    assert [str(error) for error in bridge.errors] == ["a fault of our own"]
    bridge.platform.says = snapshot()
    bridge.clock.advance(60)
    assert len(bridge.arrived) == 1


def test_a_platform_without_an_instance_id_sends_nothing_and_is_asked_again(
    bridge: Bridge, caplog: pytest.LogCaptureFixture
) -> None:
    bridge.platform.says = snapshot(instance_id=None)
    bridge.start(1.0)
    bridge.clock.advance(60)
    assert bridge.arrived == []
    assert "instanceId" in caplog.text
    assert bridge.sample("ff_observe_ping_next_timestamp_seconds") is None
    bridge.platform.says = snapshot()
    bridge.clock.advance(60)
    assert len(bridge.arrived) == 1


def test_a_ping_that_breaks_after_its_delivery_is_not_sent_again_and_again(bridge: Bridge) -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError("the metrics are broken")

    bridge.metrics.add = broken  # type: ignore[method-assign]  # a fault where none should be
    bridge.start(1.0)
    bridge.clock.advance(5 * 3600)
    assert len(bridge.arrived) <= MAX_ATTEMPTS


def test_other_settings_are_used_from_the_next_look_and_bring_no_ping_of_their_own(bridge: Bridge) -> None:
    ping = bridge.start()
    bridge.clock.advance(60)
    with receiver(answer(200)) as other:
        ping.reconfigure(bridge.settings(settings(other.url())), bridge.platform)
        bridge.clock.advance(3600)
        assert other.requests == []
        bridge.clock.advance(2 * DAY)
        assert len(other.requests) == 1
    assert len(bridge.arrived) == 1
    ping.reconfigure(replace(settings(bridge.server.url()), ping=settings(enabled=False).ping), bridge.platform)
    bridge.clock.advance(2 * DAY)
    assert len(bridge.arrived) == 1
    assert bridge.sample("ff_observe_ping_enabled") == {("file",): 0.0}


def test_a_ping_that_fails_at_the_url_before_is_not_the_last_one_to_another(bridge: Bridge) -> None:
    def reload_and_refuse(number: int) -> tuple[int, dict[str, str]]:
        ping.reconfigure(bridge.settings(settings("http://127.0.0.1:9/")), bridge.platform)
        return 404, {}

    bridge.status = reload_and_refuse
    ping = bridge.start()
    bridge.clock.advance(60)
    assert len(bridge.arrived) == 1
    assert bridge.metrics.deliveries() == {}
