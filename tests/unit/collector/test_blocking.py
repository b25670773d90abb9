"""Calls that block, made in a thread for an event loop that must not."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator

import pytest

from ff_observe.collector.store.blocking import BlockingThread


@contextlib.asynccontextmanager
async def started() -> AsyncIterator[BlockingThread]:
    thread = BlockingThread("calls")
    yield thread
    await thread.close()


def test_what_a_call_returns_or_raises_comes_back() -> None:
    def fail() -> None:
        raise ValueError("no")

    async def main() -> None:
        async with started() as thread:
            assert await thread.call(lambda: threading.current_thread().name) == "calls"
            with pytest.raises(ValueError, match="no"):
                await thread.call(fail)
            assert await thread.call(lambda: 7) == 7

    asyncio.run(main())


def test_the_loop_goes_on_meanwhile_and_calls_come_one_after_the_other() -> None:
    async def main() -> None:
        async with started() as thread:
            may_end = threading.Event()
            made: list[str] = []

            def make_first() -> None:
                made.append("first")
                may_end.wait(10)

            first = asyncio.create_task(thread.call(make_first))
            second = asyncio.create_task(thread.call(lambda: made.append("second")))
            while not made:
                await asyncio.sleep(0)
            assert made == ["first"]
            may_end.set()
            await asyncio.gather(first, second)
            assert made == ["first", "second"]

    asyncio.run(main())


def test_a_call_nobody_waits_for_any_more_is_in_no_ones_way() -> None:
    async def main() -> None:
        async with started() as thread:
            may_end = threading.Event()
            given_up = asyncio.create_task(thread.call(lambda: may_end.wait(10)))
            await asyncio.sleep(0)
            given_up.cancel()
            may_end.set()
            assert await thread.call(lambda: 7) == 7

    asyncio.run(main())


def test_when_it_is_closed_its_thread_has_ended_and_another_call_starts_one() -> None:
    async def main() -> None:
        thread = BlockingThread("calls")
        await thread.close()
        for _ in range(2):
            running = await thread.call(threading.current_thread)
            await thread.close()
            assert not running.is_alive()

    asyncio.run(main())


def test_a_call_that_outlives_the_loop_ends_quietly(capfd: pytest.CaptureFixture[str]) -> None:
    may_end = threading.Event()
    thread = BlockingThread("calls")

    async def main() -> None:
        calling = asyncio.create_task(thread.call(lambda: may_end.wait(10)))
        await asyncio.sleep(0)
        calling.cancel()

    asyncio.run(main())
    (running,) = [each for each in threading.enumerate() if each.name == "calls"]
    assert running.daemon, "or a disk that hangs would keep the process from ending"
    may_end.set()
    asyncio.run(thread.close())
    assert not running.is_alive()
    assert capfd.readouterr().err == ""


def test_a_thread_that_is_left_makes_its_last_call_and_ends() -> None:
    may_end, made = threading.Event(), threading.Event()
    thread = BlockingThread("calls")

    async def main() -> None:
        calling = asyncio.create_task(thread.call(lambda: may_end.wait(10)))
        await asyncio.sleep(0)
        thread.leave(made.set)
        calling.cancel()

    asyncio.run(main())
    (running,) = [each for each in threading.enumerate() if each.name == "calls"]
    assert not made.is_set()
    may_end.set()
    running.join()
    assert made.is_set()
