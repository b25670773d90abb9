"""Group commit: who shares one, who is acknowledged when, and what happens when the store does not answer."""

import asyncio
import contextvars
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest

from ff_observe.collector.receiving import ingest as ingest_module
from ff_observe.collector.receiving.ingest import Ingest, Outcome
from ff_observe.collector.store import Ping, StoreError
from ff_observe.system.clock import Clock, SystemClock
from tests.fakes import FakeClock
from tests.unit.collector.pings import ping


class HeldWriter:
    """A writer whose commits end when the test says so."""

    survives_failover = None

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.began = asyncio.Semaphore(0)
        self.released = asyncio.Semaphore(0)
        self.failing: Exception | None = None
        self.closed = self.left = False
        self.deaf = False

    async def write(self, pings: Sequence[Ping]) -> Sequence[bool]:
        self.batches.append([each.instance_id for each in pings])
        self.began.release()
        await self.released.acquire()
        if self.failing is not None:
            raise self.failing
        return [True] * len(pings)

    def abort(self) -> None:
        if self.deaf:  # a disk that hangs cannot be interrupted
            return
        self.failing = StoreError("aborted")
        self.released.release()

    async def close(self) -> None:
        self.closed = True

    def leave(self) -> None:
        self.left = True


def run(
    test: Callable[[Ingest, HeldWriter], Coroutine[Any, Any, None]], clock: Clock | None = None, **options: Any
) -> HeldWriter:
    """Run a test in an event loop with an ingest."""
    writer = HeldWriter()

    async def main() -> None:
        ingest = Ingest(writer, clock or SystemClock(), **options)
        try:
            async with asyncio.timeout(10):
                await test(ingest, writer)
        finally:
            for _ in range(100):
                writer.released.release()
            await ingest.stop(10)

    asyncio.run(main())
    return writer


def submitted(ingest: Ingest, *names: str) -> list["asyncio.Future[Outcome]"]:
    return [ingest.submit(ping(name)) for name in names]


async def began(writer: HeldWriter) -> None:
    """A commit is under way."""
    await writer.began.acquire()


def test_pings_that_arrive_together_share_a_commit() -> None:
    async def test(ingest: Ingest, writer: HeldWriter) -> None:
        tasks = submitted(ingest, "a", "b", "c")
        await began(writer)
        writer.released.release()
        assert await asyncio.gather(*tasks) == [Outcome.STORED] * 3

    assert run(test).batches == [["a", "b", "c"]]


def test_what_arrives_during_a_commit_waits_for_the_next_and_nobody_is_acknowledged_early() -> None:
    async def test(ingest: Ingest, writer: HeldWriter) -> None:
        first = submitted(ingest, "a")
        await began(writer)
        second = submitted(ingest, "b", "c")
        await asyncio.sleep(0)
        assert not any(task.done() for task in (*first, *second))
        writer.released.release()
        await began(writer)
        assert first[0].result() is Outcome.STORED
        assert not any(task.done() for task in second)
        writer.released.release()
        await asyncio.gather(*second)

    assert run(test).batches == [["a"], ["b", "c"]]


def test_a_commit_is_bounded() -> None:
    async def test(ingest: Ingest, writer: HeldWriter) -> None:
        tasks = submitted(ingest, "a", "b", "c", "d", "e")
        for _ in range(3):
            await began(writer)
            writer.released.release()
        await asyncio.gather(*tasks)

    assert run(test, max_batch=2).batches == [["a", "b"], ["c", "d"], ["e"]]


def test_more_than_ten_thousand_are_turned_away_at_once_and_a_thousand_share_a_commit() -> None:
    async def test(ingest: Ingest, writer: HeldWriter) -> None:
        one = ping("a")
        waiting = [ingest.submit(one) for _ in range(10_000)]
        await began(writer)
        assert await ingest.submit(one) is Outcome.OVERLOADED
        for _ in range(10):
            writer.released.release()
        assert set(await asyncio.gather(*waiting)) == {Outcome.STORED}
        assert ingest.waiting == 0

    assert [len(batch) for batch in run(test).batches] == [1_000] * 10


def test_a_failed_commit_acknowledges_nobody_and_is_not_tried_by_everybody() -> None:
    async def test(ingest: Ingest, writer: HeldWriter) -> None:
        writer.failing = StoreError("the disk is full")
        tasks = submitted(ingest, "a", "b")
        await began(writer)
        late = submitted(ingest, "c")
        await asyncio.sleep(0)
        writer.released.release()
        assert await asyncio.gather(*tasks, *late) == [Outcome.UNAVAILABLE] * 3
        assert await ingest.submit(ping("d")) is Outcome.UNAVAILABLE
        assert ingest.up is False

    assert run(test, pause_seconds=60).batches == [["a", "b"]]


