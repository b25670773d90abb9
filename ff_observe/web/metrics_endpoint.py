"""What `/metrics` answers: each exposition is rendered and compressed once per snapshot, then only handed out."""

import gzip
from collections.abc import Mapping

from ff_observe.outputs.prometheus import Format, render
from ff_observe.self_metrics import SelfMetrics
from ff_observe.snapshots import Snapshot
from ff_observe.sources.model import Reading
from ff_observe.web.messages import Answer, answer
from ff_observe.web.negotiation import accepts_gzip, negotiate

_MOST_HEADERS_KEPT = 64  # scrapers are few and send the same headers always; more than this is somebody playing


class MetricsEndpoint:
    """Answers for the present snapshot, kept until the snapshot or the bridge's own metrics change.

    For one thread (that of the event loop).
    """

    def __init__(self, self_metrics: SelfMetrics) -> None:
        self._self_metrics = self_metrics
        self._snapshot: Snapshot | None = None
        self._version = -1
        self._self_readings: Mapping[str, Reading] = {}
        self._by_headers: dict[tuple[bytes, bytes], Answer] = {}
        self._by_form: dict[tuple[Format, bool], Answer] = {}

    def answer(self, snapshot: Snapshot, accept: bytes, accept_encoding: bytes) -> Answer:
        """The exposition that the two headers ask for (empty where a request has none)."""
        if snapshot is not self._snapshot or self._self_metrics.version != self._version:
            self._by_headers.clear()
            self._by_form.clear()
            self._version = self._self_metrics.version  # read before the values: newer ones are rendered again
            self._self_readings = self._self_metrics.readings()
            self._snapshot = snapshot
        found = self._by_headers.get((accept, accept_encoding))
        if found is None:
            found = self._in_form(snapshot, negotiate(accept), accepts_gzip(accept_encoding))
            if len(self._by_headers) >= _MOST_HEADERS_KEPT:
                self._by_headers.clear()
            self._by_headers[accept, accept_encoding] = found
        return found

    def _in_form(self, snapshot: Snapshot, exposition_format: Format, compressed: bool) -> Answer:
        found = self._by_form.get((exposition_format, compressed))
        if found is None:
            body = render(snapshot, self._self_readings, exposition_format)
            if compressed:
                found = answer(
                    200, exposition_format.value, gzip.compress(body, mtime=0), (b"content-encoding", b"gzip")
                )
            else:
                found = answer(200, exposition_format.value, body)
            self._by_form[exposition_format, compressed] = found
        return found
