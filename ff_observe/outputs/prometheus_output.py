"""Prometheus as an output. It has no components of its own: the web server serves what `prometheus.py` renders."""

from ff_observe.config import declaration as key_of
from ff_observe.config.settings import Settings
from ff_observe.outputs.model import Output, Status
from ff_observe.platform.snapshot import Snapshot


def _status(settings: Settings, _snapshot: Snapshot | None) -> Status:
    prometheus, ours = settings.prometheus, key_of.PROMETHEUS_BRIDGE_ENABLED
    if prometheus.bridge_enabled is None and prometheus.enabled:
        return Status(True, f"{key_of.PROMETHEUS_ENABLED.path} is true")
    return Status(prometheus.enabled, f"{ours.path} is {'true' if prometheus.enabled else 'not true'}")


OUTPUT = Output(
    name="prometheus",
    title="Prometheus",
    document="prometheus",
    content="counts, versions, states and activity; the address; the licence's id and limits; names of types",
    receiver="your Prometheus, or another client that can fetch /metrics",
    key=key_of.PROMETHEUS_BRIDGE_ENABLED.path,
    example="true",
    stop=f"`{key_of.PROMETHEUS_BRIDGE_ENABLED.path}: false`, or neither that nor `enabled`",
    fix="Check host, port and scrape configuration: `up` in Prometheus says whether it reaches the bridge.",
    status=_status,
)