def test_it_recovers_by_itself() -> None:
    async def test(ingest: Ingest, writer: HeldWriter) -> None:
        writer.failing = StoreError("the disk is full")
        (task,) = submitted(ingest, "a")
        await began(writer)
        writer.released.release()
        assert await task is Outcome.UNAVAILABLE
        writer.failing = None
        writer.released.release()
        assert await ingest.submit(ping("a")) is Outcome.STORED
        assert ingest.up is True

    run(test, pause_seconds=0)


def test_after_a_failure_it_pauses_and_no_longer() -> None:
    clock = FakeClock()

    async def test(ingest: Ingest, writer: HeldWriter) -> None:
        writer.failing = StoreError("the disk is full")
        writer.released.release()
        assert await ingest.submit(ping("a")) is Outcome.UNAVAILABLE
        writer.failing = None
        writer.released.release()
        clock.advance(0.25)
        assert await ingest.submit(ping("a")) is Outcome.UNAVAILABLE
        clock.advance(0.25)
        assert await ingest.submit(ping("a")) is Outcome.STORED

    assert run(test, clock).batches == [["a"], ["a"]]


def test_an_error_nobody_thought_of_is_a_failure_too_and_is_not_quoted(caplog: Any) -> None:
    async def test(ingest: Ingest, writer: HeldWriter) -> None:
        writer.failing = ValueError("canary 192.0.2.1")
        (task,) = submitted(ingest, "a")
        writer.released.release()
        assert await task is Outcome.UNAVAILABLE

    run(test)
    assert "ValueError" in caplog.text
    assert "canary" not in caplog.text


def test_a_store_that_hangs_does_not_hold_its_senders(caplog: pytest.LogCaptureFixture) -> None:
    async def test(ingest: Ingest, writer: HeldWriter) -> None:
        tasks = submitted(ingest, "a")
        await began(writer)
        late = submitted(ingest, "b")
        assert await asyncio.gather(*tasks, *late) == [Outcome.UNAVAILABLE] * 2

    with caplog.at_level(logging.WARNING):
        run(test, patience_seconds=0.05)
    assert "the store has not answered for 0 s" in [record.getMessage() for record in caplog.records]


def test_while_a_store_hangs_for_good_everybody_is_turned_away_at_once() -> None:
    async def test(ingest: Ingest, writer: HeldWriter) -> None:
        writer.deaf = True
        (first,) = submitted(ingest, "a")
        assert await first is Outcome.UNAVAILABLE
        later = submitted(ingest, "b", "c")
        assert [each.done() and each.result() for each in later] == [Outcome.UNAVAILABLE] * 2
        assert not await ingest.probe()
        for _ in range(2):
            writer.released.release()
        while ingest.up is not True:  # the commit that hung has ended after all
            await asyncio.sleep(0)
        assert await ingest.submit(ping("d")) is Outcome.STORED

    assert run(test, patience_seconds=0.05, pause_seconds=0).batches == [["a"], ["d"]]


def test_a_commit_is_observed_with_its_pings_and_its_time_and_a_probe_is_not() -> None:
    clock = FakeClock()
    observed: list[tuple[int, float]] = []

    async def test(ingest: Ingest, writer: HeldWriter) -> None:
        pings = submitted(ingest, "a", "b")
        await began(writer)
        clock.advance(0.25)
        writer.released.release()
        await asyncio.gather(*pings)
        writer.released.release()
        assert await ingest.probe()

    run(test, clock, on_commit=lambda *commit: observed.append(commit))
    assert observed == [(2, 0.25)]


