"""Answers for the status of the platform: the page, the same as JSON, and the page's stylesheet and script."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Final

from ff_observe.config.settings import PrometheusSettings
from ff_observe.http.messages import Answer, answer
from ff_observe.platform.snapshot import Snapshot
from ff_observe.telemetry.platform_context import current_platform
from ff_observe.web.local import HEALTHY_PATH, READY_PATH
from ff_observe.web.status import further
from ff_observe.web.status.describe import Audience, StatusSource
from ff_observe.web.status.document import StatusDocument, as_json
from ff_observe.web.status.page import Link, render

STATUS_PATH: Final = "/api/status"

RENDER_SECONDS: Final = 1.0
"""While the database does not answer, each request has a snapshot of its own: rendered no more often than this."""

_KINDS = {"status.css": "text/css; charset=utf-8", "status.js": "text/javascript; charset=utf-8"}
ASSETS: Final = {
    f"/{name}": answer(200, kind, files("ff_observe.web.status").joinpath(name).read_bytes(), cache="no-cache")
    for name, kind in _KINDS.items()
}


def standard_links(settings: PrometheusSettings) -> tuple[Link, ...]:
    """Where the bridge itself can be looked at."""
    metrics = Link(settings.path, "Metrics", "Everything here as numbers, for Prometheus.")
    of_several = current_platform() is not None
    documentation = (
        Link(f"{further.PATH}/", "Documentation", "Of this version; this bridge has it."),
        Link(f"{further.PATH}/troubleshooting", "Troubleshooting", "What else to ask, and how."),
    )
    return (
        *((Link("/../../", "All platforms", "The list, the worst first."),) if of_several else ()),
        *((metrics,) if settings.enabled else ()),
        Link(STATUS_PATH, "Status as JSON", "All of this page, for programs."),
        *(documentation if further.documents() else ()),
        Link(HEALTHY_PATH, "Healthy", "Liveness: answers as long as the process lives."),
        Link(READY_PATH, "Ready", "Readiness: whether the platform's database can be read."),
    )


@dataclass(frozen=True, slots=True)
class _Moment:
    """What was answered for one moment, and what that depends on besides it."""

    snapshot: Snapshot
    versions: tuple[object, ...]
    at: float
    document: StatusDocument
    answers: dict[str, Answer] = field(default_factory=dict)


class StatusPage:
    """The status of one platform, for one thread. `audience` says who can ask at present."""

    def __init__(self, source: StatusSource, audience: Callable[[], Audience] = lambda: Audience.ANYONE) -> None:
        self._source = source
        self._audience = audience
        self._links = standard_links(source.settings.prometheus)
        self._moment: _Moment | None = None

    def answer(self, path: str, snapshot: Snapshot, root_path: str, scraped_seconds_ago: float | None) -> Answer:
        """The page (at `/`) or the same as JSON (at `STATUS_PATH`). `root_path` is where the application is mounted."""
        moment = self._at(snapshot, scraped_seconds_ago)
        key = root_path if path == "/" else path
        if key not in moment.answers:
            # Relative where nothing says where the application is mounted: a proxy may serve it below a prefix.
            root = root_path or "."
            moment.answers[key] = render(moment.document, self._links, root) if path == "/" else _json(moment.document)
        return moment.answers[key]

    def _at(self, snapshot: Snapshot, scraped_seconds_ago: float | None) -> _Moment:
        audience, examined = self._audience(), tuple(self._source.examined())
        versions = (audience, examined, self._source.self_metrics.version, self._source.memory.version)
        before, now = self._moment, time.monotonic()
        if before is not None and before.versions == versions:
            both_down = not snapshot.up and not before.snapshot.up
            if snapshot is before.snapshot or (both_down and now - before.at < RENDER_SECONDS):
                return before
        document = self._source.status(snapshot, examined, scraped_seconds_ago=scraped_seconds_ago, audience=audience)
        self._moment = _Moment(snapshot, versions, now, document)
        return self._moment


def _json(document: StatusDocument) -> Answer:
    text = json.dumps(as_json(document), ensure_ascii=False)
    return answer(200, "application/json", text.encode("utf-8", "replace"))  # a path may be no UTF-8
