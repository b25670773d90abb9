"""A commit in the traces of the requests that wait for it."""

import asyncio
import contextlib
import contextvars
from collections.abc import Iterator, Mapping, Sequence

from ff_observe.collector.receiving.ingest import Ingest
from ff_observe.telemetry import tracing
from tests.unit.collector.test_ingest import HeldWriter, run, submitted


class Spans:
    """A tracer: each span by its name, attributes and what it comes after."""

    def __init__(self) -> None:
        self.of_request: contextvars.ContextVar[str] = contextvars.ContextVar("of_request", default="")
        self.seen: list[tuple[str, Mapping[str, object], Sequence[object]]] = []

    @contextlib.contextmanager
    def span(
        self, name: str, _kind: tracing.Kind, attributes: Mapping[str, object], after: Sequence[object]
    ) -> Iterator[tracing.Span]:
        self.seen.append((name, attributes, after))
        yield tracing.Span()

    def current_ids(self) -> None:
        return None

    def here(self) -> str:
        return self.of_request.get()


def test_a_commit_is_traced_after_each_request_that_waits_for_it_and_a_probe_by_its_own_name() -> None:
    spans = Spans()

    async def test(ingest: Ingest, writer: HeldWriter) -> None:
        waiting = []
        for name in "ab":
            spans.of_request.set(f"the request of {name}")
            waiting += submitted(ingest, name)
        writer.released.release()
        await asyncio.gather(*waiting)
        spans.of_request.set("the probe")
        writer.released.release()
        assert await ingest.probe()

    tracing.install(spans)
    try:
        run(test)
    finally:
        tracing.remove(spans)
    assert spans.seen == [
        ("commit", {"ff_observe.pings": 2}, ["the request of a", "the request of b"]),
        ("probe", {"ff_observe.pings": 0}, ["the probe"]),
    ]
