"""Checks of where the bridge listens, and of who reads its metrics."""

import http.client
import json
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any, Final
from urllib.parse import urlsplit

from ff_observe.config import declaration as key
from ff_observe.config.settings import PrometheusSettings
from ff_observe.doctor.model import Check, Subject, error, note, warning
from ff_observe.errors import FFObserveError
from ff_observe.problems import Finding
from ff_observe.system.clock import Clock
from ff_observe.web.local import HEALTHY_PATH, ask, bridge_url
from ff_observe.web.server import listen

ANSWER_SECONDS: Final = 2.0
SILENT_SECONDS: Final = 300.0
MOST_BYTES: Final = 16 * 2**20  # Prometheus lists every target it has


def _port(subject: Subject) -> Iterator[Finding]:
    prometheus = subject.settings.prometheus
    try:
        listen(prometheus.host, prometheus.port).close()
    except FFObserveError as failure:
        if not _is_a_bridge(prometheus):
            fix = f"Set `{key.PROMETHEUS_PORT.path}` or `{key.PROMETHEUS_HOST.path}`, or do as it says."
            yield error("port", "The bridge cannot listen at its address", f"{failure}.", fix)


def _is_a_bridge(prometheus: PrometheusSettings) -> bool:
    """Whether what listens there is ff-observe."""
    try:
        _, text = ask(bridge_url(prometheus), HEALTHY_PATH, ANSWER_SECONDS)
    except (OSError, http.client.HTTPException):
        return False
    return text.startswith("ff-observe is healthy")


PORT: Final = Check("port", "The bridge can listen at its address, or does already", _port)


class Scrapes:
    """Whether the metrics of a running bridge are read, judged by the number of answered requests."""

    def __init__(self, answered: Callable[[], int], clock: Clock) -> None:
        self._answered = answered
        self._clock = clock
        self._seen = (0, clock.monotonic())  # how many, and since when

    def look(self, _subject: Subject) -> Iterator[Finding]:
        """A finding where nothing was answered for `SILENT_SECONDS`."""
        answered, now = self._answered(), self._clock.monotonic()
        if answered != self._seen[0]:
            self._seen = (answered, now)
        silent = now - self._seen[1]
        if silent >= SILENT_SECONDS:
            yield warning(
                "not-scraped",
                "Nothing reads the metrics",
                f"They are on, and nothing has asked for them in the last {silent / 60:.0f} minutes.",
                "Check the target of Prometheus; `ff-observe doctor --prometheus URL` asks it.",
            )

    @property
    def check(self) -> Check:
        return Check("scraped", "Something reads the metrics", self.look, lambda of: of.settings.prometheus.enabled)


def examine_scrapes(subject: Subject, prometheus_url: str) -> list[Finding]:
    """What Prometheus itself says of the bridge as a target, asked at its API."""
    prometheus = subject.settings.prometheus
    if not prometheus.enabled:
        fix = f"Set `{key.PROMETHEUS_BRIDGE_ENABLED.path}: true`."
        return [note("metrics-off", "The metrics are off", "Prometheus has nothing to scrape here.", fix)]
    try:
        targets = _targets(prometheus_url)
    except (OSError, http.client.HTTPException) as failure:
        return [_no_targets(prometheus_url, str(getattr(failure, "reason", None) or failure or type(failure).__name__))]
    except (ValueError, KeyError, TypeError):
        return [_no_targets(prometheus_url, "its answer is not Prometheus'")]
    ours = [target for target in targets if _is_ours(target, prometheus)]
    if not ours:
        return [
            warning(
                "not-a-target",
                "Prometheus does not scrape the bridge",
                f"None of its {len(targets)} targets has the port {prometheus.port} and the path {prometheus.path}.",
                "Add a `scrape_config`, or check the labels of the ServiceMonitor.",
            )
        ]
    return [
        error(
            "target-down",
            "Prometheus cannot scrape the bridge",
            f"{target['scrapeUrl']}: {target.get('lastError') or 'it was not scraped yet'}.",
            f"Check `{key.PROMETHEUS_HOST.path}`, TLS, user and token of that `scrape_config`.",
        )
        for target in ours
        if target.get("health") != "up"
    ]


def _no_targets(url: str, why: str) -> Finding:
    detail = f"{url} did not list its targets: {why}."
    return error("prometheus", "Prometheus does not answer", detail, "Check the URL given with `--prometheus`.")


def _targets(url: str) -> list[dict[str, Any]]:
    """`url` is one of http or https; see `cli.options.server_url`."""
    with urllib.request.urlopen(f"{url}/api/v1/targets", timeout=ANSWER_SECONDS) as answer:  # noqa: S310 - see above
        found: list[dict[str, Any]] = json.loads(answer.read(MOST_BYTES))["data"]["activeTargets"]
    return found


def _is_ours(target: dict[str, Any], prometheus: PrometheusSettings) -> bool:
    parts = urlsplit(str(target["scrapeUrl"]))
    return (parts.port, parts.path) == (prometheus.port, prometheus.path)