def test_a_commit_takes_nothing_of_the_request_that_began_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is for others too, and lives longer."""
    of_request: contextvars.ContextVar[str] = contextvars.ContextVar("of_request", default="")
    seen: list[str] = []

    async def test(ingest: Ingest, writer: HeldWriter) -> None:
        write = writer.write

        async def observed(pings: Sequence[Ping]) -> Sequence[bool]:
            seen.append(of_request.get())
            return await write(pings)

        monkeypatch.setattr(writer, "write", observed)
        of_request.set("a secret")
        writer.released.release()
        await ingest.submit(ping("a"))

    run(test)
    assert seen == [""]


def test_the_store_is_probed_again_and_again_without_pings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest_module, "PROBE_SECONDS", 0)

    async def test(ingest: Ingest, writer: HeldWriter) -> None:
        assert ingest.up is None
        probing = asyncio.create_task(ingest.probe_regularly())
        for failing in (None, StoreError("read-only"), None):
            writer.failing = failing
            writer.released.release()
            while ingest.up is not (failing is None):
                await asyncio.sleep(0)
        probing.cancel()

    assert run(test, pause_seconds=0).batches[:3] == [[], [], []]


def test_a_probe_commits_without_a_ping() -> None:
    async def test(ingest: Ingest, writer: HeldWriter) -> None:
        writer.released.release()
        assert await ingest.probe()
        writer.failing = StoreError("read-only")
        writer.released.release()
        assert not await ingest.probe()

    assert run(test).batches == [[], []]


def test_the_next_commit_is_under_way_before_those_of_the_last_go_on() -> None:
    """Or the store would be idle while a batch of answers is sent."""

    async def test(ingest: Ingest, writer: HeldWriter) -> None:
        seen: list[int] = []

        async def sender(name: str) -> None:
            await ingest.submit(ping(name))
            seen.append(len(writer.batches))

        first = [asyncio.create_task(sender(name)) for name in "ab"]
        await began(writer)
        second = asyncio.create_task(sender("c"))
        await asyncio.sleep(0)
        writer.released.release()
        await asyncio.gather(*first)
        assert seen == [2, 2]
        writer.released.release()
        await second

    run(test)


def test_a_store_that_is_down_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    async def test(ingest: Ingest, writer: HeldWriter) -> None:
        for reason in (StoreError("the disk is full"), StoreError("the disk is full"), None, StoreError("read-only")):
            writer.failing = reason
            writer.released.release()
            await ingest.submit(ping("a"))

    with caplog.at_level(logging.INFO):
        run(test, pause_seconds=0)
    assert [record.getMessage() for record in caplog.records] == [
        "pings cannot be stored: the disk is full",
        "the store takes pings again",
        "pings cannot be stored: read-only",
    ]


def test_when_it_stops_what_waits_is_written_and_the_writer_closed() -> None:
    async def test(ingest: Ingest, writer: HeldWriter) -> None:
        waiting = submitted(ingest, "a", "b", "c")
        writer.released.release()
        writer.released.release()
        await ingest.stop(10)
        assert await asyncio.gather(*waiting) == [Outcome.STORED] * 3
        assert await ingest.submit(ping("late")) is Outcome.UNAVAILABLE

    writer = run(test, max_batch=2)
    assert writer.batches == [["a", "b"], ["c"]]
    assert writer.closed


def test_all_who_wait_are_turned_away_when_told_to_and_so_is_whoever_comes() -> None:
    async def test(ingest: Ingest, writer: HeldWriter) -> None:
        waiting = submitted(ingest, "a")
        await began(writer)
        waiting += submitted(ingest, "b")
        ingest.turn_away()
        waiting += submitted(ingest, "c")
        assert [each.result() for each in waiting] == [Outcome.UNAVAILABLE] * 3
        assert ingest.waiting == 0

    writer = run(test, pause_seconds=0)
    assert writer.batches == [["a"]]
    assert writer.closed


def test_a_write_that_hangs_at_the_stop_is_aborted_and_the_writer_closed() -> None:
    async def test(ingest: Ingest, writer: HeldWriter) -> None:
        (waiting,) = submitted(ingest, "a")
        await began(writer)
        await ingest.stop(0.05)
        assert await waiting is Outcome.UNAVAILABLE

    assert run(test).closed


def test_a_store_that_hangs_is_not_waited_for_at_the_stop() -> None:
    async def test(ingest: Ingest, writer: HeldWriter) -> None:
        writer.deaf = True
        submitted(ingest, "a")
        await began(writer)
        with pytest.raises(TimeoutError, match=r"^the collector's writer did not stop in time$"):
            await ingest.stop(0.05)
        assert writer.left
        assert not writer.closed

    run(test)


def test_it_can_be_stopped_without_having_started() -> None:
    async def main() -> None:
        await Ingest(HeldWriter(), SystemClock()).stop(1)

    asyncio.run(main())


def test_a_probe_whose_client_leaves_takes_no_place() -> None:
    """Or so many readiness requests that are given up would have every ping refused."""

    async def test(ingest: Ingest, writer: HeldWriter) -> None:
        probes = [asyncio.create_task(ingest.probe()) for _ in range(2)]
        await began(writer)
        for probe in probes:
            probe.cancel()
        await asyncio.gather(*probes, return_exceptions=True)
        writer.released.release()
        while ingest.waiting:
            await asyncio.sleep(0)

    run(test, max_waiting=2)
